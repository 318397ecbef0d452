"""How long an audit will take, from a few timed steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from audit.attack.block_search import CHILDREN, POOL, PROPOSED, ROUNDS, STARTS, SWEEPS
from audit.attack.closed_form import ClosedForm
from audit.attack.evoshift import CHILDREN as CHILDREN_RANKED
from audit.attack.perturbation import Perturbation
from audit.attack.question import Question
from audit.attack.search_desk import NETWORKS
from audit.attack.surrogate_task import surrogate_task
from audit.attack.surrogates import SurrogateTrainer
from audit.data.dataset import ImageDataset
from audit.plan import AttackSpec, AuditPlan, Cell
from audit.results import CLEAN, EVOSHIFT, Recipe
from audit.settings import AuditConfig
from audit.training.augmentation import Augmented
from audit.training.optimizers import build_optimizer
from audit.training.reading import predict
from audit.training.sampling import epoch_steps
from audit.training.trainer import TrainingImages, accumulate_gradients, fresh_network

TIMED_STEPS = 2
NEW_BLOCKS = 1.5  # per child of a crossing


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
    n_classes = len(dataset.class_names)
    few = TrainingImages(
        torch.from_numpy(dataset.train.images[: config.training.batch_size]).to(device),
        torch.from_numpy(dataset.train.labels[: config.training.batch_size]).to(device),
        n_classes,
    )
    recipes = {cell.recipe.model: cell.recipe for cell in missing}
    per_model = {model: time_model(recipe, few) for model, recipe in recipes.items()}
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
    evolved = [attack for attack in searches if attack.attack == EVOSHIFT]
    if evolved and config.search.closed_form:
        total += sum(time_closed_form(attack, plan, dataset, device) for attack in evolved)
    return Estimate(total, total / workers, len(missing), surrogates)


def time_model(recipe: Recipe, batch: TrainingImages) -> tuple[float, float]:
    """(seconds per training step, seconds per predicted image)."""
    network = fresh_network(recipe, batch)
    optimizer = build_optimizer("adam", network.parameters(), 1e-3)
    network.train()

    def step() -> None:
        optimizer.zero_grad()
        loss = accumulate_gradients(
            network, Augmented(batch.images), batch.labels, len(batch.labels), recipe.precision
        )
        optimizer.step()
        float(loss)  # waits for a GPU

    step()
    per_step = timed(step, TIMED_STEPS)
    per_prediction = timed(lambda: predict(network, batch.images, len(batch.images)), TIMED_STEPS)
    return per_step, per_prediction / len(batch.images)


def time_surrogate(dataset: ImageDataset, config: AuditConfig, device: str) -> float:
    """Seconds of one surrogate training."""
    few = config.search.model_copy(update={"steps": 4, "images": 64})
    task = surrogate_task(dataset.train, len(dataset.class_names), few, config.search_augmentation)
    trainer = SurrogateTrainer(task, few, device)
    nothing = Perturbation(
        image_size=dataset.image_size, channels=dataset.channels, n_classes=task.n_classes, edits=()
    )
    images = trainer.population([nothing])
    trainer.train(images, seed=0)
    return timed(lambda: trainer.train(images, seed=0), 1) / few.steps * config.search.steps


def time_closed_form(attack: AttackSpec, plan: AuditPlan, dataset: ImageDataset, device: str) -> float:
    """Seconds of the proposals and rankings of one search: features of every block, and the regressions."""
    settings, n_classes = plan.config.search, len(dataset.class_names)
    task = surrogate_task(dataset.train, n_classes, settings, plan.config.search_augmentation)
    classes = attack.classes or tuple(range(n_classes))
    question = Question(task, attack.severity, classes, attack.fraction, attack.seed, settings)
    closed_form = ClosedForm(question, 0, device)
    edit = (classes[0], 1, 1, (1.0,) * dataset.channels)
    closed_form.fitness({classes[0]: (edit,)})
    shades = iter(range(255))

    def fresh() -> object:
        return closed_form.moments(
            classes[0], ((classes[0], 2, 2, (next(shades) / 255,) * dataset.channels),)
        )

    block = timed(fresh, TIMED_STEPS)
    choices = [((classes[0], 1, 1, (value / 255,) * dataset.channels),) for value in range(8)]
    closed_form.fitness_of({}, classes[0], choices)
    fit = timed(lambda: closed_form.fitness_of({}, classes[0], choices), TIMED_STEPS) / len(choices)
    pool = len(classes) * (POOL + PROPOSED)
    budget = plan.budget(attack, dataset)
    ranked = budget.crossings * budget.population * CHILDREN_RANKED
    proposed = pool + ROUNDS * CHILDREN
    return NETWORKS * (
        (proposed + NEW_BLOCKS * ranked) * block + (STARTS * SWEEPS * pool + ROUNDS * CHILDREN + ranked) * fit
    )


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
