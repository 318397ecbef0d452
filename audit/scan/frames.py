"""Padding and constant borders that go with a class: a matter of acquisition or conversion, reported as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from audit.scan.isolation import Mask
from audit.scan.record import FindingKind
from audit.scan.significance import LEAST_DIFFERENCE, Scanned, class_p_values
from audit.scan.tallies import LEVELS

GRID = 8  # positions along each axis at which padding is counted
BACKGROUND = 0.25  # of all pixels: so much black or white is the background, as of digits, and no padding
LEAST_PADDED = 0.05  # difference between classes in the share of images that are padded somewhere
WITHIN = 0.5  # of the greatest difference: pixels that belong to the same region
DEPTH = 4  # lines from each edge that may be a border
EVEN = 2  # grey levels within a line that still is constant
LEAST_IMAGES = 4


@dataclass(frozen=True)
class Frame:
    """A region of padding, or a constant line at an edge, that one class has more often than others."""

    label: int
    kind: FindingKind
    top: int
    left: int
    height: int
    width: int
    value: int  # grey level
    carriers: Mask  # (N,) images of any class
    share: float
    others: float
    where: npt.NDArray[np.bool_]  # (H, W) flagged pixels


def padding_frames(scanned: Scanned, alarm_rate: float) -> list[Frame]:
    """For each class the pixels that are padding more often than in every other class, as one region each."""
    height, width = scanned.padded.shape[1:]
    if scanned.padded.mean() > BACKGROUND:
        return []
    rows = np.unique(np.linspace(0, height - 1, min(height, GRID)).astype(int))
    cols = np.unique(np.linspace(0, width - 1, min(width, GRID)).astype(int))
    at_grid = scanned.padded[:, rows][:, :, cols]
    sizes = np.bincount(scanned.labels, minlength=scanned.classes)
    counts = np.stack([at_grid[scanned.labels == k].sum(axis=0) for k in range(scanned.classes)])
    shares = counts / sizes[:, None, None]
    found = []
    for label in range(scanned.classes):
        difference = shares[label] - np.delete(shares, label, axis=0).max(axis=0)
        # Images of a patient are alike: counting them as one each would see confounds that are none.
        p = grid_p_values(scanned, at_grid, label)
        telling = (p <= alarm_rate / (scanned.classes * p.size)) & (difference >= LEAST_PADDED)
        if telling.any():
            found.append(padded_region(scanned, label, rows, cols, np.where(telling, difference, 0)))
    return found


def grid_p_values(scanned: Scanned, at_grid: Mask, label: int) -> npt.NDArray[np.float64]:
    """Chance (rows, cols) of as many padded patients or images of a class if labels were permuted."""
    _, labels = scanned.units(at_grid[:, 0, 0])
    if scanned.groups is None:
        units = at_grid
    else:
        _, unit = np.unique(scanned.groups, return_inverse=True)
        carried = np.zeros((len(labels), *at_grid.shape[1:]), dtype=np.int32)
        np.add.at(carried, unit, at_grid)
        units = carried > 0
    own = units[labels == label].sum(axis=0)
    p: npt.NDArray[np.float64] = hypergeom.sf(
        own - 1, len(labels), units.sum(axis=0), int((labels == label).sum())
    )
    return p


def padded_region(
    scanned: Scanned,
    label: int,
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    difference: npt.NDArray[np.float64],
) -> Frame:
    """The pixels whose share differs by at least half of the greatest difference, at full resolution."""
    i, j = np.unravel_index(difference.argmax(), difference.shape)
    row, col = int(rows[i]), int(cols[j])
    members = scanned.labels == label
    own = scanned.padded[members].mean(axis=0)
    rest = np.max(
        [
            scanned.padded[scanned.labels == k].mean(axis=0)
            for k in range(scanned.classes)
            if k != label and (scanned.labels == k).any()
        ],
        axis=0,
    )
    where = own - rest >= WITHIN * difference[i, j]
    carriers = scanned.padded[:, row, col]
    levels = scanned.images[members & carriers, 0, row, col]
    value = 0 if np.median(levels) < LEVELS // 2 else LEVELS - 1
    found = np.argwhere(where)
    top, left = found.min(axis=0)
    bottom, right = found.max(axis=0)
    return Frame(
        label,
        "padding",
        int(top),
        int(left),
        int(bottom - top + 1),
        int(right - left + 1),
        value,
        carriers,
        float(own[row, col]),
        float(rest[row, col]),
        where,
    )


def border_frames(scanned: Scanned, alarm_rate: float) -> list[Frame]:
    """Constant lines along an edge, by edge and value, that go with a class: at most one finding per class and edge."""
    height, width = scanned.images.shape[2:]
    lines = [(side, depth) for side in range(4) for depth in range(min(DEPTH, height // 8, width // 8))]
    looked_at = []
    for side, depth in lines:
        line = line_at(scanned.images, side, depth)
        constant = (line.max(axis=2).astype(int) - line.min(axis=2) <= EVEN).all(axis=1)
        constant &= ~line_at(scanned.padded[:, None], side, depth).any(axis=(1, 2))
        level = np.median(line[:, 0], axis=1).astype(int)
        for value in np.unique(level[constant]):
            carriers = constant & (np.abs(level - value) <= EVEN)
            if carriers.sum() >= LEAST_IMAGES:
                looked_at.append((side, depth, int(value), carriers))
    sizes = np.bincount(scanned.labels, minlength=scanned.classes)
    strongest: dict[tuple[int, int], Frame] = {}
    for side, depth, value, carriers in looked_at:
        p = class_p_values(scanned, carriers)
        shares = np.bincount(scanned.labels[carriers], minlength=scanned.classes) / sizes
        for label in np.flatnonzero(p <= alarm_rate / (scanned.classes * len(looked_at))):
            others = float(np.delete(shares, label).max())
            if shares[label] - others >= LEAST_DIFFERENCE:
                frame = border(
                    int(label), side, depth, value, carriers, float(shares[label]), others, scanned
                )
                known = strongest.get((int(label), side))
                if known is None or frame.share > known.share:
                    strongest[int(label), side] = frame
    return list(strongest.values())


def line_at(images: npt.NDArray[Any], side: int, depth: int) -> npt.NDArray[Any]:
    """(N, C, pixels) of the line `depth` from the top, bottom, left or right edge."""
    line: npt.NDArray[Any] = (
        images[:, :, depth],
        images[:, :, -1 - depth],
        images[:, :, :, depth],
        images[:, :, :, -1 - depth],
    )[side]
    return line


def border(
    label: int,
    side: int,
    depth: int,
    value: int,
    carriers: Mask,
    share: float,
    others: float,
    scanned: Scanned,
) -> Frame:
    """One constant line as a finding."""
    height, width = scanned.images.shape[2:]
    top = {0: depth, 1: height - 1 - depth}.get(side, 0)
    left = {2: depth, 3: width - 1 - depth}.get(side, 0)
    lines, columns = (1, width) if side < 2 else (height, 1)
    where = np.zeros((height, width), dtype=bool)
    where[top : top + lines, left : left + columns] = True
    return Frame(label, "border", top, left, lines, columns, value, carriers, share, others, where)
