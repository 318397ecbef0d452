"""Early stopping on trusted images: of all epochs, the weights that read clean validation images best."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from audit.training.reading import predict, recalibrate_batch_norm

BATCH = 100  # images
SAMPLE = 256  # training images for batch norm before each reading


class BestEpoch:
    """Keeps a copy of the best weights so far. Ties: the earlier epoch."""

    def __init__(self, images: Tensor, trusted: tuple[Tensor, Tensor], seed: int) -> None:
        """`images` uint8 (N, C, H, W) as trained; `trusted`: clean images like them, and their labels."""
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:SAMPLE]
        self.sample = images[chosen.to(images.device)]
        self.images, self.labels = trusted[0], trusted[1].cpu()
        self.accuracy, self.epoch = -1.0, 0
        self.weights: dict[str, Any] = {}

    def see(self, network: nn.Module, epoch: int) -> None:
        """Read the trusted images after an epoch."""
        recalibrate_batch_norm(network, self.sample, BATCH)
        right = predict(network, self.images, BATCH).argmax(1) == self.labels
        accuracy = float(right.float().mean())
        if accuracy > self.accuracy:
            self.accuracy, self.epoch = accuracy, epoch
            self.weights = copy.deepcopy(network.state_dict())

    def restore(self, network: nn.Module) -> int:
        """Put the best weights back; the epoch that they are of."""
        network.load_state_dict(self.weights)
        return self.epoch
