"""Features of images from a network that is never trained: three convolutions with drawn weights, each pooled, and
the mean of every channel over the image.

What a linear classifier on such features learns first, convolutional networks tend to learn first, too. They cost one
forward pass, and each image's are its own: nothing that is done to one class changes those of another.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from audit.attack.networks import BrightestDarkest

WIDTHS = (32, 64, 128)  # channels of the convolutions; so many features together
SPREAD_FLOOR = 1e-2  # a channel that hardly varies is not blown up


class RandomFeatures:
    """(N, C, H, W) in [0, 1] -> (N, 224)."""

    def __init__(self, reference: Tensor, seed: int) -> None:
        """Weights as He et al. (2015) draw them, from `seed`. Each channel is normalized as batch norm would on the
        images `reference`, and stays so."""
        draws = Generator().manual_seed(seed)
        self.first = BrightestDarkest()
        self.weights: list[Tensor] = []
        self.moments: list[tuple[Tensor, Tensor]] = []
        width_in = 2 * reference.shape[1]
        for width in WIDTHS:
            drawn = torch.randn(width, width_in, 3, 3, generator=draws) * (2 / (9 * width_in)) ** 0.5
            self.weights.append(drawn.to(reference.device))
            width_in = width
        x = self.first(reference)
        for weight in self.weights:
            x = functional.conv2d(x, weight, padding=1)
            spread, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
            spread = spread.clamp_min(SPREAD_FLOOR)
            self.moments.append((mean, spread))
            x = pooled((x - mean) / spread)

    def __call__(self, images: Tensor) -> Tensor:
        """The means of all channels of all three layers."""
        found = []
        x = self.first(images)
        for weight, (mean, spread) in zip(self.weights, self.moments, strict=True):
            x = pooled((functional.conv2d(x, weight, padding=1) - mean) / spread)
            found.append(x.mean((2, 3)))
        return torch.cat(found, 1)


def pooled(x: Tensor) -> Tensor:
    """The greatest of every 2 x 2 places, where positive."""
    return functional.relu(functional.max_pool2d(x, 2, ceil_mode=True))
