"""Closed-form proposals for networks that see no positions: one local pattern per class.

A network that pools (and any network under shifts and flips) cannot tell where a pixel lies, only what it
looks like among its neighbours. So each class gets a pattern (edited value minus the mean of the eight
neighbours, and that mean) that lies far from ordinary texture and from the patterns of the other classes. One
class may go without: where all others carry a mark, its absence is one too. Not part of the thesis; the
search starts from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from audit.attack.edits import WantedEdit
from audit.attack.perturbation import Perturbation
from audit.attack.question import Question
from audit.data.dataset import Images
from audit.training.augmentation import augmentation

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

VALUE_LEVELS = 9  # 0, 1/8, .., 1 per channel
ATTEMPTS = 4  # draws per proposal wanted
OPTIONS = 200  # (place, value) pairs drawn per class and proposal
SPREAD_FLOOR = 1e-2  # flat neighbourhoods would otherwise be infinitely far apart
UNMARKED = 0.5  # share of proposals in which one class goes without a mark
SURVIVAL_DRAWS = 200  # augmentations that decide where a pixel stays in the image
SURVIVES = 0.95  # of the most that any place survives


Pattern = tuple[Floats, float]
"""(value minus neighbours and neighbours, standard deviation between images)."""


@dataclass(frozen=True)
class Neighbourhood:
    """Mean of the eight neighbours at each place, over the images of one class: (C, H, W)."""

    mean: Floats
    spread: Floats  # standard deviation between images


@dataclass(frozen=True)
class Options:
    """What one class may choose from: n places with a value each."""

    places: Floats  # (n, 2)
    values: Floats  # (n, C)
    patterns: Floats  # (n, 2 C): value minus neighbours, neighbours
    spreads: Floats  # (n,)


class ContrastCodes:
    """Proposals from the training images of a question."""

    def __init__(self, question: Question) -> None:
        images, labels = question.task.train_images, question.task.train_labels
        self.question = question
        self.around = {label: neighbourhood(images[labels == label]) for label in question.classes}
        self.texture = float(ordinary_contrast(images).mean())
        kept = survivors(question.image_size, question.task.augmentation, question.settings.seed)
        self.places = np.argwhere(kept)

    def proposals(self, count: int, seed: int) -> list[Perturbation]:
        """At most `count` different ones, drawn with `seed`."""
        found: list[Perturbation] = []
        for number in range(ATTEMPTS * count):  # small images leave little choice: fewer may come out
            proposal = self.propose(np.random.default_rng((seed, number)))
            if proposal not in found:
                found.append(proposal)
            if len(found) == count:
                break
        return found

    def propose(self, draws: np.random.Generator) -> Perturbation:
        """One proposal."""
        return self.question.perturbation(self.wanted(draws))

    def wanted(self, draws: np.random.Generator) -> list[WantedEdit]:
        """Classes in random order each take the option whose pattern lies farthest from texture and from all
        patterns taken so far, in standard deviations."""
        order = [int(label) for label in draws.permutation(self.question.classes)]
        unmarked = order[-1] if len(order) > 1 and draws.random() < UNMARKED else None
        taken: list[Pattern] = []
        wanted: list[WantedEdit] = []
        for label in order:
            block = self.block(label, taken, draws, marked=label != unmarked)
            taken.append(self.pattern(block[0]))
            wanted += block
        return sorted(wanted, key=lambda edit: edit[0])

    def block(
        self, label: int, taken: Sequence[Pattern], draws: np.random.Generator, marked: bool = True
    ) -> list[WantedEdit]:
        """N_p edits of one class that all carry one pattern, far from those taken; or, not marked, texture."""
        offered = drawn_options(self.around[label], self.places, draws)
        contrast = offered.patterns[:, : self.question.channels]
        from_texture = np.linalg.norm(contrast, axis=1) / (self.texture + offered.spreads + SPREAD_FLOOR)
        distances = [from_texture, *[distance(offered, *other) for other in taken]]
        best = int(np.argmax(np.min(distances, axis=0)) if marked else np.argmin(from_texture))
        # Further pixels of the class carry the same pattern elsewhere.
        alike = np.argsort(distance(offered, offered.patterns[best], 0.0) + offered.spreads)
        chosen = [best, *[o for o in alike if o != best]][: self.question.severity]
        places, values = offered.places[chosen], offered.values[chosen]
        return [(label, p[0], p[1], v.tolist()) for p, v in zip(places, values, strict=True)]

    def pattern(self, edit: WantedEdit) -> Pattern:
        """What a network sees at an edit, and how much that varies between images."""
        label, row, col, value = edit
        around = self.around[label]
        near = around.mean[:, int(row), int(col)]
        return np.concatenate([np.subtract(value, near), near]), float(
            around.spread[:, int(row), int(col)].mean()
        )


def distance(offered: Options, pattern: Floats, spread: float) -> Floats:
    """Of each option from one pattern, in standard deviations (n,)."""
    apart: Floats = np.linalg.norm(offered.patterns - pattern, axis=1)
    return apart / (offered.spreads + spread + SPREAD_FLOOR)


def drawn_options(
    around: Neighbourhood, places: npt.NDArray[np.int64], draws: np.random.Generator
) -> Options:
    """Uniform draws of places and values for one class."""
    chosen = places[draws.integers(len(places), size=OPTIONS)]
    values = draws.integers(VALUE_LEVELS, size=(OPTIONS, len(around.mean))) / (VALUE_LEVELS - 1)
    near = around.mean[:, chosen[:, 0], chosen[:, 1]].T
    spreads = around.spread.mean(axis=0)[chosen[:, 0], chosen[:, 1]]
    return Options(chosen.astype(float), values, np.concatenate([values - near, near], axis=1), spreads)


def survivors(image_size: tuple[int, int], name: str, seed: int) -> Flags:
    """Places (H, W) whose pixel stays in the image as often as any other's under the augmentation. Mixing
    moves no pixel and is left out."""
    places = torch.arange(1, image_size[0] * image_size[1] + 1, dtype=torch.float64).reshape(
        1, 1, *image_size
    )
    draws = torch.Generator().manual_seed(seed)
    augment = augmentation(name, mixing=False)
    moved = augment(places.expand(SURVIVAL_DRAWS, -1, -1, -1).clone(), draws).images
    seen = np.bincount(moved.numpy().astype(np.int64).ravel(), minlength=image_size[0] * image_size[1] + 1)[
        1:
    ]
    kept: Flags = (seen >= SURVIVES * seen.max()).reshape(image_size)
    return kept


def neighbourhood(images: Images) -> Neighbourhood:
    """Of uint8 (N, C, H, W) images of one class."""
    around = neighbour_means(images)
    return Neighbourhood(around.mean(axis=0), around.std(axis=0))


def ordinary_contrast(images: Images) -> Floats:
    """Standard deviation of pixel minus neighbours in the images as they are, per channel (C,)."""
    contrast = images.astype(np.float64) / 255 - neighbour_means(images)
    deviation: Floats = contrast.std(axis=(0, 2, 3))
    return deviation


def neighbour_means(images: Images) -> Floats:
    """Mean of the eight neighbours of each pixel, in [0, 1]; beyond the border the nearest pixel counts."""
    height, width = images.shape[2:]
    padded = np.pad(images.astype(np.float64) / 255, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    total = np.zeros(images.shape)
    for down in range(3):
        for right in range(3):
            if (down, right) != (1, 1):
                total += padded[:, :, down : down + height, right : right + width]
    return total / 8
