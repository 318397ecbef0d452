"""How often each value stands at each position: the one pass over all images, in chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from audit.data.dataset import Images, Labels
from audit.scan.isolation import Mask, isolated
from audit.scan.regions import Region, regions
from audit.scan.saturation import padding

LEVELS = 256
CHUNK_PIXELS = 8_000_000  # of one channel at a time
BACKGROUND = 0.05  # of all pixels: a value as common as that is the background and no mark

Counts = npt.NDArray[np.unsignedinteger[Any]]
"""Of the smallest type that holds the number of images: of few large ones a byte."""


@dataclass(frozen=True)
class Tally:
    """Counts (C, H, W, 256) over all images."""

    everywhere: Counts  # outside padding, and not of a background value
    isolated: Counts  # isolated pixels
    padded: Mask  # (N, H, W)
    totals: npt.NDArray[np.int64]  # (C, 256): pixels outside padding, of background values, too

    @property
    def background(self) -> Mask:
        """(C, 256): values that are background."""
        found: Mask = self.totals / self.padded.size > BACKGROUND
        return found


def tally(images: Images, progress: Callable[[int, int], None] | None = None) -> Tally:
    """Count all (position, value) of uint8 (N, C, H, W)."""
    n, channels, height, width = images.shape
    everywhere: Counts = np.zeros((channels, height, width, LEVELS), dtype=np.min_scalar_type(n))
    alone = np.zeros_like(everywhere)
    padded = np.empty((n, height, width), dtype=bool)
    step = max(1, CHUNK_PIXELS // (height * width))
    for start in range(0, n, step):
        chunk = images[start : start + step]
        padded[start : start + step] = padding(chunk)
        count(everywhere, alone, chunk, padded[start : start + step])
        if progress is not None:
            progress(min(start + step, n), n)
    totals = everywhere.sum(axis=(1, 2), dtype=np.int64)
    found = Tally(everywhere, alone, padded, totals)
    for channel, values in enumerate(found.background):
        everywhere[channel][..., values] = 0
    return found


def count(everywhere: Counts, alone: Counts, images: Images, padded: Mask) -> None:
    """Add images (N, C, H, W) to both counts (C, H, W, 256)."""
    for channel in range(images.shape[1]):
        plane = np.ascontiguousarray(images[:, channel])
        add_counts(everywhere[channel], plane, ~padded)
        add_counts(alone[channel], plane, isolated(plane))


def add_counts(counts: Counts, plane: Images, counted: Mask) -> None:
    """Add the pixels (N, H, W) where `counted` to counts (H, W, 256), row by row: a row's counts fit the cache."""
    width = plane.shape[2]
    offsets = np.arange(width, dtype=np.int32) * LEVELS
    for row in range(plane.shape[1]):
        codes = plane[:, row] + offsets
        found = np.bincount(codes[counted[:, row]], minlength=width * LEVELS)
        counts[row] += found.reshape(width, LEVELS).astype(counts.dtype)


def tally_again(known: Tally, before: Images, after: Images) -> tuple[Tally, Mask]:
    """The tally of images that differ in some pixels from those `before`, whose tally is `known`, and the positions
    (H, W) at which any count may differ. Both images uint8 (N, C, H, W)."""
    differs = before != after
    which = np.flatnonzero(differs.any(axis=(1, 2, 3)))
    padded = known.padded.copy()
    step = max(1, CHUNK_PIXELS // differs[0, 0].size)
    for start in range(0, len(which), step):
        padded[which[start : start + step]] = padding(after[which[start : start + step]])
    # A neighbour tells whether a pixel is isolated.
    touched = ndimage.maximum_filter(differs.any(axis=(0, 1)), 3)
    touched |= (padded != known.padded).any(axis=0)
    found = Tally(known.everywhere.copy(), known.isolated.copy(), padded, known.totals.copy())
    for part in regions(touched, 0, 1):
        recount(found, part, after, padded, which, np.add)
        recount(found, part, before, known.padded, which, np.subtract)
    if (found.background != known.background).any():  # counts of a background value are not known
        return tally(after), np.ones_like(touched)
    for channel, values in enumerate(found.background):
        found.everywhere[channel][..., values] = 0
    return found, touched


def recount(
    found: Tally, part: Region, images: Images, padded: Mask, which: Labels, combine: np.ufunc
) -> None:
    """Add or subtract what some of the images (N, C, H, W) have at the positions of a region. Types without a sign
    wrap around, so that in between less than nothing does no harm."""
    rows, cols = part.rows, part.cols
    new = np.zeros((2, *found.everywhere[:, rows, cols].shape), dtype=found.everywhere.dtype)
    count(new[0], new[1], images[:, :, rows, cols][which], padded[:, rows, cols][which])
    new[:, :, ~part.stale] = 0
    for counts, own in zip((found.everywhere, found.isolated), new, strict=True):
        combine(counts[:, rows, cols], own, out=counts[:, rows, cols])
    combine(found.totals, new[0].sum(axis=(1, 2), dtype=np.int64), out=found.totals)
