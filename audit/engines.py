"""Where work runs: one single-threaded process per core, or this process alone (one worker, a GPU).

Two threads beside another busy process were 5 to 15 times slower than one thread per process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.synchronize import Event as EventFlag
from queue import Empty
from types import TracebackType
from typing import Any, Protocol

from audit.attack.perturbation import Perturbation
from audit.attack.search_desk import Answer, DeskJob, SearchDesk
from audit.attack.surrogate_task import SurrogateTask
from audit.attack.surrogates import Reading, SurrogateTrainer
from audit.cells import CellContext, run_cell
from audit.errors import EXIT_INCOMPLETE, AuditError
from audit.plan import Cell
from audit.results import CellResult, EpochReading
from audit.settings import AuditConfig

POLL_SECONDS = 0.1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
SURROGATES_TOGETHER = 64  # on a GPU; a population is at most about half of that

EpochEvent = tuple[str, EpochReading]  # (cell id, reading)


class Cancelled(Exception):
    """The audit was interrupted; this piece of work stops between two steps."""


class WorkerError(AuditError):
    """A worker process died (killed, or out of memory)."""

    exit_code = EXIT_INCOMPLETE


class Engine(Protocol):
    """What the runner needs: score surrogates in order, run cells in any order."""

    def score_all(self, jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]: ...

    def answer_all(self, jobs: Sequence[DeskJob]) -> list[Answer]: ...

    def run_cells(
        self, jobs: Sequence[tuple[Cell, Perturbation | None]], on_epoch: Callable[[str, EpochReading], None]
    ) -> Iterator[CellResult]: ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def choose_device(wanted: str, deterministic: bool = False) -> str:
    """`auto`: CUDA where there is a device, else CPU. Raises AuditError when CUDA is asked for in vain.

    `deterministic` is said here because cuBLAS reads its setting when it is first used.
    """
    import torch

    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    if wanted == "cuda" and not torch.cuda.is_available():
        raise AuditError("device: cuda was asked for but no CUDA device is visible; use --device cpu or auto")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def worker_count(config: AuditConfig, device: str) -> int:
    """As configured; else one per core that this process may use, and one on a GPU."""
    if config.workers is not None:
        return config.workers
    return 1 if device == "cuda" else len(os.sched_getaffinity(0))


def make_engine(context: CellContext, task: SurrogateTask | None, workers: int) -> Engine:
    """The engine for this many workers. Both kinds give the same numbers."""
    return InProcessEngine(context, task) if workers == 1 else ProcessEngine(context, task, workers)


class InProcessEngine:
    """Everything in this process, one after the other."""

    def __init__(self, context: CellContext, task: SurrogateTask | None) -> None:
        self.context, self.task = context, task
        self.trainer: SurrogateTrainer | None = None
        self.desk: SearchDesk | None = None

    def __enter__(self) -> InProcessEngine:
        _prepare_process(self.context)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def score_all(self, jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]:
        """Readings in the order of the jobs. On a GPU all jobs of one seed train together."""
        if self.trainer is None:
            self.trainer = _trainer(self.task, self.context)
        together = SURROGATES_TOGETHER if self.context.device == "cuda" else 1
        readings: dict[int, Reading] = {}
        for seed in dict.fromkeys(seed for _, seed in jobs):
            own = [i for i, job in enumerate(jobs) if job[1] == seed]
            for part in (own[i : i + together] for i in range(0, len(own), together)):
                scored = self.trainer.score([jobs[i][0] for i in part], seed)
                readings |= dict(zip(part, scored, strict=True))
        return [readings[i] for i in range(len(jobs))]

    def answer_all(self, jobs: Sequence[DeskJob]) -> list[Answer]:
        """Answers in the order of the jobs."""
        if self.desk is None:
            self.desk = _desk(self.task, self.context)
        return [self.desk.answer(job) for job in jobs]

    def run_cells(
        self, jobs: Sequence[tuple[Cell, Perturbation | None]], on_epoch: Callable[[str, EpochReading], None]
    ) -> Iterator[CellResult]:
        """Results as they come."""
        for cell, perturbation in jobs:

            def report(reading: EpochReading, cell_id: str = cell.id) -> None:
                on_epoch(cell_id, reading)

            yield run_cell(cell, perturbation, self.context, report, lambda: None)


class ProcessEngine:
    """Worker processes; the data set travels to each of them once."""

    def __init__(self, context: CellContext, task: SurrogateTask | None, workers: int) -> None:
        self.spawn = get_context("spawn")  # fork would copy torch's thread pool in an unusable state
        self.events: Any = self.spawn.Queue()
        self.cancel: EventFlag = self.spawn.Event()
        self.context = context
        self.pool = ProcessPoolExecutor(
            workers, self.spawn, _start_worker, (context, task, self.events, self.cancel)
        )
        with _interrupts_ignored():  # inherited: Ctrl-C must not hit workers that still import torch
            self.pool.submit(os.getpid)

    def __enter__(self) -> ProcessEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.cancel.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.events.close()

    def score_all(self, jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]:
        """Readings in the order of the jobs."""
        futures = [self.pool.submit(_worker_score, job) for job in jobs]
        with _clear_death():
            return [future.result() for future in futures]

    def answer_all(self, jobs: Sequence[DeskJob]) -> list[Answer]:
        """Answers in the order of the jobs."""
        futures = [self.pool.submit(_worker_answer, job) for job in jobs]
        with _clear_death():
            return [future.result() for future in futures]

    def run_cells(
        self, jobs: Sequence[tuple[Cell, Perturbation | None]], on_epoch: Callable[[str, EpochReading], None]
    ) -> Iterator[CellResult]:
        """Results as they come."""
        waiting: set[Future[CellResult]] = {self.pool.submit(_worker_cell, job) for job in jobs}
        while waiting:
            done, waiting = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            with contextlib.suppress(Empty):
                while True:
                    on_epoch(*self.events.get_nowait())
            for future in done:
                with _clear_death():
                    yield future.result()


@contextlib.contextmanager
def _clear_death() -> Iterator[None]:
    """A dead worker becomes one line with a remedy."""
    try:
        yield
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process died (killed, or out of memory); finished cells are kept: "
            "run the same command again, with --workers 1 if memory is short"
        ) from None


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C. Signals can be set in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_worker: dict[str, Any] = {}  # what this worker process holds; filled once by `_start_worker`


def _start_worker(context: CellContext, task: SurrogateTask | None, events: Any, cancel: EventFlag) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, through the flag
    _prepare_process(context)
    _worker.update(context=context, task=task, events=events, cancel=cancel)


def _prepare_process(context: CellContext) -> None:
    import torch

    if context.device == "cpu":
        torch.set_num_threads(1)
        keep_freed_memory()
    elif context.config.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    else:
        torch.backends.cudnn.benchmark = True  # shapes of batches repeat


def keep_freed_memory() -> None:
    """Have glibc keep what is freed. Otherwise every tensor of some 100 kB is fresh from the kernel each time,
    page by page: a fifth of the time of a surrogate's step. No effect with other C libraries."""
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most that glibc accepts
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _check_cancelled() -> None:
    if _worker["cancel"].is_set():
        raise Cancelled


