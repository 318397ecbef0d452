"""`--max-hours`: the largest part of a grid that fits. Values are dropped from the end of each list, so that the order
in which they were given is their order of importance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.calibration import Calibration
from audit.data.dataset import ImageDataset
from audit.errors import ConfigError
from audit.estimate import Estimate, in_words, multiplied
from audit.plan import AttackSpec, AuditPlan, Cell, baseline_recipe
from audit.plan_parts import AXES, RECIPE_AXES, restricted
from audit.results import CLEAN

SECONDS_PER_HOUR = 3600.0
MOST_PARTS = 20_000  # that are looked at
Kept = dict[str, list[Any]]


@dataclass(frozen=True)
class Fitted:
    """A part of a grid."""

    plan: AuditPlan
    missing: list[Cell]
    estimate: Estimate | None  # None: nothing is missing


def fit(
    plan: AuditPlan,
    dataset: ImageDataset,
    costs: Calibration,
    workers: int,
    max_hours: float,
    missing_of: Callable[[AuditPlan], list[Cell]],
) -> Fitted:
    """The part with the most trainings whose missing ones take no longer than `max_hours`. Raises ConfigError where
    not even the smallest does."""
    limit = max_hours * SECONDS_PER_HOUR
    parts = parts_by_size(plan, dataset, costs, limit * workers, {cell.id for cell in missing_of(plan)})
    shortest = None
    for kept in parts:
        part = restricted(plan, dataset, kept, max_hours)
        missing = missing_of(part)
        found = multiplied(part, dataset, missing, costs, workers) if missing else None
        if found is None or found.wall_seconds <= limit:
            return Fitted(part, missing, found)
        shortest = found.wall_seconds if shortest is None else min(shortest, found.wall_seconds)
    least = f"about {in_words(shortest)}" if shortest is not None else "longer"
    raise ConfigError(
        f"--max-hours: {max_hours:g}: the smallest part of this grid takes {least}; allow more, or choose a shorter "
        "profile"
    )


def parts_by_size(
    plan: AuditPlan, dataset: ImageDataset, costs: Calibration, worker_limit: float, missing: set[str]
) -> list[Kept]:
    """Parts that may fit, the one with the most trainings first, then the shorter one; the smallest part last,
    whether it fits or not."""
    config = plan.config
    values: dict[str, list[Any]] = {axis: list(getattr(config, axis)) for axis in AXES}
    values["severities"] = sorted(values["severities"])
    least = dict.fromkeys(AXES, 1) | {"severities": min(2, len(values["severities"]))}
    whole = multiplied(plan, dataset, list(plan.cells), costs, 1)
    needed = np.array([positions(cell, plan, values) for cell in plan.cells])
    seconds = np.array([whole.cells[c.id] if c.id in missing else 0.0 for c in plan.cells])
    sought = [attack for attack in plan.searches if any(c.id in missing for c in plan.cells_of(attack))]
    severity_of = np.array([values["severities"].index(attack.severity) for attack in sought], dtype=int)
    searching = np.array([whole.searches[attack.name] for attack in sought])
    found = []
    for lengths in itertools.product(*choices(values, least)):
        inside = (needed < np.array(lengths)).all(axis=1)
        spent = seconds[inside].sum() + searching[severity_of < lengths[AXES.index("severities")]].sum()
        found.append((int(inside.sum()), float(spent), lengths))
    found.sort(key=lambda one: (-one[0], one[1]))
    smallest = found[-1]
    fitting = [one for one in found if one[1] <= worker_limit and one is not smallest]
    return [kept_values(values, lengths) for _, _, lengths in [*fitting, smallest]]


def choices(values: Mapping[str, list[Any]], least: Mapping[str, int]) -> list[list[int]]:
    """How many values each axis may keep; where that are too many combinations, the last axes keep one or all."""
    found = [list(range(least[axis], len(values[axis]) + 1)) for axis in AXES]
    for number in reversed(range(len(AXES))):
        if math.prod(map(len, found)) <= MOST_PARTS:
            break
        found[number] = sorted({found[number][0], found[number][-1]})
    return found


def kept_values(values: Mapping[str, list[Any]], lengths: Sequence[int]) -> Kept:
    """The first values of each axis."""
    return {axis: values[axis][:length] for axis, length in zip(AXES, lengths, strict=True)}


def positions(cell: Cell, plan: AuditPlan, values: Mapping[str, list[Any]]) -> list[int]:
    """How many values each axis must at least keep for this cell, minus one. The baseline's recipe is trained whatever
    is dropped."""
    recipe, config = cell.recipe, plan.config
    place = {"seeds": values["seeds"].index(recipe.seed), "severities": severity_place(cell.attack, values)}
    if recipe.model_copy(update={"seed": 0}) != baseline_recipe(config):
        for axis, field in RECIPE_AXES.items():
            place[axis] = values[axis].index(getattr(recipe, field))
    return [place.get(axis, 0) for axis in AXES]


def severity_place(attack: AttackSpec, values: Mapping[str, list[Any]]) -> int:
    """Clean trainings are always kept."""
    return 0 if attack.attack == CLEAN else values["severities"].index(attack.severity)
