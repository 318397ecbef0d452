"""One-Pixel Shortcut (Wu et al., ICLR 2023): a closed-form search, no training (method §4)."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from audit.attack.search import Found, SearchRequest
from audit.data.dataset import Images

STD_FLOOR = 1e-2  # epsilon: published code divides 0 by 0 on constant borders and then changes nothing

Scores = npt.NDArray[np.float64]


def shortcut(request: SearchRequest) -> Found:
    """The position and corner value that lie farthest and most evenly from each class's own pixels.

    For class k, position p and value v in {0, 1}^C, with d = |v - x_p| over the images of class k and the
    channels: score = mean(d) / (std(d) + eps). Each class in turn takes the best position that nobody has
    used; ties are broken at random by the request's seed.
    """
    images, labels = request.train.images, request.train.labels
    generator = np.random.default_rng(request.seed)
    corners = list(itertools.product((0.0, 1.0), repeat=request.channels))
    tables = {label: corner_scores(images[labels == label], corners) for label in request.classes}
    free = np.ones(request.image_size, dtype=bool)
    wanted = []
    for _, label in itertools.product(range(request.severity), request.classes):
        table = np.where(free, tables[label], -np.inf)
        best = np.argwhere(table == table.max())
        corner, row, col = best[generator.integers(len(best))]
        free[row, col] = False
        wanted.append((label, float(row), float(col), corners[corner]))
    return request.perturbation(wanted), None


def corner_scores(images: Images, corners: list[tuple[float, ...]]) -> Scores:
    """Scores (corners, H, W) from per-pixel sums of x and x^2 per channel, exactly, in one pass."""
    scaled = images.astype(np.float64) / 255
    mean, square = scaled.mean(axis=0), (scaled**2).mean(axis=0)  # (C, H, W)
    scores = np.empty((len(corners), *mean.shape[1:]))
    for index, corner in enumerate(corners):
        white = np.asarray(corner, dtype=bool)[:, None, None]
        distance = np.where(white, 1 - mean, mean).mean(axis=0)  # E|v - x|
        distance_square = np.where(white, 1 - 2 * mean + square, square).mean(axis=0)  # E(v - x)^2
        deviation = np.sqrt(np.maximum(distance_square - distance**2, 0))
        scores[index] = distance / (deviation + STD_FLOOR)
    return scores
