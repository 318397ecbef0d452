"""Which candidates go with a class: exact tests, corrected for all that was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import hypergeom

from audit.data.dataset import Images, Labels
from audit.scan.candidates import Candidate
from audit.scan.isolation import Mask, isolated_within
from audit.scan.surroundings import FARTHEST, Expected, counted, spatial_p_value
from audit.scan.tallies import LEVELS, Tally

REACH = 8  # pixels: how far an edge is looked for
DROP = 0.6  # of the carriers, from one pixel to the next
SHARP_SIDES = 3  # of four
LEAST_RATIO = 3  # of shares between classes, for what is not isolated: anatomy goes with the class, too
LEAST_P = 0.01  # before correction, for what does not stand alone; more is not looked at further
LEAST_DIFFERENCE = 0.02  # of shares between classes; less gives nothing away

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spike:
    """A candidate that goes with one class."""

    label: int
    candidate: Candidate
    carriers: Mask  # (N,) images of any class that carry it
    share: float  # of the class's images
    others: float  # the largest share in another class


@dataclass(frozen=True)
class Scanned:
    """What the tests look at: uint8 (N, C, H, W), labels (N,), patients or lesions (N,) or None, padding (N, H, W)."""

    images: Images
    labels: Labels
    groups: Labels | None
    padded: Mask
    classes: int

    @cached_property
    def patients(self) -> tuple[Labels, Labels] | None:
        """Number of the patient of each image (N,), and label of each patient: that of most of the images."""
        if self.groups is None:
            return None
        _, patient = np.unique(self.groups, return_inverse=True)
        labels = np.zeros((patient.max() + 1, self.classes), dtype=np.int64)
        np.add.at(labels, (patient, self.labels), 1)
        return patient, labels.argmax(axis=1)

    def units(self, carriers: Mask) -> tuple[Mask, Labels]:
        """Carriers and labels of independent units: patients where they are known, else images."""
        if self.patients is None:
            return carriers, self.labels
        patient, labels = self.patients
        return np.bincount(patient, weights=carriers) > 0, labels


def matches(scanned: Scanned, candidate: Candidate, row: int, col: int) -> Mask:
    """(N,): which images have the candidate's value at this position."""
    return found_within(scanned, candidate, slice(row, row + 1), slice(col, col + 1))[:, 0, 0]


def found_within(scanned: Scanned, candidate: Candidate, rows: slice, cols: slice) -> Mask:
    """(N, rows, cols): the same in a small part of the picture."""
    found = matches_within(scanned.images, candidate, rows, cols)
    return found & ~scanned.padded[:, rows, cols] if candidate.family == "anywhere" else found


def matches_within(images: Images, candidate: Candidate, rows: slice, cols: slice) -> Mask:
    """(N, rows, cols): the same, wherever the pixel is padding or not."""
    plane = images[:, candidate.channel]
    here = plane[:, rows, cols]
    found: Mask = (here >= candidate.low) & (here <= candidate.high)
    if candidate.family in ("isolated", "jittered"):
        which = np.flatnonzero(found.any(axis=(1, 2)))
        found[which] &= isolated_within(plane, which, rows, cols)
    return found


