"""What a search looks for, without how: small enough to travel to a worker process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.attack.edits import Block, Wanted
from audit.attack.perturbation import LEVELS, Perturbation, make_perturbation
from audit.attack.surrogate_task import SurrogateTask
from audit.settings import SearchSettings


@dataclass(frozen=True)
class Target:
    """Which edits are looked for."""

    severity: int  # N_p, edits per class
    classes: tuple[int, ...]  # that are edited
    fraction: float  # of each class's images that carry the edits
    seed: int


@dataclass(frozen=True)
class Question:
    """A target, and the images for surrogates: a draw of the training images."""

    task: SurrogateTask
    severity: int
    classes: tuple[int, ...]
    fraction: float
    seed: int
    settings: SearchSettings

    @property
    def target(self) -> Target:
        """Without the images."""
        return Target(self.severity, self.classes, self.fraction, self.seed)

    @property
    def channels(self) -> int:
        """1 or 3."""
        return int(self.task.train_images.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.task.train_images.shape[2:]
        return int(height), int(width)

    def perturbation(self, wanted: Wanted) -> Perturbation:
        """The valid perturbation nearest to the wanted edits."""
        made = make_perturbation(wanted, self.image_size, self.channels, self.task.n_classes)
        return made.model_copy(update={"fraction": self.fraction, "carrier_seed": self.seed})

    def block(self, wanted: Wanted) -> Block:
        """The nearest edits inside the image, values on the 1/255 grid."""
        height, width = self.image_size
        return tuple(
            (
                label,
                int(np.clip(np.rint(row), 0, height - 1)),
                int(np.clip(np.rint(col), 0, width - 1)),
                tuple(round(min(max(float(v), 0.0), 1.0) * LEVELS) / LEVELS for v in value),
            )
            for label, row, col, value in wanted
        )
