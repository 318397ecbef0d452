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
    alike = np.zeros(around.shape, dtype=np.uint8)
    for down, right in PAIRS:  # each pair is compared once and counts for both of its pixels
        first = np.s_[:, : rows - down, max(0, -right) : cols - max(0, right)]
        second = np.s_[:, down:, max(0, right) : cols - max(0, -right)]
        near = (
            np.maximum(around[first], around[second]) - np.minimum(around[first], around[second]) < CONTRAST
        )
        alike[first] += near
        alike[second] += near
    return alike[:, 1:-1, 1:-1] <= TWINS


def isolated_at(plane: Plane, which: npt.NDArray[np.int64], row: int, col: int) -> Mask:
    """(len(which),): the same at one position, of some images by their numbers."""
    height, width = plane.shape[1:]
    here = plane[which, row, col].astype(np.int16)
    alike = np.zeros(len(which), dtype=np.uint8)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down or right:
                there = plane[which, mirrored(row + down, height), mirrored(col + right, width)]
                alike += np.abs(here - there) < CONTRAST
    found: Mask = alike <= TWINS
    return found


def mirrored(index: int, size: int) -> int:
    """The index inside that one outside is mirrored to: -1 is 1, size is size - 2."""
    index = abs(index)
    return index if index < size else 2 * (size - 1) - index
