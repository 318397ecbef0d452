"""Edits that the shortcut scan does not see: what a search draws from that is fined where the scan flags (red team)."""

from __future__ import annotations

import numpy as np

from audit.attack.edits import WantedEdit
from audit.attack.question import Question
from audit.scan.penalty import flags

POOL = 24  # hidden edits per class
TRIES = 400  # places per class that are looked at for them
NEAR = 3  # grey levels between a hidden value and the median of the class there


class HiddenEdits:
    """Edits of each class that the scan does not flag one by one, found when first asked for."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.pools: dict[int, list[WantedEdit]] = {}

    def block(self, label: int, draws: np.random.Generator) -> list[WantedEdit] | None:
        """N_p of the hidden edits of a class; None where there are too few."""
        if label not in self.pools:
            self.pools[label] = self.pool(label, np.random.default_rng([self.question.seed, label]))
        pool, wanted = self.pools[label], self.question.severity
        if len(pool) < wanted:
            return None
        return [pool[i] for i in draws.choice(len(pool), size=wanted, replace=False)]

    def pool(self, label: int, draws: np.random.Generator) -> list[WantedEdit]:
        """Places in random order, each with a value near what the class has there, kept where the scan passes it."""
        images, labels = self.question.task.all_images
        own = np.flatnonzero(labels == label)
        carriers = own[: max(round(self.question.fraction * len(own)), 1)]
        classes = len(self.question.classes)
        height, width = images.shape[2:]
        found: list[WantedEdit] = []
        for place in draws.permutation(height * width)[:TRIES].tolist():
            row, col = divmod(place, width)
            off = draws.integers(-NEAR, NEAR + 1)
            value = np.clip(np.median(images[own, :, row, col], axis=0) + off, 0, 255) / 255
            edit = (label, row, col, tuple(value.tolist()))
            if not flags((edit,), carriers, images, labels, classes):
                found.append((label, row, col, value.tolist()))
            if len(found) == max(POOL, 2 * self.question.severity):
                break
        return found
