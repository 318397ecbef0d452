"""The run directory: atomic writes, and reading back what is already there."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from audit import __version__
from audit.errors import RunDirectoryError
from audit.results import CellResult
from audit.scan.record import ScanRecord

if TYPE_CHECKING:
    from audit.plan import AttackSpec, AuditPlan


PLAN_FILE, CONFIG_FILE, SCAN_FILE = "plan.json", "config.yaml", "data-scan.json"
LOCK_FILE, OWNER_FILE = ".lock", ".owner.json"


def write_atomic(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the whole new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class RunStore:
    """One audit on disk. What a finished file says is final; everything else is computed again."""

    folder: Path

    def create(self) -> None:
        """Make the folder where it is not there. Raises RunDirectoryError where it holds something else or cannot be
        written."""
        if self.folder.exists() and not self.folder.is_dir():
            raise RunDirectoryError(f"{self.folder}: not a folder; choose another --out")
        if self.read_plan() is None and self.folder.is_dir():
            others = {path.name for path in self.folder.iterdir()} - {LOCK_FILE, OWNER_FILE}
            if others:
                raise RunDirectoryError(f"{self.folder}: not empty and holds no audit; choose another --out")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.unwritable(error) from None

    def unwritable(self, error: OSError) -> RunDirectoryError:
        """In words."""
        return RunDirectoryError(f"{self.folder}: cannot be written ({error.strerror}); choose another --out")

    def begin(self, plan: AuditPlan, fingerprint: str, command: str = "") -> str:
        """Write down what is to be done, in a new folder or one to be taken up again. Returns when the audit was first
        started (ISO 8601, UTC).

        Raises RunDirectoryError where the folder holds something else or cannot be written.
        """
        self.create()
        record = self.read_plan()
        if record is not None and record.get("dataset_fingerprint") != fingerprint:
            raise RunDirectoryError(
                f"{self.folder}: holds an audit of other data; choose another --out or delete the folder"
            )
        created = str(record["created"]) if record else datetime.now(UTC).isoformat(timespec="seconds")
        told = {"created": created, "command": command, "dataset_fingerprint": fingerprint}
        try:
            write_atomic(self.folder / PLAN_FILE, json.dumps({**told, **plan.to_json()}, indent=1))
            config = yaml.safe_dump(plan.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            write_atomic(self.folder / CONFIG_FILE, config)
        except OSError as error:
            raise self.unwritable(error) from None
        return created

    def read_plan(self) -> dict[str, Any] | None:
        """`plan.json`, None where there is none."""
        try:
            content = json.loads((self.folder / PLAN_FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            content = None
        if not isinstance(content, dict) or "created" not in content:
            raise RunDirectoryError(
                f"{self.folder / PLAN_FILE}: damaged; choose another --out or delete the folder"
            )
        return content

    def cell_path(self, cell_id: str) -> Path:
        """`cells/<id>.json`."""
        return self.folder / "cells" / f"{cell_id}.json"

    def save_cell(self, result: CellResult) -> None:
        """Keep a finished cell."""
        write_atomic(self.cell_path(result.id), result.model_dump_json(indent=1))

    def read_cell(self, cell_id: str) -> CellResult | None:
        """A finished cell; None where it is missing, damaged or failed (it is then trained again)."""
        try:
            result = CellResult.model_validate_json(self.cell_path(cell_id).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if result.id == cell_id and result.status == "done" else None

    def save_scan(self, scan: ScanRecord, fingerprint: str) -> None:
        """Keep the scan of the data with this fingerprint."""
        kept = {"fingerprint": fingerprint, "version": __version__, "scan": scan.model_dump(mode="json")}
        write_atomic(self.folder / SCAN_FILE, json.dumps(kept))

    def read_scan(self, fingerprint: str) -> ScanRecord | None:
        """The scan of the data with this fingerprint; None where it is missing, damaged or of another version."""
        try:
            kept = json.loads((self.folder / SCAN_FILE).read_text(encoding="utf-8"))
            if (kept["fingerprint"], kept["version"]) != (fingerprint, __version__):
                return None
            return ScanRecord.model_validate(kept["scan"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def perturbation_path(self, attack: AttackSpec, key: str) -> Path:
        """`perturbations/<attack>-<key>.json`; `key` is the hash of all that defines the search."""
        return self.folder / "perturbations" / f"{attack.name}-{key}.json"

    def log(self, session_start: float, event: str, **facts: object) -> None:
        """Append one line to `events.jsonl`."""
        now = datetime.now(UTC)
        line = {
            "time": now.isoformat(timespec="seconds"),
            "session": session_start,
            "elapsed": round(now.timestamp() - session_start, 2),
            "event": event,
            **facts,
        }
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def seconds(self) -> float:
        """Wall time of all sessions that worked on this audit."""
        last: dict[float, float] = {}
        with contextlib.suppress(OSError):
            text = (self.folder / "events.jsonl").read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a torn last line
                    event = json.loads(line)
                    last[event["session"]] = max(last.get(event["session"], 0.0), event["elapsed"])
        return sum(last.values())


def default_folder(plan: AuditPlan, dataset_name: str) -> Path:
    """`runs/<date>-<dataset>-<id>`; an audit begun on another day is found again."""
    name = file_name(dataset_name)
    begun = sorted(Path("runs").glob(f"*-{name}-{plan.id[:8]}"))
    return begun[-1] if begun else Path("runs") / f"{datetime.now(UTC):%Y-%m-%d}-{name}-{plan.id[:8]}"


def file_name(text: str) -> str:
    """Letters, digits and hyphens."""
    name = "".join(c if c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in name.split("-") if part)
