"""What a person sees of `audit check`."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from audit.check import CHECK_FILE, CONTACT_SHEET, DataCheck
from audit.checks.record import CheckResult
from audit.doctor import Machine, Part

STYLES = {"fail": "bold red", "warn": "yellow", "not run": "dim", "pass": "green"}
ORDER = tuple(STYLES)
NAMES = 5  # of affected images, on the screen
WORDS = {
    "fail": "do not audit these data before the failed checks are mended",
    "warn": "the data can be audited; read the results with the warnings in mind",
    "pass": "no check found anything, which is no proof that there is nothing",
}


def show_checks(console: Console, found: DataCheck, folder: Path) -> None:
    """All checks, failures first, each with its finding; details of what failed or warns; the files."""
    kind = " (synthetic phantoms)" if found.dataset.synthetic else ""
    checks = sorted(found.checks, key=lambda check: ORDER.index(check.status))
    table = Table(title=Text(f"{found.dataset.name}{kind}"), title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("check", "result", "finding"):
        table.add_column(column)
    for check in checks:
        table.add_row(Text(check.title), Text(check.status, STYLES[check.status]), Text(check.sentence))
    console.print(table)
    for check in checks:
        if check.status in ("fail", "warn"):
            show_details(console, check)
    console.print(
        Panel(
            Text(f"{found.worst}: {WORDS[found.worst]}", STYLES[found.worst]),
            title="data check",
            title_align="left",
        )
    )
    for label, name in (("checks", CHECK_FILE), ("images", CONTACT_SHEET)):
        console.print(Text(f"{label:8} {folder / name}"), soft_wrap=True)


def show_details(console: Console, check: CheckResult) -> None:
    """What is affected, and what to do."""
    console.print(
        Text(f"{check.title}: {check.remedy}" if check.remedy else check.title, STYLES[check.status])
    )
    if check.images:
        more = f" and {check.affected - NAMES} more" if check.affected > NAMES else ""
        console.print(Text(f"  {', '.join(check.images[:NAMES])}{more}", "dim"), soft_wrap=True)


def show_machine(console: Console, found: Machine) -> None:
    """Processor, versions, and what is missing with its remedy."""
    e = found.environment
    console.print(Text(f"audit {e.audit_version}, Python {e.python}, {e.platform}"), soft_wrap=True)
    console.print(Text(f"{e.processor}, {e.cores} cores; computes on {e.device}"), soft_wrap=True)
    console.print(
        Text(", ".join(f"{name} {version}" for name, version in e.versions.items())), soft_wrap=True
    )
    for title, parts in (("DICOM", found.decoders), ("extras", found.extras)):
        console.print(parts_table(title, parts))


def parts_table(title: str, parts: list[Part]) -> Table:
    """One row each."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in (title, "here", "otherwise"):
        table.add_column(column)
    for part in parts:
        here = Text("yes", "green") if part.available else Text("no", "yellow")
        table.add_row(Text(part.name), here, Text("" if part.available else part.remedy))
    return table
