"""One training: images resident on the device as uint8, no loader. Reads top to bottom.

The trainer sees training images only. What is read from the test images after each epoch goes through
`after_epoch` and never comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from audit.results import Recipe
from audit.training.augmentation import augmentation, mixed_loss
from audit.training.models import build_model
from audit.training.normalization import NORMALIZATIONS
from audit.training.optimizers import build_optimizer
from audit.training.sampling import epoch_batches, epoch_steps, evaluation_batches
from audit.training.schedules import learning_rate_schedule

AfterEpoch = Callable[[nn.Module, int, float], None]
"""(model, epoch from 1, mean training loss of the epoch)."""


class TrainingDiverged(Exception):
    """The loss left the finite numbers."""


def train(
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    n_classes: int,
    oversample: bool,
    after_epoch: AfterEpoch,
    check_cancelled: Callable[[], None],
) -> nn.Module:
    """Train `recipe.model` from scratch on `images` (uint8, (N, C, H, W)) and `labels` (int64, (N,)).

    Equal recipe, images and machine give equal weights. Raises TrainingDiverged on a loss that is not
    finite.
    """
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model, n_classes, images.shape[1], recipe.stem)
    model.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(recipe.optimizer, model.parameters(), recipe.learning_rate)
    steps = epoch_steps(labels, n_classes, recipe.batch_size, oversample)
    schedule = learning_rate_schedule(optimizer, recipe.schedule, steps * recipe.epochs)
    order = torch.Generator().manual_seed(recipe.seed)
    draws = torch.Generator().manual_seed(recipe.seed)  # apart: the order is the same with and without
    augment = augmentation(recipe.augmentation)
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        total = torch.zeros((), device=images.device)
        for batch in epoch_batches(labels, n_classes, recipe.batch_size, oversample, order):
            check_cancelled()
            augmented = augment(images[batch], draws)
            inputs = prepare(augmented.images, recipe.normalization)
            loss = mixed_loss(model(inputs), labels[batch], augmented, "mean")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.detach()
        mean_loss = float(total) / steps
        if not math.isfinite(mean_loss):
            raise TrainingDiverged(f"training loss is not finite in epoch {epoch}; lower the learning rate")
        after_epoch(model, epoch, mean_loss)
    return model


def prepare(images: Tensor, normalization: str) -> Tensor:
    """Bytes, or floats in [0, 255] (N, C, H, W) -> normalized floats, channels last in memory."""
    scaled = images.float().div(255).contiguous(memory_format=torch.channels_last)
    return NORMALIZATIONS[normalization].apply(scaled)


@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, images: Tensor, normalization: str, batch_size: int) -> None:
    """Batch-norm statistics afresh from training images as trained. After short trainings the running
    averages lag behind the weights and evaluation mode fails for that reason alone."""
    batches = evaluation_batches(len(images), batch_size)
    update_bn((prepare(images[batch.to(images.device)], normalization) for batch in batches), model)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, normalization: str, batch_size: int) -> Tensor:
    """Class probabilities (N, K) on the CPU, in the order of `images` (uint8 (N, C, H, W))."""
    model.eval()
    batches = evaluation_batches(len(images), batch_size)
    outputs = [
        model(prepare(images[batch.to(images.device)], normalization)).softmax(1).cpu() for batch in batches
    ]
    probabilities = torch.empty(len(images), outputs[0].shape[1])
    probabilities[torch.cat(batches)] = torch.cat(outputs)
    return probabilities
