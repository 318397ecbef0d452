"""What engines cost and gain: speed-up of two workers, overhead per cell, and the time to find that all is done.

    python benchmarks/engines.py --out DIR [--repeats 3] [--cells 12] [--finished 500] [--without-ray]

Speed-up: a grid of small cells (small CNN, 32 x 32 phantoms) with one and with two worker processes, alternately,
workers started beforehand. Overhead: cells that hardly train; the time of the workers that no cell accounts for, per
cell. Finished: the same command (`audit run`), and `audit resume`, on a run directory where so many cells are done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from audit.cells import CellContext
from audit.data.phantoms import make_phantoms
from audit.engine_processes import ProcessEngine
from audit.engine_ray import RayEngine
from audit.interrupts import StopRequest
from audit.plan import CLEAN_SPEC, Cell, make_recipe
from audit.settings import RAY, AuditConfig

Make = Callable[[int], ProcessEngine | RayEngine]


def context(size: int, images: int, engine: str = "local") -> CellContext:
    """Phantoms, a few or many."""
    dataset = make_phantoms("oct", size, images, 0, 40, 0)
    config = AuditConfig(models=["small-cnn"], engine=engine, device="cpu")
    evaluation = config.evaluation.model_copy(update={"explained_images": 0})
    config = config.model_copy(update={"evaluation": evaluation})
    return CellContext(dataset.train, dataset.test, dataset.class_names, config, "cpu")


def cells(count: int, epochs: int) -> list[tuple[Cell, None]]:
    """Clean trainings that differ by their seed."""
    recipe = make_recipe(
        AuditConfig(models=["small-cnn"]),
        model="small-cnn",
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=None,
        normalization="none",
        augmentation="none",
        preprocessing="none",
        loss="ce",
        stopping="none",
        dropout=0.0,
    ).model_copy(update={"epochs": epochs})
    seeded = [recipe.model_copy(update={"seed": seed}) for seed in range(count)]
    return [(Cell(id=str(n), recipe=r, attack=CLEAN_SPEC, role="grid"), None) for n, r in enumerate(seeded)]


def seconds_of(engine: ProcessEngine | RayEngine, jobs: Sequence[tuple[Cell, None]]) -> tuple[float, float]:
    """(on the clock, inside the cells) once every worker has run one cell."""
    with engine:
        list(engine.run_cells(jobs[: len(engine.places)], lambda event: None))
        started = time.perf_counter()
        results = list(engine.run_cells(jobs, lambda event: None))
        clock = time.perf_counter() - started
    assert all(result.status == "done" for result in results), results[0].failure
    return clock, sum(result.seconds for result in results)


def speed_up(make: Make, count: int, repeats: int) -> str:
    """One worker against two."""
    jobs = cells(count, 4)
    ratios = [seconds_of(make(1), jobs)[0] / seconds_of(make(2), jobs)[0] for _ in range(repeats)]
    return (
        f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {count} cells, {repeats} repeats"
    )


def overhead(make: Make, workers: int, repeats: int) -> str:
    """Milliseconds of a worker per cell."""
    jobs = cells(40, 1)
    found = []
    for _ in range(repeats):
        clock, inside = seconds_of(make(workers), jobs)
        found.append(1000 * (clock * workers - inside) / len(jobs))
    return f"{np.median(found):.1f} ms ({min(found):.1f} to {max(found):.1f}), {len(jobs)} cells, {repeats} repeats"


def finished(folder: Path, count: int, repeats: int) -> list[str]:
    """Seconds until the same command, and `audit resume`, have shown the results of a finished run."""
    settings = {
        "models": "[small-cnn]", "optimizers": "[adam]", "normalizations": "[none]", "baseline.model": "small-cnn",
        "severities": "[0, 1]", "seeds": str(list(range(count // 2))), "search.enabled": "false",
        "controls.methods": "[shortcut]", "data.image_size": 8, "data.n_train": 16, "data.n_test": 16,
        "training.epochs": 1, "evaluation.explained_images": 0,
    }  # fmt: skip
    options = [part for field, value in settings.items() for part in ("--set", f"{field}={value}")]
    run = [sys.executable, "-m", "audit", "run", "oct", "--profile", "quick", "--out", str(folder), *options]
    started = time.perf_counter()
    subprocess.run(run, check=True, capture_output=True)
    done = len(list(folder.glob("cells/*.json")))
    told = [f"{done} cells for the first time: {time.perf_counter() - started:.0f} s"]
    for name, command in (("the same command", run), ("audit resume", [*run[:3], "resume", str(folder)])):
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
        told.append(f"{name}: {np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--finished", type=int, default=500)
    parser.add_argument("--without-ray", action="store_true")
    options = parser.parse_args()

    def local(size: int, images: int) -> Make:
        return lambda workers: ProcessEngine(context(size, images), None, workers, StopRequest())

    def on_ray(size: int, images: int) -> Make:
        return lambda workers: RayEngine(context(size, images, RAY), None, workers, StopRequest())

    kinds = {"local": local} if options.without_ray else {"local": local, "ray": on_ray}
    for name, kind in kinds.items():
        print(f"{name}: 1 to 2 workers {speed_up(kind(32, 200), options.cells, options.repeats)}", flush=True)
        for workers in (1, 2):
            print(
                f"{name}: overhead, {workers} worker(s) {overhead(kind(16, 16), workers, options.repeats)}",
                flush=True,
            )
    for line in finished(options.out, options.finished, options.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()
