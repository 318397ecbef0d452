"""Audits of the application on the disk: one folder each, found by its id, seen by its owner alone.

audits/ID/about.json     owner, title, source
          job.json       what is to be done or was done last, and how it ended
          upload/        the images as they came, moved out of the page's cache
          config.yaml    the plan
          estimate.json  what the plan costs
          checks/        what was found in the data, as a record and as pictures
          run/           the run directory of the audit
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from apps.settings import CACHE, MEGABYTE, ServerSettings
from audit.errors import AuditError, ConfigError
from audit.run_lock import is_held
from audit.store import write_atomic

Kind = Literal["check", "estimate", "audit"]
State = Literal["queued", "working", "done", "refused", "failed", "cancelled"]
ID = re.compile(r"[0-9a-f]{20}")
TITLE = 80  # signs
SHORTCUT_MAP = "shortcut-map.svg"  # in checks/


class NotYoursError(AuditError):
    """No such audit, or another user's: the two are told apart by nobody."""


@dataclass(frozen=True)
class About:
    """What an audit is of."""

    id: str
    owner: str
    created: str  # ISO 8601, UTC
    title: str
    source: str  # phantom:oct, phantom:derma, upload, folder:NAME


@dataclass(frozen=True)
class Job:
    """What was asked for last, and how far it is."""

    kind: Kind
    state: State
    message: str = ""  # why it was refused or failed, in one line without paths
    time: str = ""  # of the last change
    token: str = ""  # of this asking: the same job may be asked for again

    @property
    def pending(self) -> bool:
        """Whether somebody is to work on it."""
        return self.state in ("queued", "working")

    def gives_way_to(self, kind: Kind) -> bool:
        """Whether another job may be asked for now: the time of a plan is dropped for that of another, and for the
        audit. One that only waits finds the newest plan itself."""
        timing = self.kind == "estimate" and (kind != "estimate" or self.state == "working")
        return not self.pending or timing


class AuditFolder:
    """One audit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.upload, self.checks, self.run = path / "upload", path / "checks", path / "run"
        self.config, self.estimate = path / "config.yaml", path / "estimate.json"
        self.progress, self.cancelled = path / "progress.json", path / "cancel"

    def about(self) -> About:
        """Raises NotYoursError where there is none."""
        try:
            return About(**json.loads((self.path / "about.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise NotYoursError("no such audit") from None

    def job(self) -> Job | None:
        """None where nothing was asked for yet."""
        try:
            return Job(**json.loads((self.path / "job.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def set_job(
        self, kind: Kind, state: State, message: str = "", token: str | None = None, only: Job | None = None
    ) -> bool:
        """Say what is to be done, or how it ended. `token`: of a new asking; else that of the last one is kept. `only`:
        nothing happens, and False is returned, where something else was said since."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with FileLock(self.path / ".job.lock"):
            before = self.job()
            if only is not None and before != only:
                return False
            kept = token or (before.token if before else "")
            write_atomic(self.path / "job.json", json.dumps(asdict(Job(kind, state, message, now, kept))))
        return True

    def is_worked_on(self) -> bool:
        """Whether a process holds it."""
        return is_held(self.path)

    def data_path(self, settings: ServerSettings) -> Path | None:
        """Where the images are; None for phantoms. Raises ConfigError where they are gone."""
        source = self.about().source
        if source.startswith("phantom:"):
            return None
        if source.startswith("folder:"):
            name = source.partition(":")[2]
            if name not in settings.folders:
                raise ConfigError(f"folder {name}: not served any more; choose another one")
            return settings.folders[name]
        files = sorted(self.upload.iterdir()) if self.upload.is_dir() else []
        if not files:
            raise ConfigError("the uploaded file was deleted; upload it again")
        return files[0]

    def read(self, file: Path) -> dict[str, Any] | None:
        """A JSON object of this audit; None where it is missing or half written."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None


class Shelf:
    """All audits of a server."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings

    def create(self, owner: str, source: str, title: str) -> AuditFolder:
        """A new, empty audit. Raises ConfigError where the user's quota is used up."""
        used = self.used_bytes(owner)
        if used > self.settings.quota_mb * MEGABYTE:
            raise ConfigError(
                f"your audits fill {used // MEGABYTE} MB of {self.settings.quota_mb} MB; delete some of them first"
            )
        folder = AuditFolder(self.settings.audits / secrets.token_hex(10))
        folder.path.mkdir(parents=True)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        about = About(folder.path.name, owner, created, title[:TITLE] or "Audit", source)
        write_atomic(folder.path / "about.json", json.dumps(asdict(about)))
        return folder

    def find(self, owner: str, audit_id: str) -> AuditFolder:
        """Raises NotYoursError where there is none of this owner."""
        if not ID.fullmatch(audit_id):
            raise NotYoursError("no such audit")
        folder = AuditFolder(self.settings.audits / audit_id)
        if folder.about().owner != owner:
            raise NotYoursError("no such audit")
        return folder

    def everything(self) -> list[AuditFolder]:
        """Of all owners, the newest first."""
        if not self.settings.audits.is_dir():
            return []
        found = [
            AuditFolder(path) for path in self.settings.audits.iterdir() if (path / "about.json").is_file()
        ]
        return sorted(found, key=lambda folder: folder.about().created, reverse=True)

    def of(self, owner: str) -> list[AuditFolder]:
        """Of one owner, the newest first."""
        return [folder for folder in self.everything() if folder.about().owner == owner]

    def used_bytes(self, owner: str) -> int:
        """Of all files of an owner."""
        files = (file for folder in self.of(owner) for file in folder.path.rglob("*"))
        return sum(file.stat().st_size for file in files if file.is_file())

    def delete(self, owner: str, audit_id: str) -> None:
        """Raises ConfigError where somebody works on it."""
        folder = self.find(owner, audit_id)
        if folder.is_worked_on():
            raise ConfigError("this audit is being worked on; cancel it first")
        shutil.rmtree(folder.path)

    def sweep(self) -> int:
        """Delete what is older than it may be kept, in the page's cache too; returns how many audits went."""
        oldest = time.time() - self.settings.keep_days * 86400
        gone = 0
        for folder in self.everything():
            changed = max(file.stat().st_mtime for file in folder.path.iterdir())
            if changed < oldest and not folder.is_worked_on():
                shutil.rmtree(folder.path)
                gone += 1
        for file in (self.settings.data / CACHE).rglob("*"):  # pictures and uploads that nobody took
            if file.is_file() and file.stat().st_mtime < oldest:
                file.unlink()
        return gone
