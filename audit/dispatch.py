"""Feeds jobs to places that work on one each, takes the results as they come, and tries a job once more whose place
died. What local processes and a Ray cluster share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

from audit.attack.search_desk import Answer, DeskJob
from audit.attack.surrogates import Job, Reading
from audit.cells import CellContext, failed_cell
from audit.errors import EXIT_INCOMPLETE, AuditError
from audit.interrupts import StopRequest
from audit.results import CellResult
from audit.workbench import CellJob, EpochEvent

POLL_SECONDS = 0.1


class WorkerError(AuditError):
    """A worker died twice on the same piece of a search (killed, or out of memory)."""

    exit_code = EXIT_INCOMPLETE


class WorkerDied(Exception):
    """What a place raises for its job when it dies; its place is then taken by a new one."""


@dataclass(frozen=True)
class Dead:
    """Stands for the result of a job that no worker survived."""

    reason: str


class Place(Protocol):
    """Somewhere to work on one job at a time."""

    def submit(self, work: str, job: object) -> Future[Any]:
        """Begin `work` ("score", "answer", "cell"). The future raises WorkerDied where its worker dies."""

    def epochs(self) -> list[EpochEvent]:
        """What was read since the last call."""

    def renew(self) -> None:
        """After a death: a new worker."""


class PlacesEngine:
    """An engine out of places."""

    attempts = 2  # for a job whose worker dies

    def __init__(
        self, context: CellContext, places: Sequence[Place], stop: StopRequest, on_death: Callable[[], None]
    ) -> None:
        self.context, self.places, self.stop, self.on_death = context, places, stop, on_death

    def score_all(self, jobs: Sequence[Job]) -> list[Reading]:
        """Readings in the order of the jobs."""
        parts = self.together(jobs)
        return [reading for part in self.in_order("score", parts) for reading in part]

    def together(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Jobs that one place takes at once."""
        return [[job] for job in jobs]

    def answer_all(self, jobs: Sequence[DeskJob]) -> list[Answer]:
        """Answers in the order of the jobs."""
        return self.in_order("answer", jobs)

    def run_cells(
        self, jobs: Sequence[CellJob], on_epoch: Callable[[EpochEvent], None]
    ) -> Iterator[CellResult]:
        """Results as they come."""
        for number, result in self.each("cell", jobs, on_epoch, lambda: self.stop.asked):
            cell, perturbation = jobs[number]
            if isinstance(result, Dead):
                yield failed_cell(cell, perturbation, self.context, result.reason)
            else:
                yield result

    def in_order(self, work: str, jobs: Sequence[object]) -> list[Any]:
        """All results of one step of a search. A stop waits for its end: half a generation is a few seconds."""
        self.stop.check()
        found: dict[int, Any] = {}
        for number, result in self.each(work, jobs, lambda event: None, lambda: False):
            if isinstance(result, Dead):
                raise WorkerError(
                    f"the search stopped: {result.reason}; readings are kept: run the same command again, with "
                    "--workers 1 if memory is short"
                )
            found[number] = result
        return [found[number] for number in range(len(jobs))]

    def each(
        self,
        work: str,
        jobs: Sequence[object],
        on_epoch: Callable[[EpochEvent], None],
        enough: Callable[[], bool],
    ) -> Iterator[tuple[int, Any]]:
        """(place among the jobs, result or Dead), as they come. No job is begun once `enough`."""
        waiting = deque(range(len(jobs)))
        free = list(self.places)
        running: dict[Future[Any], tuple[Place, int]] = {}
        tried: Counter[int] = Counter()
        while (waiting and not enough()) or running:
            while waiting and free and not enough():
                place, number = free.pop(0), waiting.popleft()
                running[place.submit(work, jobs[number])] = (place, number)
            done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for place in self.places:
                for event in place.epochs():
                    on_epoch(event)
            for future in done:
                place, number = running.pop(future)
                free.append(place)
                try:
                    result = future.result()
                except WorkerDied as death:
                    place.renew()
                    self.on_death()
                    tried[number] += 1
                    if tried[number] < self.attempts:
                        waiting.appendleft(number)
                        continue
                    result = Dead(str(death))
                yield number, result
