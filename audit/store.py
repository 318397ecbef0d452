"""The run directory: atomic writes, and reading back what is already there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from audit import __version__
from audit.environment import code_fingerprint
from audit.errors import RunDirectoryError
from audit.results import PROTOCOL_VERSION, CellResult
from audit.scan.record import ScanRecord

if TYPE_CHECKING:
    from audit.plan import AttackSpec, AuditPlan


PLAN_FILE, CONFIG_FILE, SCAN_FILE = "plan.json", "config.yaml", "data-scan.json"
RESULTS_FILE, COMPLETE_FILE, ESTIMATE_FILE = "results.json", "complete.json", "estimate.json"
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

    def holds_audit(self) -> bool:
        """Whether an audit was begun here, readable or not."""
        return (self.folder / PLAN_FILE).exists()

    def clear(self) -> None:
        """Delete what an audit left here, of whatever data or version; a folder that holds none is left alone."""
        if not self.holds_audit():
            return
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (LOCK_FILE, OWNER_FILE):
                path.unlink()

    def begin(self, plan: AuditPlan, fingerprint: str, command: str = "") -> str:
        """Write down what is to be done, in a new folder or one to be taken up again. Returns when the audit was first
        started (ISO 8601, UTC).

        Raises RunDirectoryError where the folder holds something else or cannot be written.
        """
        self.create()
        record = self.read_plan()
        if record is not None:
            self.refuse_mixing(record, fingerprint)
        for torn in self.folder.rglob(".*.tmp"):  # a session was killed while it wrote
            torn.unlink(missing_ok=True)
        created = str(record["created"]) if record else datetime.now(UTC).isoformat(timespec="seconds")
        told = {"created": created, "command": command, "dataset_fingerprint": fingerprint, **this_program()}
        try:
            write_atomic(self.folder / PLAN_FILE, json.dumps({**told, **plan.to_json()}, indent=1))
            config = yaml.safe_dump(plan.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            write_atomic(self.folder / CONFIG_FILE, config)
        except OSError as error:
            raise self.unwritable(error) from None
        return created

    def refuse_mixing(self, record: dict[str, Any], fingerprint: str) -> None:
        """What was computed from other data or by other code must not stand beside what is computed now. Raises
        RunDirectoryError."""
        if record.get("dataset_fingerprint") != fingerprint:
            raise RunDirectoryError(
                f"{self.folder}: holds an audit of other data; choose another --out, or say --fresh to begin anew"
            )
        begun, now = {key: record.get(key) for key in this_program()}, this_program()
        if begun != now:
            raise RunDirectoryError(
                f"{self.folder}: begun by another version of this program ({in_words(begun)}; this one: "
                f"{in_words(now)}); choose another --out, or say --fresh to begin anew"
            )

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
                f"{self.folder / PLAN_FILE}: damaged; choose another --out, or say --fresh to begin anew"
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

    def mark_complete(self) -> None:
        """The last thing that is written: results and report are there."""
        if self.is_marked_complete():
            return
        ended = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "results_sha256": sha256_of(self.folder / RESULTS_FILE),
        }
        write_atomic(self.folder / COMPLETE_FILE, json.dumps(ended))

    def is_marked_complete(self) -> bool:
        """Whether the results that are here are those that were marked."""
        try:
            ended = json.loads((self.folder / COMPLETE_FILE).read_text(encoding="utf-8"))
            return bool(ended["results_sha256"] == sha256_of(self.folder / RESULTS_FILE))
        except (OSError, ValueError, KeyError, TypeError):
            return False

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

    def read_fitted(self, max_hours: float) -> dict[str, list[Any]] | None:
        """The values of the grid that were kept when it was fitted into so many hours; None where it was not."""
        try:
            fitted = (self.read_plan() or {}).get("fitted") or {}
            kept = {str(axis): list(values) for axis, values in fitted["axes"].items()}
            return kept if fitted["max_hours"] == max_hours else None
        except (RunDirectoryError, KeyError, TypeError, AttributeError):
            return None

    def save_estimate(self, audit_id: str, estimate: dict[str, Any]) -> None:
        """Keep what was predicted before the first training of an audit."""
        if self.read_estimate(audit_id) is None:
            kept = {"audit_id": audit_id, **estimate}
            write_atomic(self.folder / ESTIMATE_FILE, json.dumps(kept, indent=1))

    def read_estimate(self, audit_id: str) -> dict[str, Any] | None:
        """What was predicted for this audit; None where that is missing or damaged."""
        try:
            kept = json.loads((self.folder / ESTIMATE_FILE).read_text(encoding="utf-8"))
            return dict(kept) if kept["audit_id"] == audit_id else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def this_program() -> dict[str, Any]:
    """What computes: runs are not mixed across it."""
    return {
        "audit_version": __version__,
        "protocol_version": PROTOCOL_VERSION,
        "code_fingerprint": code_fingerprint(),
    }


def in_words(program: dict[str, Any]) -> str:
    """'audit 0.1.0, code 1a2b3c4d'."""
    code = str(program["code_fingerprint"] or "unknown")[:8]
    return f"audit {program['audit_version'] or 'unknown'}, code {code}"


def sha256_of(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def default_folder(plan: AuditPlan, dataset_name: str) -> Path:
    """`runs/<date>-<dataset>-<id>`; an audit begun on another day by the same code is found again."""
    name = file_name(dataset_name)
    own = hashlib.sha256(f"{plan.id} {code_fingerprint()}".encode()).hexdigest()[:8]
    begun = sorted(Path("runs").glob(f"*-{name}-{own}"))
    return begun[-1] if begun else Path("runs") / f"{datetime.now(UTC):%Y-%m-%d}-{name}-{own}"


def file_name(text: str) -> str:
    """Letters, digits and hyphens."""
    name = "".join(c if c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in name.split("-") if part)
