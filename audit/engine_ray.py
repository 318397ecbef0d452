"""A Ray cluster, or an embedded Ray on this machine. Images lie once in each node's object store; Ray places the
tasks, and tries one again elsewhere when its worker or node dies. Extra: `ray`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from audit.attack.surrogate_task import SurrogateTask
from audit.attack.surrogates import Job
from audit.cells import CellContext
from audit.dispatch import PlacesEngine, WorkerDied
from audit.errors import AuditError
from audit.interrupts import StopRequest
from audit.settings import RAY
from audit.workbench import SURROGATES_TOGETHER, EpochEvent, Workbench

DIED = "its Ray worker died twice (killed, out of memory, or its node went away)"
RETRIES = 1
KNOCK_SECONDS = 5.0


class RayEngine(PlacesEngine):
    """As many tasks in flight as the cluster has cores, or shares of a GPU: `workers` of them share one."""

    attempts = 1  # Ray itself tries again

    def __init__(
        self,
        context: CellContext,
        task: SurrogateTask | None,
        workers: int,
        stop: StopRequest,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        # Ray tells of dead nodes on stdout, which is for --json alone.
        self.stdout = contextlib.redirect_stdout(sys.stderr)
        self.stdout.__enter__()
        try:
            self.ray = started_ray(context.config.engine, workers)
        except BaseException:
            self.stdout.__exit__(None, None, None)
            raise
        on_gpu = context.device == "cuda"
        share = 1 / (context.config.workers or 1) if on_gpu else 0.0
        resources = self.ray.cluster_resources()
        count = int(resources.get("GPU", 0) / share) if on_gpu else int(resources.get("CPU", 1))
        self.remote = self.ray.remote(num_cpus=1, num_gpus=share, max_retries=RETRIES)(ray_work)
        self.held = [self.ray.put((context, task))]  # in a list: a worker fetches it once, not for every task
        self.queue = epoch_queue(self.ray)
        self.key = uuid.uuid4().hex
        self.running: set[Any] = set()
        places = [RayPlace(self, number == 0) for number in range(max(count, 1))]
        super().__init__(context, places, stop, on_death)

    def together(self, jobs: Any) -> list[list[Job]]:
        """On a GPU as many as train in one program."""
        size = SURROGATES_TOGETHER if self.context.device == "cuda" else 1
        return [list(jobs[i : i + size]) for i in range(0, len(jobs), size)]

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for reference in self.running:
                with contextlib.suppress(Exception):  # what has ended meanwhile
                    self.ray.cancel(reference, force=True)
        self.queue.shutdown(force=True)
        self.ray.shutdown()
        self.stdout.__exit__(None, None, None)


class RayPlace:
    """One task in flight."""

    def __init__(self, engine: RayEngine, reads_events: bool) -> None:
        self.engine, self.reads_events = engine, reads_events

    def submit(self, work: str, job: object) -> Future[Any]:
        """Begin a piece of work."""
        engine = self.engine
        reference = engine.remote.remote(engine.key, engine.held, work, job, engine.queue)
        engine.running.add(reference)
        told: Future[Any] = Future()

        def hand_on(done: Future[Any]) -> None:
            engine.running.discard(reference)
            error = done.exception()
            if error is None:
                told.set_result(done.result())
            elif isinstance(error, engine.ray.exceptions.RayTaskError):
                told.set_exception(error.cause)
            else:
                told.set_exception(WorkerDied(DIED))

        reference.future().add_done_callback(hand_on)
        return told

    def epochs(self) -> list[EpochEvent]:
        """What all workers have sent so far."""
        if not self.reads_events:
            return []
        found: list[EpochEvent] = self.engine.queue.get_nowait_batch(self.engine.queue.qsize())
        return found

    def renew(self) -> None:
        """Ray starts workers by itself."""


def started_ray(engine: str, workers: int) -> Any:
    """Ray, connected. Raises AuditError where the extra is missing or nothing answers at the address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))
    try:
        import ray
    except ImportError:
        raise AuditError(
            'engine: Ray is not installed; pip install "imaging-audit[ray]", or use --engine local'
        ) from None
    address = engine.partition(":")[2]
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    if not address:
        ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
        return ray
    try:
        knock(address)
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError):
        raise AuditError(
            f"engine: no Ray cluster answers at {address}; start one (ray start --head), or use --engine {RAY} for one "
            "on this machine"
        ) from None
    return ray


def knock(address: str) -> None:
    """Raises OSError where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def epoch_queue(ray: Any) -> Any:
    """A queue on the driver's own node: it goes only when the driver goes."""
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})


worker: dict[str, Any] = {}  # what this Ray worker holds, of one audit


def ray_work(key: str, held: list[Any], work: str, job: Any, queue: Any) -> object:
    """In the worker: one job."""
    import ray

    if worker.get("key") != key:
        # Arrays of the object store are shared and cannot be written to; nobody does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        worker.update(key=key, bench=Workbench(*ray.get(held[0])))
    bench: Workbench = worker["bench"]
    if work == "score":
        return bench.score(job)
    if work == "answer":
        return bench.answer(job)

    def tell(event: EpochEvent) -> None:
        with contextlib.suppress(Exception):  # progress only
            queue.put_nowait(event)

    return bench.cell(job, tell)
