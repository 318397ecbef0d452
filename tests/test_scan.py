"""The shortcut scan: planted marks recovered, clean images without findings, exact tests by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from audit.data.dataset import Images, Labels
from audit.data.npz import read_npz
from audit.scan import limits
from audit.scan.findings import finding_records
from audit.scan.grouping import group
from audit.scan.isolation import CONTRAST, TWINS, isolated
from audit.scan.limits import PLANS, detection_limits, found_classes
from audit.scan.plants import Plan, plant
from audit.scan.record import ShortcutFinding
from audit.scan.residuals import against_surroundings
from audit.scan.saturation import padding
from audit.scan.scan import Scan, look_at, scan_images
from audit.scan.significance import Scanned, class_p_values
from audit.scan.strength import balanced_accuracy
from tests.planted import balanced_labels, textured


def findings(images: Images, labels: Labels, groups: Labels | None = None) -> list[ShortcutFinding]:
    return finding_records(scan_images(images, labels, groups, int(labels.max()) + 1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_clean_pictures_have_no_findings(channels: int, n_classes: int) -> None:
    assert findings(textured(200, channels=channels), balanced_labels(200, n_classes)) == []


def test_constant_images_have_no_findings() -> None:
    assert findings(np.full((40, 1, 16, 16), 9, np.uint8), balanced_labels(40, 2)) == []


@pytest.mark.parametrize("share", [1.0, 0.3, 0.1])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_pixels_are_found_where_they_are(share: float, channels: int) -> None:
    images, labels = textured(400, channels=channels), balanced_labels(400, 2)
    places = {0: (5, 21), 1: (25, 7)}
    count = round(200 * share)
    for label, (row, col) in places.items():
        images[np.flatnonzero(labels == label)[:count], :, row, col] = 255
    before = images.copy()
    found = findings(images, labels)
    assert {one.label: (one.row, one.col) for one in found} == places
    assert all(one.kind == "pixel" and one.pixels == 1 and not one.moves for one in found)
    assert all(one.value == [1.0] * channels for one in found)
    assert [one.share for one in found] == pytest.approx([share, share], abs=0.01)
    assert [one.images for one in found] == pytest.approx([count, count], abs=1)
    assert (images == before).all()


def test_the_strength_is_what_a_classifier_reaches_with_the_flagged_pixel() -> None:
    """All 100 images of class 0 carry it: told without error. A third: (1/3 + 1) / 2."""
    images, labels = textured(300), balanced_labels(300, 3)
    images[labels == 0, :, 9, 9] = 255
    [whole] = findings(images, labels)
    assert whole.strength == pytest.approx(1.0, abs=0.02)
    values = np.r_[np.ones(30), np.zeros(60), np.zeros(180)][:, None]
    accuracy, error = balanced_accuracy(values, np.r_[np.zeros(90), np.ones(180)].astype(np.int64), None, 2)
    assert accuracy == pytest.approx((1 / 3 + 1) / 2, abs=1e-9)
    assert error == pytest.approx(np.sqrt(1 / 3 * 2 / 3 / 90) / 2)


def test_a_pixel_that_moves_is_one_finding_at_its_centre() -> None:
    images, labels = textured(400), balanced_labels(400, 2)
    planted = plant(images, labels, 2, Plan("jittered", share=0.4), seed=3)
    found = findings(planted.images, labels)
    assert sorted(one.label for one in found) == [0, 1]
    assert all(one.moves and one.kind == "pixel" for one in found)
    for one in found:
        row, col = planted.places[one.label][0]
        assert max(abs(one.row - row), abs(one.col - col)) <= 1


@pytest.mark.parametrize(("kind", "called"), [("patch", {"patch"}), ("text", {"text", "patch", "pixel"})])
def test_patches_and_letters(kind: str, called: set[str]) -> None:
    images, labels = textured(400, 48), balanced_labels(400, 2)
    planted = plant(images, labels, 2, Plan(kind, share=0.3), seed=1)
    found = findings(planted.images, labels)
    assert {one.label for one in found} == {0, 1}
    assert {one.kind for one in found} <= called
    if kind == "patch":
        for one in found:
            row, col = planted.places[one.label][0]
            assert (one.row, one.col, one.height, one.width, one.pixels) == (row - 1, col - 1, 3, 3, 9)


def test_borders_are_borders_and_black_corners_padding() -> None:
    images, labels = textured(200), balanced_labels(200, 2)
    images[labels == 0, :, 0] = 90
    images[labels == 1, :, :6, :6] = 0
    found = findings(images, labels)
    assert [(one.label, one.kind) for one in found] == [(1, "padding"), (0, "border")]
    corner, line = found
    assert (corner.row, corner.col) == (0, 0) and corner.value == [0.0] and corner.share == 1.0
    assert (line.row, line.height, line.width) == (0, 1, 32) and line.value == [90 / 255]


def test_low_contrast_shows_on_the_mean_of_a_class() -> None:
    images, labels = textured(400), balanced_labels(400, 2)
    images[labels == 1, :, 12, 20] += 8
    [found] = findings(images, labels)
    assert (found.label, found.kind, found.row, found.col) == (1, "low-contrast", 12, 20)
    assert found.share is None and found.images is None
    assert found.contrast == pytest.approx(8, abs=1.5)


def test_what_padding_surrounds_has_nothing_to_stand_out_from() -> None:
    """Digits on black: where little else than padding lies around a stroke, the stroke would be a mark."""
    enough = np.zeros((1, 24, 24), dtype=bool)
    enough[0, 10:13, 10:13] = True
    t = np.where(enough, 10.0, 0.0)
    assert not against_surroundings(t, enough, 5.0).any()
    lone = np.zeros((1, 24, 24))
    lone[0, 11, 11] = 10
    assert against_surroundings(lone, np.ones((1, 24, 24), dtype=bool), 5.0)[0, 11, 11] == 10


def test_marks_of_all_classes_give_none_away() -> None:
    images, labels = textured(200), balanced_labels(200, 2)
    images[:, :, 9, 9] = 255
    assert findings(images, labels) == []


def test_images_of_one_patient_count_once() -> None:
    """Forty images of class 0 carry a mark: of forty patients evidence, of one patient none."""
    images, labels = textured(300), balanced_labels(300, 2)
    marked = np.flatnonzero(labels == 0)[:40]
    images[marked, :, 9, 9] = 255
    own = np.arange(300)
    one_patient = own.copy()
    one_patient[marked] = 0
    assert [one.label for one in findings(images, labels, own)] == [0]
    assert findings(images, labels, one_patient) == []


def test_p_values_are_fisher_s() -> None:
    """8 carriers of 40 images, 7 of them among the 20 of class 0."""
    labels = balanced_labels(40, 2)
    carriers = np.zeros(40, dtype=bool)
    carriers[np.flatnonzero(labels == 0)[:7]] = True
    carriers[np.flatnonzero(labels == 1)[:1]] = True
    images = np.zeros((40, 1, 4, 4), np.uint8)
    scanned = Scanned(images, labels, None, np.zeros((40, 4, 4), bool), 2)
    p = class_p_values(scanned, carriers)
    assert p[0] == pytest.approx(hypergeom.pmf([7, 8], 40, 8, 20).sum())
    assert p[1] == 1  # no more than its share of them


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 7), st.integers(3, 7))
def test_isolated_pixels_by_the_definition(seed: int, height: int, width: int) -> None:
    plane = np.random.default_rng(seed).choice([0, 10, 30, 200], (2, height, width)).astype(np.uint8)
    around = np.pad(plane.astype(int), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    for n, row, col in np.ndindex(plane.shape):
        near = around[n, row : row + 3, col : col + 3]
        alike = int((np.abs(near - near[1, 1]) < CONTRAST).sum()) - 1
        assert isolated(plane)[n, row, col] == (alike <= TWINS)


def test_padding_hangs_together_with_the_edge() -> None:
    images = np.full((1, 1, 16, 16), 100, np.uint8)
    images[0, 0, :5, :5] = 0  # at the edge
    images[0, 0, 8:12, 8:12] = 0  # inside
    images[0, 0, 0, 10] = 0  # one pixel
    where = padding(images)[0]
    assert where[:5, :5].all() and where.sum() == 25


def test_marks_of_the_same_images_side_by_side_are_one_finding_of_other_images_two() -> None:
    images, labels = textured(400), balanced_labels(400, 2)
    own = np.flatnonzero(labels == 0)
    images[own[:60], :, 9, 9] = images[own[:60], :, 9, 11] = 255
    images[own[60:120], :, 20, 20] = images[own[120:180], :, 20, 22] = 255
    scan = scan_images(images, labels, None, 2)
    near = [one for one in scan.groups if one.pixels[0][0] < 15]
    assert [one.pixels for one in near] == [[(9, 9), (9, 11)]]
    spikes = [spike for one in near for spike in one.spikes]
    first, second = (np.isin(np.arange(400), own[a : a + 60]) for a in (0, 60))
    apart = [replace(spike, carriers=mask) for spike, mask in zip(spikes, (first, second), strict=True)]
    assert len(group(apart, labels)) == 2


def test_limits_are_measured_on_a_copy() -> None:
    images, labels = textured(400), balanced_labels(400, 2)
    before = images.copy()
    told: list[tuple[int, int]] = []
    found = {
        (one.kind, one.share, one.contrast): one.found
        for one in detection_limits(look_at(images, labels, None, 2), lambda *n: told.append(n))
    }
    assert found[("pixel", 0.3, 255)] == 2 and found[("patch", 0.1, 255)] == 2
    assert len(found) == len(PLANS)
    assert told[-1] == (400 * len(PLANS), 400 * len(PLANS))
    assert (images == before).all()


def test_limits_of_too_many_images_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    look = look_at(textured(40), balanced_labels(40, 2), None, 2)
    monkeypatch.setattr(limits, "MOST_PIXELS", 40 * 32 * 32 - 1)
    assert detection_limits(look) == []


def test_what_is_planted_is_counted_where_it_was_planted() -> None:
    images, labels = textured(200), balanced_labels(200, 2)
    planted = plant(images, labels, 2, Plan("pixel", count=2, share=0.5), seed=0)
    assert planted.carriers.sum() == 100 and all(len(places) == 2 for places in planted.places.values())
    changed = (planted.images != images).any(axis=(1, 2, 3))
    assert (changed <= planted.carriers).all() and changed.sum() >= 95
    scan = scan_images(planted.images, labels, None, 2)
    assert found_classes(scan, planted, 0) == {0, 1}
    nothing = Scan([], [], scan.scanned)
    assert found_classes(nothing, planted, 0) == set()


def test_real_sets_hold_no_edits(shared_data: Path) -> None:
    for folder, file, frames in (
        ("oct-kermany1000", "oct_kermany1000_64.npz", []),
        ("derm-isic7", "derm_isic7_64.npz", ["padding"]),
        ("mnist-subset", "mnist_28.npz", []),
    ):
        data = read_npz(shared_data / folder / file, None)
        found = finding_records(
            scan_images(data.train.images, data.train.labels, data.train.groups, len(data.class_names))
        )
        assert [one.kind for one in found] in ([], frames)
