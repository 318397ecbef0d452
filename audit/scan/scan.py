"""The scan, top to bottom: count -> candidates -> exact tests -> findings. Works on arrays, knows no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from audit.data.dataset import Images, Labels
from audit.scan.candidates import (
    Candidate,
    Standing,
    find_candidates,
    find_standing,
    find_standing_again,
)
from audit.scan.frames import Frame, border_frames, padding_frames
from audit.scan.grouping import Group, apart, group
from audit.scan.marks import Repair
from audit.scan.residuals import low_contrast_pixels
from audit.scan.significance import Judgement, Scanned, Spike, judge, significant, unaffected
from audit.scan.tallies import LEVELS, Tally, tally, tally_again

FALSE_ALARM_RATE = 0.01  # share of clean data sets in which edits would be reported

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scan:
    """What was found in some images, and these images as they were looked at."""

    groups: list[Group]  # edits
    frames: list[Frame]  # padding and borders
    scanned: Scanned

    @property
    def marks(self) -> tuple[Candidate, ...]:
        """What a repair takes out."""
        return tuple(spike.candidate for one in self.groups for spike in one.spikes)


@dataclass(frozen=True)
class Look:
    """A scan with what was counted and judged for it: what scans of nearly the same images need not do again."""

    scan: Scan
    counted: Tally
    standing: list[Standing]
    judged: dict[Candidate, Judgement]


def scan_images(
    images: Images, labels: Labels, groups: Labels | None, classes: int, progress: Progress | None = None
) -> Scan:
    """Look for what gives classes away in uint8 (N, C, H, W). `groups`: patients or lesions, where known.
    `progress(done, total)` counts images. Neither images nor labels are changed; no random numbers are drawn."""
    return look_at(images, labels, groups, classes, progress).scan


def look_at(
    images: Images, labels: Labels, groups: Labels | None, classes: int, progress: Progress | None = None
) -> Look:
    """The same, with the counts."""
    counted = tally(images, progress)
    standing = find_standing(counted.everywhere, counted.isolated)
    return concluded(Scanned(images, labels, groups, counted.padded, classes), counted, standing, {})


def look_again(known: Look, images: Images) -> Look:
    """What `look_at` sees in images that differ from those of what is `known` in some pixels; takes less time the
    fewer positions these have. Labels and groups are the same."""
    before = known.scan.scanned
    counted, changed = tally_again(known.counted, before.images, images)
    standing = find_standing_again(known.standing, counted.everywhere, counted.isolated, changed)
    scanned = replace(before, images=images, padded=counted.padded)
    return concluded(scanned, counted, standing, unaffected(known.judged, changed))


def concluded(
    scanned: Scanned, counted: Tally, standing: list[Standing], known: dict[Candidate, Judgement]
) -> Look:
    """From counts to findings."""
    # Half of the stated rate to each of the two searches for edits.
    rate = FALSE_ALARM_RATE / 2
    judged = judge(scanned, counted, find_candidates(standing), rate, known)
    spikes = significant(scanned, judged, rate)
    borders = border_frames(scanned, FALSE_ALARM_RATE)
    spikes += low_contrast_spikes(scanned, spikes, borders)
    found = Scan(
        groups=group(spikes, scanned.labels),
        frames=padding_frames(scanned, FALSE_ALARM_RATE) + borders,
        scanned=scanned,
    )
    return Look(found, counted, standing, judged)


def low_contrast_spikes(scanned: Scanned, known: list[Spike], borders: list[Frame]) -> list[Spike]:
    """Pixels that stand out on the mean once the marks found already are taken out. Which images carry them can not
    be told: all images of the class are taken to. Where several classes differ at a pixel, the one whose own pixel
    stands out most is named: the others differ from it."""
    images = Repair(tuple({spike.candidate: None for spike in known}))(scanned.images)
    unusable = scanned.padded.copy()
    for border in borders:
        unusable[np.ix_(border.carriers, *map(np.unique, np.nonzero(border.where)))] = True
    pixels = low_contrast_pixels(images, scanned.labels, unusable, scanned.classes, FALSE_ALARM_RATE / 2)
    spikes: list[Spike] = []
    for pixel in sorted(pixels, key=lambda pixel: -pixel.own):
        mark = Candidate(
            pixel.channel, pixel.row, pixel.col, 0, LEVELS - 1, "low-contrast", abs(pixel.effect)
        )
        spike = Spike(pixel.label, mark, scanned.labels == pixel.label, 1.0, 0.0)
        if not any(apart(spike, stronger) <= 1 and stronger.label != spike.label for stronger in spikes):
            spikes.append(spike)
    return spikes
