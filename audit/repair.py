"""`audit repair`: a copy of a data set without the marks that the scan found, and what was changed."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from audit.data.archive import Quotas, unpack
from audit.data.dataset import ImageDataset
from audit.data.load import load_dataset
from audit.data.repaired import REPAIR_FILE
from audit.data.stored import load_as_stored
from audit.describe import describe_dataset
from audit.environment import describe_environment
from audit.errors import ConfigError, DataError
from audit.recipe import Record
from audit.results import DatasetRecord, Environment
from audit.scan.copies import Change, repair_arrays, repair_files
from audit.scan.dataset import in_words, scan_dataset
from audit.scan.findings import edit_record
from audit.scan.marks import Flagged
from audit.scan.record import ScanRecord
from audit.scan.scan import Scan
from audit.settings import DataSettings
from audit.store import write_atomic

CHANGES_FILE = "changes.csv"

Progress = Callable[[int, int], None]


class RepairRecord(Record):
    """`repair.json`, beside the copy."""

    schema_version: int = 1
    created: str  # ISO 8601, UTC
    command: str
    data: str  # name of the copy, beside this file
    note: str  # for the reports of audits of the copy
    before: ScanRecord
    after: ScanRecord  # of the copy
    images: int  # that were changed
    pixels: int  # filled, at the resolution of the scan, over all images
    source: DatasetRecord  # as it was
    fingerprint: str  # of the copy
    environment: Environment


@dataclass(frozen=True)
class Observed:
    """Who is told of progress."""

    reading: Progress | None = None
    unpacking: Progress | None = None
    scanning: Progress | None = None
    repairing: Progress | None = None


def repair_data(
    settings: DataSettings, as_stored: bool, out: Path, command: str, told: Observed
) -> RepairRecord | None:
    """Scan the data at `settings.path`, `as_stored` or at the size of the settings, and write a repaired copy into
    `out`, which must not exist or be empty, with `repair.json` and `changes.csv`. None, and nothing written, where the
    scan finds no edits. Raises ConfigError for phantoms and for an `out` in use; DataError for data that are refused
    or can not be scanned."""
    if settings.path is None:
        raise ConfigError("data: phantoms have no files to repair; name a folder, a ZIP or a .npz file")
    source = Path(settings.path).expanduser()
    refuse_folder(out, source)
    load = load_as_stored if as_stored else load_dataset
    dataset = load(settings, told.reading, told.unpacking)
    settings = settings.model_copy(update={"image_size": dataset.image_size[0]})
    found = scan_dataset(dataset, told.scanning)
    if found.scan is None:
        raise DataError(f"{dataset.source}: not scanned: {found.record.sentence}")
    flagged = flagged_marks(found.scan, dataset.class_names)
    if not flagged:
        return None
    fresh = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        copy, changes = write_copy(source, out, dataset, flagged, settings, told)
        again = settings.model_copy(update={"path": str(copy), "cache": False})
        repaired = load_dataset(again, told.reading)
        record = describe_repair(dataset, repaired, found.record, changes, copy, command)
        write_atomic(out / CHANGES_FILE, as_csv(changes))
        write_atomic(out / REPAIR_FILE, record.model_dump_json(indent=1))
    except BaseException:  # half a copy would be taken for a whole one
        for left in out.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if fresh:
            out.rmdir()
        raise
    return record


def flagged_marks(scan: Scan, class_names: tuple[str, ...]) -> list[Flagged]:
    """The edits that were found, each with the reason for the list of changes."""
    return [
        Flagged(
            in_words(edit_record(one, scan.scanned), class_names),
            tuple(spike.candidate for spike in one.spikes),
        )
        for one in scan.groups
    ]


def refuse_folder(out: Path, source: Path) -> None:
    """Raises ConfigError where the copy would lie in something else."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out: {out.name} is not an empty folder; name a new one")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"--out: {out.name} lies inside the data; name a folder outside of them")


def write_copy(
    source: Path,
    out: Path,
    dataset: ImageDataset,
    flagged: list[Flagged],
    settings: DataSettings,
    told: Observed,
) -> tuple[Path, list[Change]]:
    """The copy, and what was changed in it."""
    if source.suffix.lower() == ".npz":
        copy = out / source.name
        return copy, repair_arrays(source, copy, dataset, flagged, settings.square)
    root = source if source.name not in ("", "..") else source.resolve()
    if source.is_dir():
        copy = out / root.name
        return copy, repair_files(root, copy, dataset, flagged, settings.square, told.repairing)
    q = settings.quotas
    packed = out / "unpacked"
    packed.mkdir()
    quotas = Quotas(max_files=q.files, max_bytes=q.bytes, max_file_bytes=q.file_bytes, max_ratio=q.ratio)
    unpacked = unpack(source, packed, quotas)
    copy = out / source.stem
    changes = repair_files(unpacked.root, copy, dataset, flagged, settings.square, told.repairing)
    shutil.rmtree(packed)
    return copy, changes


def describe_repair(
    dataset: ImageDataset,
    repaired: ImageDataset,
    before: ScanRecord,
    changes: list[Change],
    copy: Path,
    command: str,
) -> RepairRecord:
    """`repair.json`."""
    images = len({change.image for change in changes})
    total = sum(len(dataset.split(name)) for name in ("train", "val", "test"))
    return RepairRecord(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        data=copy.name,
        note=(
            f"repaired copy: in {images} of {total} images {len(changes)} marked pixels were filled from their "
            f"neighbourhood before this audit (original fingerprint {dataset.fingerprint[:12]})"
        ),
        before=before,
        after=scan_dataset(repaired, measure_limits=False).record,
        images=images,
        pixels=len(changes),
        source=describe_dataset(dataset, []),
        fingerprint=repaired.fingerprint,
        environment=describe_environment("cpu", 1),
    )


def as_csv(changes: list[Change]) -> str:
    """One row per filled pixel of the scan, with the box that it covers in the file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Change)])
    writer.writerows(astuple(change) for change in changes)
    return text.getvalue()
