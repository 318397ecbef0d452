"""`audit scan`: pixels that give a class away. `audit repair`: a copy of the data without them."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from audit.cli_data import (
    Data,
    GroupColumn,
    LabelColumn,
    LabelTable,
    Settings,
    Size,
    data_settings,
    default_folder,
    table_overrides,
)
from audit.command_options import AsJson, shareable_command
from audit.errors import EXIT_DATA, EXIT_INCOMPLETE, EXIT_PASS


def scan(
    data: Data,
    table: LabelTable = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    size: Size = None,
    set_: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of what is written (default scans/<date>-<dataset>).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for pixels that images of one class share and others do not: marks, stamps, attacks. No training.

    Exit code 0 where no edit is found, 3 where one is, 4 where the images could not be scanned.
    """
    from rich.console import Console

    from audit.data.load import load_dataset
    from audit.data.stored import load_as_stored
    from audit.describe import describe_dataset
    from audit.environment import describe_environment
    from audit.scan.dataset import ScanReport, scan_dataset
    from audit.scan.writing import write_scan
    from audit.terminal import TerminalObserver
    from audit.terminal_scan import show_scan

    settings = data_settings(data, size, table_overrides(table, label_column, group_column), set_)
    console = Console(stderr=True)
    with TerminalObserver(console) as observer:
        load = load_as_stored if size is None else load_dataset
        dataset = load(settings, observer.images, observer.unpacking)
        started = time.monotonic()
        found = scan_dataset(dataset, observer.scanning)
    report = ScanReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shareable_command(sys.argv[1:]),
        dataset=describe_dataset(dataset, []),
        findings=found.named,
        scan=found.record,
        environment=describe_environment("cpu", 1),
        seconds=time.monotonic() - started,
    )
    folder = out or default_folder("scans", dataset.name)
    write_scan(report, folder)
    show_scan(console, report, folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **report.model_dump(mode="json")}))
    codes = {"fail": EXIT_DATA, "not run": EXIT_INCOMPLETE}
    raise typer.Exit(codes.get(found.record.status, EXIT_PASS))


def repair(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the copy; new or empty.", show_default=False)],
    table: LabelTable = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    size: Size = None,
    set_: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Write a copy of the data in which the marks that the scan finds are filled from their neighbourhood.

    The data themselves are never changed. `audit run` takes the copy.
    """
    from rich.console import Console

    from audit.repair import Observed, repair_data
    from audit.terminal import TerminalObserver
    from audit.terminal_scan import show_repair

    settings = data_settings(data, size, table_overrides(table, label_column, group_column), set_)
    console = Console(stderr=True)
    with TerminalObserver(console) as observer:
        told = Observed(observer.images, observer.unpacking, observer.scanning, observer.repairing)
        record = repair_data(settings, size is None, out, shareable_command(sys.argv[1:]), told)
    show_repair(console, record, out)
    if as_json:
        typer.echo(
            json.dumps(None if record is None else {"folder": str(out), **record.model_dump(mode="json")})
        )
    raise typer.Exit(EXIT_PASS)
