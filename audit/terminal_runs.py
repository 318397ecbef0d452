"""What a person sees of `audit runs`."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.runs import Run

STYLES = {
    "complete": "green",
    "incomplete": "yellow",
    "running": "cyan",
    "interrupted": "yellow",
    "damaged": "bold red",
}
WORDS = {
    "incomplete": "some trainings failed: the same command tries them again",
    "interrupted": "audit resume DIR goes on",
    "damaged": "plan.json cannot be read",
}


def show_runs(console: Console, runs: list[Run], folder: Path) -> None:
    """One row per run directory, and what its state asks for."""
    if not runs:
        console.print(Text(f"no audits in {folder}"), soft_wrap=True)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("run", "begun (UTC)", "state", "trainings", "verdict"):
        table.add_column(column, overflow="fold")
    for run in runs:
        verdict = (run.verdict or "none yet") + (" (synthetic)" if run.synthetic else "")
        table.add_row(
            Text(run.folder),
            run.created[:16].replace("T", " "),
            Text(run.state, STYLES[run.state]),
            f"{run.done} of {run.cells}",
            Text(verdict),
        )
    console.print(table)
    for state, words in WORDS.items():
        if any(run.state == state for run in runs):
            console.print(Text(f"{state}: {words}", "dim"))
