"""What a process that does the work holds: the images, and what was built from them once."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing import parent_process

import torch

from audit.attack.perturbation import Perturbation
from audit.attack.search_desk import Answer, DeskJob, SearchDesk
from audit.attack.surrogate_task import SurrogateTask
from audit.attack.surrogates import Job, Reading, SurrogateTrainer
from audit.cells import CellContext, failed_cell, run_cell
from audit.errors import AuditError
from audit.plan import Cell
from audit.results import CellResult, EpochReading
from audit.training.memory import is_out_of_memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
SURROGATES_TOGETHER = 64  # on a GPU; a population is at most about half of that

CellJob = tuple[Cell, Perturbation | None]
EpochEvent = tuple[str, EpochReading]  # (cell id, reading)


class Workbench:
    """Does jobs, one after the other, on one device."""

    def __init__(self, context: CellContext, task: SurrogateTask | None) -> None:
        self.context, self.task = context, task
        self.trainer: SurrogateTrainer | None = None
        self.desk: SearchDesk | None = None
        prepare_process(context)

    def score(self, jobs: Sequence[Job]) -> list[Reading]:
        """Readings in the order of the jobs. On a GPU all jobs of one seed and length train together."""
        if self.trainer is None:  # images are put in place once
            self.trainer = SurrogateTrainer(self.needed_task, self.context.config.search, self.context.device)
        together = SURROGATES_TOGETHER if self.context.device == "cuda" else 1
        readings: dict[int, Reading] = {}
        for seed, steps in dict.fromkeys((job.seed, job.steps) for job in jobs):
            own = [i for i, job in enumerate(jobs) if (job.seed, job.steps) == (seed, steps)]
            for part in (own[i : i + together] for i in range(0, len(own), together)):
                scored = self.trainer.score([jobs[i].perturbation for i in part], seed, steps)
                readings |= dict(zip(part, scored, strict=True))
        return [readings[i] for i in range(len(jobs))]

    def answer(self, job: DeskJob) -> Answer:
        """One answer in closed form."""
        if self.desk is None:
            self.desk = SearchDesk(self.needed_task, self.context.config.search, self.context.device)
        return self.desk.answer(job)

    def cell(self, job: CellJob, on_epoch: Callable[[EpochEvent], None]) -> CellResult:
        """One training. What goes wrong in it is its result, and no reason for the others not to be done; what the
        user can mend (AuditError) is."""
        cell, perturbation = job
        try:
            return run_cell(cell, perturbation, self.context, lambda reading: on_epoch((cell.id, reading)))
        except AuditError:
            raise
        except Exception as error:  # noqa: BLE001 - of a model that the user brought, or of a device
            return failed_cell(cell, perturbation, self.context, in_one_line(error, self.context.device))

    @property
    def needed_task(self) -> SurrogateTask:
        """Raises ValueError where this engine was made for cells only."""
        if self.task is None:
            raise ValueError("no surrogate task was given to this engine")
        return self.task


def in_one_line(error: Exception, device: str) -> str:
    """What went wrong and where, without the folders of this machine."""
    if is_out_of_memory(error):
        remedy = "a smaller model or image size" if device == "cuda" else "fewer workers or a smaller model"
        return f"out of memory, even with two images at a time; try {remedy}"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace is not None else None
    place = f" ({os.path.basename(code.co_filename)}: {code.co_name})" if code is not None else ""  # noqa: PTH119
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{place}"


def prepare_process(context: CellContext) -> None:
    """Threads, memory and determinism of the process that works."""
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


def end_with_parent() -> None:
    """Have this process end when the one that started it does, however that ends."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
