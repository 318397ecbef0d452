"""One training: images resident on the device as uint8, no loader. Reads top to bottom.

The trainer sees training images only. What is read from the test images after each epoch goes through
`after_epoch` and never comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from audit.results import NO_DEFENCE, Recipe, Vib
from audit.training.augmentation import Augmented, augmentation, mixed_loss
from audit.training.early_stopping import BestEpoch
from audit.training.losses import LossRequest, build_network
from audit.training.memory import in_parts_where_memory_is_short
from audit.training.models import build_model
from audit.training.normalization import build_normalization
from audit.training.optimizers import build_optimizer
from audit.training.precision import autocast
from audit.training.reading import scaled
from audit.training.sampling import epoch_batches, epoch_steps
from audit.training.schedules import learning_rate_schedule
from audit.training.vib import extra_loss

AfterEpoch = Callable[[nn.Module, int, float], None]
"""(network, epoch from 1, mean training loss of the epoch)."""


class TrainingDiverged(Exception):
    """The loss left the finite numbers."""


@dataclass(frozen=True)
class TrainingImages:
    """What a training may look at, on its device."""

    images: Tensor  # uint8 (N, C, H, W), perturbed and preprocessed
    labels: Tensor  # int64 (N,)
    n_classes: int
    oversample: bool = True  # rare classes up to the largest
    trusted: tuple[Tensor, Tensor] | None = None  # clean validation images and labels, for early stopping


@dataclass(frozen=True)
class Trained:
    """A network from pixels in [0, 1] to logits, its input normalization included."""

    network: nn.Module
    epoch: int  # whose weights it has
    micro_batch: int | None  # images at a time; None: whole batches, as memory was not short


def train(
    recipe: Recipe,
    data: TrainingImages,
    after_epoch: AfterEpoch,
    start: Callable[[nn.Module], None] = lambda model: None,
) -> Trained:
    """Train `recipe.model` on `data`. `start` may change its initial weights.

    Equal recipe, images and machine give equal weights. Where memory is short the training begins again with
    half of each batch at a time, until it fits. Raises TrainingDiverged on a loss that is not finite.
    """

    def attempt(micro_batch: int) -> Trained:
        network = fresh_network(recipe, data, start)
        epoch = train_network(network, recipe, data, after_epoch, micro_batch)
        return Trained(network, epoch, None if micro_batch == recipe.batch_size else micro_batch)

    return in_parts_where_memory_is_short(attempt, recipe.batch_size)


def train_network(
    network: nn.Module,
    recipe: Recipe,
    data: TrainingImages,
    after_epoch: AfterEpoch,
    micro_batch: int,
) -> int:
    """One training from the start, `micro_batch` images through the network at a time. Returns the epoch whose
    weights the network has in the end."""
    images, labels = data.images, data.labels
    optimizer = build_optimizer(
        recipe.optimizer, network.parameters(), recipe.learning_rate, recipe.weight_decay
    )
    steps = epoch_steps(labels, data.n_classes, recipe.batch_size, data.oversample)
    schedule = learning_rate_schedule(optimizer, recipe.schedule, steps * recipe.epochs)
    order = Generator().manual_seed(recipe.seed)
    draws = Generator().manual_seed(recipe.seed)  # apart: the order is the same with and without
    augment = augmentation(recipe.augmentation)
    best = None
    if recipe.stopping != NO_DEFENCE:
        if data.trusted is None:
            raise ValueError("early stopping without trusted images")
        best = BestEpoch(images, data.trusted, recipe.seed)
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        total = torch.zeros((), device=images.device)
        for batch in epoch_batches(labels, data.n_classes, recipe.batch_size, data.oversample, order):
            augmented = augment(images[batch], draws)
            optimizer.zero_grad()
            total += accumulate_gradients(network, augmented, labels[batch], micro_batch, recipe.precision)
            optimizer.step()
            schedule.step()
        mean_loss = float(total) / steps
        if not math.isfinite(mean_loss):
            raise TrainingDiverged(f"training loss is not finite in epoch {epoch}; lower the learning rate")
        after_epoch(network, epoch, mean_loss)
        if best is not None:
            best.see(network, epoch)
    return recipe.epochs if best is None else best.restore(network)


def fresh_network(
    recipe: Recipe, data: TrainingImages, start: Callable[[nn.Module], None] = lambda model: None
) -> nn.Module:
    """Input normalization and model, initialized from the recipe's seed and changed by `start`, channels last in
    memory."""
    torch.manual_seed(recipe.seed)
    channels, height, width = data.images.shape[1:]

    def network_of(outputs: int) -> nn.Module:
        model = build_model(recipe.model, outputs, channels, recipe.stem, (height, width), recipe.dropout)
        start(model)
        return nn.Sequential(build_normalization(recipe.normalization, channels), model)

    request = LossRequest(data.n_classes, (channels, height, width), recipe.seed, recipe.vib or Vib())
    network = build_network(recipe.loss, network_of, request)
    network.to(data.images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def accumulate_gradients(
    network: nn.Module, augmented: Augmented, labels: Tensor, micro_batch: int, precision: str
) -> Tensor:
    """Add the gradients of the batch's mean loss, nats, and return that loss.

    Parts weigh as many images as they hold, so that their gradients add up to the whole batch's; only batch
    norm sees the parts.
    """
    total = torch.zeros((), device=labels.device)
    for places in torch.split(torch.arange(len(labels), device=labels.device), micro_batch):
        own = augmented if len(places) == len(labels) else augmented.part(places)
        with autocast(labels.device.type, precision):
            logits = network(scaled(own.images))
        loss = mixed_loss(logits.float(), labels, own, "mean", places) + extra_loss(network)
        loss = loss * (len(places) / len(labels))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total
