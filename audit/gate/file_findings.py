"""Findings that have a file: from what `audit check` and `audit scan` wrote. Names may identify patients, so these
travel only where somebody hands the files over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.errors import ConfigError
from audit.gate.record import FileFinding

NO_FILE = re.compile(r"(train|val) image \d+")  # as images of an array are called
LEVELS = {"fail": "error", "warn": "warning"}


def read_file_findings(path: Path) -> list[FileFinding]:
    """Of a `check.json` or a `scan.json`. Raises ConfigError."""
    remedy = "give check.json of audit check, or scan.json of audit scan"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "checks" in content:
            return list(of_checks(content))
        return list(of_scan(content))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path}: neither a check nor a scan; {remedy}") from None


def of_checks(content: dict[str, Any]) -> Iterator[FileFinding]:
    """Images that a check names: unreadable, empty, doubled."""
    for check in content["checks"]:
        if check["status"] in LEVELS:
            for name in check["images"]:
                yield FileFinding(
                    rule=check["name"],
                    title=check["title"],
                    level=LEVELS[check["status"]],
                    message=check["title"] + (f"; {check['remedy']}" if check["remedy"] else ""),
                    file=name,
                )


def of_scan(content: dict[str, Any]) -> Iterator[FileFinding]:
    """Images that carry a pixel which gives the class away."""
    for found in content["findings"]:
        for name in (one for one in found["images"] if not NO_FILE.fullmatch(one)):
            yield FileFinding(
                rule="shortcuts",
                title="Shortcut pixels",
                level="warning" if found["kind"] in ("border", "padding") else "error",
                message=f"{found['kind']} at row {found['row']}, column {found['col']} tells class {found['class']}",
                file=name,
            )