def _worker_score(job: tuple[Perturbation, int]) -> Reading:
    _check_cancelled()
    perturbation, seed = job
    if "trainer" not in _worker:  # images are put in place once per worker
        _worker["trainer"] = _trainer(_worker["task"], _worker["context"])
    trainer: SurrogateTrainer = _worker["trainer"]
    return trainer.score([perturbation], seed)[0]


def _worker_answer(job: DeskJob) -> Answer:
    _check_cancelled()
    if "desk" not in _worker:
        _worker["desk"] = _desk(_worker["task"], _worker["context"])
    desk: SearchDesk = _worker["desk"]
    return desk.answer(job)


def _worker_cell(job: tuple[Cell, Perturbation | None]) -> CellResult:
    cell, perturbation = job

    def report(reading: EpochReading) -> None:
        _worker["events"].put((cell.id, reading))

    return run_cell(cell, perturbation, _worker["context"], report, _check_cancelled)


def _trainer(task: SurrogateTask | None, context: CellContext) -> SurrogateTrainer:
    if task is None:
        raise ValueError("no surrogate task was given to this engine")
    return SurrogateTrainer(task, context.config.search, context.device)


def _desk(task: SurrogateTask | None, context: CellContext) -> SearchDesk:
    if task is None:
        raise ValueError("no surrogate task was given to this engine")
    return SearchDesk(task, context.config.search, context.device)
