"""Surrogate trainings per minute of the engine against a plain PyTorch loop, and where the time goes.

    python benchmarks/search.py PATH.npz [--candidates 16] [--steps 100] [--repeats 3] [--json]

Same surrogate, images, steps, batch size and candidates for both, alternately in one run, so that a busy
machine hits both. The plain loop trains candidate after candidate in NCHW with PyTorch's default threads, on the
same device. On a GPU: --candidates 32.

Then the same for the surrogate in closed form: fits per minute of a search's first stage (whole, features of new
edits included) against a plain loop that makes the features of all images and solves the regression, fit after fit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from audit.attack.baselines import random_edits
from audit.attack.closed_form import FIT_WEIGHT, RIDGE, SHARPNESS, SMALLEST_RIDGE, ClosedForm
from audit.attack.edits import blocks_of
from audit.attack.networks import SURROGATES
from audit.attack.perturbation import Perturbation
from audit.attack.search import KeptReadings, SearchRequest
from audit.attack.search_desk import NETWORKS, Propose
from audit.attack.surrogate_task import SurrogateTask, surrogate_task
from audit.attack.surrogates import Job, SurrogateTrainer
from audit.cells import CellContext
from audit.data.dataset import ImageDataset
from audit.data.load import load_dataset
from audit.engines import choose_device, make_engine, worker_count
from audit.settings import AuditConfig, DataSettings, SearchSettings
from audit.training.precision import resolved

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.machine import peak, time_by_kind, wait


def request_for(dataset: ImageDataset, task: SurrogateTask, settings: SearchSettings) -> SearchRequest:
    """One pixel per class."""
    return SearchRequest(
        train=dataset.train,
        task=task,
        severity=1,
        classes=tuple(range(task.n_classes)),
        fraction=1.0,
        seed=0,
        settings=settings,
        readings=KeptReadings(lambda jobs: []),
        on_generation=lambda generation: None,
    )


def candidates(
    dataset: ImageDataset, task: SurrogateTask, settings: SearchSettings, count: int
) -> list[Perturbation]:
    """Random draws: training takes as long for all."""
    request = request_for(dataset, task, settings)
    return [request.perturbation(random_edits(request, seed)) for seed in range(count)]


def plain_loop(
    task: SurrogateTask, perturbations: list[Perturbation], settings: SearchSettings, device: str
) -> float:
    """Seconds for one candidate after the other, as anybody would write it first."""
    started = time.perf_counter()
    for perturbation in perturbations:
        changed = perturbation.apply(task.train_images, task.train_labels)
        images = torch.from_numpy(changed).to(device).float() / 255
        labels = torch.from_numpy(task.train_labels).to(device)
        torch.manual_seed(0)
        height, width = images.shape[2:]
        network = SURROGATES[settings.surrogate].build(images.shape[1], task.n_classes, (height, width))
        network.to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(settings.steps):
            batch = torch.randint(len(labels), (settings.batch_size,), device=device)
            loss = functional.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    wait(device)
    return time.perf_counter() - started


def plain_fits(
    task: SurrogateTask, perturbations: list[Perturbation], shared: ClosedForm
) -> tuple[list[float], float]:
    """(fitness, seconds) of the surrogate in closed form, as anybody would write it first: features of all images,
    one regression. The drawn weights and the scale of the features are `shared`."""
    started = time.perf_counter()
    labels, held = torch.from_numpy(task.train_labels), torch.from_numpy(task.held_labels)
    targets = functional.one_hot(labels, task.n_classes).float()
    found = []
    for perturbation in perturbations:
        changed = perturbation.apply(task.train_images, task.train_labels)
        features = shared.standardized(shared.features(shared.augmented(changed)))
        mean = features.mean(0)
        centred, towards = features - mean, targets - targets.mean(0)
        covariance = centred.T @ centred / len(features)
        ridge = RIDGE * covariance.diagonal().mean() + SMALLEST_RIDGE
        weights = torch.linalg.solve(
            covariance + ridge * torch.eye(len(mean)), centred.T @ towards / len(features)
        )
        # Without the part of the squared error that is the same for all candidates.
        error = ((centred @ weights - towards).square().mean(0) - towards.square().mean(0)).sum()
        reading = 0.0
        for sign, images in (
            (1, perturbation.apply(task.held_images, task.held_labels)),
            (-1, task.held_images),
        ):
            outputs = (shared.standardized(shared.features(shared.seen(images))) - mean) @ weights
            right = (SHARPNESS * outputs).softmax(1)[range(len(held)), held]
            reading += sign * float(
                torch.stack([right[held == k].mean() for k in range(task.n_classes)]).mean()
            )
        found.append(reading - FIT_WEIGHT * float(error))
    return found, time.perf_counter() - started


def closed_form(
    dataset: ImageDataset, settings: SearchSettings, count: int, repeats: int, threads: int
) -> dict[str, object]:
    """Fits per minute of both, alternately, and by how much their fitness differs at most."""
    task = surrogate_task(dataset.train, len(dataset.class_names), settings)
    perturbations = candidates(dataset, task, settings, count)
    request = request_for(dataset, task, settings)
    shared = ClosedForm(request, 0, "cpu")
    own = [shared.fitness(blocks_of(one)) for one in perturbations]
    config = AuditConfig(search=settings)
    context = CellContext(dataset.train, dataset.test, dataset.class_names, config, "cpu")
    plain, engine_rates, differences = [], [], []
    with make_engine(context, task, worker_count(config, "cpu")) as engine:
        for seed in range(repeats + 1):  # another seed is another search: nothing of the last one is kept
            torch.set_num_threads(threads)
            fitness, seconds = plain_fits(task, perturbations, shared)
            differences.append(float(np.abs(np.subtract(fitness, own)).max()))
            target = replace(request, seed=seed).target
            started = time.perf_counter()
            answers = engine.answer_all([Propose(target, n, settings.finalists) for n in range(NETWORKS)])
            scored = sum(answer["scored"] for answer in answers)
            engine_rates.append(60 * scored / (time.perf_counter() - started))
            plain.append(60 * count / seconds)
    ratios = np.divide(engine_rates, plain)[1:]  # the first starts the workers
    return {
        "plain_per_minute": plain[1:],
        "engine_per_minute": engine_rates[1:],
        "ratio": {"median": float(np.median(ratios)), "low": ratios.min(), "high": ratios.max()},
        "fitness_differs_at_most": max(differences),
    }


def throughput(
    dataset: ImageDataset, settings: SearchSettings, count: int, repeats: int, threads: int
) -> dict[str, object]:
    """Trainings per minute of both, alternately."""
    n_classes = len(dataset.class_names)
    task = surrogate_task(dataset.train, n_classes, settings)
    perturbations = candidates(dataset, task, settings, count)
    device = choose_device("auto")
    config = AuditConfig(search=settings)
    context = CellContext(dataset.train, dataset.test, dataset.class_names, config, device)
    plain, engine_seconds = [], []
    with make_engine(context, task, worker_count(config, device)) as engine:
        engine.score_all([Job(p, 0, settings.steps) for p in perturbations[:4]])  # workers start
        for _ in range(repeats):
            torch.set_num_threads(threads)
            plain.append(plain_loop(task, perturbations, settings, device))
            started = time.perf_counter()
            engine.score_all([Job(p, 0, settings.steps) for p in perturbations])
            engine_seconds.append(time.perf_counter() - started)
    ratios = [a / b for a, b in zip(plain, engine_seconds, strict=True)]
    return {
        "device": device,
        "workers": worker_count(config, device),
        "plain_threads": threads,
        "plain_per_minute": [60 * count / s for s in plain],
        "engine_per_minute": [60 * count / s for s in engine_seconds],
        "ratio": {"median": float(np.median(ratios)), "low": min(ratios), "high": max(ratios)},
    }


def multiplications(settings: SearchSettings, task: SurrogateTask) -> float:
    """Floating-point operations of one training step: forward, and twice that backward."""
    total = 0
    height, width = task.train_images.shape[2:]
    network = SURROGATES[settings.surrogate].build(
        task.train_images.shape[1], task.n_classes, (height, width)
    )

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        weight = getattr(layer, "weight", None)
        if isinstance(layer, nn.Conv2d | nn.Linear) and weight is not None:
            places = output[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
            total += 2 * weight.numel() * places

    for layer in network:
        layer.register_forward_hook(count)
    network.eval()(torch.zeros(1, *task.train_images.shape[1:]))
    return 3.0 * total * settings.batch_size


def share_of_peak(dataset: ImageDataset, settings: SearchSettings, count: int) -> dict[str, object]:
    """One training on one thread (on a GPU: a population): its rate, the machine's, and, on a CPU, the time by
    kind of operation."""
    torch.set_num_threads(1)
    device = choose_device("auto")
    task = surrogate_task(dataset.train, len(dataset.class_names), settings)
    trainer = SurrogateTrainer(task, settings, device)
    population = candidates(dataset, task, settings, count if device == "cuda" else 1)

    def train() -> None:
        trainer.train(trainer.population(population), 0, settings.steps)
        wait(device)

    train()
    started = time.perf_counter()
    train()
    step = (time.perf_counter() - started) / settings.steps
    dtype = torch.float32 if resolved(device, settings.precision) == "float32" else torch.bfloat16
    rate = len(population) * multiplications(settings, task) / step
    return {
        "milliseconds_per_step": 1e3 * step,
        "gflops": rate / 1e9,
        "peak_gflops": {str(d).removeprefix("torch."): peak(d, device) / 1e9 for d in {torch.float32, dtype}},
        "share_of_peak": rate / peak(dtype, device),
        "time": time_by_kind(train) if device == "cpu" else {},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dataset = load_dataset(DataSettings(path=options.data), lambda done, total: None)
    threads = torch.get_num_threads()  # before anything sets another number
    found: dict[str, object] = {}
    for precision in ("float32", "auto"):
        settings = SearchSettings(images_per_class=120, steps=options.steps, precision=precision)
        measured = {
            **throughput(dataset, settings, options.candidates, options.repeats, threads),
            **share_of_peak(dataset, settings, options.candidates),
        }
        found[precision] = measured
        print(precision, json.dumps(measured, indent=1))
    found["closed form"] = closed_form(
        dataset, SearchSettings(images_per_class=120), options.candidates, options.repeats, threads
    )
    print("closed form", json.dumps(found["closed form"], indent=1))
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
