"""EvoShift: evolutionary search for the worst class-wise few-pixel perturbation (Algorithms 1, 2, 3).

Per generation: sample candidates from N(m, sigma^2 C), train one surrogate from scratch on each perturbed
training set, score by F (4.2), update m, sigma and C with CMA-ES.
"""

from __future__ import annotations

import cma
import numpy as np
import numpy.typing as npt

from audit.attack.baselines import random_edits
from audit.attack.budget import Budget, planned_budget
from audit.attack.perturbation import Perturbation
from audit.attack.search import Found, Ledger, SearchRequest
from audit.attack.shortcut import shortcut
from audit.results import EVOSHIFT

DIAGONAL_ABOVE = 100  # dimensions; a full covariance matrix cannot be learned in a few hundred trainings

Vector = npt.NDArray[np.float64]


def evoshift(request: SearchRequest) -> Found:
    """Search N_p edits per class, beginning beside the closed-form answer of all training images.

    Equal requests and machine give equal results.
    """
    budget = planned_budget(request.settings, len(request.classes), request.channels, request.severity)
    space = SearchSpace(request)
    strategy = make_strategy(space, budget)
    start, _ = shortcut(request)
    strategy.inject([space.encode(p) for p in [start, *random_starts(request, budget)]], force=True)
    ledger = Ledger(request)
    while (stopped := ledger.stopped(budget)) is None:
        vectors = strategy.ask()
        fitness = ledger.generation([space.decode(vector) for vector in vectors])
        strategy.tell(vectors, [-value for value in fitness])
    mean = space.decode(np.asarray(strategy.result.xfavorite))
    chosen = ledger.choose({"final mean": mean, "shortcut start": start}, request.settings.finalists)
    return chosen, ledger.record(EVOSHIFT, stopped, population=budget.population, dimensions=space.dimensions)


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


def make_strategy(space: SearchSpace, budget: Budget) -> cma.CMAEvolutionStrategy:
    """CMA-ES with integer rows and columns, bounds, and coordinate-wise initial spread."""
    height, width = space.request.image_size
    tight = budget.generations * budget.population < 10 * space.dimensions
    options = {
        # The default handler bends values near a bound: an injected corner value of 1 came out as 0.987.
        "BoundaryHandler": cma.BoundPenalty,
        "bounds": [space.tiled(-0.5, -0.5, 0.0), space.tiled(height - 0.5, width - 0.5, 1.0)],
        "CMA_stds": space.tiled(height / 4, width / 4, 0.25),
        "integer_variables": space.integers,
        "CMA_diagonal": bool(space.dimensions > DIAGONAL_ABOVE or tight),
        "popsize": budget.population,
        "seed": space.request.settings.seed + 1,  # 0 would mean "from the clock"
        "verbose": -9,
    }
    start = space.tiled((height - 1) / 2, (width - 1) / 2, 0.5)
    return cma.CMAEvolutionStrategy(start, 1.0, options)


def random_starts(request: SearchRequest, budget: Budget) -> list[Perturbation]:
    """A few uniform draws: the first generation selects among them and the shortcut."""
    return [
        request.perturbation(random_edits(request, request.settings.seed + 1 + i))
        for i in range(budget.population // 4)
    ]
