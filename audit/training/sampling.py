"""Which images make up an epoch, and in what batches. Indices only: no image is copied here."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

PREDICTION_BATCH_SEED = 20200323  # evaluation order is shuffled once, always the same way


def epoch_indices(labels: Tensor, n_classes: int, oversample: bool, order: Generator) -> Tensor:
    """Indices of one epoch in random order, int64 on the CPU. `labels` int64 (N,) in [0, n_classes).

    With `oversample`, every class has exactly as many as the largest: each of its n images floor(max / n)
    times, and a random part of them once more. A class without images stays empty (thesis 4.3).
    """
    if not oversample:
        return torch.randperm(len(labels), generator=order)
    members = [torch.nonzero(labels.cpu() == k).flatten() for k in range(n_classes)]
    largest = max(len(member) for member in members)
    parts = []
    for member in members:
        if len(member) == 0:
            continue
        extra = member[torch.randperm(len(member), generator=order)[: largest % len(member)]]
        parts.append(torch.cat([member.repeat(largest // len(member)), extra]))
    indices = torch.cat(parts)
    return indices[torch.randperm(len(indices), generator=order)]


def epoch_steps(labels: Tensor, n_classes: int, batch_size: int, oversample: bool) -> int:
    """Number of optimizer steps of one epoch."""
    counts = torch.bincount(labels.cpu(), minlength=n_classes)
    images = int(counts.max()) * int((counts > 0).sum()) if oversample else len(labels)
    return math.ceil(images / batch_size)


def epoch_batches(
    labels: Tensor, n_classes: int, batch_size: int, oversample: bool, order: Generator
) -> Iterator[Tensor]:
    """Indices of each batch of one epoch, on the device of `labels`: at most `batch_size`, nearly equal
    sizes, so that no remainder of one image is left, which batch norm could not take."""
    indices = epoch_indices(labels, n_classes, oversample, order).to(labels.device)
    yield from indices.tensor_split(math.ceil(len(indices) / batch_size))


def evaluation_batches(n_images: int, batch_size: int) -> list[Tensor]:
    """Fixed batches for reading: a fixed shuffle (so that `csn` sees mixed classes), near-equal sizes."""
    order = torch.randperm(n_images, generator=torch.Generator().manual_seed(PREDICTION_BATCH_SEED))
    return list(order.tensor_split(math.ceil(n_images / batch_size)))
