"""Parts of a picture in which something changed, so that all else need not be looked at again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from audit.scan.isolation import Mask


@dataclass(frozen=True)
class Region:
    """Positions to look at again, and the rectangle that it takes to do so."""

    rows: slice
    cols: slice
    stale: Mask  # (height, width) of the rectangle: the positions

    @property
    def top(self) -> int:
        """Of the rectangle."""
        return int(self.rows.start)

    @property
    def left(self) -> int:
        """Of the rectangle."""
        return int(self.cols.start)

    def holds(self, cells: npt.NDArray[np.int64]) -> Mask:
        """(M,) which of the cells (M, 2 or more), row and column first, are to be looked at again."""
        rows, cols = cells[:, 0] - self.top, cells[:, 1] - self.left
        height, width = self.stale.shape
        inside: Mask = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        inside[inside] = self.stale[rows[inside], cols[inside]]
        return inside


def regions(changed: Mask, reach: int, needs: int) -> list[Region]:
    """All positions within `reach` pixels of `changed` (H, W), each in one region, whose rectangle holds all within
    `needs` pixels of it. The whole picture where that is no more."""
    height, width = changed.shape
    stale = ndimage.maximum_filter(changed, 2 * reach + 1, mode="constant")
    number, count = ndimage.label(stale, np.ones((3, 3)))
    found = []
    for label, (rows, cols) in enumerate(ndimage.find_objects(number, count), start=1):
        wide = slice(max(rows.start - needs, 0), min(rows.stop + needs, height))
        long = slice(max(cols.start - needs, 0), min(cols.stop + needs, width))
        found.append(Region(wide, long, number[wide, long] == label))
    if sum(part.stale.size for part in found) < changed.size:
        return found
    return [Region(slice(0, height), slice(0, width), stale)]
