"""What a person sees of `audit scan` and `audit repair`."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from audit.checks.shortcuts import HEADER
from audit.data.repaired import REPAIR_FILE
from audit.repair import CHANGES_FILE, RepairRecord
from audit.scan.dataset import SCAN_FILE, ScanReport
from audit.scan.record import ScanRecord
from audit.terminal_check import STYLES

SHOWN = 20  # findings on the screen
STRENGTH = (
    "value: of 255; share: of the class's images that carry it, others: of the class that has it most beside; "
    "strength: balanced accuracy of a classifier that sees these pixels only, class against rest, guessing 50 %"
)


def show_scan(console: Console, report: ScanReport, folder: Path) -> None:
    """Findings, the result in a sentence, what can not be seen, and the files."""
    scan, names = report.scan, tuple(report.dataset.class_names)
    if scan.findings:
        show_findings(console, scan, names, report.dataset.name)
    if scan.strength is not None:
        console.print(
            f"the flagged pixels alone tell the class in {100 * scan.strength:.0f} % of images "
            f"(balanced accuracy; guessing {100 / len(names):.0f} %)"
        )
    verdict = Text(f"{scan.status}: {scan.sentence}", STYLES[scan.status])
    title = f"shortcut scan of {scan.images} images of {report.dataset.name}"
    console.print(Panel(verdict, title=title, title_align="left"))
    if scan.status == "not run":
        return
    console.print(
        f"Edits would be reported in {100 * scan.false_alarm_rate:.0f} % of clean data sets at most. Limits:",
        highlight=False,
    )
    for limit in scan.limits:
        console.print(Padding(Text(limit, "dim"), (0, 0, 0, 2)))
    if scan.detection:
        console.print(detection_table(scan))
    for label, name in (("findings", SCAN_FILE), ("maps", "map-*.png")):
        console.print(Text(f"{label:8} {folder / name}"), soft_wrap=True)


def detection_table(scan: ScanRecord) -> Table:
    """What was planted, and how much of it was found."""
    table = Table(
        title=Text("Measured: marks planted into a copy of these images", "dim"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        style="dim",
    )
    for column in ("mark", "share of a class", "classes found"):
        table.add_column(column)
    for one in scan.detection:
        table.add_row(*(Text(cell, "dim") for cell in one.words))
    return table


def show_findings(console: Console, scan: ScanRecord, names: tuple[str, ...], title: str) -> None:
    """The table."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in HEADER:
        table.add_column(column)
    for finding in scan.findings[:SHOWN]:
        table.add_row(*(Text(cell) for cell in finding.cells(names)))
    console.print(table)
    console.print(Text(STRENGTH, "dim"))
    if len(scan.findings) > SHOWN:
        console.print(f"and {len(scan.findings) - SHOWN} more in {SCAN_FILE}")


def show_repair(console: Console, record: RepairRecord | None, out: Path) -> None:
    """What was found, what was done, and what a scan of the copy finds."""
    if record is None:
        console.print("the scan found no edits: nothing to repair, and no copy was written")
        return
    console.print(Text(f"before: {record.before.sentence}", STYLES[record.before.status]))
    console.print(Text(f"after:  {record.after.sentence}", STYLES[record.after.status]))
    console.print(Text(record.note))
    for label, name in (("copy", record.data), ("changes", CHANGES_FILE), ("record", REPAIR_FILE)):
        console.print(Text(f"{label:8} {out / name}"), soft_wrap=True)
