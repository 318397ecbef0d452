"""Whether a candidate stands alone among the positions around it, or comes with the anatomy."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import pdtrc

from audit.scan.candidates import Candidate, Family
from audit.scan.tallies import Tally

RINGS: dict[Family, tuple[int, ...]] = {"isolated": (1, 2, 4), "jittered": (2, 4), "anywhere": (2, 4)}
"""Pixels: distances of the surroundings that a candidate is held against. Patches and text fill the nearest."""
FARTHEST = max(max(distances) for distances in RINGS.values())
RING_QUANTILE = 0.75
PATCH_QUANTILE = 0.5  # of what is not isolated: at the corner of a patch a third of the surroundings is patch
TIMES = 4  # as many as in the surroundings, at least: anatomy is too uneven for less
RARE = 0.05  # images of a class in which any isolated value may be expected anywhere, at least

Positions = npt.NDArray[np.int64]
Expected = Callable[[Positions, Positions], Positions]
"""(rows, cols) -> images that have the candidate's value at each."""


def spatial_p_value(candidate: Candidate, found: int, at: Expected, size: tuple[int, int]) -> float:
    """Chance of at least `found` carriers here if the surroundings, of pictures of `size`, are alike (Poisson)."""
    expected = [at(*ring(candidate, size, distance)) for distance in RINGS[candidate.family]]
    area = 9 if candidate.family == "jittered" else 1
    if candidate.family == "anywhere":
        usual = max(quantile(counts, PATCH_QUANTILE) for counts in expected)
    else:
        usual = max(
            max(quantile(counts, RING_QUANTILE), float(counts.sum() / counts.size)) for counts in expected
        )
    if found < max(TIMES * area * usual, 1):
        return 1.0
    uneven = candidate.family != "isolated"  # what is not isolated comes in crowds: more of it by chance
    return float(pdtrc(found - 1, 2 * area * usual + 1 if uneven else max(usual, RARE)))


def quantile(counts: Positions, share: float) -> float:
    """NumPy's, of whole numbers and at a quarter or a half, where both are exact; asked for so often that its care for
    all other cases takes most of the time of a scan."""
    ordered = np.sort(counts)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (position - below))


def ring(candidate: Candidate, size: tuple[int, int], distance: int) -> tuple[Positions, Positions]:
    """(rows, cols) of the square ring around the candidate, within the picture."""
    down, right = ring_offsets(distance)
    rows, cols = candidate.row + down, candidate.col + right
    inside = (rows >= 0) & (rows < size[0]) & (cols >= 0) & (cols < size[1])
    return rows[inside], cols[inside]


@lru_cache
def ring_offsets(distance: int) -> tuple[Positions, Positions]:
    """(rows, cols) of a square ring around (0, 0)."""
    along = np.arange(-distance, distance + 1)
    down, right = (axis.ravel() for axis in np.meshgrid(along, along, indexing="ij"))
    edge = np.maximum(np.abs(down), np.abs(right)) == distance
    return down[edge], right[edge]


def counted(tally: Tally, candidate: Candidate) -> Expected:
    """Of all images, from the counts."""
    counts = (tally.everywhere if candidate.family == "anywhere" else tally.isolated)[candidate.channel]
    return lambda rows, cols: counts[rows, cols, candidate.low : candidate.high + 1].sum(
        axis=-1, dtype=np.int64
    )
