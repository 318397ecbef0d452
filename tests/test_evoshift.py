"""EvoShift: planted optima, luck, seeds, stop rules, interruption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from audit.attack.budget import Budget, planned_budget
from audit.attack.evoshift import SearchSpace, evoshift, make_strategy
from audit.attack.perturbation import Perturbation, make_perturbation
from audit.attack.search import SearchRequest, Seen, best_seen
from audit.attack.surrogates import Job, Reading
from audit.data.dataset import Split
from audit.results import Generation, SearchRecord
from tests.planted import (
    PLANTED,
    noise_split,
    planted_split,
    quick,
    random_perturbation,
    reading,
    search_request,
)

STEPS = 60  # of a surrogate, enough to see the planted pixels


def found_by(request: SearchRequest) -> tuple[Perturbation, SearchRecord]:
    found, record = evoshift(request)
    assert record is not None
    return found, record


def test_recovers_the_planted_pixels_with_real_surrogates_and_repeats_itself() -> None:
    curve: list[Generation] = []
    settings = quick(closed_form=True, steps=STEPS)
    found, record = found_by(search_request(planted_split(), settings, on_generation=curve.append))
    again, _ = found_by(search_request(planted_split(), settings))
    assert {e.label: (e.row, e.col) for e in found.edits} == PLANTED
    assert found == again
    assert record.curve == curve
    assert [g.trainings for g in curve] == [16, 24, 32]


@pytest.mark.parametrize(
    "changes", [{"optimizer": "sgd-m"}, {"fitness": "probability"}, {"domain_weight": 1.0}]
)
def test_recovers_them_with_other_inner_optimizers_and_fitness_too(changes: dict[str, object]) -> None:
    found, record = found_by(search_request(planted_split(), quick(steps=STEPS, **changes)))
    assert {e.label: (e.row, e.col) for e in found.edits} == PLANTED
    assert {key: record.settings[key] for key in changes} == changes


def by_distance(goal: Perturbation) -> tuple[list[int], object]:
    """Fitness by hand: minus the distance to planted edits."""
    batches: list[int] = []

    def score_all(jobs: Sequence[Job]) -> list[Reading]:
        batches.append(len(jobs))
        return [reading(-distance(candidate, goal)) for candidate, *_ in jobs]

    return batches, score_all


def distance(first: Perturbation, second: Perturbation) -> float:
    return sum(
        abs(a.row - b.row) / 20 + abs(a.col - b.col) / 20 + float(np.abs(np.subtract(a.value, b.value)).sum())
        for a, b in zip(first.edits, second.edits, strict=True)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_finds_a_planted_optimum_that_no_start_is_near(channels: int) -> None:
    wanted = [(0, 2.0, 17.0, [1.0] * channels), (1, 15.0, 4.0, [0.0] * channels)]
    goal = make_perturbation(wanted, (20, 20), channels, 2)
    _, score_all = by_distance(goal)
    settings = quick(generations=80)
    found, record = found_by(search_request(noise_split(80, 20, channels), settings, score_all))  # type: ignore[arg-type]
    assert [(e.row, e.col) for e in found.edits] == [(2, 17), (15, 4)]
    assert distance(found, goal) < 0.1 * channels
    assert record.trainings == 80 * 16 + 8 + 5 + 3


def test_only_the_wanted_classes_are_edited_and_the_fraction_is_kept() -> None:
    request = search_request(
        noise_split(80, 12, n_classes=4),
        quick(generations=1),
        counted([]),
        n_classes=4,
        classes=(1, 3),
        fraction=0.5,
    )
    found, record = found_by(request)
    assert [e.label for e in found.edits] == [1, 3]
    assert found.fraction == 0.5
    assert record.settings["dimensions"] == 3 * 2


def counted(seeds: list[set[int]]) -> object:
    def score_all(jobs: Sequence[Job]) -> list[Reading]:
        seeds.append({seed for _, seed, _ in jobs})
        return [reading(0.01 * i) for i in range(len(jobs))]

    return score_all


def test_candidates_of_a_generation_share_a_seed_and_generations_do_not() -> None:
    seeds: list[set[int]] = []
    evoshift(search_request(noise_split(80, 12), quick(generations=5), counted(seeds)))  # type: ignore[arg-type]
    assert [len(s) for s in seeds] == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1], (
        "starts, four halves of crossings, the race, two generations of CMA-ES, the re-scoring of all and of half"
    )
    assert len(set.union(*seeds)) == 7 + 2 + 2


def test_a_lucky_reading_is_not_returned() -> None:
    """Every candidate is worthless but reads high once in a while; only the shortcut is truly good."""
    good = {tuple(sorted((k, r, c) for k, (r, c) in PLANTED.items()))}

    def score_all(jobs: Sequence[Job]) -> list[Reading]:
        rescoring = all(300 <= seed < 1000 for _, seed, _ in jobs)
        luck = np.random.default_rng(len(jobs)).random(len(jobs)) * (0.0 if rescoring else 9.0)
        truth = [tuple(sorted((e.label, e.row, e.col) for e in p.edits)) in good for p, *_ in jobs]
        return [reading(float(t) + float(x)) for t, x in zip(truth, luck, strict=True)]

    found, record = found_by(search_request(planted_split(), score_all=score_all))
    assert {e.label: (e.row, e.col) for e in found.edits} == PLANTED
    assert sum(f.chosen for f in record.finalists) == 1
    assert next(f for f in record.finalists if f.chosen).fitness == 1.0


@pytest.mark.parametrize(
    ("changes", "generations", "race", "words"),
    [
        ({"generations": 3}, 3, 0, "all 3 generations done"),
        ({"generations": 50, "budget": 3 * 16 + 8}, 3, 0, "budget of 56 surrogate trainings"),
        ({"generations": 50, "budget": 4 * 16 + 8 + 7}, 3, 0, "budget of 79 surrogate trainings"),
        ({"generations": 50, "budget": 4 * 16 + 8 + 8}, 4, 8, "budget of 80 surrogate trainings"),
        ({"generations": 50, "flat_generations": 4}, 3, 0, "median fitness flat for 4 generations"),
    ],
)
def test_stop_rules(changes: dict[str, object], generations: int, race: int, words: str) -> None:
    _, record = found_by(search_request(noise_split(80, 12), quick(**changes), counted([])))  # type: ignore[arg-type]
    assert record.trainings == 16 * generations + race + 5 + 3
    assert record.stopped == words
    assert ("generations" in record.settings) == ("budget" not in changes), "a budget alone says how long"


def test_the_time_limit_ends_the_search_after_the_generation_under_way() -> None:
    request = search_request(noise_split(80, 12), quick(generations=9, max_seconds=5), counted([]))  # type: ignore[arg-type]
    request.readings.seconds = 5.0  # spent in an earlier session
    _, record = found_by(request)
    assert record.stopped == "time limit of 5 s"
    assert len(record.curve) == 1
    assert len(record.finalists) == 5, "what was seen is still compared"


def test_an_interrupted_search_loses_no_generation_and_ends_with_the_same_numbers(tmp_path: Path) -> None:
    settings = quick(generations=3, steps=10, pilot_factor=2, images_per_class=20, closed_form=True)
    whole, record = found_by(search_request(planted_split(), settings))
    real = search_request(planted_split(), settings).readings.score_all
    trained = 0

    def interrupted(jobs: Sequence[Job]) -> list[Reading]:
        nonlocal trained
        if trained == 4 + 40:
            raise KeyboardInterrupt
        trained += len(jobs)
        return real(jobs)

    file = tmp_path / "readings.jsonl"
    with pytest.raises(KeyboardInterrupt):
        evoshift(search_request(planted_split(), settings, interrupted, readings_file=file))
    with file.open("a") as stream:
        stream.write('\n{"seconds": 1.0, "readings": [{"id": "torn')
    again: list[int] = []

    def counting(jobs: Sequence[Job]) -> list[Reading]:
        again.append(len(jobs))
        return real(jobs)

    resumed, second = found_by(search_request(planted_split(), settings, counting, readings_file=file))
    assert again == [8, 5, 3], "what came after the interruption, and the re-scoring"
    assert resumed == whole
    assert record.settings["steps"] == 20, "the pilot has been asked, too"
    assert second.model_copy(update={"seconds": 0.0}) == record.model_copy(update={"seconds": 0.0})


def test_search_reads_training_images_only() -> None:
    """The request has no field through which a test image could come."""
    fields = set(SearchRequest.__dataclass_fields__)
    assert fields == {
        "train",
        "task",
        "severity",
        "classes",
        "fraction",
        "seed",
        "settings",
        "readings",
        "on_generation",
        "source",
    }


@pytest.mark.parametrize(
    ("channels", "n_classes", "severity"), [(1, 4, 1), (3, 4, 2), (1, 10, 5), (3, 2, 10)]
)
def test_space_round_trip_bounds_and_diagonal(channels: int, n_classes: int, severity: int) -> None:
    split = noise_split(120, 16, channels, n_classes)
    request = search_request(split, quick(), counted([]), n_classes=n_classes, severity=severity)  # type: ignore[arg-type]
    space = SearchSpace(request)
    assert space.dimensions == (2 + channels) * n_classes * severity
    start = space.encode(random_perturbation((16, 16), channels, n_classes, severity, 1))
    strategy = make_strategy(space, Budget(population=20, generations=100, rescoring=0), start)
    for vector in strategy.ask():
        candidate = space.decode(vector)
        assert candidate.severity == severity
        assert space.decode(space.encode(candidate)) == candidate
        assert all((vector[space.integers] >= -0.5) & (vector[space.integers] <= 15.5))
    assert bool(strategy.opts["CMA_diagonal"]) == (space.dimensions > 100 or 10 * space.dimensions > 100 * 20)


def test_budget_by_hand() -> None:
    """12 dimensions: CMA's default 4 + 3 ln 12 = 11 is below 16. 120 dimensions: 4 + 3 ln 120 = 18."""
    settings = quick(generations=10, finalists=3, rescoring_seeds=4)
    budget = planned_budget(settings, 4, 1, 1)
    assert budget == Budget(16, 10, 6 + 3 * 3)
    assert (budget.crossings, budget.race, budget.trainings) == (3, 8, 160 + 8 + 15)
    assert planned_budget(settings, 10, 1, 4) == Budget(18, 10, 15)
    with_pilot = planned_budget(settings.model_copy(update={"pilot_factor": 2}), 4, 1, 1)
    assert with_pilot == Budget(16, 10, 15, pilot=4)
    assert with_pilot.trainings == 4 + 160 + 8 + 15


@pytest.mark.parametrize(
    ("generations", "crossings", "race"), [(1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 2, 8), (30, 10, 8)]
)
def test_crossings_come_before_cma_es_and_the_race_between_them(
    generations: int, crossings: int, race: int
) -> None:
    budget = Budget(16, generations, 0)
    assert (budget.crossings, budget.race) == (crossings, race)


def test_best_seen_names_different_candidates_best_first() -> None:
    a, b, c = (make_perturbation([(0, r, 0, [1.0])], (4, 4), 1, 2) for r in (0, 1, 2))
    seen = [Seen(p, reading(f)) for f, p in ((1.0, a), (3.0, b), (2.0, b), (9.0, c))]
    assert list(best_seen(seen, 2, [c]).values()) == [b, a]


def test_a_split_of_constant_images_is_searched_without_a_warning() -> None:
    split = Split(np.zeros((40, 1, 8, 8), dtype=np.uint8), (np.arange(40) % 2).astype(np.int64))
    settings = quick(generations=1, closed_form=True)
    found, _ = found_by(search_request(split, settings, counted([])))  # type: ignore[arg-type]
    assert found.changed(split.images, split.labels).any(), "one class may go without a mark"
