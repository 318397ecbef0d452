"""Spatial value function (thesis 2.5.5, equation 2.9): one data set's perturbation carried to another image
size, other channels and another number of classes, without a search.

It assumes, as the thesis does, that both data sets show their objects at about the same place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from audit.attack.perturbation import Perturbation, make_perturbation
from audit.attack.search import Found, SearchRequest
from audit.errors import ConfigError
from audit.results import Edit

PSF_WIDTH = 1.0
"""Standard deviation of the point spread function, source pixels. 86 % of a draw then lies within two pixels
of an edit: near enough to keep what the search found. Below about half a pixel the sampled Gaussian is a
single pixel, and bilinear resizing alone would decide the spread."""

LUMINANCE = (0.299, 0.587, 0.114)  # red, green, blue: ITU-R BT.601

ValueMap = npt.NDArray[np.float64]


def spatial_value(perturbation: Perturbation, label: int | None = None, width: float = PSF_WIDTH) -> ValueMap:
    """SVF(x, y), the sum over edits of PSF(x - x_k, y - y_k) (2.9), float64 (H, W), >= 0, sum 1.

    Sums over all classes, as (2.9) does, or over class `label` alone. **D** The PSF is an isotropic Gaussian
    of standard deviation `width` source pixels, cut off at the border; the thesis names no width.
    Raises ConfigError where `width` is not positive and finite, or there are no edits to sum over.
    """
    if not (width > 0 and math.isfinite(width)):
        raise ConfigError(f"width: {width} is not a positive number of pixels; write e.g. {PSF_WIDTH}")
    edits = [edit for edit in perturbation.edits if label is None or edit.label == label]
    if not edits:
        missing = "the perturbation" if label is None else f"class {label}"
        raise ConfigError(f"label: {missing} has no edits; name one of the perturbed classes")
    height, breadth = perturbation.image_size
    value = np.zeros((height, breadth))
    for edit in edits:
        down = np.exp(-0.5 * ((np.arange(height) - edit.row) / width) ** 2)
        across = np.exp(-0.5 * ((np.arange(breadth) - edit.col) / width) ** 2)
        value += np.outer(down, across)
    return normalized(value)


def resized(value: ValueMap, image_size: tuple[int, int]) -> ValueMap:
    """A map (H, W) at another size (h, w) by bilinear interpolation: float64, >= 0, sum 1.

    Pixel centres match: source row r lies at (r + 1/2) h / H - 1/2. **D** Shrinking widens the bilinear
    kernel to the source pixels it must cover (antialiasing); without it, an edit that falls between the few
    samples would vanish. The input is not changed.
    """
    height, width = image_size
    return normalized(rows_resized(rows_resized(value, width).T, height).T)


def rows_resized(value: ValueMap, length: int) -> ValueMap:
    """(rows, length). One axis after the other, as torch 2.14 loses rows of a map of one column."""
    batch = torch.tensor(value, dtype=torch.float64)[None, None]
    scaled = functional.interpolate(batch, size=(len(value), length), mode="bilinear", antialias=True)
    lines: ValueMap = scaled[0, 0].numpy()
    return lines


def normalized(value: ValueMap) -> ValueMap:
    """The map divided by its sum."""
    shares: ValueMap = value / value.sum()
    return shares


def transfer(
    perturbation: Perturbation,
    image_size: tuple[int, int],
    channels: int,
    n_classes: int,
    severity: int,
    seed: int,
    *,
    width: float = PSF_WIDTH,
    pooled: bool = False,
) -> Perturbation:
    """`severity` edits per class for images (height, width) of `channels` (1 or 3), sampled from the resized
    SVF (2.9). Depends on its arguments alone; `fraction` and `carrier_seed` are the source's.

    **D** Target class k samples from source class k mod K, K the number of source classes: the thesis pools
    all classes, which would mix the places that the search had kept apart. So fewer target classes use the
    first ones. Further target classes reuse a source class (the thesis fits a mixture to the pooled map
    instead); where two classes would share a position and a value, `make_perturbation` moves the later one
    to the nearest free position. A class whose source class has no edits stays clean. `pooled` takes
    positions from all classes, as (2.9) does; values are the own source class's even then.
    **D** Positions of one class are drawn without replacement (they must be distinct). A value is that of
    the nearest edit of the source class, by pixel centres, in source pixels (Euclidean); grey is repeated
    over colours, colours become luminance (ITU-R BT.601).

    Raises ConfigError where the image is too small, `channels` is not 1 or 3, `severity` is below 1, `width`
    is not positive and finite, or none of the source classes in use has edits.
    """
    labels = attacked(perturbation, n_classes)
    check(image_size, channels, len(labels), severity)
    wanted = []
    for label in labels:
        source = label % perturbation.n_classes
        density = resized(spatial_value(perturbation, None if pooled else source, width), image_size)
        edits = [edit for edit in perturbation.edits if edit.label == source]
        # A stream for each class: its positions do not depend on how many classes there are.
        for row, col in sample(density, severity, np.random.default_rng((seed, label))):
            where = (
                centre(row, image_size[0], perturbation.image_size[0]),
                centre(col, image_size[1], perturbation.image_size[1]),
            )
            wanted.append((label, row, col, in_channels(nearest(edits, where).value, channels)))
    made = make_perturbation(wanted, image_size, channels, n_classes)
    carried = {"fraction": perturbation.fraction, "carrier_seed": perturbation.carrier_seed}
    return made.model_copy(update=carried)


def transferred(request: SearchRequest) -> Found:
    """The request's source at the request's image size, for the classes and images that it asks for.

    Raises ConfigError where the request has no source.
    """
    if request.source is None:
        raise ConfigError("controls.transfer_from: no artefact to transfer; name one")
    made = transfer(
        request.source,
        request.image_size,
        request.channels,
        request.task.n_classes,
        request.severity,
        request.seed,
    )
    edits = tuple(edit for edit in made.edits if edit.label in request.classes)
    wanted = {"edits": edits, "fraction": request.fraction, "carrier_seed": request.seed}
    return made.model_copy(update=wanted), None


def attacked(perturbation: Perturbation, n_classes: int) -> list[int]:
    """The target classes whose source class has edits. Raises ConfigError where there is none."""
    perturbed = {edit.label for edit in perturbation.edits}
    labels = [label for label in range(n_classes) if label % perturbation.n_classes in perturbed]
    if not labels:
        raise ConfigError(
            f"n_classes: none of the first {n_classes} source classes has edits to transfer; "
            f"ask for more classes or name a perturbation that edits these"
        )
    return labels


def check(image_size: tuple[int, int], channels: int, n_attacked: int, severity: int) -> None:
    """Refuse what cannot be made. **D** One position for each edit of the whole table: more than needed where
    values differ, but then a free position is always left, whatever is drawn."""
    if channels not in (1, 3):
        raise ConfigError(f"channels: {channels} is neither 1 (grey) nor 3 (colour); write 1 or 3")
    if severity < 1:
        raise ConfigError(f"severity: {severity} pixels cannot be transferred; write 1 or more")
    height, width = image_size
    if height * width < n_attacked * severity:
        raise ConfigError(
            f"image_size: {height} x {width} has {height * width} positions, {n_attacked} perturbed classes of "
            f"{severity} pixels need {n_attacked * severity}; take larger images or a lower severity"
        )


def sample(density: ValueMap, count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """`count` positions (row, col) drawn with probability `density`, distinct as long as it is above 0 at
    enough of them. A narrow PSF underflows to fewer; the rest are repeats, which `make_perturbation` moves to
    the nearest free position, so that they stay near an edit."""
    chances = density.ravel()
    distinct = min(count, int(np.count_nonzero(chances)))
    flat = [
        *generator.choice(chances.size, size=distinct, replace=False, p=chances),
        *generator.choice(chances.size, size=count - distinct, p=chances),
    ]
    return [(int(index) // density.shape[1], int(index) % density.shape[1]) for index in flat]


def centre(index: int, size: int, source_size: int) -> float:
    """Where the centre of target pixel `index` of `size` lies, in pixels of the source (of `source_size`)."""
    return (index + 0.5) * source_size / size - 0.5


def nearest(edits: Sequence[Edit], where: tuple[float, float]) -> Edit:
    """The edit nearest to (row, col); the first of equals."""
    return min(edits, key=lambda edit: (edit.row - where[0]) ** 2 + (edit.col - where[1]) ** 2)


def in_channels(value: Sequence[float], channels: int) -> list[float]:
    """A value in [0, 1]^C in `channels` channels: grey repeated, colour as its luminance."""
    if len(value) == channels:
        return list(value)
    if channels == 1:
        return [sum(weight * part for weight, part in zip(LUMINANCE, value, strict=True))]
    return list(value) * channels
