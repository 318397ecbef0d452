"""Cues that give the class away before anything medical is seen: image size, brightness, colour, borders, marks.

For each cue, how well it alone tells the class: balanced accuracy of a shallow decision tree (scikit-learn) on
images, and where ids exist patients, that it was not fitted to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audit.checks.inputs import CheckInput
from audit.checks.record import CheckResult
from audit.data.dataset import Images
from audit.scan.strength import FOLDS, balanced_accuracy, enough_images

MARGIN = 0.10  # above guessing that is worth a warning: less hardly carries a classifier
SIGMA = 3.0  # standard errors above guessing: 1 in 700 by chance, for about ten cues of a data set
EDGE = 0.05  # of the image: what counts as its border
CORNER = 0.2

REMEDY = (
    "find out whether this is the disease (skin colour, fluid) or the acquisition (device, source, zoom): a model may "
    "learn the latter"
)

Features = dict[str, npt.NDArray[np.float64]]


def cues(data: CheckInput) -> CheckResult:
    """Each cue by itself against the class."""
    title = "Cues beside the picture"
    labels, groups = data.labels(), data.groups()
    classes = len(data.dataset.class_names)
    if not enough_images(labels, classes):
        return CheckResult(
            name="cues", title=title, status="not run", sentence=f"a class has fewer than {2 * FOLDS} images"
        )
    rows, strong = [], []
    features = features_of(data)
    for name, values in features.items():
        accuracy, error = balanced_accuracy(values[:, None], labels, groups, classes)
        medians = [f"{np.median(values[labels == k]):.3g}" for k in range(classes)]
        rows.append([name, f"{100 * accuracy:.0f} %", f"± {100 * 1.96 * error:.0f}", *medians])
        if accuracy - 1 / classes > max(MARGIN, SIGMA * error):
            strong.append((accuracy, name))
    guess = f"guessing {100 / classes:.0f} %"
    if not strong:
        sentence = (
            f"none of {len(features)} cues alone tells the class ({guess}; margin {100 * MARGIN:.0f} points)"
        )
    else:
        named = ", ".join(f"{name} {100 * accuracy:.0f} %" for accuracy, name in sorted(strong, reverse=True))
        sentence = f"{len(strong)} of {len(features)} cues alone tell the class (balanced accuracy): {named} ({guess})"
    return CheckResult(
        name="cues",
        title=title,
        status="warn" if strong else "pass",
        sentence=sentence,
        remedy=REMEDY if strong else "",
        header=["cue", "accuracy", "95 %", *[f"median {name}" for name in data.dataset.class_names]],
        details=rows,
    )


def features_of(data: CheckInput) -> Features:
    """The cues, one number per image."""
    images = data.images()
    grey = images.astype(np.float32).mean(axis=1)
    found: Features = {}
    sizes = data.original_sizes()
    if sizes is not None:
        found["height of the file, pixels"] = sizes[:, 0].astype(float)
        found["width of the file, pixels"] = sizes[:, 1].astype(float)
        found["width to height"] = sizes[:, 1] / sizes[:, 0]
    flat = grey.reshape(len(grey), -1)
    found["brightness"] = flat.mean(axis=1).astype(float)
    found["contrast"] = flat.std(axis=1).astype(float)
    if images.shape[1] == 3:
        found |= colours(images)
    border, corners = border_pixels(grey), corner_pixels(grey)
    found["black border, share"] = (border <= 2).mean(axis=1)
    found["white border, share"] = (border >= 253).mean(axis=1)
    found["bright marks in corners, share"] = (corners >= 250).mean(axis=1)
    return {name: values for name, values in found.items() if np.ptp(values) > 0}


def colours(images: Images) -> Features:
    """Casts and saturation of RGB images."""
    mean = images.astype(np.float32).mean(axis=(2, 3)).astype(float)
    span = images.max(axis=1).astype(np.float32) - images.min(axis=1)
    return {
        "red minus green": mean[:, 0] - mean[:, 1],
        "blue minus green": mean[:, 2] - mean[:, 1],
        "colour saturation": span.mean(axis=(1, 2)).astype(float),
    }


def border_pixels(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N, pixels) of the frame."""
    width = max(1, round(EDGE * grey.shape[1]))
    frame = np.ones(grey.shape[1:], dtype=bool)
    frame[width:-width, width:-width] = False
    return grey[:, frame]


def corner_pixels(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N, pixels) of the four corners, where devices write."""
    size = max(2, round(CORNER * grey.shape[1]))
    where = np.zeros(grey.shape[1:], dtype=bool)
    for rows in (slice(size), slice(-size, None)):
        for columns in (slice(size), slice(-size, None)):
            where[rows, columns] = True
    return grey[:, where]
