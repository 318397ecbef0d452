"""The process that takes jobs from the queue: `python -m apps.worker DATA`. Each job is a process of its own, so that
its memory goes with it and it can be stopped."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from apps.queueing import Queue
from apps.settings import ServerSettings
from apps.shelf import AuditFolder, Job, Kind, Shelf
from audit.errors import RunDirectoryError
from audit.run_lock import held

LOOKS = 2  # jobs of the short lane at once
POLL = 0.3  # seconds
GRACE = 60.0  # seconds from asking a job to stop until it is ended
SWEEP = 3600.0  # seconds


class Worker:
    """Does jobs until it is told to stop."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings, self.stopping = settings, threading.Event()
        self.queue = Queue(settings, self.work)
        self.shelf = Shelf(settings)

    def work(self, audit_id: str, kind: Kind) -> None:
        """One job, from the queue: in a process, under the eye of this thread."""
        folder = AuditFolder(self.settings.audits / audit_id)
        job = folder.job()
        if job is None or (job.kind, job.state) != (kind, "queued"):
            return  # cancelled or deleted meanwhile, or done already
        if not folder.set_job(kind, "working", only=job):
            return
        command = [sys.executable, "-m", "apps.work", kind, str(folder.path), str(self.settings.data)]
        with (folder.path / "log.txt").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.watch(process, folder, job.token)
        left = folder.job()
        silent = left is not None and (left.token, left.state) == (job.token, "working")
        if left is not None and silent and not self.stopping.is_set():
            self.account_for(folder, left, process.returncode)

    def watch(self, process: subprocess.Popen[bytes], folder: AuditFolder, token: str) -> None:
        """Until it ends; asked to stop where the user or the server wants it or something else was asked for since,
        ended where it does not hear."""
        asked: float | None = None
        while process.poll() is None:
            job = folder.job()
            unwanted = folder.cancelled.exists() or self.stopping.is_set()
            if asked is None and (unwanted or (job is not None and job.token != token)):
                process.terminate()
                asked = time.monotonic()
            if asked is not None and time.monotonic() - asked > GRACE:
                process.kill()
            time.sleep(POLL)

    def account_for(self, folder: AuditFolder, job: Job, code: int) -> None:
        """A job that ended without a word."""
        if folder.cancelled.exists():
            folder.set_job(job.kind, "cancelled")
        else:
            reason = (
                f"the work ended unexpectedly (code {code}; memory?); what was finished is kept: try again"
            )
            folder.set_job(job.kind, "failed", reason)

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Jobs that were under way are put back when the next worker starts."""
        self.queue.recover()
        consumers = [
            self.queue.lanes["looks"].create_consumer(workers=LOOKS, periodic=False, max_delay=1.0),
            self.queue.lanes["audits"].create_consumer(
                workers=self.settings.running, periodic=False, max_delay=1.0
            ),
        ]
        for consumer in consumers:
            consumer.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        swept = 0.0
        while not self.stopping.wait(1.0):
            if time.monotonic() - swept > SWEEP or not swept:
                self.shelf.sweep()
                swept = time.monotonic()
        for consumer in consumers:
            consumer.stop(graceful=True)


def main() -> None:
    """`python -m apps.worker DATA`; does nothing where another worker is at it."""
    data = Path(sys.argv[1])
    with contextlib.suppress(RunDirectoryError), held(data):
        Worker(ServerSettings.load(data)).run()


if __name__ == "__main__":
    main()
