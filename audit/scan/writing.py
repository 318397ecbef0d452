"""`scan.json` and the maps, on disk."""

from __future__ import annotations

import base64
from pathlib import Path

from audit.scan.dataset import SCAN_FILE, ScanReport
from audit.store import file_name, write_atomic


def write_scan(report: ScanReport, folder: Path) -> None:
    """`scan.json` and one picture per class: the mean image with what was found in it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / SCAN_FILE, report.model_dump_json(indent=1))
    for name, png in zip(report.dataset.class_names, report.scan.maps, strict=False):  # none: not run
        (folder / f"map-{file_name(name)}.png").write_bytes(base64.b64decode(png))
