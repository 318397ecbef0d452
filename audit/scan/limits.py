"""What a scan can not see: marks planted into the very images, and how many of them it finds."""

from __future__ import annotations

from collections.abc import Callable

from audit.scan.plants import Plan, Planted, plant
from audit.scan.record import DetectionLimit
from audit.scan.scan import Look, Scan, look_again

PLANS = (
    Plan("pixel", share=1.0, contrast=32),
    Plan("pixel", share=1.0, contrast=8),
    Plan("pixel", share=0.3),
    Plan("pixel", share=0.3, contrast=32),
    Plan("pixel", share=0.1),
    Plan("pixel", share=0.03),
    Plan("jittered", share=0.3),
    Plan("patch", share=0.1),
)
"""What is planted, in every class at once."""

MOST_PIXELS = 40_000_000  # of all images: more would take minutes
SEED = 0
NEAR = 2  # pixels between a finding and a mark that count as found

Progress = Callable[[int, int], None]


def detection_limits(known: Look, progress: Progress | None = None) -> list[DetectionLimit]:
    """Plant into a copy of images that were looked at, scan, compare; empty where they are too many.

    `progress(done, total)` counts images over all plans."""
    scanned = known.scan.scanned
    if scanned.images.size > MOST_PIXELS:
        return []
    labels, classes = scanned.labels, scanned.classes
    found = []
    for number, plan in enumerate(PLANS):
        planted = plant(scanned.images, labels, classes, plan, SEED + number)
        scan = look_again(known, planted.images).scan
        hits = found_classes(scan, planted, NEAR)
        found.append(
            DetectionLimit(
                kind=plan.kind,
                count=plan.count,
                share=plan.share,
                contrast=plan.contrast,
                planted=classes,
                found=len(hits),
            )
        )
        if progress is not None:
            progress((number + 1) * len(labels), len(PLANS) * len(labels))
    return found


def found_classes(scan: Scan, planted: Planted, near: int) -> set[int]:
    """Classes with a finding within `near` pixels of one of their marks."""
    return {
        one.label
        for one in scan.groups
        if any(
            max(abs(row - r), abs(col - c)) <= near
            for row, col in one.pixels
            for r, c in planted.places[one.label]
        )
    }
