"""What `audit repair` leaves beside a repaired copy, so that an audit of the copy says that it is one."""

from __future__ import annotations

import json
from pathlib import Path

REPAIR_FILE = "repair.json"


def repair_note(data: Path) -> tuple[str, ...]:
    """The note that belongs to the data at this path; none where they are no repaired copy."""
    try:
        record = json.loads((data.parent / REPAIR_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    note = record.get("note") if isinstance(record, dict) and record.get("data") == data.name else None
    return (note,) if isinstance(note, str) else ()
