"""Commands on data alone: `audit check`, `audit data download`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.command_options import read_settings, shareable_command
from audit.errors import EXIT_DATA, EXIT_PASS

if TYPE_CHECKING:
    from audit.settings import DataSettings

data_app = typer.Typer(no_args_is_help=True, help="Data sets that can be fetched.")

Data = Annotated[
    str, typer.Argument(help="A folder, a ZIP, a .npz, or oct / derma for phantoms.", show_default=False)
]
Size = Annotated[int | None, typer.Option(help="Pixels of the edge at which images are read.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. data.square=pad; repeatable.")
]
LabelTable = Annotated[
    Path | None, typer.Option("--table", help="Labels of the images; default the .csv in the data folder.")
]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the class in the label table.")]
GroupColumn = Annotated[str | None, typer.Option(help="Column of the patient or lesion.")]


def table_overrides(table: Path | None, label_column: str | None, group_column: str | None) -> dict[str, Any]:
    """Settings of the label table."""
    given = {
        "data.table": None if table is None else str(table),
        "data.columns.label": label_column,
        "data.columns.group": group_column,
    }
    return {field: value for field, value in given.items() if value is not None}


def check(
    data: Data,
    table: LabelTable = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    size: Size = None,
    set_: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of what is written (default checks/<date>-<dataset>).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Look at a data set before anything is trained: leaks, duplicates, cues that give a class away.

    Exit code 0 where no check fails, 3 where one does.
    """
    from rich.console import Console

    from audit.check import CONTACT_SHEET, check_data
    from audit.data.load import load_dataset
    from audit.data.stored import load_as_stored
    from audit.terminal import TerminalObserver
    from audit.terminal_check import show_checks
    from reports.figure_contact import write_contact_sheet

    settings = data_settings(data, size, table_overrides(table, label_column, group_column), set_)
    console = Console(stderr=True)
    with TerminalObserver(console) as observer:
        dataset = load_dataset(settings, observer.images, observer.unpacking)
        folder = out or default_folder("checks", dataset.name)
        command = shareable_command(sys.argv[1:])
        stored = load_as_stored(settings, observer.images, probe=dataset) if size is None else dataset
        found = check_data(dataset, stored, command, folder, observer.checks, observer.scanning)
        write_contact_sheet(found.dataset, folder / CONTACT_SHEET)
    show_checks(console, found, folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **found.model_dump(mode="json")}))
    raise typer.Exit(EXIT_DATA if found.worst == "fail" else EXIT_PASS)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """What this machine has: processor, GPU, versions, decoders of DICOM, extras."""
    from rich.console import Console

    from audit.doctor import examine
    from audit.terminal_check import show_machine

    found = examine()
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json")))
    else:
        show_machine(Console(), found)


def data_settings(
    data: str, size: int | None, overrides: dict[str, Any], set_: list[str] | None
) -> DataSettings:
    """Settings of a look at data: a path, or the name of a shipped configuration for its phantoms. Unreadable files
    are skipped and listed, so that one look shows all that is wrong."""
    from audit.config import load_config, shipped

    phantoms = data in shipped()
    overrides = overrides | ({} if size is None else {"data.image_size": size})
    if not phantoms:
        overrides |= {"data.path": data, "data.channels": None, "data.unreadable": "skip"}
    return load_config(data if phantoms else "oct", None, None, overrides | read_settings(set_ or [])).data


def default_folder(kind: str, dataset_name: str) -> Path:
    """`checks/<date>-<dataset>`."""
    from audit.store import file_name

    return Path(kind) / f"{datetime.now(UTC):%Y-%m-%d}-{file_name(dataset_name)}"


@data_app.command()
def download(
    name: Annotated[str, typer.Argument(help="oct (OCTMNIST) or derma (DermaMNIST).", show_default=False)],
    size: Annotated[int, typer.Option(help="Edge of the images in pixels: 28, 64, 128 or 224.")] = 64,
    out: Annotated[Path, typer.Option(help="Folder for the file.")] = Path("data"),
) -> None:
    """Fetch a published set through the medmnist package, with its licence said."""
    from audit.data.download import download_medmnist

    path, licence = download_medmnist(name, size, out)
    typer.echo(f"{path} (licence: {licence}); audit it with: audit run {name} --data {path}")
