"""The queue between page and worker: Huey, kept in SQLite or Redis. Short jobs wait behind short ones, audits behind
audits.

Fair: the first audit of each user that waits comes before the second of any (Huey's priorities).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Literal

from huey import Huey, RedisHuey, SqliteHuey

from apps.settings import ServerSettings
from apps.shelf import AuditFolder, Kind, NotYoursError, Shelf

Lane = Literal["looks", "audits"]
LANES: tuple[Lane, ...] = ("looks", "audits")
QUEUE_FILE = "queue.db"
TASK = "work"


def lane_of(kind: Kind) -> Lane:
    """Short jobs do not wait for long ones."""
    return "audits" if kind == "audit" else "looks"


class Queue:
    """Both lanes. `work` is what a worker calls with the id of an audit and the kind of job; a page needs none."""

    def __init__(self, settings: ServerSettings, work: Callable[[str, Kind], None] | None = None) -> None:
        self.settings, self.shelf = settings, Shelf(settings)
        self.lanes: dict[Lane, Huey] = {lane: make_huey(settings, lane) for lane in LANES}

        def job(audit_id: str, kind: Kind) -> None:
            """The same function by name in every process: a queue holds names."""
            (work or not_here)(audit_id, kind)

        self.tasks = {lane: huey.task(name=TASK)(job) for lane, huey in self.lanes.items()}

    def enqueue(self, folder: AuditFolder, kind: Kind) -> None:
        """Ask for a job; nothing happens while one waits or runs that does not give way to it."""
        job = folder.job()
        if job is not None and not job.gives_way_to(kind):
            return
        folder.cancelled.unlink(missing_ok=True)
        folder.progress.unlink(missing_ok=True)
        folder.set_job(kind, "queued", token=secrets.token_hex(8))
        self.put(folder, kind)

    def put(self, folder: AuditFolder, kind: Kind) -> None:
        """Into the lane, behind as many as the owner has there already."""
        lane = lane_of(kind)
        own = sum(self.owner_of(audit) == folder.about().owner for audit in self.waiting(lane))
        task = self.tasks[lane].s(folder.path.name, kind, priority=-own)
        self.lanes[lane].enqueue(task)

    def owner_of(self, audit_id: str) -> str:
        """Empty where the audit was deleted."""
        try:
            return AuditFolder(self.settings.audits / audit_id).about().owner
        except NotYoursError:
            return ""

    def waiting(self, lane: Lane) -> list[str]:
        """Ids in the order in which they will be taken."""
        tasks = self.lanes[lane].pending()
        tasks.sort(key=lambda task: -(task.priority or 0))
        return [str(task.args[0]) for task in tasks]

    def position(self, folder: AuditFolder) -> int | None:
        """1: the next one. None where it does not wait."""
        job = folder.job()
        if job is None or job.state != "queued":
            return None
        ids = self.waiting(lane_of(job.kind))
        return ids.index(folder.path.name) + 1 if folder.path.name in ids else None

    def cancel(self, folder: AuditFolder) -> None:
        """Waiting: taken out. Running: the worker stops it at the next step and keeps what is done."""
        job = folder.job()
        if job is None or not job.pending:
            return
        folder.cancelled.touch()
        if job.state == "queued":
            folder.set_job(job.kind, "cancelled")

    def recover(self) -> list[str]:
        """Put back what a dead worker had in hand, or what the queue has lost; returns the ids."""
        found = []
        for folder in self.shelf.everything():
            job = folder.job()
            if job is None or not job.pending or folder.is_worked_on():
                continue
            if folder.path.name not in self.waiting(lane_of(job.kind)):
                folder.set_job(job.kind, "queued")
                self.put(folder, job.kind)
                found.append(folder.path.name)
        return found


def make_huey(settings: ServerSettings, lane: Lane) -> Huey:
    """One lane, without results: these are files."""
    if settings.redis is not None:
        return RedisHuey(lane, url=settings.redis, results=False)
    options: dict[str, Any] = {"filename": str(settings.data / QUEUE_FILE), "results": False, "fsync": True}
    return SqliteHuey(lane, **options)


def not_here(audit_id: str, kind: Kind) -> None:
    """In place of the work, in processes that only ask for it."""
    raise RuntimeError(f"{kind} of {audit_id}: this process does no work")
