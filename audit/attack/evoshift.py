"""EvoShift: evolutionary search for the worst class-wise few-pixel perturbation (Algorithms 1, 2, 3).

Per generation: sample candidates from N(m, sigma^2 C), train one surrogate from scratch on each perturbed
training set, score by F (4.2), update m, sigma and C with CMA-ES. Generations of closed-form and random starts and of
their class-wise crossings decide where m begins; a surrogate in closed form decides which of them are worth a
training.
"""

from __future__ import annotations

import itertools

import cma
import numpy as np
import numpy.typing as npt

from audit.attack.baselines import random_edits
from audit.attack.budget import Budget, planned_budget
from audit.attack.contrast_code import ContrastCodes
from audit.attack.crossing import crossings
from audit.attack.perturbation import Perturbation
from audit.attack.search import Found, Ledger, SearchRequest
from audit.attack.search_desk import NETWORKS, Propose, Screen
from audit.attack.shortcut import shortcut
from audit.results import EVOSHIFT

CROSSING_PARTS = 2
CHILDREN = 12  # of which the closed-form surrogate picks one to be trained
DIAGONAL_ABOVE = 100  # dimensions; a full covariance matrix cannot be learned in a few hundred trainings

Vector = npt.NDArray[np.float64]


def evoshift(request: SearchRequest) -> Found:
    """Search N_p edits per class: a generation of closed-form and random starts, generations of class-wise
    crossings, and CMA-ES from the best of these, raced.

    Equal requests and machine give equal results.
    """
    budget = planned_budget(request.settings, len(request.classes), request.channels, request.severity)
    space = SearchSpace(request)
    ledger = Ledger(request)
    codes = ContrastCodes(request)
    ledger.pilot(codes, budget)
    rough = RoughRanking(request)
    candidates = starts(request, codes, budget, rough)
    contenders = {"shortcut start": candidates[0]}
    ledger.generation(candidates)
    starting = (1 + budget.crossings) * budget.population
    while (stopped := ledger.stopped(budget)) is None and ledger.searched < starting:
        seed = request.settings.seed + len(ledger.curve)
        # In parts of a generation: the second half already descends from the first.
        count = min(budget.population // CROSSING_PARTS, starting - ledger.searched)
        ledger.generation(rough.best_of(crossings(codes, ledger.seen, count, rough.together, seed)))
    if stopped is None:
        start = ledger.race()
        mean, stopped = evolve(space, ledger, budget, start)
        contenders = {"final mean": mean, "race winner": start, **contenders}
    facts = {
        "population": budget.population,
        "dimensions": space.dimensions,
    }
    return ledger.choose(contenders), ledger.record(EVOSHIFT, stopped, rough.scored, **facts)


def evolve(
    space: SearchSpace, ledger: Ledger, budget: Budget, start: Perturbation
) -> tuple[Perturbation, str]:
    """CMA-ES from `start` until a stop rule holds: the final mean, and the rule."""
    strategy = make_strategy(space, budget, space.encode(start))
    while (stopped := ledger.stopped(budget)) is None:
        vectors = strategy.ask()
        fitness = ledger.generation([space.decode(vector) for vector in vectors])
        strategy.tell(vectors, [-value for value in fitness])
    return space.decode(np.asarray(strategy.result.xfavorite)), stopped


class RoughRanking:
    """The surrogate in closed form, asked where the images are; without it, its choice is the first of each group."""

    def __init__(self, request: SearchRequest) -> None:
        self.request, self.scored = request, 0
        self.together = CHILDREN if request.settings.closed_form else 1

    def proposals(self, count: int) -> list[Perturbation]:
        """At most `count` different ones, from each network in turn."""
        if not self.request.settings.closed_form:
            return []
        jobs = [Propose(self.request.target, n, -(-count // NETWORKS)) for n in range(NETWORKS)]
        answers = self.request.readings.answers(jobs)
        self.scored += sum(answer["scored"] for answer in answers)
        by_rank = itertools.zip_longest(*[answer["proposals"] for answer in answers])
        wanted = [edits for rank in by_rank for edits in rank if edits is not None]
        found = {one.id: one for one in map(self.request.perturbation, wanted)}
        return list(found.values())[:count]

    def best_of(self, groups: list[list[Perturbation]]) -> list[Perturbation]:
        """The best of each group."""
        if not self.request.settings.closed_form:
            return [group[0] for group in groups]
        answers = self.request.readings.answers([Screen(self.request.target, tuple(g)) for g in groups])
        self.scored += sum(answer["scored"] for answer in answers)
        return [g[int(np.argmax(a["fitness"]))] for g, a in zip(groups, answers, strict=True)]


def starts(
    request: SearchRequest, codes: ContrastCodes, budget: Budget, rough: RoughRanking
) -> list[Perturbation]:
    """The shortcut of all training images, proposals of the closed-form surrogate, contrast codes, uniform draws."""
    found, _ = shortcut(request)
    proposals = rough.proposals(budget.population // 2)
    proposals += codes.proposals(budget.population * 3 // 4 - len(proposals), request.settings.seed)
    missing = budget.population - 1 - len(proposals)
    seeds = [request.settings.seed + 1 + i for i in range(missing)]
    return [found, *proposals, *[request.perturbation(random_edits(request, seed)) for seed in seeds]]


class SearchSpace:
    """Vectors of (2 + C) K N_p numbers <-> perturbations, K the classes that are edited. Per edit: row, col,
    C values."""

    def __init__(self, request: SearchRequest) -> None:
        self.request = request
        self.per_edit = 2 + request.channels
        self.labels = [label for label in request.classes for _ in range(request.severity)]
        self.dimensions = self.per_edit * len(self.labels)

    def tiled(self, row: float, col: float, value: float) -> list[float]:
        """The same numbers for every edit (bounds, means, standard deviations)."""
        return ([row, col] + [value] * self.request.channels) * len(self.labels)

    @property
    def integers(self) -> list[int]:
        """Indices of rows and columns."""
        return [edit * self.per_edit + offset for edit in range(len(self.labels)) for offset in (0, 1)]

    def decode(self, vector: Vector) -> Perturbation:
        """The valid perturbation nearest to a vector."""
        table = vector.reshape(len(self.labels), self.per_edit)
        return self.request.perturbation(
            [(label, e[0], e[1], e[2:].tolist()) for label, e in zip(self.labels, table, strict=True)]
        )

    def encode(self, perturbation: Perturbation) -> Vector:
        """The vector of a perturbation (edits in class order, N_p each)."""
        edits = sorted(perturbation.edits, key=lambda edit: edit.label)
        return np.array([number for e in edits for number in (e.row, e.col, *e.value)], dtype=float)


def make_strategy(space: SearchSpace, budget: Budget, start: Vector) -> cma.CMAEvolutionStrategy:
    """CMA-ES around `start`, with integer rows and columns, bounds, and coordinate-wise initial spread.

    Around one start, not at the image's centre: the mean of good places of different kinds is no good place.
    """
    height, width = space.request.image_size
    tight = budget.generations * budget.population < 10 * space.dimensions
    options = {
        # The default handler bends values near a bound: an injected corner value of 1 came out as 0.987.
        "BoundaryHandler": cma.BoundPenalty,
        "bounds": [space.tiled(-0.5, -0.5, 0.0), space.tiled(height - 0.5, width - 0.5, 1.0)],
        "CMA_stds": space.tiled(height / 8, width / 8, 0.2),
        "integer_variables": space.integers,
        "CMA_diagonal": bool(space.dimensions > DIAGONAL_ABOVE or tight),
        "popsize": budget.population,
        "seed": space.request.settings.seed + 1,  # 0 would mean "from the clock"
        "verbose": -9,
    }
    return cma.CMAEvolutionStrategy(start, 1.0, options)
