"""What `audit repair` leaves beside a repaired copy, so that an audit of the copy says that it is one."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from audit.results import RepairSummary

REPAIR_FILE = "repair.json"


def repair_summary(data: Path) -> RepairSummary | None:
    """What was repaired in the data at this path; None where they are no repaired copy."""
    try:
        record = json.loads((data.parent / REPAIR_FILE).read_text(encoding="utf-8"))
        if record["data"] != data.name:
            return None
        return RepairSummary(
            note=record["note"],
            images=record["images"],
            pixels=record["pixels"],
            sentence=record["before"]["sentence"],
            findings=record["before"]["findings"],
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
