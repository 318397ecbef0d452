"""Contrast codes: closed-form proposals whose classes stand out from their neighbours in different ways."""

from __future__ import annotations

import numpy as np
import pytest

from audit.attack.contrast_code import contrast_codes, neighbour_means, ordinary_contrast
from audit.data.dataset import Split
from tests.planted import balanced_labels, noise_split, search_request


def request_for(split: Split, n_classes: int, severity: int = 1) -> object:
    return search_request(split, score_all=lambda jobs: [], n_classes=n_classes, severity=severity)


def test_neighbour_means_by_hand() -> None:
    """3 x 3 image 0..8: around the centre (0+1+2+3+5+6+7+8) / 8 = 4; the corner sees its border repeated."""
    image = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)
    means = neighbour_means(image) * 255
    assert means[0, 0, 1, 1] == pytest.approx(4)
    # Around (0, 0): 0 0 1 above, 0 . 1 beside, 3 3 4 below.
    assert means[0, 0, 0, 0] == pytest.approx((0 + 0 + 1 + 0 + 1 + 3 + 3 + 4) / 8)


def test_ordinary_contrast_of_flat_images_is_zero() -> None:
    assert ordinary_contrast(np.full((4, 3, 6, 6), 90, np.uint8)).tolist() == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(("channels", "n_classes"), [(1, 2), (1, 4), (3, 4), (3, 10)])
def test_codes_lie_far_from_texture_and_from_each_other(channels: int, n_classes: int) -> None:
    """Flat halves, dark above and bright below, so that a code is the value minus 20 or 200 grey levels."""
    images = np.full((8 * n_classes, channels, 16, 16), 20, np.uint8)
    images[:, :, 8:] = 200
    split = Split(images, balanced_labels(len(images), n_classes))
    for found in contrast_codes(request_for(split, n_classes), 4, seed=0):  # type: ignore[arg-type]
        around = neighbour_means(images[:1])[0]
        codes = [np.subtract(e.value, around[:, e.row, e.col]) for e in found.edits]
        assert min(np.linalg.norm(code) for code in codes) > 0.15
        apart = [np.linalg.norm(a - b) for i, a in enumerate(codes) for b in codes[:i]]
        assert min(apart) > 0.1


@pytest.mark.parametrize("severity", [1, 3])
def test_proposals_are_valid_differ_and_repeat_with_their_seed(severity: int) -> None:
    request = request_for(noise_split(80, 12, n_classes=4), 4, severity)
    first, again = (contrast_codes(request, 5, seed=3) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    assert len({p.id for p in first}) == 5
    for p in first:
        assert [e.label for e in p.edits] == [label for label in range(4) for _ in range(severity)]


def test_pixels_of_one_class_carry_the_same_code() -> None:
    images = np.full((32, 1, 16, 16), 20, np.uint8)
    images[:, :, 8:] = 200
    request = request_for(Split(images, balanced_labels(32, 2)), 2, severity=4)
    (found,) = contrast_codes(request, 1, seed=0)  # type: ignore[arg-type]
    around = neighbour_means(images[:1])[0, 0]
    for label in (0, 1):
        codes = [e.value[0] - around[e.row, e.col] for e in found.edits if e.label == label]
        assert max(codes) - min(codes) < 0.15
