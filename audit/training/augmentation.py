"""Augmentations of a training batch, on the device. torch is imported when one is applied.

All random numbers are drawn on the CPU from the generator that is handed in, so that a CPU and a GPU see
the same crops, and all candidates of one search generation too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFT = 4  # pixels, each way
CUTOUT_FRACTION = 0.5  # side of the square over that of the image (16 of 32 pixels: DeVries & Taylor 2017)


def no_augmentation(images: Tensor, draws: Generator) -> Tensor:
    """The batch as it is."""
    return images


def crop_flip(images: Tensor, draws: Generator) -> Tensor:
    """Shift by up to 4 pixels each way (zeros come in), mirror half of the images left to right.

    `images` (B, ..., C, H, W): all that shares the first index moves alike.
    """
    import torch

    n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2, n), generator=draws)
    mirrored = torch.rand(n, generator=draws) < 0.5
    rows = torch.arange(height)[None, :] + down[:, None]  # (B, H): where each row comes from
    columns = torch.arange(width).expand(n, width)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    source = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    shape = images.shape
    flat = images.reshape(n, -1, height * width)
    index = source.reshape(n, 1, -1).to(images.device).expand(-1, flat.shape[1], -1)
    moved: Tensor = flat.gather(2, index) * inside.reshape(n, 1, -1).to(images.device)
    return moved.reshape(shape)


def cutout(images: Tensor, draws: Generator) -> Tensor:
    """Zero one square per image, centred anywhere (DeVries & Taylor 2017). `images` (B, ..., C, H, W)."""
    import torch

    n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    kept = []
    for side in (height, width):
        half = round(CUTOUT_FRACTION * side / 2)
        centre = torch.randint(side, (n, 1), generator=draws)
        kept.append((torch.arange(side)[None, :] - centre + 0.5).abs() > half)
    keep = kept[0][:, :, None] | kept[1][:, None, :]
    between = [1] * (images.ndim - 3)
    return images * keep.reshape(n, *between, height, width).to(images.device)


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "none": no_augmentation,
    "crop-flip": crop_flip,
    "cutout": cutout,
}
"""(batch, generator of random numbers) -> augmented batch."""
