"""What is known about a classifier before it is built. No torch import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

ImageSize = tuple[int, int]
"""(height, width) in pixels."""

STEMS = ("published", "half", "full")
STEM_STRIDE = {"half": 2, "full": 1}


@dataclass(frozen=True)
class ModelRow:
    """One row of a table: `build(n_classes, channels, stem, (height, width))` gives a network with fresh
    weights, (N, channels, height, width) -> (N, n_classes) logits."""

    title: str
    build: Callable[[int, int, str, ImageSize], nn.Module]
    stems: tuple[str, ...] = ("published",)
    smallest: int = 1  # pixels of the shorter side that the layers need; smaller images are enlarged to it
    grid: int = 1  # above 1: the network reads squares whose side is a multiple of it

    def input_size(self, image_size: ImageSize) -> ImageSize:
        """What the network is given for images of `image_size`; larger where it needs larger ones."""
        if self.grid > 1:
            side = -(-max(*image_size, self.smallest) // self.grid) * self.grid
            return side, side
        shorter = min(image_size)
        if shorter >= self.smallest:
            return image_size
        height, width = (-(-side * self.smallest // shorter) for side in image_size)
        return height, width
