"""What all methods that look for a perturbation share: the question, the budget, readings that survive an
interruption, the choice among finalists."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from audit.attack.budget import CONTENDERS, RACE_SEEDS, RACERS, Budget, better_half
from audit.attack.contrast_code import ContrastCodes
from audit.attack.networks import SURROGATES
from audit.attack.perturbation import Perturbation
from audit.attack.question import Question
from audit.attack.search_desk import Answer, AnswerAll, DeskJob
from audit.attack.surrogates import FIT_WINDOW, Job, Reading
from audit.data.dataset import Split
from audit.results import Finalist, Generation, SearchRecord

PILOT_SEED = 100  # beside those of generations (1000, 2000, ..), race (300) and re-scoring (500)

ScoreAll = Callable[[Sequence[Job]], list[Reading]]
"""Readings of jobs, in order; the engine decides where they run."""


@dataclass(frozen=True)
class SearchRequest(Question):
    """A question, and all that a method may look at: training images only."""

    train: Split
    readings: KeptReadings
    on_generation: Callable[[Generation], None]
    source: Perturbation | None = None  # that is transferred to these images


Found = tuple[Perturbation, SearchRecord | None]
"""A perturbation, and how it was found where surrogates were trained."""


@dataclass
class KeptReadings:
    """Scores jobs, and keeps every reading and answer in a file (one JSON object per line).

    An interrupted search that starts again asks for the same candidates in the same order; what was read
    before is answered from the file, so it goes on where it was and ends with the same numbers.
    """

    score_all: ScoreAll
    path: Path | None = None
    seconds: float = 0.0  # spent on readings and answers so far, earlier sessions included
    answer_all: AnswerAll = lambda jobs: []  # closed-form proposals and rankings
    known: dict[tuple[str, int, int], Reading] = field(default_factory=dict)  # by id, seed and steps
    answered: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                self.remember(line)

    def remember(self, line: str) -> None:
        """One line of the file; a torn last line is read again."""
        try:
            entry = json.loads(line)
            seconds = float(entry["seconds"])
            read = [(str(r["id"]), int(r["seed"]), reading_of(r)) for r in entry.get("readings", [])]
            new = {(name, seed, reading.steps): reading for name, seed, reading in read}
            answered = {str(key): dict(answer) for key, answer in entry.get("answers", {}).items()}
        except (ValueError, KeyError, TypeError, AssertionError):
            return
        self.seconds += seconds
        self.known |= new
        self.answered |= answered

    def __call__(self, jobs: Sequence[Job]) -> list[Reading]:
        """Readings in the order of the jobs."""
        keys = [(job.perturbation.id, job.seed, job.steps) for job in jobs]
        missing = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self.known}
        if missing:
            started = time.monotonic()
            new = dict(zip(missing, self.score_all(list(missing.values())), strict=True))
            elapsed = time.monotonic() - started
            self.seconds += elapsed
            self.known |= new
            entries = [{"id": key[0], "seed": key[1], **asdict(reading)} for key, reading in new.items()]
            self.append({"seconds": elapsed, "readings": entries})
        return [self.known[key] for key in keys]

    def answers(self, jobs: Sequence[DeskJob]) -> list[Answer]:
        """Answers in the order of the jobs."""
        keys = [hashlib.sha256(json.dumps(job.key, sort_keys=True).encode()).hexdigest() for job in jobs]
        missing = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self.answered}
        if missing:
            started = time.monotonic()
            new = dict(zip(missing, self.answer_all(list(missing.values())), strict=True))
            elapsed = time.monotonic() - started
            self.seconds += elapsed
            self.answered |= new
            self.append({"seconds": elapsed, "answers": new})
        return [self.answered[key] for key in keys]

    def append(self, entry: dict[str, object]) -> None:
        """One call as one line, on the disk before the search goes on."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps(entry))
            stream.flush()
            os.fsync(stream.fileno())

    def discard(self) -> None:
        """The search is done and its artefact kept: nothing is left to resume."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def reading_of(entry: dict[str, object]) -> Reading:
    """One kept reading."""
    by_class = entry["by_class"]
    assert isinstance(by_class, list)
    return Reading(
        fitness=float(str(entry["fitness"])),
        fitted=bool(entry["fitted"]),
        steps=int(str(entry["steps"])),
        by_class=tuple(float(value) for value in by_class),
    )


@dataclass(frozen=True)
class Seen:
    """A candidate and its single reading."""

    perturbation: Perturbation
    reading: Reading


class Ledger:
    """What a search has seen and spent so far, and whether it should stop."""

    def __init__(self, request: SearchRequest) -> None:
        self.request = request
        self.seen: list[Seen] = []
        self.curve: list[Generation] = []
        self.finalists: list[Finalist] = []
        self.trainings = self.image_steps = 0
        self.searched = 0  # trainings in generations: neither pilot nor race nor re-scoring
        self.steps = request.settings.steps
        self.pilot_facts: dict[str, str] = {}

    def pilot(self, codes: ContrastCodes, budget: Budget) -> None:
        """Train a few surrogates first: where none of them fits, all others take more steps. A surrogate that has
        learned neither images nor pixels ranks nothing (method §3). Equal for all methods."""
        settings = self.request.settings
        candidates = codes.proposals(budget.pilot, settings.seed)
        readings = self.read([(candidate, settings.seed + PILOT_SEED) for candidate in candidates])
        if not readings:
            return
        fitted = sum(reading.fitted for reading in readings)
        self.pilot_facts = {"pilot_fitted": f"{fitted} of {len(readings)}"}
        if not fitted:
            self.steps = settings.pilot_factor * settings.steps

    def generation(self, candidates: Sequence[Perturbation]) -> list[float]:
        """Score one generation.

        One seed for all: they differ by the perturbation alone. A fresh one for the next generation: a lucky
        seed must not be inherited.
        """
        seed = self.request.settings.seed + 1000 * (len(self.curve) + 1)
        readings = self.read([(candidate, seed) for candidate in candidates])
        fitness = [reading.fitness for reading in readings]
        self.searched += len(candidates)
        self.seen += [Seen(c, r) for c, r in zip(candidates, readings, strict=True)]
        self.curve.append(
            Generation(
                generation=len(self.curve) + 1,
                trainings=self.trainings,
                best=max(fitness),
                median=float(np.median(fitness)),
                low=float(np.quantile(fitness, 0.25)),
                high=float(np.quantile(fitness, 0.75)),
                unfit=sum(not reading.fitted for reading in readings),
                steps=self.steps,
            )
        )
        self.request.on_generation(self.curve[-1])
        return fitness

    def race(self) -> Perturbation:
        """The best candidate so far: the best by one reading are read again with fresh seeds, and the best
        mean of all readings wins."""
        racers = {str(i): one for i, one in enumerate(best_first(self.seen)[:RACERS])}
        seeds = [self.request.settings.seed + 300 + i for i in range(RACE_SEEDS)]
        again = self.read_again({name: one.perturbation for name, one in racers.items()}, seeds)
        winner = max(again, key=lambda name: sum(again[name]) + racers[name].reading.fitness)
        return racers[winner].perturbation

    def read_again(self, rivals: dict[str, Perturbation], seeds: Sequence[int]) -> dict[str, list[float]]:
        """Fitness of each rival with each of the seeds."""
        readings = self.read([(rival, seed) for rival in rivals.values() for seed in seeds])
        fitness = iter([reading.fitness for reading in readings])
        return {name: [next(fitness) for _ in seeds] for name in rivals}

    def read(self, jobs: Iterable[tuple[Perturbation, int]]) -> list[Reading]:
        """Readings of perturbations with the seeds of their surrogates; counts what was trained."""
        readings = self.request.readings([Job(perturbation, seed, self.steps) for perturbation, seed in jobs])
        for reading in readings:
            self.trainings += 1
            self.image_steps += reading.steps * self.request.settings.batch_size
        return readings

    def stopped(self, budget: Budget, further: int = 0) -> str | None:
        """The stop rule that holds now, in words; None to go on. `further` candidates of generations are not
        of the budget's."""
        settings, done = self.request.settings, len(self.curve)
        if self.searched - further >= budget.generations * budget.population:
            allowed = settings.budget is not None and budget.generations < settings.generations
            return (
                f"budget of {settings.budget} surrogate trainings"
                if allowed
                else f"all {budget.generations} generations done"
            )
        if settings.max_seconds is not None and self.request.readings.seconds >= settings.max_seconds:
            return f"time limit of {settings.max_seconds:g} s"
        flat = settings.flat_generations
        if flat is not None and done > flat:
            medians = [generation.median for generation in self.curve]
            if max(medians[-flat:]) <= max(medians[:-flat]):
                return f"median fitness flat for {flat} generations"
        return None

    def choose(self, contenders: dict[str, Perturbation]) -> Perturbation:
        """Score the contenders (equal ones once) and the best candidates seen again, all with the same fresh
        seed, the better half with further ones, and return the best mean. Every search scores equally many.

        The best single reading of a search is mostly luck: 3.67 when found, 0.63 / 1.32 / 1.05 afterwards.
        """
        settings = self.request.settings
        rivals: dict[str, Perturbation] = {}
        for name, contender in contenders.items():
            if contender not in rivals.values():
                rivals[name] = contender
        missing = settings.finalists + CONTENDERS - len(rivals)
        rivals |= best_seen(self.seen, missing, rivals.values())
        seeds = [settings.seed + 500 + i for i in range(settings.rescoring_seeds)]
        again = self.read_again(rivals, seeds[:1])
        half = sorted(again, key=lambda name: -again[name][0])[: better_half(len(rivals))]
        for name, further in self.read_again({name: rivals[name] for name in half}, seeds[1:]).items():
            again[name] += further
        winner = max(half, key=lambda name: float(np.mean(again[name])))
        self.finalists = [
            Finalist(name=name, fitness=float(np.mean(values)), readings=values, chosen=name == winner)
            for name, values in again.items()
        ]
        return rivals[winner]

    def record(
        self, method: str, stopped: str, closed_form_readings: int = 0, **facts: float | int | str
    ) -> SearchRecord:
        """For the artefact."""
        settings = self.request.settings
        unsaid = {"enabled"} | ({"generations"} if settings.budget is not None else set())
        given = {k: v for k, v in settings.model_dump(exclude=unsaid).items() if v is not None}
        return SearchRecord(
            method=method,
            seed=settings.seed,
            trainings=self.trainings,
            image_steps=self.image_steps,
            closed_form_readings=closed_form_readings,
            seconds=self.request.readings.seconds,
            stopped=stopped,
            curve=self.curve,
            finalists=self.finalists,
            surrogate=SURROGATES[settings.surrogate].title,
            settings={
                "augmentation": self.request.task.augmentation,
                "fit_window_steps": FIT_WINDOW,
                **facts,
                **given,
                **self.pilot_facts,
                "steps": self.steps,
            },
        )


def best_first(seen: list[Seen]) -> list[Seen]:
    """Sorted by their single readings."""
    return sorted(seen, key=lambda one: -one.reading.fitness)


def best_seen(seen: list[Seen], count: int, others: Iterable[Perturbation]) -> dict[str, Perturbation]:
    """The best different candidates of all generations by their single readings, none of them among `others`."""
    taken = list(others)
    best: dict[str, Perturbation] = {}
    for one in best_first(seen):
        if len(best) == count:
            break
        if one.perturbation not in taken:
            taken.append(one.perturbation)
            best[f"candidate {len(best) + 1}"] = one.perturbation
    return best
