"""Preprocessing of images as a defence, by name: one row each. numpy, SciPy, Pillow and scikit-learn are imported
when one is used.

A defence is fitted once on the training images as they are handed over (perturbed, if they are), and then
changes every image that the model is shown, in training and later, in the same way: after the perturbation,
before augmentation and normalization. It works one image at a time, so that an image's result never depends
on the images beside it and memory holds no more than the images and their results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from audit.names import known, unique

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from audit.data.dataset import Images, Labels

Preprocessing: TypeAlias = "Callable[[Images], Images]"
"""uint8 (N, C, H, W) -> uint8 of the same shape; deterministic, and the input stays as it is."""

ImageFilter: TypeAlias = "Callable[[Images], Images]"
"""The same for one image, uint8 (C, H, W)."""

Fit: TypeAlias = "Callable[[Images, Labels, int], Preprocessing]"
"""(training images, their labels int64 (N,), seed) -> the preprocessing of all images."""

JOINED_BY = "+"  # median-3+jpeg-50: first the median filter, then JPEG
NOISE_STD = (0.04, 0.06, 0.08, 0.09, 0.10)
"""Standard deviation by severity, of pixels in [0, 1]: CIFAR-10-C's (Hendrycks & Dietterich 2019, to which
thesis 2.8.8 refers for its severities), made for small images; ImageNet-C's go up to 0.38."""


def each_image(change: ImageFilter, images: Images) -> Images:
    """`change`, over a stack of images."""
    import numpy as np

    changed = np.empty(images.shape, dtype=np.uint8)
    for i, image in enumerate(images):
        changed[i] = change(image)
    return changed


def unchanged(images: Images) -> Images:
    """The images as they are: the same array."""
    return images


# ---- filters that learn nothing from the training images


def median_filter(image: Images, size: int) -> Images:
    """Each pixel becomes the median of the `size` x `size` pixels around it, channel by channel; borders
    are mirrored. The median smoothing of feature squeezing (Xu et al. 2017; thesis 2.8.8 and 5.5)."""
    from scipy import ndimage

    filtered: Images = ndimage.median_filter(image, size=(1, size, size), mode="reflect")
    return filtered


def average_filter(image: Images, size: int) -> Images:
    """Each pixel becomes the mean of the `size` x `size` pixels around it, rounded, channel by channel;
    borders are mirrored. The average smoothing of thesis 5.5."""
    import numpy as np
    from scipy import ndimage

    # A mean of 9 or 25 levels is never near a half: single precision rounds it rightly.
    means = ndimage.uniform_filter(image.astype(np.float32), size=(1, size, size), mode="reflect")
    averaged: Images = np.rint(means).astype(np.uint8)
    return averaged


