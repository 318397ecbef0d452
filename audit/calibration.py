"""A few timed steps on this machine, with as many threads at once as there will be workers, so that they get into each
other's way as the workers will."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
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
from audit.energy import Meter, Power, Stopwatch
from audit.peak_memory import forget_peak, held_bytes, peak_bytes
from audit.plan import AttackSpec, AuditPlan, Cell
from audit.results import EVOSHIFT, Recipe
from audit.settings import AuditConfig
from audit.training.augmentation import Augmented
from audit.training.optimizers import build_optimizer
from audit.training.reading import predict, scaled
from audit.training.trainer import TrainingImages, accumulate_gradients, fresh_network

STEPS, LEAST_SECONDS = 3, 0.5  # that are timed, at least
GRAD_CAM_BYTES = 263 * 2**20  # that importing MONAI's takes (MONAI 1.6, measured)
NEW_BLOCKS = 1.5  # per child of a crossing

Kind = tuple[str, str]
"""(model, loss): what the time of a step depends on, beside the data."""


@dataclass(frozen=True)
class ModelCost:
    """Of one kind of network."""

    step: float  # seconds per training step
    prediction: float  # seconds per image
    grown: int | None  # bytes that a training takes beside what is held anyway


@dataclass(frozen=True)
class ClosedFormCost:
    """Proposals and rankings of one search."""

    seconds: float
    kept: int  # bytes, in each worker


@dataclass(frozen=True)
class Calibration:
    """What pieces of the audit cost here, in seconds of one worker beside the others."""

    models: dict[Kind, ModelCost]
    surrogate: float  # one surrogate training
    closed_form: dict[AttackSpec, ClosedFormCost]
    held: int | None  # bytes of a worker that trains nothing; on a GPU 0
    power: Power


def kind_of(recipe: Recipe) -> Kind:
    """Recipes of one kind take equally long for a step."""
    return recipe.model, recipe.loss


def calibrate(
    plan: AuditPlan, dataset: ImageDataset, cells: Sequence[Cell], device: str, workers: int
) -> Calibration:
    """Time what the cells and their searches need."""
    torch.set_num_threads(1)
    together = workers if device == "cpu" else 1
    config = plan.config
    batch = TrainingImages(
        torch.from_numpy(dataset.train.images[: config.training.batch_size]).to(device),
        torch.from_numpy(dataset.train.labels[: config.training.batch_size]).to(device),
        len(dataset.class_names),
    )
    meter = Stopwatch(Meter(device))
    held = held_by_a_worker(config) if device == "cpu" else 0
    recipes = {kind_of(cell.recipe): cell.recipe for cell in cells}
    evaluation = config.evaluation
    explained = evaluation.batch_size if evaluation.explained_images else 0
    models = {kind: time_model(recipe, batch, together, explained) for kind, recipe in recipes.items()}
    searches = [attack for attack in plan.searches if any(cell.attack == attack for cell in cells)]
    surrogate = time_surrogate(dataset, config, device, together) if searches else 0.0
    joules, seconds = meter.read()
    evolved = [attack for attack in searches if attack.attack == EVOSHIFT and config.search.closed_form]
    return Calibration(
        models=models,
        surrogate=surrogate,
        closed_form={attack: time_closed_form(attack, plan, dataset, device, workers) for attack in evolved},
        held=held,
        power=Meter(device).power_of(joules, seconds, workers),
    )


def held_by_a_worker(config: AuditConfig) -> int | None:
    """Bytes before it trains anything: those of this process, which holds the images too, and of what explains."""
    held = held_bytes()
    explaining = GRAD_CAM_BYTES if config.evaluation.explained_images else 0
    return None if held is None else held + explaining


def time_model(recipe: Recipe, batch: TrainingImages, together: int, explained: int) -> ModelCost:
    """Steps and predictions of so many networks at once. `explained`: images that are explained at a time, which takes
    most memory."""
    device = batch.images.device.type
    gc.collect()
    before = held_bytes() if device == "cpu" else 0
    forget_peak(device)
    trained = [Trained(recipe, batch)]
    trained[0].step()
    trained[0].explain(explained)
    peak = peak_bytes(device)
    grown = None if peak is None or before is None else max(peak - before, 0)
    trained += [Trained(recipe, batch) for _ in range(together - 1)]
    per_step = timed([one.step for one in trained])
    per_prediction = timed([one.predict for one in trained]) / len(batch.images)
    return ModelCost(per_step, per_prediction, grown)


class Trained:
    """One network that is trained on one batch, over and over."""

    def __init__(self, recipe: Recipe, batch: TrainingImages) -> None:
        self.recipe, self.batch = recipe, batch
        self.network = fresh_network(recipe, batch)
        self.optimizer = build_optimizer("adam", self.network.parameters(), 1e-3)

    def step(self) -> None:
        """Forward, backward, update."""
        self.network.train()
        self.optimizer.zero_grad()
        images, labels = Augmented(self.batch.images), self.batch.labels
        loss = accumulate_gradients(self.network, images, labels, len(labels), self.recipe.precision)
        self.optimizer.step()
        float(loss)  # waits for a GPU

    def explain(self, count: int) -> None:
        """Gradients of that many outputs, as Grad-CAM asks for them."""
        if count:
            repeats = -(-count // len(self.batch.images))
            images = self.batch.images.repeat(repeats, 1, 1, 1)[:count]
            self.network.eval()(scaled(images)).sum().backward()
            self.optimizer.zero_grad()

    def predict(self) -> None:
        """Of the whole batch."""
        predict(self.network, self.batch.images, len(self.batch.images))


STEPS = 4  # of the surrogates that are timed


def time_surrogate(dataset: ImageDataset, config: AuditConfig, device: str, together: int) -> float:
    """Seconds of one surrogate training."""
    few = config.search.model_copy(update={"images_per_class": 16})
    task = surrogate_task(dataset.train, len(dataset.class_names), few, config.search_augmentation)
    trainer = SurrogateTrainer(task, few, device)
    nothing = Perturbation(
        image_size=dataset.image_size, channels=dataset.channels, n_classes=task.n_classes, edits=()
    )
    images = trainer.population([nothing])
    trainer.train(images, 0, STEPS)
    return timed([lambda: trainer.train(images, 0, STEPS)] * together) / STEPS * config.search.steps


def time_closed_form(
    attack: AttackSpec, plan: AuditPlan, dataset: ImageDataset, device: str, workers: int
) -> ClosedFormCost:
    """Of the proposals and rankings of one search: features of every block, and the regressions."""
    settings, n_classes = plan.config.search, len(dataset.class_names)
    task = surrogate_task(dataset.train, n_classes, settings, plan.config.search_augmentation)
    classes = attack.classes or tuple(range(n_classes))
    question = Question(task, attack.severity, classes, attack.fraction, attack.seed, settings)
    closed_form = ClosedForm(question, 0, device)
    edit = (classes[0], 1, 1, (1.0,) * dataset.channels)
    closed_form.fitness({classes[0]: (edit,)})
    shades = iter(range(10**6))

    def fresh() -> object:
        return closed_form.moments(
            classes[0], ((classes[0], 2, 2, (next(shades) / 255,) * dataset.channels),)
        )

    block = timed([fresh])
    choices = [((classes[0], 1, 1, (value / 255,) * dataset.channels),) for value in range(8)]
    closed_form.fitness_of({}, classes[0], choices)
    fit = timed([lambda: closed_form.fitness_of({}, classes[0], choices)]) / len(choices)
    pool = len(classes) * (POOL + PROPOSED)
    budget = plan.budget(attack, dataset)
    ranked = budget.crossings * budget.population * CHILDREN_RANKED
    proposed = pool + ROUNDS * CHILDREN
    blocks, fits = proposed + NEW_BLOCKS * ranked, STARTS * SWEEPS * pool + ROUNDS * CHILDREN + ranked
    one = closed_form.moments(classes[0], (edit,))
    bytes_each = sum(part.nbytes for part in (one.total, one.second, one.held))
    networks = NETWORKS / min(workers, NETWORKS)
    return ClosedFormCost(NETWORKS * (blocks * block + fits * fit), round(networks * blocks * bytes_each))


def timed(together: Sequence[Callable[[], object]]) -> float:
    """Median seconds of one call, with all of `together` at work at once, each in a thread."""
    seconds: list[float] = []

    def work(one: Callable[[], object]) -> None:
        began = time.perf_counter()
        own = 0
        while own < STEPS or time.perf_counter() - began < LEAST_SECONDS:
            started = time.perf_counter()
            one()
            seconds.append(time.perf_counter() - started)
            own += 1

    threads = [threading.Thread(target=work, args=(one,)) for one in together[1:]]
    for thread in threads:
        thread.start()
    work(together[0])
    for thread in threads:
        thread.join()
    return float(np.median(seconds))
