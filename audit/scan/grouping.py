"""From spikes, one per pixel, channel and value, to findings: a pixel, a patch, a line of text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from audit.data.dataset import Labels
from audit.scan.isolation import Mask
from audit.scan.record import FindingKind
from audit.scan.significance import Spike

NEAR = 2  # pixels: spikes so close belong together
SAME_IMAGES = 0.5  # of the images that carry either of two spikes, for these to belong together
COVERED = 0.8  # of a spike's images, for it to be the shadow of a neighbour
EXACT = 1.25  # weight of a spike at a fixed position over one that moves by a pixel
FEW = 2  # pixels that still count as single ones
TEXT_PIXELS = 6
SOLID = 0.75  # of its box, that a patch fills


@dataclass(frozen=True)
class Group:
    """Spikes of one class that belong together, the strongest first."""

    label: int
    kind: FindingKind
    spikes: tuple[Spike, ...]
    carriers: Mask  # (N,) images of any class that carry the strongest

    @property
    def pixels(self) -> list[tuple[int, int]]:
        """(row, col) of the flagged pixels, sorted; the centre for those that move."""
        return sorted({(spike.candidate.row, spike.candidate.col) for spike in self.spikes})


def group(spikes: list[Spike], labels: Labels) -> list[Group]:
    """Findings, the most widespread first."""
    found = []
    for label in sorted({spike.label for spike in spikes}):
        own = labels == label
        kept = without_shadows([spike for spike in spikes if spike.label == label], own)
        found += [as_group(label, members) for members in connected(kept, own)]
    return sorted(found, key=lambda one: (-one.spikes[0].share, one.label, one.pixels))


def without_shadows(spikes: list[Spike], own: Mask) -> list[Spike]:
    """The spikes, the strongest first, without those that only repeat a stronger one: the same pixel in another
    channel or bin, and the jittered version of an exact one."""

    def weight(spike: Spike) -> float:
        carried = int((spike.carriers & own).sum())
        return carried * (1 if spike.candidate.family == "jittered" else EXACT)

    kept: list[Spike] = []
    for spike in sorted(spikes, key=weight, reverse=True):
        if not any(is_shadow(spike, other, own) for other in kept):
            kept.append(spike)
    return kept


def is_shadow(spike: Spike, stronger: Spike, own: Mask) -> bool:
    """Whether a spike says nothing that a stronger one near it has not said."""
    distance = apart(spike, stronger)
    if distance == 0:
        return True
    moves = "jittered" in (spike.candidate.family, stronger.candidate.family)
    mine = spike.carriers & own
    return bool(moves and distance <= NEAR and (mine & stronger.carriers).sum() >= COVERED * mine.sum())


def apart(one: Spike, other: Spike) -> int:
    """Pixels between two spikes, along the longer axis."""
    a, b = one.candidate, other.candidate
    return max(abs(a.row - b.row), abs(a.col - b.col))


def connected(spikes: list[Spike], own: Mask) -> list[list[Spike]]:
    """Spikes close to each other and carried by the same images, together; each list in the given order."""
    number = list(range(len(spikes)))
    for i, one in enumerate(spikes):
        for j in range(i):
            if apart(one, spikes[j]) <= NEAR and number[i] != number[j] and alike(one, spikes[j], own):
                merged, into = number[i], number[j]
                number = [into if n == merged else n for n in number]
    return [
        [s for s, n in zip(spikes, number, strict=True) if n == wanted] for wanted in dict.fromkeys(number)
    ]


def alike(one: Spike, other: Spike, own: Mask) -> bool:
    """Whether two spikes are carried by about the same images of their class."""
    a, b = one.carriers & own, other.carriers & own
    return bool((a & b).sum() >= SAME_IMAGES * (a | b).sum())


def as_group(label: int, spikes: list[Spike]) -> Group:
    """With its kind, by contrast, number and shape."""
    return Group(label, kind_of(spikes), tuple(spikes), spikes[0].carriers)


def kind_of(spikes: list[Spike]) -> FindingKind:
    """Low contrast, single pixels, a solid patch, or strokes as of text."""
    if all(spike.candidate.family == "low-contrast" for spike in spikes):
        return "low-contrast"
    positions = np.array([(spike.candidate.row, spike.candidate.col) for spike in spikes])
    if len(positions) <= FEW:
        return "pixel"
    box = np.zeros(np.ptp(positions, axis=0) + 1, dtype=bool)
    box[tuple((positions - positions.min(axis=0)).T)] = True
    if len(positions) < TEXT_PIXELS or ndimage.binary_fill_holes(box).mean() >= SOLID:
        return "patch"
    return "text"
