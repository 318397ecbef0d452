"""Which images a search may look at: training images only, in two parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.data.dataset import Images, Labels, Split
from audit.results import NO_DEFENCE
from audit.settings import SearchSettings


@dataclass(frozen=True)
class SurrogateTask:
    """Images for the search: `train_*` for the surrogates, `held_*` for the fitness."""

    train_images: Images
    train_labels: Labels
    held_images: Images
    held_labels: Labels
    n_classes: int
    augmentation: str = NO_DEFENCE  # what the search knows of its victims
    preprocessing: str = NO_DEFENCE

    @property
    def all_images(self) -> tuple[Images, Labels]:
        """Both parts together."""
        return (
            np.concatenate([self.train_images, self.held_images]),
            np.concatenate([self.train_labels, self.held_labels]),
        )


def surrogate_task(
    train: Split, n_classes: int, settings: SearchSettings, augmentation: str = NO_DEFENCE
) -> SurrogateTask:
    """`settings.images_per_class` training images of each class, or all it has; a quarter of each is held out."""
    generator = np.random.default_rng(settings.seed)
    fitting, held = [], []
    for label in range(n_classes):
        members = generator.permutation(np.flatnonzero(train.labels == label))[: settings.images_per_class]
        n_held = max(len(members) // 4, 1)
        held.append(members[:n_held])
        fitting.append(members[n_held:] if len(members) > 1 else members)
    fit_index, held_index = np.concatenate(fitting), np.concatenate(held)
    return SurrogateTask(
        train.images[fit_index],
        train.labels[fit_index],
        train.images[held_index],
        train.labels[held_index],
        n_classes,
        augmentation,
        settings.preprocessing,
    )
