"""One cell of the grid: perturb -> train -> predict -> evaluate. Runs wherever the engine puts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from audit.attack.perturbation import Perturbation
from audit.data.dataset import Images, Labels, Split
from audit.evaluation import metrics
from audit.plan import Cell
from audit.results import CellMeasures, CellResult, EpochReading
from audit.settings import AuditConfig
from audit.training.trainer import TrainingDiverged, predict, recalibrate_batch_norm, train

MATCHED_FIT = 0.95  # accuracy on the training images as trained from which fits count as comparable
MONITOR_SEED = 7


@dataclass(frozen=True)
class CellContext:
    """What all cells of an audit share."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    config: AuditConfig
    device: str


OnEpoch = Callable[[EpochReading], None]


def run_cell(
    cell: Cell,
    perturbation: Perturbation | None,
    context: CellContext,
    on_epoch: OnEpoch,
    check_cancelled: Callable[[], None],
) -> CellResult:
    """Train and measure one cell. A loss that is not finite ends the cell as failed, with the reason."""
    started = time.monotonic()
    images = context.train.images
    if perturbation is not None:
        images = perturbation.apply(images, context.train.labels)
    as_trained = torch.from_numpy(np.ascontiguousarray(images)).to(context.device)
    labels = torch.from_numpy(context.train.labels).to(context.device)
    monitor = EpochMonitor(cell, as_trained, labels, context, on_epoch)
    common = {
        "id": cell.id,
        "model": cell.pair[0],
        "optimizer": cell.pair[1],
        "defence": cell.pair[2],
        "attack": cell.attack.attack,
        "severity": cell.attack.severity,
        "seed": cell.recipe.seed,
        "draw": cell.attack.draw,
        "role": cell.role,
        "recipe": cell.recipe,
        "perturbation_id": perturbation.id if perturbation else None,
        "device": context.device,
    }
    try:
        model = train(
            cell.recipe,
            as_trained,
            labels,
            len(context.class_names),
            context.config.training.oversample,
            monitor.read,
            check_cancelled,
        )
    except TrainingDiverged as error:
        seconds = time.monotonic() - started
        return CellResult(**common, status="failed", failure=str(error), seconds=seconds)
    measures, predictions = measure(model, cell, perturbation, as_trained, labels, monitor.readings, context)
    return CellResult(
        **common,
        status="done",
        measures=measures,
        predictions=[int(p) for p in predictions],
        seconds=time.monotonic() - started,
    )


class EpochMonitor:
    """Reads training fit and clean test accuracy after each epoch (Fig. 4-3)."""

    def __init__(
        self, cell: Cell, as_trained: Tensor, labels: Tensor, context: CellContext, on_epoch: OnEpoch
    ) -> None:
        self.cell, self.context, self.on_epoch = cell, context, on_epoch
        self.test_images = torch.from_numpy(context.test.images).to(context.device)
        chosen = np.random.default_rng(MONITOR_SEED).permutation(len(labels))
        sample = torch.from_numpy(chosen[: context.config.evaluation.monitor_images]).to(context.device)
        self.images, self.labels = as_trained[sample], labels[sample].cpu()
        self.readings: list[EpochReading] = []

    def read(self, model: nn.Module, epoch: int, train_loss: float) -> None:
        """One reading, from a fixed sample of the training images and all test images."""
        normalization = self.cell.recipe.normalization
        batch_size = self.context.config.evaluation.batch_size
        recalibrate_batch_norm(model, self.images, normalization, batch_size)
        fit = predict(model, self.images, normalization, batch_size).argmax(1)
        test = predict(model, self.test_images, normalization, batch_size).argmax(1).numpy()
        reading = EpochReading(
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=float((fit == self.labels).float().mean()),
            test_accuracy=metrics.accuracy(self.context.test.labels, test),
        )
        self.readings.append(reading)
        self.on_epoch(reading)


def measure(
    model: nn.Module,
    cell: Cell,
    perturbation: Perturbation | None,
    as_trained: Tensor,
    train_labels: Tensor,
    epochs: list[EpochReading],
    context: CellContext,
) -> tuple[CellMeasures, Labels]:
    """All measures of the final weights, and the predicted class of every test image."""
    normalization = cell.recipe.normalization
    batch_size = context.config.evaluation.batch_size
    recalibrate_batch_norm(model, as_trained, normalization, batch_size)

    def probabilities(images: Images) -> Tensor:
        return predict(model, torch.from_numpy(images).to(context.device), normalization, batch_size)

    fit = predict(model, as_trained, normalization, batch_size).argmax(1)
    outputs = probabilities(context.test.images).numpy()
    predicted = outputs.argmax(1).astype(np.int64)
    labels = context.test.labels
    right = metrics.accuracy(labels, predicted)
    alpha_n = None
    if perturbation is not None:
        alpha_n = nuisance_sensitivity(
            perturbation, context.test.images, len(context.class_names), probabilities
        )
    peak = max(epochs, key=lambda reading: reading.test_accuracy)
    matched = next((reading for reading in epochs if reading.train_accuracy >= MATCHED_FIT), None)
    measures = CellMeasures(
        accuracy=right,
        balanced_accuracy=metrics.balanced_accuracy(labels, predicted),
        auc=metrics.auc(labels, outputs),
        ece=metrics.expected_calibration_error(labels, outputs),
        semantic_sensitivity=metrics.above_chance(right, len(context.class_names)),
        nuisance_sensitivity=alpha_n,
        train_accuracy=float((fit == train_labels.cpu()).float().mean()),
        matched_fit_epoch=matched.epoch if matched else None,
        matched_fit_accuracy=matched.test_accuracy if matched else None,
        peak_accuracy=peak.test_accuracy,
        peak_epoch=peak.epoch,
        per_class=metrics.per_class(labels, predicted, context.class_names),
        confusion=metrics.confusion_matrix(labels, predicted, len(context.class_names)),
        epochs=epochs,
    )
    return measures, predicted


def nuisance_sensitivity(
    perturbation: Perturbation, images: Images, n_classes: int, probabilities: Callable[[Images], Tensor]
) -> float:
    """alpha_N (2.13): overlay the edits of class k on all test images (a copy), count predictions equal
    to k, mean over k, normalized like alpha_S."""
    rates = []
    for label in range(n_classes):
        predicted = probabilities(perturbation.overlay(images, label)).argmax(1)
        rates.append(float((predicted == label).float().mean()))
    return metrics.above_chance(float(np.mean(rates)), n_classes)
