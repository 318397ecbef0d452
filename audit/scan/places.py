"""From a pixel of the scan to pixels of the file: the way back through the square and the resize of the intake."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import numpy as np

from audit.scan.isolation import Mask


@dataclass(frozen=True)
class Fit:
    """How a file of (height, width) became a square of `size` pixels."""

    height: int
    width: int
    size: int
    square: Literal["crop", "pad"]

    def box(self, row: int, col: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) in the file, the end excluded, of one pixel of the scan; empty in added bars."""
        edge = max(self.height, self.width) if self.square == "pad" else min(self.height, self.width)
        scale = edge / self.size
        down, right = (
            self.height // 2 - edge // 2,
            self.width // 2 - edge // 2,
        )  # as MONAI's CenterSpatialCrop
        if self.square == "pad":  # MONAI's SpatialPad puts the smaller half before
            down, right = -((edge - self.height) // 2), -((edge - self.width) // 2)
        top, bottom = down + floor(row * scale), down + ceil((row + 1) * scale)
        left, end = right + floor(col * scale), right + ceil((col + 1) * scale)
        return max(top, 0), max(left, 0), min(bottom, self.height), min(end, self.width)

    def holes(self, pixels: list[tuple[int, int]]) -> Mask:
        """(height, width): the pixels of the file that these of the scan cover."""
        found = np.zeros((self.height, self.width), dtype=bool)
        for row, col in pixels:
            top, left, bottom, right = self.box(row, col)
            found[top:bottom, left:right] = True
        return found
