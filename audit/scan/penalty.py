"""How much of a perturbation the scan would see: the price that an attack pays that knows of it."""

from __future__ import annotations

import numpy as np

from audit.attack.perturbation import Perturbation, to_levels
from audit.data.dataset import Images, Labels
from audit.scan.scan import scan_images

AROUND = 12  # pixels to each side of an edit that a cheap look takes in


def flagged_share(perturbation: Perturbation, images: Images, labels: Labels) -> float:
    """Share of the edited classes for which the scan of these images, once perturbed, reports an edit."""
    scan = scan_images(perturbation.apply(images, labels), labels, None, perturbation.n_classes)
    edited = {edit.label for edit in perturbation.edits}
    return len({one.label for one in scan.groups} & edited) / max(len(edited), 1)


def flags(
    edits: tuple[tuple[int, int, int, tuple[float, ...]], ...],
    carriers: np.ndarray,
    images: Images,
    labels: Labels,
    classes: int,
) -> bool:
    """Whether the scan reports any of these edits of one class, written into the images `carriers` (numbers), when it
    looks at their surroundings only. Stricter than the whole scan: fewer places to correct for."""
    height, width = images.shape[2:]
    for label, row, col, value in edits:
        top, left = max(row - AROUND, 0), max(col - AROUND, 0)
        window = images[:, :, top : min(row + AROUND + 1, height), left : min(col + AROUND + 1, width)].copy()
        window[carriers, :, row - top, col - left] = to_levels(value)
        if any(one.label == label for one in scan_images(window, labels, None, classes).groups):
            return True
    return False
