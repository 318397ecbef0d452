"""Controls and rival searches (method §4), each through the interface of EvoShift."""

from __future__ import annotations

import numpy as np

from audit.attack.budget import planned_budget
from audit.attack.contrast_code import ContrastCodes
from audit.attack.edits import Wanted
from audit.attack.search import Found, Ledger, SearchRequest

RANDOM_SEARCH = "random-search"


def random_edits(request: SearchRequest, seed: int) -> Wanted:
    """Uniform positions and uniform values in [0, 1], drawn with `seed`."""
    generator = np.random.default_rng(seed)
    height, width = request.image_size
    return [
        (
            label,
            float(generator.integers(height)),
            float(generator.integers(width)),
            generator.random(request.channels).tolist(),
        )
        for label in request.classes
        for _ in range(request.severity)
    ]


def random_control(request: SearchRequest) -> Found:
    """One uniform draw: how much any few pixels harm."""
    return request.perturbation(random_edits(request, request.seed)), None


def heuristic(request: SearchRequest) -> Found:
    """Pixels whose place encodes the label (Jacobsen et al. 2018; Table 2.1): row 0, column = class, white.

    Further pixels stand in the rows below.
    """
    white = [1.0] * request.channels
    wanted = [
        (label, float(n), float(label), white) for label in request.classes for n in range(request.severity)
    ]
    return request.perturbation(wanted), None


def random_search(request: SearchRequest) -> Found:
    """The best of as many uniform draws as EvoShift trains surrogates, chosen as EvoShift chooses: finalists
    scored again."""
    budget = planned_budget(request.settings, len(request.classes), request.channels, request.severity)
    ledger = Ledger(request)
    ledger.pilot(ContrastCodes(request), budget)
    draws = np.random.default_rng(request.seed)

    def generation(count: int) -> None:
        seeds = draws.integers(2**32, size=count)
        ledger.generation([request.perturbation(random_edits(request, int(seed))) for seed in seeds])

    generation(budget.population)
    if budget.race:
        generation(budget.race)  # EvoShift spends as much on the race before CMA-ES
    while (stopped := ledger.stopped(budget, further=budget.race)) is None:
        generation(budget.population)
    return ledger.choose({}), ledger.record(RANDOM_SEARCH, stopped, population=budget.population)