def jpeg_round_trip(image: Images, quality: int) -> Images:
    """Encode as JPEG of `quality` (1 to 95) and decode: grey stays grey, colour is subsampled 4:2:0, as
    libjpeg does by default. A defence against one-pixel shortcuts in Wu et al. 2023."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    grey = image.shape[0] == 1
    file = BytesIO()
    encoded = Image.fromarray(np.ascontiguousarray(image[0] if grey else image.transpose(1, 2, 0)))
    encoded.save(file, "JPEG", quality=quality)
    decoded: Images = np.asarray(Image.open(file))
    return decoded[None] if grey else decoded.transpose(2, 0, 1)


def gaussian_noise(image: Images, std: float, seed: int) -> Images:
    """Add Gaussian noise of standard deviation `std` (of pixels in [0, 1]), round, clip to [0, 255].

    The draw is seeded by the image's own content and `seed`: the same image gets the same noise wherever
    it stands, and two images that differ in a pixel get different noise.
    """
    import hashlib

    import numpy as np

    content = hashlib.sha256(f"{seed} {image.shape} ".encode() + image.tobytes()).digest()
    draws = np.random.default_rng(int.from_bytes(content[:16], "big"))
    noise = draws.standard_normal(image.shape, dtype=np.float32) * np.float32(255 * std)
    noisy: Images = np.rint(image + noise).clip(0, 255).astype(np.uint8)
    return noisy


# ---- orthogonal projection, fitted to the training images


@dataclass(frozen=True)
class Projection:
    """What `fit_projection` learned, for images of D = C * H * W pixels."""

    directions: npt.NDArray[np.float64]  # Q, (D, rank), orthonormal columns
    mean: npt.NDArray[np.float64]  # of the training images, (D,), levels
    low: float  # level that is stored as 0
    high: float  # level that is stored as 255

    def residual(self, image: Images) -> npt.NDArray[np.float64]:
        """x - QQ^T (x - mean), (D,), in levels: may leave [0, 255]. What is read along Q is that of the
        mean image, for every image alike; x - QQ^T x differs from it by the same constant image."""
        flat = image.reshape(-1)
        # One image at a time on purpose: BLAS sums a stack in an order that depends on its size.
        residual: npt.NDArray[np.float64] = flat - self.directions @ (self.directions.T @ (flat - self.mean))
        return residual

    def __call__(self, image: Images) -> Images:
        """The residual of one image, [low, high] brought to [0, 255]."""
        import numpy as np

        levels = (self.residual(image) - self.low) * (255 / (self.high - self.low))
        stored: Images = np.rint(levels).clip(0, 255).astype(np.uint8).reshape(image.shape)
        return stored


def fit_projection(images: Images, labels: Labels) -> Projection:
    """Learn which directions tell the classes apart linearly: the weights W of a logistic regression without
    bias on the training images, and an orthonormal basis Q of them (Sandoval-Segura et al. 2023).

    Residuals leave [0, 255], and clipping them would bring class information back; so one scale for all
    pixels and images maps the range of the training residuals to [0, 255]. No training image is clipped;
    another image is, where it leaves that range. Raises ValueError where all labels are equal.
    """
    import numpy as np

    flat = images.reshape(len(images), -1)
    weights = logistic_weights(flat, labels)
    basis, triangle = np.linalg.qr(weights.T.astype(np.float64))
    strength = np.abs(np.diag(triangle))
    # The rows of W sum to zero: the last direction is rounding error, and would take away what is innocent.
    directions = np.ascontiguousarray(basis[:, strength > 1e-3 * strength.max()])
    unscaled = Projection(directions, flat.mean(axis=0, dtype=np.float64), 0.0, 255.0)
    low, high = 0.0, 255.0
    for image in images:
        residual = unscaled.residual(image)
        low, high = min(low, float(residual.min())), max(high, float(residual.max()))
    return Projection(directions, unscaled.mean, low, high)


def logistic_weights(flat: Images, labels: Labels) -> npt.NDArray[np.float32]:
    """Weights (K, D) (one row for two classes) of a logistic regression without bias on pixels in [0, 1]."""
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    pixels = flat.astype(np.float32)
    pixels /= 255
    model = LogisticRegression(fit_intercept=False, tol=1e-3, max_iter=300)
    with warnings.catch_warnings():
        # Where 300 steps are not enough, the weights still point where the classes differ.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pixels, labels)
    weights: npt.NDArray[np.float32] = model.coef_
    return weights


# ---- the shortcut scan and its repair, fitted to the training images


def fit_repair(images: Images, labels: Labels) -> Preprocessing:
    """What `audit repair` does: marks that the scan finds in the training images are filled from their neighbourhood,
    in every image that carries them."""
    import numpy as np

    from audit.scan.marks import Repair
    from audit.scan.scan import scan_images

    classes = int(labels.max()) + 1
    if np.bincount(labels, minlength=classes).min() == 0:
        return unchanged
    return Repair(scan_images(images, labels, None, classes).marks)


# ---- the table


@dataclass(frozen=True)
class PreprocessingRow:
    """One row of the table: what the defence does, in a clause for a report, and how it is fitted."""

    description: str
    fit: Fit


def _none(images: Images, labels: Labels, seed: int) -> Preprocessing:
    return unchanged


def _median(size: int, images: Images, labels: Labels, seed: int) -> Preprocessing:
    return partial(each_image, partial(median_filter, size=size))


def _average(size: int, images: Images, labels: Labels, seed: int) -> Preprocessing:
    return partial(each_image, partial(average_filter, size=size))


def _jpeg(quality: int, images: Images, labels: Labels, seed: int) -> Preprocessing:
    return partial(each_image, partial(jpeg_round_trip, quality=quality))


def _noise(std: float, images: Images, labels: Labels, seed: int) -> Preprocessing:
    return partial(each_image, partial(gaussian_noise, std=std, seed=seed))


def _projection(images: Images, labels: Labels, seed: int) -> Preprocessing:
    return partial(each_image, fit_projection(images, labels))


def _repair(images: Images, labels: Labels, seed: int) -> Preprocessing:
    return fit_repair(images, labels)


PREPROCESSINGS: dict[str, PreprocessingRow] = {
    "none": PreprocessingRow("images as they are", _none),
    **{
        f"median-{size}": PreprocessingRow(
            f"each pixel replaced by the median of the {size} x {size} pixels around it",
            partial(_median, size),
        )
        for size in (3, 5)
    },
    **{
        f"average-{size}": PreprocessingRow(
            f"each pixel replaced by the mean of the {size} x {size} pixels around it",
            partial(_average, size),
        )
        for size in (3, 5)
    },
    **{
        f"jpeg-{quality}": PreprocessingRow(
            f"images compressed as JPEG of quality {quality} and read back", partial(_jpeg, quality)
        )
        for quality in (10, 30, 50, 75)
    },
    **{
        f"noise-{severity}": PreprocessingRow(
            f"Gaussian noise with a standard deviation of {std:.0%} of the grey scale added to each pixel",
            partial(_noise, std),
        )
        for severity, std in enumerate(NOISE_STD, start=1)
    },
    "projection": PreprocessingRow(
        "the pixel patterns by which a linear classifier tells the training classes apart removed",
        _projection,
    ),
    "scan-repair": PreprocessingRow(
        "marks that the shortcut scan finds in the training images filled from the pixels around them",
        _repair,
    ),
}


def preprocessing(name: str) -> PreprocessingRow:
    """The preprocessing called `name`, or a combination, `median-3+jpeg-50`: applied from left to right, each
    fitted on what the ones before it leave. Raises ValueError on an unknown or repeated part."""
    parts = unique([known("preprocessing", part, PREPROCESSINGS) for part in name.split(JOINED_BY)])
    if len(parts) == 1:
        return PREPROCESSINGS[name]
    if "none" in parts:
        raise ValueError(f"{name!r} joins 'none' to something else; leave 'none' out")
    rows = [PREPROCESSINGS[part] for part in parts]
    return PreprocessingRow(", then ".join(row.description for row in rows), partial(_in_turn, rows))


def _in_turn(rows: list[PreprocessingRow], images: Images, labels: Labels, seed: int) -> Preprocessing:
    steps: list[Preprocessing] = []
    for row in rows:
        if steps:
            images = steps[-1](images)
        steps.append(row.fit(images, labels, seed))

    return partial(_apply_in_turn, steps)


def _apply_in_turn(steps: list[Preprocessing], images: Images) -> Images:
    for step in steps:
        images = step(images)
    return images
