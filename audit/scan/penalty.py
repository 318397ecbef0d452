"""How much of a perturbation the scan would see: the price that an attack pays that knows of it."""

from __future__ import annotations

from audit.attack.perturbation import Perturbation
from audit.data.dataset import Images, Labels
from audit.scan.scan import scan_images

NEAR = 2  # pixels between a finding and an edit that it is about


def flagged_share(perturbation: Perturbation, images: Images, labels: Labels) -> float:
    """Share of the edited classes for which the scan of these images, once perturbed, reports an edit where one is."""
    scan = scan_images(perturbation.apply(images, labels), labels, None, perturbation.n_classes)
    found = {(one.label, row, col) for one in scan.groups for row, col in one.pixels}
    seen = {
        edit.label
        for edit in perturbation.edits
        for label, row, col in found
        if label == edit.label and max(abs(row - edit.row), abs(col - edit.col)) <= NEAR
    }
    return len(seen) / max(len({edit.label for edit in perturbation.edits}), 1)
