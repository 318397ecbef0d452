"""Isolated pixels: unlike all their neighbours, as an edit, a dead sensor element or a speck is and anatomy is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CONTRAST = 16  # grey levels by which an isolated pixel differs from its neighbours
TWINS = 1  # neighbours that may be alike: two edits side by side

Plane = npt.NDArray[np.uint8]  # (N, H, W), one channel
Mask = npt.NDArray[np.bool_]

PAIRS = ((0, 1), (1, -1), (1, 0), (1, 1))  # of the eight neighbours, one of each opposite two


def isolated(plane: Plane) -> Mask:
    """(N, H, W): at most `TWINS` of the eight neighbours lie within `CONTRAST` grey levels. At the edge of the picture
    neighbours outside of it are those mirrored inside."""
    around = np.pad(plane, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    rows, cols = around.shape[1:]
    alike = np.zeros_like(around)
    for down, right in PAIRS:  # each pair is compared once and counts for both of its pixels
        first = np.s_[:, : rows - down, max(0, -right) : cols - max(0, right)]
        second = np.s_[:, down:, max(0, right) : cols - max(0, -right)]
        near = (
            np.maximum(around[first], around[second]) - np.minimum(around[first], around[second]) < CONTRAST
        )
        alike[first] += near
        alike[second] += near
    return alike[:, 1:-1, 1:-1] <= TWINS


def isolated_within(plane: Plane, which: npt.NDArray[np.int64], rows: slice, cols: slice) -> Mask:
    """(len(which), rows, cols): the same in a small part, of some images by their numbers."""
    top, left = max(rows.start - 1, 0), max(cols.start - 1, 0)
    around = plane[which, top : rows.stop + 1, left : cols.stop + 1]
    # Of so small a part the images make the longest runs in memory.
    found = isolated(np.asfortranarray(around))
    return found[:, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]


def mirrored(index: int, size: int) -> int:
    """The index inside that one outside is mirrored to: -1 is 1, size is size - 2."""
    index = abs(index)
    return index if index < size else 2 * (size - 1) - index
