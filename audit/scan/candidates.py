"""Candidates: (position, value) that stand out from their surroundings, chosen without a look at the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from audit.scan.tallies import LEVELS, Counts, Tally

Family = Literal["isolated", "jittered", "anywhere", "low-contrast"]

LEAST = 4  # images in which a candidate must stand
STANDS_OUT = 4.0  # standard deviations (Poisson) above the surroundings
WINDOW = 9  # pixels: the surroundings, without the position itself
BIN = 8  # grey levels: values as JPEG spreads them
MOVES = 1.25  # images within a pixel, over those at one position, for a mark that moves
MOST = 2000  # candidates of a family; the strongest are kept


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


def find_candidates(tally: Tally) -> list[Candidate]:
    """All families, exact values and bins of `BIN` levels."""
    found = []
    for channel in range(len(tally.everywhere)):
        alone, everywhere = tally.isolated[channel], tally.everywhere[channel]
        for width in (1, BIN):
            fixed = alone if width == 1 else binned(alone)
            found += stand_out(channel, fixed, "isolated", width)
            found += stand_out(channel, moving(fixed), "jittered", width)
            found += stand_out(channel, everywhere if width == 1 else binned(everywhere), "anywhere", width)
    return found


def moving(fixed: Counts) -> Counts:
    """Counts (H, W, bins) within one pixel of each position; zero where one position holds nearly all of them: a mark
    that does not move."""
    around = np.rint(ndimage.uniform_filter(fixed.astype(np.float64), (3, 3, 0), mode="constant") * 9)
    most = ndimage.maximum_filter(fixed, (3, 3, 1), mode="constant")
    counts: Counts = np.where(around >= MOVES * most, around, 0).astype(np.int32)
    return counts


def binned(counts: Counts) -> Counts:
    """Counts (H, W, 256 // (BIN / 2) - 1) of overlapping bins: each starts half a bin after the one before."""
    half: Counts = counts.reshape(*counts.shape[:2], LEVELS // (BIN // 2), BIN // 2).sum(axis=3)
    return half[..., :-1] + half[..., 1:]


def stand_out(channel: int, counts: Counts, family: Family, width: int) -> list[Candidate]:
    """Cells of counts (H, W, bins) that exceed the mean of their surroundings, at the same value."""
    values = counts.astype(np.float32)
    around = ndimage.uniform_filter(values, (WINDOW, WINDOW, 0), mode="reflect") * WINDOW**2
    around = np.maximum(around - values, 0) / (WINDOW**2 - 1)
    excess = (values - around) / np.sqrt(around + 1)
    cells = np.argwhere((excess > STANDS_OUT) & (values >= LEAST))
    strength = excess[tuple(cells.T)]
    chosen = cells[np.argsort(-strength, kind="stable")[:MOST]]
    step = 1 if width == 1 else width // 2
    return [
        Candidate(
            channel, int(r), int(c), int(v) * step, int(v) * step + width - 1, family, float(excess[r, c, v])
        )
        for r, c, v in chosen
    ]
