"""What a person sees of `audit verify`."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {"pass": "green", "fail": "bold red", "not checked": "yellow"}


def show_checks(console: Console, checks: list[tuple[str, str, str]]) -> None:
    """One row per check: what, result, detail."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("what", "result", "detail"):
        table.add_column(column, overflow="fold")
    for what, status, detail in checks:
        table.add_row(Text(what), Text(status, STYLES[status]), Text(detail))
    console.print(table)
