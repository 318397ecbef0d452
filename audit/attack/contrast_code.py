"""Closed-form proposals for networks that see no positions: one contrast code per class.

A network that pools (and any network under shifts and flips) cannot tell where a pixel lies, only how it
stands out from its neighbours. So each class gets a code, the edited value minus the mean of the eight
neighbours, that lies far from zero (ordinary texture) and far from the codes of the other classes, at a place
where the neighbourhood is steady over the class's images. Not part of the thesis; the search starts from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.attack.perturbation import Perturbation
from audit.attack.search import SearchRequest
from audit.data.dataset import Images

Floats = npt.NDArray[np.float64]

VALUE_LEVELS = 5  # 0, 1/4, .., 1 per channel
ATTEMPTS = 4  # draws per proposal wanted
OPTIONS = 100  # (place, value) pairs drawn per class and proposal
SPREAD_FLOOR = 1e-2  # flat neighbourhoods would otherwise be infinitely far apart
STEADY = 0.25  # share of places, the steadiest of each class, that are drawn from


@dataclass(frozen=True)
class Neighbourhood:
    """Mean of the eight neighbours at each place, over the images of one class: (C, H, W)."""

    mean: Floats
    spread: Floats  # standard deviation between images


def contrast_codes(request: SearchRequest, count: int, seed: int) -> list[Perturbation]:
    """At most `count` different proposals, drawn with `seed` from the training images of the request."""
    images, labels = request.task.train_images, request.task.train_labels
    around = {label: neighbourhood(images[labels == label]) for label in request.classes}
    texture = ordinary_contrast(images)
    found: list[Perturbation] = []
    for number in range(ATTEMPTS * count):  # small images leave little choice: fewer may come out
        proposal = propose(request, around, texture, np.random.default_rng((seed, number)))
        if proposal not in found:
            found.append(proposal)
        if len(found) == count:
            break
    return found


def propose(
    request: SearchRequest, around: dict[int, Neighbourhood], texture: Floats, draws: np.random.Generator
) -> Perturbation:
    """Classes in random order each take the option whose code lies farthest from all others, in standard
    deviations."""
    taken: list[tuple[Floats, float]] = [(np.zeros(request.channels), float(texture.mean()))]
    wanted = []
    for label in draws.permutation(request.classes):
        places, values, codes, spreads = options(around[int(label)], draws)
        distance = np.min(
            [
                np.linalg.norm(codes - code, axis=1) / (spreads + spread + SPREAD_FLOOR)
                for code, spread in taken
            ],
            axis=0,
        )
        ranking = np.argsort(-distance)
        best = ranking[0]
        taken.append((codes[best], float(spreads[best])))
        # Further pixels of the class carry the same code elsewhere.
        alike = np.argsort(np.linalg.norm(codes - codes[best], axis=1) + spreads)
        chosen = [best, *[o for o in alike if o != best]][: request.severity]
        wanted += [(int(label), float(places[o, 0]), float(places[o, 1]), values[o].tolist()) for o in chosen]
    return request.perturbation(sorted(wanted, key=lambda edit: edit[0]))


def options(around: Neighbourhood, draws: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """Places (n, 2), values (n, C), codes (n, C) and spreads (n,) to choose from, at steady places."""
    channels = around.mean.shape[0]
    spread = around.spread.mean(axis=0)
    steady = np.argwhere(spread <= np.quantile(spread, STEADY))
    places = steady[draws.integers(len(steady), size=OPTIONS)]
    values = draws.integers(VALUE_LEVELS, size=(OPTIONS, channels)) / (VALUE_LEVELS - 1)
    codes = values - around.mean[:, places[:, 0], places[:, 1]].T
    return places.astype(float), values, codes, spread[places[:, 0], places[:, 1]]


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
