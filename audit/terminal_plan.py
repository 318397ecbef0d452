"""What a person sees of a plan: how much, how long, what memory and energy."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.estimate import Estimate, in_words
from audit.plan import AuditPlan
from audit.plan_parts import AXES

GIB = 2**30


def show_cost(console: Console, plan: AuditPlan, estimate: Estimate | None, device: str) -> None:
    """One line on time, one on memory and energy, and what was left out to fit."""
    for words in plan.left_out:
        console.print(Text(f"left out to fit: {words}", style="yellow"), soft_wrap=True)
    if estimate is None:
        console.print("all trainings of what fits are done already", highlight=False)
        return
    console.print(
        f"{estimate.trainings} trainings and {estimate.surrogate_trainings} surrogate trainings: "
        f"{estimate.time_in_words} with {estimate.workers} worker(s) on {device}",
        highlight=False,
        soft_wrap=True,
    )
    memory = "memory not known"
    if estimate.worker_bytes is not None:
        each = f"{estimate.worker_bytes / GIB:.1f} GiB"
        memory = f"about {each} of the GPU" if device == "cuda" else f"about {each} of memory per worker"
    console.print(
        f"{memory}; energy about {energy_in_words(estimate.watt_hours)} ({estimate.power_basis})",
        highlight=False,
        soft_wrap=True,
        style="dim",
    )


def show_grid(console: Console, plan: AuditPlan, estimate: Estimate | None) -> None:
    """The axes of the grid, and the time of its parts."""
    grid = Table(box=box.SIMPLE_HEAD, title=Text("grid"), title_justify="left")
    for column in ("axis", "values"):
        grid.add_column(column, overflow="fold")
    for axis in AXES:
        grid.add_row(axis, Text(", ".join(map(str, getattr(plan.config, axis)))))
    console.print(grid)
    if estimate is None:
        return
    parts = Table(box=box.SIMPLE_HEAD, title=Text("time of one worker"), title_justify="left")
    for column in ("part", "pieces", "time"):
        parts.add_column(column, overflow="fold")
    for (model, optimizer), ids in by_pair(plan, estimate).items():
        parts.add_row(
            Text(f"{model} {optimizer}"), str(len(ids)), in_words(sum(estimate.cells[one] for one in ids))
        )
    for name, seconds in estimate.searches.items():
        parts.add_row(f"search {name}", "1", in_words(seconds))
    console.print(parts)


def by_pair(plan: AuditPlan, estimate: Estimate) -> dict[tuple[str, str], list[str]]:
    """Ids of the trainings to be done, by model and optimizer."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in plan.cells:
        if cell.id in estimate.cells:
            found.setdefault(cell.pair[:2], []).append(cell.id)
    return found


def energy_in_words(watt_hours: float) -> str:
    """As a bill would have it."""
    if watt_hours < 0.1:
        return "below 0.1 Wh"
    return f"{watt_hours / 1000:.2f} kWh" if watt_hours >= 100 else f"{watt_hours:.2g} Wh"
