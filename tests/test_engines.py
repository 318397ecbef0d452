"""Worker processes and this process give the same numbers; what goes wrong says so in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import torch
from pydantic import ValidationError

from audit.attack.perturbation import Perturbation
from audit.attack.surrogate_task import surrogate_task
from audit.attack.surrogates import Job
from audit.cells import CellContext
from audit.dispatch import WorkerError
from audit.engine_processes import ATTEMPTS_IN_WORDS, ProcessEngine
from audit.engine_ray import RayEngine, started_ray
from audit.engines import Engine, InProcessEngine, choose_device, make_engine, worker_count
from audit.errors import AuditError
from audit.interrupts import StopRequest
from audit.plan import CLEAN_SPEC, AttackSpec, Cell
from audit.results import CellResult, EpochReading, Recipe
from audit.settings import AuditConfig, SearchSettings
from audit.workbench import in_one_line
from tests.command_line import ROOT
from tests.planted import noise_split, random_perturbation

SETTINGS = SearchSettings(images_per_class=24, steps=15, batch_size=16)


def context() -> CellContext:
    config = AuditConfig(search=SETTINGS)
    return CellContext(noise_split(48, 16), noise_split(20, 16, seed=1), ("a", "b"), config, "cpu")


def cells() -> list[Cell]:
    recipe = Recipe(
        model="small-cnn", stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
        normalization="none", epochs=2, batch_size=16, seed=0,
    )  # fmt: skip
    random = AttackSpec(attack="random", severity=1, draw=0, seed=0)
    return [
        Cell(id="clean", recipe=recipe, attack=CLEAN_SPEC, role="grid"),
        Cell(id="random", recipe=recipe, attack=random, role="control"),
        Cell(id="seed1", recipe=recipe.model_copy(update={"seed": 1}), attack=CLEAN_SPEC, role="grid"),
    ]


def everything(engine: Engine) -> tuple[list[object], dict[str, CellResult], set[str]]:
    pixels = [random_perturbation((16, 16), 1, 2, 1, seed) for seed in range(3)]
    seen: set[str] = set()

    def on_epoch(event: tuple[str, EpochReading]) -> None:
        seen.add(f"{event[0]} {event[1].epoch}")

    with engine:
        readings = engine.score_all([Job(p, seed, SETTINGS.steps) for p in pixels for seed in (0, 1)])
        jobs = [(cell, pixels[0] if cell.attack.attack == "random" else None) for cell in cells()]
        results = {result.id: result for result in engine.run_cells(jobs, on_epoch)}
    return list(readings), untimed(results), seen


def untimed(results: dict[str, CellResult]) -> dict[str, CellResult]:
    return {k: r.model_copy(update={"seconds": 0.0, "peak_bytes": None}) for k, r in results.items()}


def on_ray(workers: int) -> RayEngine:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    config = context().config.model_copy(update={"engine": "ray"})
    there = replace(context(), config=config)
    return RayEngine(there, surrogate_task(there.train, 2, SETTINGS), workers, StopRequest())


@pytest.fixture(scope="module")
def here() -> tuple[list[object], dict[str, CellResult], set[str]]:
    return everything(InProcessEngine(context(), surrogate_task(context().train, 2, SETTINGS), StopRequest()))


@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_other_engines_and_this_process_agree_to_the_last_bit(
    here: tuple[list[object], dict[str, CellResult], set[str]], kind: str
) -> None:
    task = surrogate_task(context().train, 2, SETTINGS)
    other = ProcessEngine(context(), task, 2, StopRequest()) if kind == "processes" else on_ray(2)
    there = everything(other)
    assert here[0] == there[0]
    assert here[1] == there[1] and set(here[1]) == {"clean", "random", "seed1"}
    assert here[2] == {f"{cell} {epoch}" for cell in here[1] for epoch in (1, 2)}
    assert there[2] <= here[2], "readings that come after the result are not waited for"


# ---- workers that die


class Deadly:
    """Kills the process that unpickles it, as often as `lives` files are left."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return die_while_files_are_left, (self.folder,)


def die_while_files_are_left(folder: str) -> None:
    for file in Path(folder).iterdir():
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyPerturbation:
    """A perturbation that kills its worker when the cell begins."""

    id = "deadly"

    def __init__(self, folder: Path, times: int) -> None:
        self.folder = folder
        for number in range(times):
            (folder / str(number)).touch()

    def apply(self, images: object, labels: object) -> object:
        die_while_files_are_left(str(self.folder))
        return images

    def overlay(self, images: object, label: int) -> object:
        return images


def run_with_a_deadly_cell(engine: Engine, folder: Path, times: int) -> dict[str, CellResult]:
    deadly = cast("Perturbation", DeadlyPerturbation(folder, times))
    jobs = [(cell, deadly if cell.attack.attack == "random" else None) for cell in cells()]
    with engine:
        return {result.id: result for result in engine.run_cells(jobs, lambda event: None)}


@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_a_dead_worker_s_cell_is_tried_once_more(tmp_path: Path, kind: str) -> None:
    deaths: list[str] = []
    told = partial(deaths.append, "one")
    processes = kind == "processes"
    engine = ProcessEngine(context(), None, 2, StopRequest(), told) if processes else on_ray(2)
    found = run_with_a_deadly_cell(engine, tmp_path, 1)
    assert deaths == (["one"] if kind == "processes" else []), "Ray replaces its workers by itself"
    assert {key: result.status for key, result in found.items()} == dict.fromkeys(
        ("clean", "random", "seed1"), "done"
    )


