"""`audit check`: the data set alone, before any training. What it finds, as a record, and where it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from audit.checks.inputs import CheckInput
from audit.checks.record import CheckResult
from audit.checks.table import run_checks
from audit.data.dataset import ImageDataset
from audit.describe import describe_dataset
from audit.environment import describe_environment
from audit.recipe import Record
from audit.results import DatasetRecord, Environment
from audit.scan.dataset import scan_dataset
from audit.scan.record import ScanRecord
from audit.store import write_atomic

CHECK_FILE = "check.json"
CONTACT_SHEET = "contact-sheet.png"


class DataCheck(Record):
    """`check.json`. Holds file names as they were given, so that the files can be found: for the eyes of those who
    hold the data. Results of audits hold none."""

    schema_version: int = 1
    created: str  # ISO 8601, UTC
    command: str
    dataset: DatasetRecord
    worst: Literal["pass", "warn", "fail"]
    checks: list[CheckResult]
    scan: ScanRecord
    environment: Environment
    seconds: float


def check_input(dataset: ImageDataset, scan: ScanRecord) -> CheckInput:
    """What the checks look at."""
    files = dataset.files
    return CheckInput(
        dataset=dataset,
        names=None if files is None else files.names,
        sizes=None if files is None else files.sizes,
        excluded=() if files is None else files.excluded,
        identifying=None if files is None else files.identifying,
        burned_in=None if files is None else files.burned_in,
        scan=scan,
    )


def check_dataset(
    dataset: ImageDataset, scan: ScanRecord, progress: Callable[[int, int], None] | None = None
) -> list[CheckResult]:
    """All checks of a data set that was scanned."""
    return run_checks(check_input(dataset, scan), progress)


def without_names(checks: list[CheckResult]) -> list[CheckResult]:
    """The same for results that travel: file names may hold what identifies a patient."""
    return [check.model_copy(update={"images": []}) for check in checks]


def check_data(
    dataset: ImageDataset,
    as_stored: ImageDataset,
    command: str,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    scanning: Callable[[int, int], None] | None = None,
) -> DataCheck:
    """Check a data set, scan it for shortcuts in the resolution `as_stored`, and write `check.json` into `folder`.
    `progress(done, total)` counts checks, `scanning` images."""
    start = time.monotonic()
    scan = scan_dataset(as_stored, scanning).record
    checks = check_dataset(dataset, scan, progress)
    statuses = {check.status for check in checks}
    found = DataCheck(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        dataset=describe_dataset(dataset, []),
        worst="fail" if "fail" in statuses else "warn" if "warn" in statuses else "pass",
        checks=checks,
        scan=scan,
        environment=describe_environment("cpu", 1),
        seconds=time.monotonic() - start,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / CHECK_FILE, found.model_dump_json(indent=1))
    return found
