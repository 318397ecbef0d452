"""What a user can do, as plain functions of user and audit: the page and the API call these and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apps.queueing import Queue
from apps.settings import MEGABYTE, ServerSettings
from apps.shelf import AuditFolder, Job, Shelf
from apps.terms import PHANTOMS, PROFILES, overrides
from audit.check import CHECK_FILE, DataCheck
from audit.config import load_config
from audit.errors import ConfigError
from audit.event_log import EventLog
from audit.results import AuditResult
from audit.runs import read_run
from audit.store import RunStore, write_atomic

SUFFIXES = (".zip", ".npz")
SAFE = re.compile(r"[^\w.-]+")
FILES = {
    "report.pdf": "application/pdf",
    "report.html": "text/html",
    "results.json": "application/json",
    "scores.csv": "text/csv",
}
"""What of an audit can be downloaded."""


@dataclass(frozen=True)
class Status:
    """How far an audit is."""

    id: str
    title: str
    source: str
    job: Job | None
    position: int | None  # in the queue; 1 is next
    step: str  # what is being done, with how far, where that is known
    done: int  # trainings
    total: int
    seconds_left: float | None  # a rough guess from what was predicted
    verdict: str | None


class Desk:
    """The audits of one server, as one user may use them."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings, self.shelf, self.queue = settings, Shelf(settings), Queue(settings)

    def find(self, user: str, audit_id: str) -> AuditFolder:
        """Raises NotYoursError."""
        return self.shelf.find(user, audit_id)

    def create(self, user: str, source: str, upload: Path | None = None) -> str:
        """A new audit of an uploaded file, a phantom or a folder of the server; its data are looked at. Raises
        ConfigError."""
        if source == "upload":
            if upload is None:
                raise ConfigError("no file: choose a ZIP or .npz first")
            return self.create_from_upload(user, upload)
        if not source:
            raise ConfigError("nothing is chosen; choose images of this server first")
        kind, _, name = source.partition(":")
        if not (
            (kind == "phantom" and name in PHANTOMS) or (kind == "folder" and name in self.settings.folders)
        ):
            raise ConfigError(f"{source}: no such source; choose one on the page")
        folder = self.shelf.create(user, source, PHANTOMS.get(name, name) if kind == "phantom" else name)
        return self.look(folder, name if kind == "phantom" else "oct")

    def create_from_upload(self, user: str, upload: Path) -> str:
        """The file is moved here, out of the page's cache."""
        name = SAFE.sub("_", upload.name)[-80:]
        if not name.lower().endswith(SUFFIXES):
            raise ConfigError(f"{name}: neither a ZIP nor a .npz; put the images into one ZIP")
        size = upload.stat().st_size
        if size > self.settings.upload_mb * MEGABYTE:
            raise ConfigError(
                f"{name}: {size // MEGABYTE} MB; the server takes {self.settings.upload_mb} MB at most"
            )
        folder = self.shelf.create(user, "upload", Path(name).stem)
        folder.upload.mkdir()
        shutil.move(upload, folder.upload / name)
        return self.look(folder, "oct")

    def look(self, folder: AuditFolder, name: str) -> str:
        """A first plan, so that the data can be read, and a look at them."""
        phantom = folder.about().source.startswith("phantom:")
        self.write_config(folder, name, "quick", {} if phantom else {"data.channels": None})
        self.queue.enqueue(folder, "check")
        return folder.path.name

    def write_config(self, folder: AuditFolder, name: str, profile: str, given: dict[str, Any]) -> None:
        """`config.yaml`, checked by the engine. Raises ConfigError."""
        asked = {**given, **self.settings.overrides, "operator": folder.about().owner}
        config = load_config(name, profile, None, asked)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_atomic(folder.config, text)

    def estimate_plan(self, user: str, audit_id: str, profile: str, choices: dict[str, list[Any]]) -> None:
        """Write the plan and ask what it costs. Raises ConfigError."""
        changed = self.choose(user, audit_id, profile, choices)
        folder = self.find(user, audit_id)
        job = folder.job()
        if changed or not (folder.estimate.exists() or (job is not None and job.pending)):
            self.queue.enqueue(folder, "estimate")

    def can_be_planned(self, user: str, audit_id: str) -> bool:
        """Whether its images were looked at and it has not begun."""
        folder = self.find(user, audit_id)
        return (folder.checks / CHECK_FILE).is_file() and not folder.run.exists()

    def start_chosen(self, user: str, audit_id: str, profile: str, choices: dict[str, list[Any]]) -> None:
        """Run what is chosen, whether its time was asked for or not. Raises ConfigError."""
        self.choose(user, audit_id, profile, choices)
        self.start(user, audit_id)

    def choose(self, user: str, audit_id: str, profile: str, choices: dict[str, list[Any]]) -> bool:
        """Write the plan; whether it is another one. Raises ConfigError, also while the data are looked at or the audit
        has begun; of what cannot be chosen no time is known."""
        folder = self.find(user, audit_id)
        self.refuse_busy(folder)
        if folder.run.exists():
            raise ConfigError("this audit has begun; start a new one for another plan")
        if profile not in PROFILES:
            raise ConfigError(f"profile {profile}: cannot be chosen here")
        try:
            given = overrides(**choices)
        except ValueError as error:
            self.forget_time(folder)
            raise ConfigError(str(error)) from None
        source = folder.about().source
        name = source.partition(":")[2] if source.startswith("phantom:") else "oct"
        given |= {} if source.startswith("phantom:") else {"data.channels": None}
        before = folder.config.read_bytes()
        self.write_config(folder, name, profile, given)
        changed = folder.config.read_bytes() != before
        if changed:  # the time was another plan's
            folder.estimate.unlink(missing_ok=True)
        return changed

    def forget_time(self, folder: AuditFolder) -> None:
        """That of another plan than what is chosen now."""
        folder.estimate.unlink(missing_ok=True)
        job = folder.job()
        if job is not None and job.kind == "estimate":
            self.queue.cancel(folder)

    def start(self, user: str, audit_id: str) -> None:
        """Run it, or go on with it. Raises ConfigError."""
        folder = self.find(user, audit_id)
        self.refuse_busy(folder)
        if not folder.config.is_file():
            raise ConfigError("there is no plan yet; choose one first")
        self.queue.enqueue(folder, "audit")

    def refuse_busy(self, folder: AuditFolder) -> None:
        """Raises ConfigError while something else is under way than working out a time."""
        job = folder.job()
        if job is not None and not job.gives_way_to("audit"):
            raise ConfigError("something is under way for this audit; wait for its end or cancel it")

    def cancel(self, user: str, audit_id: str) -> None:
        """What is done is kept."""
        self.queue.cancel(self.find(user, audit_id))

    def delete(self, user: str, audit_id: str) -> None:
        """Images, trainings, report."""
        self.shelf.delete(user, audit_id)

    def status(self, user: str, audit_id: str) -> Status:
        """What the page asks every two seconds: a few small files."""
        folder = self.find(user, audit_id)
        about, job = folder.about(), folder.job()
        progress = folder.read(folder.progress) or {}
        step = f"{progress['step']}: {progress['done']} of {progress['total']}" if progress else ""
        run = read_run(folder.run)
        done, total = (0, 0) if run is None else (run.done, run.cells)
        ended = run is not None and run.state in ("complete", "incomplete")
        return Status(
            about.id,
            about.title,
            about.source,
            job,
            self.queue.position(folder),
            step,
            done,
            total,
            self.seconds_left(folder, done, total),
            run.verdict if run is not None and ended else None,
        )

    def seconds_left(self, folder: AuditFolder, done: int, total: int) -> float | None:
        """The predicted time less what the events say has passed; None where nothing was predicted."""
        predicted = folder.read(folder.estimate)
        if predicted is None or done >= total > 0:
            return None
        spent = EventLog(folder.run).seconds() if folder.run.is_dir() else 0.0
        return max(float(predicted["wall_seconds"]) - spent, 0.0)

    def events(self, user: str, audit_id: str, event: str) -> list[dict[str, Any]]:
        """Of one kind, in order."""
        return EventLog(self.find(user, audit_id).run).of(event)

    def data_check(self, user: str, audit_id: str) -> DataCheck | None:
        """What was found in the data; None while it is not known."""
        file = self.find(user, audit_id).checks / CHECK_FILE
        return DataCheck.model_validate_json(file.read_bytes()) if file.is_file() else None

    def results(self, user: str, audit_id: str) -> AuditResult | None:
        """None while there are none."""
        folder = self.find(user, audit_id)
        file = folder.run / "results.json"
        return (
            AuditResult.load(file) if file.is_file() and RunStore(folder.run).is_marked_complete() else None
        )

    def file(self, user: str, audit_id: str, name: str) -> Path:
        """One file to be downloaded. Raises ConfigError where it is none of these, or not there yet."""
        folder = self.find(user, audit_id)
        if name not in FILES:
            raise ConfigError("no such file")
        path = folder.run / name
        if name == "scores.csv":
            result = self.results(user, audit_id)
            if result is not None:
                write_atomic(path, scores_csv(result))
        if not path.is_file():
            raise ConfigError("not written yet")
        return path

    def history(self, user: str) -> list[Status]:
        """All audits of a user, the newest first."""
        return [self.status(user, folder.path.name) for folder in self.shelf.of(user)]

    def estimate(self, user: str, audit_id: str) -> dict[str, Any] | None:
        """What the plan costs; None while it is not known."""
        folder = self.find(user, audit_id)
        return folder.read(folder.estimate)


def scores_csv(result: AuditResult) -> str:
    """All conditions, one per line. Text that a spreadsheet would take for a formula is quoted with an apostrophe."""
    head = "model,optimizer,defence,attack,severity,accuracy,low,high,level,n_images,n_groups,n_seeds,reading"
    lines = [head]
    for c in result.conditions:
        a = c.accuracy
        texts = [c.model, c.optimizer, c.defence, c.attack, str(c.severity)]
        numbers = [f"{a.estimate:.6f}", f"{a.low:.6f}", f"{a.high:.6f}", f"{a.level:g}"]
        counts = [str(a.n_images), str(a.n_groups), str(a.n_seeds)]
        lines.append(",".join(map(csv_cell, [*texts, *numbers, *counts, c.reading or ""])))
    return "\n".join(lines) + "\n"


def csv_cell(text: str) -> str:
    """One cell."""
    if text[:1] in ("=", "@", "+"):
        text = f"'{text}"
    return json.dumps(text, ensure_ascii=False).replace('\\"', '""') if re.search(r'[",\n]', text) else text
