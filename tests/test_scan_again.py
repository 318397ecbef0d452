"""What the scan leaves out to save time changes nothing: held to the bit against the plain way."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from audit.data.dataset import Images
from audit.scan import candidates
from audit.scan.candidates import moving, stand_out
from audit.scan.plants import KINDS, Plan, plant
from audit.scan.regions import regions
from audit.scan.residuals import QUARTILE_OF_NORMAL, WINDOW, against_surroundings
from audit.scan.scan import Look, look_again, look_at
from audit.scan.surroundings import quantile
from audit.scan.tallies import tally
from tests.planted import balanced_labels, textured


def same(one: object, other: object) -> bool:
    """Whether all numbers are equal to the bit, arrays, lists and records included."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    if is_dataclass(one) and type(one) is type(other):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return one == other


def held_against_the_plain_scan(before: Images, after: Images, patients: bool) -> None:
    labels = balanced_labels(len(before), 3)
    groups = np.arange(len(before)) // 2 if patients else None
    known = look_at(before, labels, groups, 3)
    untouched = before.copy(), known.counted.everywhere.copy(), known.counted.isolated.copy()
    assert same(look_again(known, after), look_at(after, labels, groups, 3))
    assert same((before, known.counted.everywhere, known.counted.isolated), untouched)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "channels", "share"), [(96, 1, 0.4), (64, 3, 1.0), (32, 1, 0.2)])
def test_planted_images_are_scanned_as_if_never_seen(
    kind: str, size: int, channels: int, share: float
) -> None:
    images = textured(60, size, channels)
    images[:20, :, :12, :9] = 255  # padding, into which marks may fall
    labels = balanced_labels(60, 3)
    held_against_the_plain_scan(images, plant(images, labels, 3, Plan(kind, share=share), 5).images, False)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.sampled_from([24, 40, 64]), st.booleans())
def test_images_with_any_pixels_changed_are_scanned_as_if_never_seen(
    seed: int, count: int, size: int, patients: bool
) -> None:
    """At edges and corners, too, black and white, in many images or few."""
    draws = np.random.default_rng(seed)
    before = textured(36, size, seed=seed % 1000)
    before[::4, :, -8:] = 0
    after = before.copy()
    for _ in range(count):
        row, col = draws.choice([0, 1, 2, size // 2, size - 2, size - 1], 2)
        some = draws.random(36) < draws.choice([0.1, 0.5, 1])
        after[some, :, row : row + draws.integers(1, 4), col] = draws.choice([0, 3, 120, 255])
    held_against_the_plain_scan(before, after, patients)


def test_a_mark_is_judged_anew_where_its_surroundings_change() -> None:
    """White in 12 of 36 images stands alone, but not where every second position at a distance of 4 pixels is white in
    all of them."""
    before, labels = textured(36, 64), balanced_labels(36, 3)
    before[labels == 0, :, 30, 30] = 255
    after = before.copy()
    for along in range(-4, 5, 2):
        after[:, :, [26, 34], 30 + along] = after[:, :, 30 + along, [26, 34]] = 255
    held_against_the_plain_scan(before, after, False)
    known = look_at(before, labels, None, 3)

    def alone(look: Look) -> list[bool]:
        return [one.stands_alone for mark, one in look.judged.items() if (mark.row, mark.col) == (30, 30)]

    assert any(alone(known)) and not any(alone(look_again(known, after)))


def test_a_value_that_becomes_background_is_counted_anew() -> None:
    """A twentieth of all pixels take one value: it stands everywhere, and no longer as a mark."""
    before = textured(24, 48)
    before[before == 201] = 200
    after = before.copy()
    after[:, :, 10:14] = 201  # 4 of 48 rows
    assert not tally(before).background[0, 201] and tally(after).background[0, 201]
    held_against_the_plain_scan(before, after, False)


def test_every_position_near_a_change_is_looked_at_once() -> None:
    changed = np.zeros((60, 80), dtype=bool)
    changed[0, 0] = changed[30, 40] = changed[34, 40] = changed[59, 79] = True
    found = regions(changed, 2, 3)
    covered = np.zeros(changed.shape, dtype=int)
    for part in found:
        covered[part.rows, part.cols] += part.stale
        assert part.stale.sum() < part.stale.size  # with what it needs around
    near = np.array(
        [[changed[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].any() for c in range(80)] for r in range(60)]
    )
    assert (covered == near).all() and len(found) == 3  # two of the changes lie beside each other
    assert [(part.top, part.left) for part in found] == [(0, 0), (25, 35), (54, 74)]
    assert regions(np.zeros((5, 5), dtype=bool), 2, 3) == []
    [whole] = regions(np.eye(10, dtype=bool), 2, 3)
    assert whole.stale.shape == (10, 10)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 14), st.integers(4, 14), st.sampled_from([1, 30, 250, 4000]))
