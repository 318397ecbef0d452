"""The closed-form search against its definition, pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audit.attack.shortcut import STD_FLOOR, corner_scores, shortcut
from audit.data.dataset import Split
from tests.planted import balanced_labels, noise_images, search_request


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_equal_the_definition(channels: int) -> None:
    images = noise_images(7, 5, channels, seed=1)
    corners = list(itertools.product((0.0, 1.0), repeat=channels))
    scores = corner_scores(images, corners)
    for index, corner in enumerate(corners):
        d = np.abs(np.asarray(corner)[None, :, None, None] - images / 255)
        pooled = d.transpose(0, 1, 2, 3).reshape(7 * channels, 5, 5)
        expected = pooled.mean(axis=0) / (pooled.std(axis=0) + STD_FLOOR)
        np.testing.assert_allclose(scores[index], expected, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 4, 10])
def test_recovers_the_pixel_that_stands_out_in_each_class(n_classes: int) -> None:
    """One position per class is dark and steady in that class: white there is the farthest change."""
    labels = balanced_labels(20 * n_classes, n_classes)
    images = noise_images(len(labels), 12, 1, seed=2)
    planted = {k: (k % 12, (5 * k + 3) % 12) for k in range(n_classes)}
    for k, (row, col) in planted.items():
        images[labels == k, :, row, col] = 3
    found, _ = shortcut(search_request(Split(images, labels), score_all=lambda jobs: [], n_classes=n_classes))
    assert {e.label: (e.row, e.col) for e in found.edits} == planted
    assert all(e.value == [1.0] for e in found.edits)


def test_constant_borders_are_changed_not_divided_by_zero() -> None:
    """Published code divides 0 by 0 on constant borders and then writes black over black."""
    images = noise_images(40, 10, 1, seed=3)
    images[:, :, 0, :] = 0
    labels = balanced_labels(40, 2)
    found, _ = shortcut(search_request(Split(images, labels), score_all=lambda jobs: []))
    assert all(e.row == 0 and e.value == [1.0] for e in found.edits)
    assert found.changed(images, labels).all()


def test_positions_are_used_once_over_all_classes_and_pixels() -> None:
    images, labels = noise_images(60, 8, 3, seed=4), balanced_labels(60, 4)
    request = search_request(Split(images, labels), score_all=lambda jobs: [], n_classes=4, severity=5)
    found, _ = shortcut(request)
    places = [(e.row, e.col) for e in found.edits]
    assert len(places) == len(set(places)) == 20
    assert shortcut(request)[0] == found
