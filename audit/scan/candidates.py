"""Candidates: (position, value) that stand out from their surroundings, chosen without a look at the labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from audit.scan.isolation import Mask
from audit.scan.regions import Region, regions
from audit.scan.tallies import Counts

Family = Literal["isolated", "jittered", "anywhere", "low-contrast"]

LEAST = 4  # images in which a candidate must stand
STANDS_OUT = 4.0  # standard deviations (Poisson) above the surroundings
WINDOW = 9  # pixels: the surroundings, without the position itself
BIN = 8  # grey levels: values as JPEG spreads them
MOVES = 1.25  # images within a pixel, over those at one position, for a mark that moves
MOST = 2000  # candidates of a family; the strongest are kept
FEW = 32  # one cell in so many: below, looking around each is faster than filtering all
REACH = WINDOW // 2 + 1  # pixels from which counts tell whether a cell stands out; marks that move: one more

Floats = npt.NDArray[np.float32]
Flat = npt.NDArray[np.int64]  # positions in a flattened array


@dataclass(frozen=True)
class Candidate:
    """One position, where values of `low` to `high` (inclusive, grey levels) of one channel stand out."""

    channel: int
    row: int
    col: int
    low: int
    high: int
    family: Family
    excess: float  # in standard deviations


@dataclass(frozen=True)
class Standing:
    """All cells of one family that stand out, in the order of rows, columns and values."""

    channel: int
    family: Family
    width: int  # values of a bin
    cells: Flat  # (M, 3): row, column, bin
    excess: Floats  # (M,)

    def strongest(self) -> list[Candidate]:
        """At most `MOST`."""
        step = 1 if self.width == 1 else self.width // 2
        chosen = np.argsort(-self.excess, kind="stable")[:MOST]
        return [
            Candidate(
                self.channel, row, col, value * step, value * step + self.width - 1, self.family, excess
            )
            for (row, col, value), excess in zip(
                self.cells[chosen].tolist(), self.excess[chosen].tolist(), strict=True
            )
        ]

    def replaced(self, changes: list[tuple[Region, Standing]]) -> Standing:
        """With the cells of some regions as they are found there now."""
        keep = np.ones(len(self.cells), dtype=bool)
        cells, excess = [], []
        for region, found in changes:
            keep &= ~region.holds(self.cells)
            own = found.cells + np.array([region.top, region.left, 0])
            inside = region.holds(own)
            cells.append(own[inside])
            excess.append(found.excess[inside])
        joined = np.concatenate([self.cells[keep], *cells])
        order = np.lexsort(joined.T[::-1])
        strength = np.concatenate([self.excess[keep], *excess])
        return Standing(self.channel, self.family, self.width, joined[order], strength[order])


def find_candidates(standing: list[Standing]) -> list[Candidate]:
    """All families, exact values and bins of `BIN` levels."""
    return [candidate for family in standing for candidate in family.strongest()]


def find_standing(everywhere: Counts, isolated: Counts) -> list[Standing]:
    """The cells of all families, from counts (C, H, W, 256)."""
    found = []
    for channel in range(len(everywhere)):
        for width in (1, BIN):
            fixed, all_of = (
                counts[channel] if width == 1 else binned(counts[channel])
                for counts in (isolated, everywhere)
            )
            found.append(stand_out(channel, fixed, "isolated", width))
            found.append(stand_out(channel, moving(fixed), "jittered", width))
            found.append(stand_out(channel, all_of, "anywhere", width))
    return found


def find_standing_again(
    known: list[Standing], everywhere: Counts, isolated: Counts, changed: Mask
) -> list[Standing]:
    """The same where the counts differ from those of what is `known` at the positions `changed` (H, W) only."""
    parts = regions(changed, REACH, REACH)
    found = [
        find_standing(*(counts[:, part.rows, part.cols] for counts in (everywhere, isolated)))
        for part in parts
    ]
    return [
        family.replaced([(part, one[i]) for part, one in zip(parts, found, strict=True)])
        for i, family in enumerate(known)
    ]


def moving(fixed: Counts) -> Counts:
    """Counts (H, W, bins) within one pixel of each position; zero where one position holds nearly all of them: a mark
    that does not move."""
    roomy = np.min_scalar_type(9 * int(fixed.max(initial=0)))
    around = within_a_pixel(fixed.astype(roomy), np.add)
    around[around < np.float32(MOVES) * within_a_pixel(fixed, np.maximum)] = 0
    return around


def within_a_pixel(counts: Counts, combine: np.ufunc) -> Counts:
    """Counts (H, W, bins) of each position and its eight neighbours within the picture, combined."""
    for axis in (0, 1):
        wider = counts.copy()
        to, of = wider.swapaxes(0, axis), counts.swapaxes(0, axis)
        combine(to[1:], of[:-1], out=to[1:])
        combine(to[:-1], of[1:], out=to[:-1])
        counts = wider
    return counts


def binned(counts: Counts) -> Counts:
    """Counts (H, W, 256 // (BIN / 2) - 1) of overlapping bins: each starts half a bin after the one before. A position
    has one value in each image, so that no bin holds more than the type does."""
    half: Counts = reduce(np.add, (counts[..., first :: BIN // 2] for first in range(BIN // 2)))
    return half[..., :-1] + half[..., 1:]


def stand_out(channel: int, counts: Counts, family: Family, width: int) -> Standing:
    """Cells of counts (H, W, bins) that exceed the mean of their surroundings, at the same value."""
    many = counts >= LEAST
    if many.sum() * FEW < many.size:
        cells = np.flatnonzero(many)
        excess = excess_over(counts.ravel()[cells].astype(np.float32), means_at(counts, cells))
        clear = excess > STANDS_OUT
        cells, excess = cells[clear], excess[clear]
    else:
        values = counts.astype(np.float32)
        whole = excess_over(values, ndimage.uniform_filter(values, (WINDOW, WINDOW, 0), mode="reflect"))
        cells = np.flatnonzero((whole > STANDS_OUT) & many)
        excess = whole.ravel()[cells]
    return Standing(channel, family, width, np.stack(np.unravel_index(cells, counts.shape), axis=1), excess)


def excess_over(values: Floats, means: Floats) -> Floats:
    """Standard deviations by which counts exceed their surroundings. `means`: of the window, the count among it."""
    around = np.maximum(means * WINDOW**2 - values, 0) / (WINDOW**2 - 1)
    excess: Floats = (values - around) / np.sqrt(around + 1)
    return excess


def means_at(counts: Counts, cells: Flat) -> Floats:
    """(M,) of some cells: SciPy's uniform filter, rounded as it does after each axis, so that both ways of
    `stand_out` find the same to the bit."""
    height, width, bins = counts.shape
    rows, cols, values = np.unravel_index(cells, counts.shape)
    reach = WINDOW // 2
    of_row, of_col = (np.pad(np.arange(edge), reach, mode="symmetric") for edge in (height, width))
    starts = of_row[rows + np.arange(WINDOW)[:, None]] * (width * bins)  # (WINDOW, M)
    flat: npt.NDArray[Any] = counts.reshape(-1)
    total = np.zeros(len(cells))
    for shift in range(WINDOW):
        column = of_col[cols + shift] * bins + values
        sums = np.zeros(len(cells), dtype=np.int64)
        for start in starts:
            sums += flat[start + column]
        total += (sums / WINDOW).astype(np.float32)
    means: Floats = (total / WINDOW).astype(np.float32)
    return means
