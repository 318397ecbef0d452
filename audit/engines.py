"""Where work runs: one single-threaded process per core, this process alone (one worker, a GPU), or a Ray cluster.

Two threads beside another busy process were 5 to 15 times slower than one thread per process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol

from audit.attack.search_desk import Answer, DeskJob
from audit.attack.surrogate_task import SurrogateTask
from audit.attack.surrogates import Job, Reading
from audit.cells import CellContext
from audit.engine_processes import ProcessEngine
from audit.errors import AuditError
from audit.interrupts import StopRequest
from audit.results import CellResult
from audit.settings import LOCAL, AuditConfig
from audit.workbench import CellJob, EpochEvent, Workbench


class Engine(Protocol):
    """What the runner needs: score surrogates in order, run cells in any order. Once a stop is asked for, no further
    cell is begun."""

    def score_all(self, jobs: Sequence[Job]) -> list[Reading]: ...

    def answer_all(self, jobs: Sequence[DeskJob]) -> list[Answer]: ...

    def run_cells(
        self, jobs: Sequence[CellJob], on_epoch: Callable[[EpochEvent], None]
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


def make_engine(
    context: CellContext,
    task: SurrogateTask | None,
    workers: int,
    stop: StopRequest | None = None,
    on_death: Callable[[], None] = lambda: None,
) -> Engine:
    """The engine that the configuration names, with this many workers. All kinds give the same numbers. `on_death` is
    called when a worker died."""
    stop = stop or StopRequest()
    if context.config.engine != LOCAL:
        from audit.engine_ray import RayEngine

        return RayEngine(context, task, workers, stop, on_death)
    if workers == 1:
        return InProcessEngine(context, task, stop)
    return ProcessEngine(context, task, workers, stop, on_death)


class InProcessEngine:
    """Everything in this process, one after the other."""

    def __init__(self, context: CellContext, task: SurrogateTask | None, stop: StopRequest) -> None:
        self.stop = stop
        self.bench = Workbench(context, task)

    def __enter__(self) -> InProcessEngine:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def score_all(self, jobs: Sequence[Job]) -> list[Reading]:
        """Readings in the order of the jobs."""
        self.stop.check()
        return self.bench.score(jobs)

    def answer_all(self, jobs: Sequence[DeskJob]) -> list[Answer]:
        """Answers in the order of the jobs."""
        self.stop.check()
        return [self.bench.answer(job) for job in jobs]

    def run_cells(
        self, jobs: Sequence[CellJob], on_epoch: Callable[[EpochEvent], None]
    ) -> Iterator[CellResult]:
        """Results as they come."""
        for job in jobs:
            if self.stop.asked:
                return
            yield self.bench.cell(job, on_epoch)