def test_few_cells_and_many_are_looked_at_alike(seed: int, height: int, width: int, most: int) -> None:
    """Around each cell, or by a filter of all: the same to the bit."""
    draws = np.random.default_rng(seed)
    counts = draws.poisson(draws.random(5) * most, (height, width, 5)).astype(np.uint16)
    counts[draws.integers(height), draws.integers(width)] += 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "FEW", 0)
        few = stand_out(0, counts, "anywhere", 1)
        patch.setattr(candidates, "FEW", 10**9)
        assert same(few, stand_out(0, counts, "anywhere", 1))


def test_marks_that_move_are_counted_within_a_pixel() -> None:
    """3 + 2 images at neighbouring positions: 5 within a pixel, 1.25 times 4 and more than 1.25 times 3; 9 at one
    position stay out. Outside of the picture lies nothing."""
    counts = np.zeros((6, 8, 1), dtype=np.uint8)
    counts[0, 0], counts[1, 1], counts[4, 6] = 3, 2, 9
    expected = np.zeros((6, 8), dtype=int)
    expected[:2, :2] = 5
    expected[2, :3] = expected[:3, 2] = 0  # 2 of 2: does not move
    assert (moving(counts)[:, :, 0] == expected).all()
    full = np.full((3, 3, 1), 255, dtype=np.uint8)
    assert moving(full)[1, 1, 0] == 9 * 255  # more than a byte holds


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(9, 30), st.integers(9, 30), st.sampled_from([0.0, 3.0, 6.0]))
def test_what_stands_out_on_the_mean_is_held_against_all_of_its_surroundings(
    seed: int, height: int, width: int, threshold: float
) -> None:
    """Against SciPy's filters of the whole picture."""
    draws = np.random.default_rng(seed)
    t = draws.normal(0, 1.5, (2, height, width))
    t[:, draws.integers(height), draws.integers(width)] += 12
    enough = draws.random(t.shape) < 0.97
    ring = np.ones((1, WINDOW, WINDOW), dtype=bool)
    ring[0, WINDOW // 2, WINDOW // 2] = False
    centre = ndimage.median_filter(t, footprint=ring, mode="mirror")
    spread = ndimage.percentile_filter(np.abs(t - centre), 75, footprint=ring, mode="mirror")
    plain = (t - centre) / np.maximum(1.0, spread / QUARTILE_OF_NORMAL)
    usable = ndimage.uniform_filter(enough.astype(float), (0, WINDOW, WINDOW), mode="mirror") >= 0.9
    found = against_surroundings(t, enough, threshold)
    above = usable & (np.abs(plain) > threshold)
    assert (found[above] == plain[above]).all()
    assert (np.abs(found[~above]) <= threshold).all()


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=32), st.sampled_from([0.5, 0.75]))
def test_quantiles_are_numpy_s(counts: list[int], share: float) -> None:
    assert quantile(np.array(counts), share) == np.quantile(counts, share)
