"""One cell of the grid: perturb -> train -> predict -> evaluate. Runs wherever the engine puts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.attack.perturbation import Perturbation
from audit.data.dataset import Images, Labels, Split
from audit.errors import ConfigError
from audit.evaluation import metrics
from audit.evaluation.standard_errors import standard_errors
from audit.explain import explain
from audit.peak_memory import forget_peak, peak_bytes
from audit.plan import Cell
from audit.results import (
    CLEAN,
    EVOSHIFT,
    MATCHED_FIT,
    NO_DEFENCE,
    CellMeasures,
    CellResult,
    EpochReading,
    Explanation,
    Recipe,
)
from audit.settings import AuditConfig
from audit.training.precision import resolved
from audit.training.preprocessing import Preprocessing, preprocessing
from audit.training.reading import predict, recalibrate_batch_norm
from audit.training.trainer import TrainingDiverged, TrainingImages, train
from audit.training.weights import load_weights

MONITOR_SEED = 7


@dataclass(frozen=True)
class CellContext:
    """What all cells of an audit share."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    config: AuditConfig
    device: str
    val: Split | None = None  # clean images for early stopping


@dataclass(frozen=True)
class Seen:
    """The images of a cell as its network sees them, on the device."""

    train: TrainingImages
    test: Tensor  # uint8 (N, C, H, W)
    preprocess: Preprocessing


def what_is_seen(cell: Cell, perturbation: Perturbation | None, context: CellContext) -> Seen:
    """Perturbation of the training images, then preprocessing of all: fitted on the training images as they are,
    perturbed or not."""
    images, labels = context.train.images, context.train.labels
    if perturbation is not None:
        images = perturbation.apply(images, labels)
    preprocess = preprocessing(cell.recipe.preprocessing).fit(images, labels, cell.recipe.seed)

    def on_device(array: Images) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(context.device)

    train = TrainingImages(
        on_device(preprocess(images)),
        torch.from_numpy(labels).to(context.device),
        len(context.class_names),
        context.config.training.oversample,
        trusted_images(cell, preprocess, context),
    )
    return Seen(train, on_device(preprocess(context.test.images)), preprocess)


def trusted_images(
    cell: Cell, preprocess: Preprocessing, context: CellContext
) -> tuple[Tensor, Tensor] | None:
    """Clean validation images as the network sees them, where the recipe stops by them."""
    if cell.recipe.stopping == NO_DEFENCE or context.val is None:
        return None
    images = torch.from_numpy(preprocess(context.val.images)).to(context.device)
    return images, torch.from_numpy(context.val.labels)


OnEpoch = Callable[[EpochReading], None]


def run_cell(
    cell: Cell, perturbation: Perturbation | None, context: CellContext, on_epoch: OnEpoch
) -> CellResult:
    """Train and measure one cell. A loss that is not finite ends the cell as failed, with the reason."""
    started = time.monotonic()
    forget_peak(context.device)
    seen = what_is_seen(cell, perturbation, context)
    monitor = EpochMonitor(seen, context, on_epoch)
    try:
        given = GivenWeights(cell.recipe, context.config.training.weights)
        trained = train(cell.recipe, seen.train, monitor.read, given.load)
    except TrainingDiverged as error:
        return failed_cell(cell, perturbation, context, str(error), time.monotonic() - started)
    measures, predictions = measure(trained.network, perturbation, seen, monitor.readings, context)
    return CellResult(
        **facts(cell, perturbation, context),
        status="done",
        measures=measures,
        predictions=[int(p) for p in predictions],
        explanation=explanation(trained.network, cell, perturbation, seen, context),
        micro_batch=trained.micro_batch,
        epoch=trained.epoch,
        weights_note=given.note,
        seconds=time.monotonic() - started,
        peak_bytes=peak_bytes(context.device),
    )


def failed_cell(
    cell: Cell, perturbation: Perturbation | None, context: CellContext, reason: str, seconds: float = 0.0
) -> CellResult:
    """A cell that gave nothing, and why."""
    return CellResult(**facts(cell, perturbation, context), status="failed", failure=reason, seconds=seconds)


def facts(cell: Cell, perturbation: Perturbation | None, context: CellContext) -> dict[str, Any]:
    """What is known of a result before its training."""
    return {
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
        "precision": resolved(context.device, cell.recipe.precision),
    }


class GivenWeights:
    """Puts the weights of the user's file, if there is one, into a fresh model, and keeps what became of them."""

    def __init__(self, recipe: Recipe, files: Mapping[str, Path]) -> None:
        self.recipe, self.file = recipe, files.get(recipe.model)
        self.note: str | None = None

    def load(self, model: nn.Module) -> None:
        """Raises ConfigError for a file that cannot be used or is not the one that was planned with."""
        if self.file is None:
            return
        report = load_weights(model, self.file)
        if report.sha256 != self.recipe.weights:
            raise ConfigError(f"{self.file}: changed since the audit was planned; start the command again")
        left = f"; left fresh: {', '.join(sorted(report.skipped))}" if report.skipped else ""
        self.note = f"{len(report.loaded)} tensors from {self.file.name}{left}"


