"""What a search asks of a process that holds its images: proposals, and a rough ranking of candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audit.attack.block_search import propose
from audit.attack.closed_form import ClosedForm
from audit.attack.edits import blocks_of
from audit.attack.perturbation import Perturbation
from audit.attack.question import Question, Target
from audit.attack.surrogate_task import SurrogateTask
from audit.settings import SearchSettings

NETWORKS = 2  # closed-form surrogates with different weights: what two agree on is less likely luck


@dataclass(frozen=True)
class Propose:
    """At most `count` combinations of edits by the closed-form surrogate of this number."""

    target: Target
    network: int
    count: int

    @property
    def key(self) -> object:
        """Equal for equal questions."""
        return ["propose", asdict(self)]


@dataclass(frozen=True)
class Screen:
    """Fitness of candidates by all closed-form surrogates, summed."""

    target: Target
    candidates: tuple[Perturbation, ...]

    @property
    def key(self) -> object:
        """Equal for equal questions."""
        return ["screen", asdict(self.target), [candidate.id for candidate in self.candidates]]


DeskJob = Propose | Screen

Answer = dict[str, Any]
"""JSON: "proposals", lists of (class, row, col, values); or "fitness", numbers. "scored": combinations looked at."""

AnswerAll = Callable[[Sequence[DeskJob]], list[Answer]]
"""Answers in the order of the jobs; the engine decides where they are found."""


class SearchDesk:
    """Answers from the images of one task, on one device."""

    def __init__(self, task: SurrogateTask, settings: SearchSettings, device: str) -> None:
        self.task, self.settings, self.device = task, settings, device
        self.kept: dict[tuple[Target, int], ClosedForm] = {}

    def answer(self, job: DeskJob) -> Answer:
        """One answer. Equal jobs give equal answers, whatever was asked before."""
        t = job.target
        question = Question(self.task, t.severity, t.classes, t.fraction, t.seed, self.settings)
        if isinstance(job, Propose):
            network = self.network(question, job.network)
            before = network.scored
            proposals = propose(question, network, job.count, job.network)
            found = [[edit for block in blocks.values() for edit in block] for blocks in proposals]
            return {"proposals": found, "scored": network.scored - before}
        networks = [self.network(question, number) for number in range(NETWORKS)]
        fitness = [sum(n.fitness(blocks_of(candidate)) for n in networks) for candidate in job.candidates]
        return {"fitness": fitness, "scored": NETWORKS * len(fitness)}

    def network(self, question: Question, number: int) -> ClosedForm:
        """A closed-form surrogate, kept: the features of a block are computed once."""
        key = (question.target, number)
        if key not in self.kept:
            if any(target != question.target for target, _ in self.kept):
                self.kept.clear()  # another search: what was kept for the last one would only take memory
            self.kept[key] = ClosedForm(question, 1000 * question.seed + number, self.device)
        return self.kept[key]
