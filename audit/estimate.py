"""How long an audit will take and what memory and energy it needs, from a calibration on this machine."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from audit.calibration import Calibration, ModelCost, calibrate, kind_of
from audit.data.dataset import ImageDataset
from audit.energy import JOULES_PER_WATT_HOUR
from audit.plan import AttackSpec, AuditPlan, Cell
from audit.results import CLEAN, EVOSHIFT
from audit.settings import AuditConfig
from audit.training.sampling import epoch_steps

START_SECONDS = 5.0  # until workers have imported torch
GRAD_CAM = 4.0  # times a prediction


@dataclass(frozen=True)
class Estimate:
    """Of the trainings that are missing. Seconds of one worker unless it says wall."""

    cells: dict[str, float]  # by id
    searches: dict[str, float]  # by name of the perturbation
    surrogate_trainings: int
    workers: int
    wall_seconds: float
    longest_seconds: float  # wall, where every search needs its longer surrogate trainings
    worker_bytes: int | None  # the most that one process will hold; on a GPU: of its memory
    watts: float
    power_basis: str

    @property
    def trainings(self) -> int:
        """Cells to be trained."""
        return len(self.cells)

    @property
    def worker_seconds(self) -> float:
        """Of all workers together."""
        return sum(self.cells.values()) + sum(self.searches.values())

    @property
    def watt_hours(self) -> float:
        """While it computes."""
        return self.watts * self.wall_seconds / JOULES_PER_WATT_HOUR

    @property
    def time_in_words(self) -> str:
        """About how long on the clock, and the most where searches may take longer."""
        found = f"about {in_words(self.wall_seconds)}"
        most = in_words(self.longest_seconds)
        return (
            found
            if most == in_words(self.wall_seconds)
            else f"{found} (up to {most} where surrogates learn slowly)"
        )

    def to_json(self) -> dict[str, Any]:
        """For `audit plan --json` and the run directory."""
        totals = {
            "trainings": self.trainings,
            "worker_seconds": self.worker_seconds,
            "watt_hours": self.watt_hours,
        }
        return {**asdict(self), **totals}


def estimate_audit(
    plan: AuditPlan, dataset: ImageDataset, missing: Sequence[Cell], device: str, workers: int
) -> Estimate:
    """Time what is missing, and multiply out."""
    return multiplied(plan, dataset, missing, calibrate(plan, dataset, missing, device, workers), workers)


def multiplied(
    plan: AuditPlan, dataset: ImageDataset, missing: Sequence[Cell], costs: Calibration, workers: int
) -> Estimate:
    """The estimate for some cells of the plan, from what their pieces cost."""
    cells = {c.id: cell_seconds(c, dataset, costs.models[kind_of(c.recipe)], plan.config) for c in missing}
    searched = [attack for attack in plan.searches if any(cell.attack == attack for cell in missing)]
    trainings = {attack: plan.budget(attack, dataset).trainings for attack in searched}

    def searches(longer: int) -> dict[AttackSpec, float]:
        """Seconds of each, with so many times as many steps of each surrogate."""
        closed_form = {attack: cost.seconds for attack, cost in costs.closed_form.items()}
        return {
            attack: count * costs.surrogate * longer + closed_form.get(attack, 0.0)
            for attack, count in trainings.items()
        }

    return Estimate(
        cells=cells,
        searches={attack.name: seconds for attack, seconds in searches(1).items()},
        surrogate_trainings=sum(trainings.values()),
        workers=workers,
        wall_seconds=wall(missing, cells, searches(1), workers),
        longest_seconds=wall(missing, cells, searches(plan.config.search.pilot_factor), workers),
        worker_bytes=peak_of_a_worker(missing, searched, costs),
        watts=costs.power.watts,
        power_basis=costs.power.basis,
    )


def cell_seconds(cell: Cell, dataset: ImageDataset, cost: ModelCost, config: AuditConfig) -> float:
    """Steps, readings after each epoch, the last reading, and the explanation where there is one."""
    labels, n_classes = torch.from_numpy(dataset.train.labels), len(dataset.class_names)
    steps = epoch_steps(labels, n_classes, config.training.batch_size, config.training.oversample)
    read_each = 2 * config.evaluation.monitor_images + len(dataset.test)
    overlays = 0 if cell.attack.attack == CLEAN else n_classes * len(dataset.test)
    read_last = 2 * len(dataset.train) + len(dataset.test) + overlays
    if cell.attack.attack in (CLEAN, EVOSHIFT) and cell.recipe.seed == config.seeds[0]:
        read_last += round(2 * GRAD_CAM * config.evaluation.explained_images)
    each = steps * cost.step + read_each * cost.prediction
    return cell.recipe.epochs * each + read_last * cost.prediction


def peak_of_a_worker(
    missing: Sequence[Cell], searched: Sequence[AttackSpec], costs: Calibration
) -> int | None:
    """Bytes. What a search keeps is still held when the last cells are trained."""
    grown = [costs.models[kind_of(cell.recipe)].grown for cell in missing]
    known = [one for one in grown if one is not None]
    if costs.held is None or not known:
        return None
    kept = [costs.closed_form[attack].kept for attack in searched if attack in costs.closed_form]
    return costs.held + max(known) + max(kept, default=0)


def wall(
    cells: Sequence[Cell], seconds: dict[str, float], searches: dict[AttackSpec, float], workers: int
) -> float:
    """Seconds on the clock: first the cells that need no search, then the searches, whose surrogates all workers
    share, then their cells."""
    if not cells:
        return 0.0
    early = [seconds[cell.id] for cell in cells if cell.attack not in searches]
    late = [seconds[cell.id] for cell in cells if cell.attack in searches]
    start = START_SECONDS if workers > 1 else 0.0
    return start + spread(early, workers) + sum(searches.values()) / workers + spread(late, workers)


def spread(seconds: Iterable[float], workers: int) -> float:
    """When the last of several workers is done, each taking the next piece when it is free."""
    free = [0.0] * workers
    for one in seconds:
        heapq.heappushpop(free, free[0] + one)
    return max(free)


def in_words(seconds: float) -> str:
    """A duration as a person would say it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