class EpochMonitor:
    """Reads training fit and clean test accuracy after each epoch (Fig. 4-3)."""

    def __init__(self, seen: Seen, context: CellContext, on_epoch: OnEpoch) -> None:
        self.seen, self.context, self.on_epoch = seen, context, on_epoch
        chosen = np.random.default_rng(MONITOR_SEED).permutation(len(seen.train.labels))
        sample = torch.from_numpy(chosen[: context.config.evaluation.monitor_images]).to(context.device)
        self.images, self.labels = seen.train.images[sample], seen.train.labels[sample].cpu()
        self.readings: list[EpochReading] = []

    def read(self, network: nn.Module, epoch: int, train_loss: float) -> None:
        """One reading, from a fixed sample of the training images and all test images."""
        batch_size = self.context.config.evaluation.batch_size
        recalibrate_batch_norm(network, self.images, batch_size)
        fit = predict(network, self.images, batch_size).argmax(1)
        test = predict(network, self.seen.test, batch_size).argmax(1).numpy()
        reading = EpochReading(
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=float((fit == self.labels).float().mean()),
            test_accuracy=metrics.accuracy(self.context.test.labels, test),
        )
        # A training that began again in smaller parts reads its epochs again.
        self.readings = [*self.readings[: epoch - 1], reading]
        self.on_epoch(reading)


def measure(
    network: nn.Module,
    perturbation: Perturbation | None,
    seen: Seen,
    epochs: list[EpochReading],
    context: CellContext,
) -> tuple[CellMeasures, Labels]:
    """All measures of the final weights, and the predicted class of every test image."""
    batch_size = context.config.evaluation.batch_size
    recalibrate_batch_norm(network, seen.train.images, batch_size)

    def probabilities(images: Images) -> Tensor:
        """Of test images with an overlay, which are preprocessed as all images are."""
        shown = torch.from_numpy(seen.preprocess(images)).to(context.device)
        return predict(network, shown, batch_size)

    fit = predict(network, seen.train.images, batch_size).argmax(1)
    outputs = predict(network, seen.test, batch_size).numpy()
    predicted = outputs.argmax(1).astype(np.int64)
    labels = context.test.labels
    right = metrics.accuracy(labels, predicted)
    overlay = None
    if perturbation is not None:
        overlay = overlay_hits(perturbation, context.test.images, len(context.class_names), probabilities)
    peak = max(epochs, key=lambda reading: reading.test_accuracy)
    matched = next((reading for reading in epochs if reading.train_accuracy >= MATCHED_FIT), None)
    measures = CellMeasures(
        accuracy=right,
        balanced_accuracy=metrics.balanced_accuracy(labels, predicted),
        auc=metrics.auc(labels, outputs),
        ece=metrics.expected_calibration_error(labels, outputs),
        semantic_sensitivity=metrics.above_chance(right, len(context.class_names)),
        nuisance_sensitivity=None if overlay is None else nuisance_sensitivity(overlay),
        standard_errors=standard_errors(labels, context.test.groups, outputs, overlay),
        train_accuracy=float((fit == seen.train.labels.cpu()).float().mean()),
        matched_fit_epoch=matched.epoch if matched else None,
        matched_fit_accuracy=matched.test_accuracy if matched else None,
        peak_accuracy=peak.test_accuracy,
        peak_epoch=peak.epoch,
        per_class=metrics.per_class(labels, predicted, context.class_names),
        confusion=metrics.confusion_matrix(labels, predicted, len(context.class_names)),
        epochs=epochs,
    )
    return measures, predicted


def explanation(
    network: nn.Module, cell: Cell, perturbation: Perturbation | None, seen: Seen, context: CellContext
) -> Explanation | None:
    """Grad-CAM of the first seed's trainings on clean and on EvoShift's images."""
    settings = context.config.evaluation
    wanted = cell.attack.attack in (CLEAN, EVOSHIFT) and cell.recipe.seed == context.config.seeds[0]
    if not wanted or not settings.explained_images:
        return None
    return explain(
        network,
        perturbation,
        (seen.train.images, seen.train.labels.cpu().numpy()),
        (seen.test, context.test.labels),
        len(context.class_names),
        settings.explained_images,
        settings.batch_size,
    )


def overlay_hits(
    perturbation: Perturbation, images: Images, n_classes: int, probabilities: Callable[[Images], Tensor]
) -> npt.NDArray[np.bool_]:
    """(K, N): whether a copy of each test image under the edits of class k is called k."""
    predicted = [probabilities(perturbation.overlay(images, k)).argmax(1).numpy() for k in range(n_classes)]
    return np.stack([of_class == k for k, of_class in enumerate(predicted)])


def nuisance_sensitivity(hits: npt.NDArray[np.bool_]) -> float:
    """alpha_N (2.13): share of predictions equal to k under the edits of class k, mean over k, normalized like
    alpha_S."""
    return metrics.above_chance(float(hits.mean(axis=1).mean()), len(hits))