def reached(candidate: Candidate, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns that it may take in pictures of `size`: one pixel aside where it is jittered."""
    reach = 1 if candidate.family == "jittered" else 0
    (top, bottom), (left, right) = (
        (max(at - reach, 0), min(at + reach + 1, edge))
        for at, edge in zip((candidate.row, candidate.col), size, strict=True)
    )
    return slice(top, bottom), slice(left, right)


def carriers_of(scanned: Scanned, candidate: Candidate) -> Mask:
    """(N,): the images that carry it."""
    found = found_within(scanned, candidate, *reached(candidate, scanned.padded.shape[1:]))
    carriers: Mask = np.any(found, axis=(1, 2))
    return carriers


def class_p_values(scanned: Scanned, carriers: Mask) -> Floats:
    """(K,): chance that a class has at least its number of carriers if labels were permuted (Fisher's exact test)."""
    carried, sizes = carried_units(scanned, carriers)
    p: Floats = fisher(carried[None], sizes)[0]
    return p


def carried_units(scanned: Scanned, carriers: Mask) -> tuple[Labels, Labels]:
    """(K,) independent units of each class that carry it, and (K,) all of them."""
    units, labels = scanned.units(carriers)
    sizes = np.bincount(labels, minlength=scanned.classes)
    return np.bincount(labels[units], minlength=scanned.classes), sizes


def fisher(carried: Labels, sizes: Labels) -> Floats:
    """(M, K) one-sided p-values of M candidates from (M, K) carriers among the (K,) units of each class. 1 where a
    class has no more than its share: the exact ones, near or above a half, cost most of the time and say nothing."""
    total = carried.sum(axis=1, keepdims=True)
    p = np.ones(carried.shape)
    more = carried * sizes.sum() > total * sizes
    row, col = np.nonzero(more)
    p[more] = hypergeom.sf(carried[more] - 1, sizes.sum(), total[row, 0], sizes[col])
    return p


def counted_in(scanned: Scanned, candidate: Candidate, own: Mask) -> Expected:
    """Of the images of one class."""

    def at(rows: Labels, cols: Labels) -> Labels:
        top, left = int(rows.min()), int(cols.min())
        around = slice(top, int(rows.max()) + 1), slice(left, int(cols.max()) + 1)
        counts: Labels = found_within(scanned, candidate, *around)[own].sum(axis=0)
        return counts[rows - top, cols - left]

    return at


def has_sharp_edges(scanned: Scanned, candidate: Candidate, own: Mask, carriers: Mask) -> bool:
    """Whether the number of carriers falls from one pixel to the next, as at the edge of a stamp or a letter, and not
    little by little as anatomy varies. Looks up, down, left and right."""
    height, width = scanned.images.shape[2:]
    here = int((carriers & own).sum())
    sharp = 0
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        before = here
        for step in range(1, REACH + 1):
            row, col = candidate.row + step * down, candidate.col + step * right
            if not (0 <= row < height and 0 <= col < width):
                break
            now = int((matches(scanned, candidate, row, col) & own).sum())
            if before - now >= DROP * here:
                sharp += 1
                break
            before = now
    return sharp >= SHARP_SIDES


@dataclass(frozen=True)
class Tested:
    """A candidate with what the labels say of it."""

    candidate: Candidate
    carriers: Mask
    p_values: Floats  # (K,) Fisher's
    shares: Floats  # (K,) of each class's images
    stands_alone: bool  # too frequent here to be of the surroundings, all classes together


@dataclass(frozen=True)
class Judgement:
    """What is said of a candidate whichever others there are: nothing that changes far from it changes this."""

    units: Labels  # (K,) of each class that carry it
    carriers: npt.NDArray[np.uint8]  # a bit for each image
    stands_alone: bool


def spatial_level(scanned: Scanned, alarm_rate: float) -> float:
    """Chance below which a candidate stands alone: half of the rate, shared by all positions and values."""
    tests: int = scanned.images[0].size * LEVELS
    return alarm_rate / 2 / tests


def judge(
    scanned: Scanned,
    tally: Tally,
    candidates: list[Candidate],
    alarm_rate: float,
    known: Mapping[Candidate, Judgement],
) -> dict[Candidate, Judgement]:
    """All candidates, in their order; those that are `known` already are not looked at again."""
    size, level = scanned.padded.shape[1:], spatial_level(scanned, alarm_rate)
    found = {}
    for candidate in candidates:
        if candidate in known:
            found[candidate] = known[candidate]
            continue
        carriers = carriers_of(scanned, candidate)
        p = spatial_p_value(candidate, int(carriers.sum()), counted(tally, candidate), size)
        units, _ = carried_units(scanned, carriers)
        found[candidate] = Judgement(units, np.packbits(carriers), p <= level)
    return found


def unaffected(known: Mapping[Candidate, Judgement], changed: Mask) -> dict[Candidate, Judgement]:
    """The judgements that stay where counts change at the positions `changed` (H, W) only."""
    near = ndimage.maximum_filter(changed, 2 * FARTHEST + 1, mode="constant")
    return {candidate: one for candidate, one in known.items() if not near[candidate.row, candidate.col]}


def significant(scanned: Scanned, judged: Mapping[Candidate, Judgement], alarm_rate: float) -> list[Spike]:
    """Candidates that go with a class, at the stated rate of false alarms per data set.

    Half of the rate goes to candidates that stand alone among their surroundings in the whole set, told without the
    labels: these are few, so that few images of a small class are enough. The other half to all candidates that
    stand alone among the images of their class.
    """
    tested = list(test(scanned, judged))
    local_level = spatial_level(scanned, alarm_rate) / scanned.classes
    alone = sum(one.stands_alone for one in tested)
    spikes = []
    for one in tested:
        corrected = alarm_rate / 2 / scanned.classes / (alone if one.stands_alone else len(judged))
        for label in np.flatnonzero(one.p_values <= corrected):
            spike = as_spike(one, int(label))
            if spike is not None and is_local(scanned, one, int(label), local_level):
                spikes.append(spike)
    return spikes


def test(scanned: Scanned, judged: Mapping[Candidate, Judgement]) -> Iterator[Tested]:
    """Without those that no class has more often than chance explains, before any correction."""
    if not judged:
        return
    sizes = np.bincount(scanned.labels, minlength=scanned.classes)
    _, all_units = carried_units(scanned, np.ones(len(scanned.labels), dtype=bool))
    p_values = fisher(np.stack([one.units for one in judged.values()]), all_units)
    for (candidate, one), p_of_classes in zip(judged.items(), p_values, strict=True):
        if one.stands_alone or p_of_classes.min() <= LEAST_P:
            carriers = np.unpackbits(one.carriers, count=len(scanned.labels)).astype(bool)
            shares = np.bincount(scanned.labels[carriers], minlength=scanned.classes) / sizes
            yield Tested(candidate, carriers, p_of_classes, shares, one.stands_alone)


def as_spike(one: Tested, label: int) -> Spike | None:
    """The candidate as a spike of the class; None where the shares of the classes differ too little."""
    others = float(np.delete(one.shares, label).max())
    isolated = one.candidate.family == "isolated"
    least = others + LEAST_DIFFERENCE if isolated else LEAST_RATIO * others
    if one.shares[label] < max(least, LEAST_DIFFERENCE):
        return None
    return Spike(label, one.candidate, one.carriers, float(one.shares[label]), others)


def is_local(scanned: Scanned, one: Tested, label: int, spatial_level: float) -> bool:
    """Whether it stands alone among its surroundings, and with sharp edges where its pixels are not isolated."""
    own = scanned.labels == label
    if not one.stands_alone:
        at, size = counted_in(scanned, one.candidate, own), scanned.padded.shape[1:]
        if spatial_p_value(one.candidate, int((one.carriers & own).sum()), at, size) > spatial_level:
            return False
    return one.candidate.family != "anywhere" or has_sharp_edges(scanned, one.candidate, own, one.carriers)
