"""Contrast codes: closed-form proposals whose classes stand out from their neighbours in different ways."""

from __future__ import annotations

import numpy as np
import pytest

from audit.attack.contrast_code import ContrastCodes, neighbour_means, ordinary_contrast, survivors
from audit.attack.search import SearchRequest
from audit.data.dataset import Split
from tests.planted import balanced_labels, noise_split, search_request


def request_for(split: Split, n_classes: int, severity: int = 1) -> SearchRequest:
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
    """Flat halves, dark above and bright below. One class at most goes without a mark."""
    images = np.full((8 * n_classes, channels, 16, 16), 20, np.uint8)
    images[:, :, 8:] = 200
    split = Split(images, balanced_labels(len(images), n_classes))
    around = neighbour_means(images[:1])[0]
    for found in ContrastCodes(request_for(split, n_classes)).proposals(4, seed=0):
        near = [around[:, e.row, e.col] for e in found.edits]
        marks = [np.subtract(e.value, m) for e, m in zip(found.edits, near, strict=True)]
        assert sorted(np.linalg.norm(mark) for mark in marks)[1] > 0.15
        patterns = [np.concatenate(pair) for pair in zip(marks, near, strict=True)]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(patterns) for b in patterns[:i]]
        assert min(apart) > 0.1


@pytest.mark.parametrize("severity", [1, 3])
def test_proposals_are_valid_differ_and_repeat_with_their_seed(severity: int) -> None:
    request = request_for(noise_split(80, 12, n_classes=4), 4, severity)
    first, again = (ContrastCodes(request).proposals(5, seed=3) for _ in range(2))
    assert first == again
    assert len({p.id for p in first}) == 5
    for p in first:
        assert [e.label for e in p.edits] == [label for label in range(4) for _ in range(severity)]


def test_pixels_of_one_class_carry_the_same_code() -> None:
    images = np.full((32, 1, 16, 16), 20, np.uint8)
    images[:, :, 8:] = 200
    request = request_for(Split(images, balanced_labels(32, 2)), 2, severity=4)
    (found,) = ContrastCodes(request).proposals(1, seed=0)
    around = neighbour_means(images[:1])[0, 0]
    for label in (0, 1):
        codes = [e.value[0] - around[e.row, e.col] for e in found.edits if e.label == label]
        assert max(codes) - min(codes) < 0.15


def test_a_pixel_at_the_border_does_not_survive_shifts() -> None:
    """Shifts of up to 4 pixels push the outer four out now and then; without augmentation all stay."""
    kept = survivors((20, 20), "crop-flip", seed=0)
    assert kept[4:16, 4:16].mean() > 0.9
    assert not kept[0].any() and not kept[:, -1].any()
    assert survivors((20, 20), "none", seed=0).all()


def test_mixing_has_no_say_in_where_pixels_stay() -> None:
    for name in ("crop-flip+mixup", "crop-flip+cutmix"):
        assert (survivors((20, 20), name, seed=0) == survivors((20, 20), "crop-flip", seed=0)).all()
    assert survivors((20, 20), "mixup", seed=0).all()


def test_one_class_may_go_without_a_mark() -> None:
    """Flat images: in about half of the proposals one class's value is its neighbourhood's own."""
    images = np.full((32, 1, 16, 16), 64, np.uint8)
    request = request_for(Split(images, balanced_labels(32, 4)), 4)
    found = ContrastCodes(request).proposals(12, seed=0)
    unmarked = [sum(abs(e.value[0] - 64 / 255) < 0.01 for e in p.edits) for p in found]
    assert set(unmarked) == {0, 1}


def test_a_new_block_of_one_class_lies_far_from_the_patterns_of_the_others() -> None:
    images = np.full((32, 1, 16, 16), 20, np.uint8)
    codes = ContrastCodes(request_for(Split(images, balanced_labels(32, 2)), 2))
    white = codes.pattern((0, 5.0, 5.0, [1.0]))
    assert white[0].tolist() == pytest.approx([1 - 20 / 255, 20 / 255])
    assert white[1] == pytest.approx(0)
    ((label, _, _, value),) = codes.block(1, [white], np.random.default_rng(0))
    assert label == 1
    assert value[0] == pytest.approx(0.5, abs=0.13), "midway between texture and white"
