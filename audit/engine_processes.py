"""Worker processes on this machine. Each is a place of its own: when one dies, the others do not notice."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from queue import Empty
from typing import Any

from audit.attack.surrogate_task import SurrogateTask
from audit.cells import CellContext
from audit.dispatch import PlacesEngine, WorkerDied
from audit.interrupts import SIGNALS, StopRequest, signals_wait
from audit.workbench import EpochEvent, Workbench, end_with_parent

ATTEMPTS_IN_WORDS = "its worker process died twice (killed, or out of memory)"


class ProcessEngine(PlacesEngine):
    """One process per worker; the data set travels to each of them once."""

    def __init__(
        self,
        context: CellContext,
        task: SurrogateTask | None,
        workers: int,
        stop: StopRequest,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.processes = [WorkerProcess(context, task) for _ in range(workers)]
        super().__init__(context, self.processes, stop, on_death)

    def __enter__(self) -> ProcessEngine:
        try:
            for process in self.processes:
                process.start()
        except BaseException:  # a signal in between: those that were started must not be left alone
            self.end(at_once=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end(at_once=kind is not None)

    def end(self, at_once: bool) -> None:
        """End all processes."""
        for process in self.processes:
            process.end(at_once)


class WorkerProcess:
    """A pool of one process: a broken pool tells nobody else's job."""

    def __init__(self, context: CellContext, task: SurrogateTask | None) -> None:
        self.spawn = get_context("spawn")  # fork would copy torch's thread pool in an unusable state
        self.context, self.task = context, task
        self.pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """A fresh process, which begins to import torch."""
        with signals_wait():
            self.events: Any = self.spawn.Queue()  # its own: a killed process may leave it locked
            self.pool = ProcessPoolExecutor(
                1, self.spawn, start_worker, (self.context, self.task, self.events)
            )
            self.pid = self.pool.submit(os.getpid)

    def submit(self, work: str, job: object) -> Future[Any]:
        """Begin a piece of work."""
        told: Future[Any] = Future()
        if self.pool is None:
            raise RuntimeError("a worker is started before it is given work")
        try:
            begun = self.pool.submit(do_work, work, job)
        except BrokenProcessPool:  # it died while it had nothing to do
            told.set_exception(WorkerDied(ATTEMPTS_IN_WORDS))
            return told
        begun.add_done_callback(lambda done: hand_on(done, told))
        return told

    def epochs(self) -> list[EpochEvent]:
        """What the process has sent so far."""
        found = []
        with contextlib.suppress(Empty):
            while True:
                found.append(self.events.get_nowait())
        return found

    def renew(self) -> None:
        """A new process in place of a dead one."""
        self.end(at_once=True)
        self.start()

    def end(self, at_once: bool) -> None:
        """`at_once`: what it is doing is lost."""
        if self.pool is None:
            return
        if at_once:
            with contextlib.suppress(BrokenProcessPool, ProcessLookupError):
                os.kill(self.pid.result(), signal.SIGKILL)
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.events.close()


def hand_on(done: Future[Any], told: Future[Any]) -> None:
    """A finished future's content; the death of a pool in our words."""
    error = done.exception()
    if error is None:
        told.set_result(done.result())
    else:
        told.set_exception(WorkerDied(ATTEMPTS_IN_WORDS) if isinstance(error, BrokenProcessPool) else error)


worker: dict[str, Any] = {}  # what this worker process holds; filled once by `start_worker`


def start_worker(context: CellContext, task: SurrogateTask | None, events: Any) -> None:
    """In the process: before its first job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    end_with_parent()
    worker.update(bench=Workbench(context, task), events=events)


def do_work(work: str, job: Any) -> object:
    """In the process: one job."""
    bench: Workbench = worker["bench"]
    if work == "score":
        return bench.score(job)
    if work == "answer":
        return bench.answer(job)
    return bench.cell(job, worker["events"].put)