@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_a_cell_that_no_worker_survives_is_failed_and_the_others_are_done(tmp_path: Path, kind: str) -> None:
    engine = ProcessEngine(context(), None, 2, StopRequest()) if kind == "processes" else on_ray(2)
    found = run_with_a_deadly_cell(engine, tmp_path, 9)
    assert {key: result.status for key, result in found.items()} == {
        "clean": "done", "random": "failed", "seed1": "done",
    }  # fmt: skip
    words = {
        "processes": "its worker process died twice (killed, or out of memory)",
        "ray": "its Ray worker died twice (killed, out of memory, or its node went away)",
    }
    assert found["random"].failure == words[kind]
    assert len(list(tmp_path.iterdir())) == 9 - 2, "tried twice"


def test_a_search_whose_workers_die_twice_stops_in_one_line(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / str(number)).touch()
    task = surrogate_task(context().train, 2, SETTINGS)
    with ProcessEngine(context(), task, 2, StopRequest()) as engine, pytest.raises(WorkerError) as died:
        engine.score_all([Job(cast("Perturbation", Deadly(tmp_path)), 0, 1)])
    assert str(died.value) == (
        f"the search stopped: {ATTEMPTS_IN_WORDS}; readings are kept: run the same command again, with --workers 1 if "
        "memory is short"
    )
    assert died.value.exit_code == 4


def test_an_idle_worker_that_died_is_replaced() -> None:
    with ProcessEngine(context(), None, 2, StopRequest()) as engine:
        for process in engine.processes:
            os.kill(process.pid.result(), signal.SIGKILL)
        found = list(engine.run_cells([(cell, None) for cell in cells()], lambda event: None))
    assert [result.status for result in found] == ["done"] * 3


def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    script = (
        "import time, sys\nfrom tests.test_engines import context, ProcessEngine, StopRequest\n"
        "if __name__ == '__main__':\n"
        "    engine = ProcessEngine(context(), None, 2, StopRequest()).__enter__()\n"
        "    print(*[p.pid.result() for p in engine.processes], flush=True)\n"
        "    time.sleep(600)\n"
    )
    (tmp_path / "parent.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """A zombie, whose parent is gone and which nobody waits for, is dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# ---- a stop


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_lets_cells_under_way_finish_and_begins_no_other(workers: int) -> None:
    stop = StopRequest()
    jobs = [(cell.model_copy(update={"id": f"{cell.id}{n}"}), None) for n in range(4) for cell in cells()]
    with make_engine(context(), None, workers, stop) as engine:
        found = []
        for result in engine.run_cells(jobs, lambda event: None):
            found.append(result)
            stop.asked = True
        assert 1 <= len(found) <= 1 + workers
        assert all(result.status == "done" for result in found)
        with pytest.raises(KeyboardInterrupt):
            engine.score_all([])


# ---- what goes wrong inside


def test_an_error_in_a_cell_is_its_result_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError("list index\nout of range")

    monkeypatch.setattr("audit.cells.train", broken)
    (found,) = InProcessEngine(context(), None, StopRequest()).run_cells([(cells()[0], None)], lambda e: None)
    assert found.status == "failed"
    assert found.failure == "IndexError: list index out of range (test_engines.py: broken)"


def test_short_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr("audit.cells.train", greedy)
    (found,) = InProcessEngine(context(), None, StopRequest()).run_cells([(cells()[0], None)], lambda e: None)
    assert found.failure == (
        "out of memory, even with two images at a time; try fewer workers or a smaller model"
    )
    assert in_one_line(torch.OutOfMemoryError("CUDA out of memory"), "cuda") == (
        "out of memory, even with two images at a time; try a smaller model or image size"
    )


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AuditError) as refusal:
        started_ray("ray", 1)
    assert str(refusal.value) == (
        'engine: Ray is not installed; pip install "imaging-audit[ray]", or use --engine local'
    )


def test_a_cluster_that_does_not_answer() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.raises(AuditError) as refusal:
        started_ray("ray:127.0.0.1:9", 1)
    assert str(refusal.value) == (
        "engine: no Ray cluster answers at 127.0.0.1:9; start one (ray start --head), or use --engine ray for one on "
        "this machine"
    )


def test_unknown_engine() -> None:
    with pytest.raises(
        ValidationError, match="unknown engine 'slurm'; write local, ray, or ray:ADDRESS of a cluster"
    ):
        AuditConfig(engine="slurm")


def test_cuda_asked_for_in_vain() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(AuditError) as refusal:
        choose_device("cuda")
    assert str(refusal.value) == (
        "device: cuda was asked for but no CUDA device is visible; use --device cpu or auto"
    )


def test_workers_default_to_the_cores_and_to_one_on_a_gpu() -> None:
    assert worker_count(AuditConfig(), "cpu") == len(os.sched_getaffinity(0))
    assert worker_count(AuditConfig(), "cuda") == 1
    assert worker_count(AuditConfig(workers=3), "cuda") == 3
    assert isinstance(make_engine(context(), None, 1), InProcessEngine)
