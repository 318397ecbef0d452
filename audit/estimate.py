"""How long an audit will take, from a few timed steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from audit.attack.perturbation import Perturbation
from audit.attack.surrogates import SurrogateTrainer, surrogate_task
from audit.config import AuditConfig
from audit.data.dataset import ImageDataset
from audit.plan import AuditPlan, Cell
from audit.results import CLEAN
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
    searches = [attack for attack in plan.searches if any(cell.attack == attack for cell in missing)]
    surrogates = sum(plan.budget(attack, dataset).trainings for attack in searches)
    total += surrogates * time_surrogate(dataset, config, device) if surrogates else 0.0
    return Estimate(total, total / workers, len(missing), surrogates)


def time_model(
    name: str, images: torch.Tensor, labels: torch.Tensor, n_classes: int, config: AuditConfig
) -> tuple[float, float]:
    """(seconds per training step, seconds per predicted image)."""
    height, width = images.shape[-2:]
    model = build_model(name, n_classes, images.shape[1], config.training.stem, (height, width))
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


def time_surrogate(dataset: ImageDataset, config: AuditConfig, device: str) -> float:
    """Seconds of one surrogate training."""
    few = config.search.model_copy(update={"steps": 4, "images": 64})
    task = surrogate_task(dataset.train, len(dataset.class_names), few, config.training.augmentation)
    trainer = SurrogateTrainer(task, few, device)
    nothing = Perturbation(
        image_size=dataset.image_size, channels=dataset.channels, n_classes=task.n_classes, edits=()
    )
    trainer.train([nothing], seed=0)
    return timed(lambda: trainer.train([nothing], seed=0), 1) / few.steps * config.search.steps


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
