"""Where an image carries what was found, and the repair: those pixels filled from their neighbourhood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Images
from audit.scan.candidates import Candidate
from audit.scan.isolation import Mask
from audit.scan.significance import matches_within, reached

CHUNK_PIXELS = 8_000_000


def marked_at(images: Images, mark: Candidate) -> Iterator[tuple[int, int, Mask]]:
    """(row, col, (N,) images that carry the mark there), for each position that the mark may take."""
    rows, cols = reached(mark, images.shape[2:])
    found = matches_within(images, mark, rows, cols)
    for row in range(rows.start, rows.stop):
        for col in range(cols.start, cols.stop):
            yield row, col, found[:, row - rows.start, col - cols.start]


def marked(images: Images, marks: Sequence[Candidate]) -> Mask:
    """(N, H, W): pixels that carry one of the marks, in whichever class."""
    found = np.zeros((len(images), *images.shape[2:]), dtype=bool)
    for mark in marks:
        for row, col, carriers in marked_at(images, mark):
            found[:, row, col] |= carriers
    return found


@dataclass(frozen=True)
class Flagged:
    """The marks of one finding, and the finding in words."""

    reason: str
    marks: tuple[Candidate, ...]


@dataclass(frozen=True)
class Repair:
    """Fills the marked pixels of any images from their neighbourhood; looks at no label. All else stays as it is."""

    marks: tuple[Candidate, ...]

    def __call__(self, images: Images) -> Images:
        """uint8 (N, C, H, W), changed in a copy; the same array where nothing was found."""
        if not self.marks:
            return images
        repaired = images.copy()
        step = max(1, CHUNK_PIXELS // images[0].size)
        for start in range(0, len(images), step):
            chunk = repaired[start : start + step]
            fill(chunk, marked(images[start : start + step], self.marks))
        return repaired


def fill(images: npt.NDArray[Any], holes: Mask) -> None:
    """Give the pixels of `holes` (N, H, W) the mean of their known neighbours, from the rim of a hole inwards, in
    place. Images (N, C, H, W) of any whole-number type. An image that is one hole stays as it is."""
    height, width = images.shape[2:]
    holes = holes.copy()
    left = np.argwhere(holes)
    while len(left):
        sums = np.zeros((len(left), images.shape[1]))
        known = np.zeros(len(left), dtype=np.int64)
        n, row, col = left.T
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                r, c = row + down, col + right
                inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
                r, c = r.clip(0, height - 1), c.clip(0, width - 1)
                usable = inside & ~holes[n, r, c]
                sums += np.where(usable[:, None], images[n, :, r, c], 0)
                known += usable
        rim = known > 0
        if not rim.any():
            return
        images[n[rim], :, row[rim], col[rim]] = np.rint(sums[rim] / known[rim, None]).astype(images.dtype)
        holes[n[rim], row[rim], col[rim]] = False
        left = left[~rim]
