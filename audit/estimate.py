"""How long an audit will take, from a few timed steps on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from audit.attack.surrogates import fit_surrogate
from audit.config import AuditConfig
from audit.data.dataset import ImageDataset
from audit.plan import AuditPlan, Cell
from audit.results import CLEAN, EVOSHIFT
from audit.training.models import build_model
from audit.training.optimizers import build_optimizer
from audit.training.trainer import epoch_steps, predict, prepare

TIMED_STEPS = 2


@dataclass(frozen=True)
class Estimate:
    """Seconds of one worker, and of the wall with all of them."""

    worker_seconds: float
    wall_seconds: float
    trainings: int
    surrogate_trainings: int


def estimate_audit(
    plan: AuditPlan, dataset: ImageDataset, missing: list[Cell], device: str, workers: int
) -> Estimate:
    """Time a training step and a prediction of every model, and one surrogate; multiply out."""
    torch.set_num_threads(1)
    config = plan.config
    images = torch.from_numpy(dataset.train.images[: config.training.batch_size]).to(device)
    labels = torch.from_numpy(dataset.train.labels[: config.training.batch_size]).to(device)
    n_classes = len(dataset.class_names)
    per_model = {
        model: time_model(model, images, labels, n_classes, config)
        for model in sorted({cell.recipe.model for cell in missing})
    }
    steps = epoch_steps(
        torch.from_numpy(dataset.train.labels),
        n_classes,
        config.training.batch_size,
        config.training.oversample,
    )
    total = 0.0
    for cell in missing:
        step, predicted = per_model[cell.recipe.model]
        read_each = 2 * config.evaluation.monitor_images + len(dataset.test)
        overlays = 0 if cell.attack.attack == CLEAN else n_classes * len(dataset.test)
        read_last = 2 * len(dataset.train) + len(dataset.test) + overlays
        total += cell.recipe.epochs * (steps * step + read_each * predicted) + read_last * predicted
    searches = [a for a in plan.attacks if a.attack == EVOSHIFT and any(c.attack == a for c in missing)]
    surrogates = sum(search_trainings(config, dataset, a.severity) for a in searches)
    total += surrogates * time_surrogate(images, labels, n_classes, config) if surrogates else 0.0
    return Estimate(total, total / workers, len(missing), surrogates)


def search_trainings(config: AuditConfig, dataset: ImageDataset, severity: int) -> int:
    """Surrogate trainings of one search."""
    dimensions = (2 + dataset.channels) * len(dataset.class_names) * severity
    population = config.search.population or max(4 + int(3 * math.log(dimensions)), 16)
    return (
        population * config.search.generations + (config.search.finalists + 2) * config.search.rescoring_seeds
    )


def time_model(
    name: str, images: torch.Tensor, labels: torch.Tensor, n_classes: int, config: AuditConfig
) -> tuple[float, float]:
    """(seconds per training step, seconds per predicted image)."""
    model = build_model(name, n_classes, images.shape[1], config.training.stem)
    model.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer("adam", model.parameters(), 1e-3)
    model.train()

    def step() -> None:
        loss = functional.cross_entropy(model(prepare(images, "none")), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        float(loss.detach())  # waits for a GPU

    step()
    per_step = timed(step, TIMED_STEPS)
    per_prediction = timed(lambda: predict(model, images, "none", len(images)), TIMED_STEPS)
    return per_step, per_prediction / len(images)


def time_surrogate(images: torch.Tensor, labels: torch.Tensor, n_classes: int, config: AuditConfig) -> float:
    """Seconds of one surrogate training, halfway between the fewest and the most steps."""
    few = config.search.model_copy(update={"min_steps": 4, "max_steps": 4, "fit_accuracy": 1.0})
    fit_surrogate(images, labels, n_classes, 0, few)
    per_step = timed(lambda: fit_surrogate(images, labels, n_classes, 0, few), 1) / few.max_steps
    return per_step * (config.search.min_steps + config.search.max_steps) / 2


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of one call."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def in_words(seconds: float) -> str:
    """A duration as a person would say it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
