"""Worker processes and this process give the same numbers; what goes wrong says so in one line."""

from __future__ import annotations

import os
import signal

import pytest

from audit.attack.surrogate_task import surrogate_task
from audit.cells import CellContext
from audit.engines import (
    InProcessEngine,
    ProcessEngine,
    WorkerError,
    choose_device,
    make_engine,
    worker_count,
)
from audit.errors import AuditError
from audit.plan import CLEAN_SPEC, AttackSpec, Cell
from audit.results import CellResult, EpochReading, Recipe
from audit.settings import AuditConfig, SearchSettings
from tests.planted import noise_split, random_perturbation

SETTINGS = SearchSettings(images=48, steps=15, batch_size=16)


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


def everything(
    engine: InProcessEngine | ProcessEngine,
) -> tuple[list[object], dict[str, CellResult], set[str]]:
    pixels = [random_perturbation((16, 16), 1, 2, 1, seed) for seed in range(3)]
    seen: set[str] = set()

    def on_epoch(cell_id: str, reading: EpochReading) -> None:
        seen.add(f"{cell_id} {reading.epoch}")

    with engine:
        readings = engine.score_all([(p, seed) for p in pixels for seed in (0, 1)])
        jobs = [(cell, pixels[0] if cell.attack.attack == "random" else None) for cell in cells()]
        results = {result.id: result for result in engine.run_cells(jobs, on_epoch)}
    return list(readings), results, seen


def test_processes_and_this_process_agree_to_the_last_bit() -> None:
    task = surrogate_task(context().train, 2, SETTINGS)
    here = everything(InProcessEngine(context(), task))
    there = everything(ProcessEngine(context(), task, 2))
    assert here[0] == there[0]
    untimed = [
        {k: r.model_copy(update={"seconds": 0.0}) for k, r in found[1].items()} for found in (here, there)
    ]
    assert untimed[0] == untimed[1] and set(untimed[0]) == {"clean", "random", "seed1"}
    assert here[2] == {f"{cell} {epoch}" for cell in untimed[0] for epoch in (1, 2)}


def test_a_killed_worker_is_one_clear_line() -> None:
    with ProcessEngine(context(), None, 2) as engine:
        victim = engine.pool.submit(os.getpid).result()
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(WorkerError) as died:
            list(engine.run_cells([(cell, None) for cell in cells()], lambda *_: None))
    assert str(died.value) == (
        "a worker process died (killed, or out of memory); finished cells are kept: "
        "run the same command again, with --workers 1 if memory is short"
    )
    assert died.value.exit_code == 4


def test_cuda_asked_for_in_vain() -> None:
    import torch

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
