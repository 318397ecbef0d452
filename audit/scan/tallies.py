"""How often each value stands at each position: the one pass over all images, in chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Images
from audit.scan.isolation import Mask, isolated
from audit.scan.saturation import padding

LEVELS = 256
CHUNK_PIXELS = 8_000_000  # of one channel at a time
BACKGROUND = 0.05  # of all pixels: a value as common as that is the background and no mark

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Tally:
    """Counts (C, H, W, 256) over all images."""

    everywhere: Counts  # outside padding, and not of a background value
    isolated: Counts  # isolated pixels
    padded: Mask  # (N, H, W)
    background: npt.NDArray[np.bool_]  # (C, 256): values that are background


def tally(images: Images, progress: Callable[[int, int], None] | None = None) -> Tally:
    """Count all (position, value) of uint8 (N, C, H, W)."""
    n, channels, height, width = images.shape
    everywhere = np.zeros((channels, height, width * LEVELS), dtype=np.int32)
    alone = np.zeros_like(everywhere)
    padded = np.empty((n, height, width), dtype=bool)
    step = max(1, CHUNK_PIXELS // (height * width))
    for start in range(0, n, step):
        chunk = images[start : start + step]
        inside = padding(chunk)
        padded[start : start + step] = inside
        for channel in range(channels):
            plane = np.ascontiguousarray(chunk[:, channel])
            add_counts(everywhere[channel], plane, ~inside)
            add_counts(alone[channel], plane, isolated(plane))
        if progress is not None:
            progress(min(start + step, n), n)
    shape = (channels, height, width, LEVELS)
    everywhere, alone = everywhere.reshape(shape), alone.reshape(shape)
    share = everywhere.sum(axis=(1, 2)) / (n * height * width)
    background = share > BACKGROUND
    for channel, values in enumerate(background):
        everywhere[channel][..., values] = 0
    return Tally(everywhere, alone, padded, background)


def add_counts(counts: Counts, plane: Images, counted: Mask) -> None:
    """Add the pixels (N, H, W) where `counted` to counts (H, W * 256), row by row: a row's counts fit the cache."""
    width = plane.shape[2]
    offsets = np.arange(width, dtype=np.int32) * LEVELS
    for row in range(plane.shape[1]):
        codes = plane[:, row] + offsets
        counts[row] += np.bincount(codes[counted[:, row]], minlength=width * LEVELS).astype(np.int32)
