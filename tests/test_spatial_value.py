"""Facts about the spatial value function (2.9): its closed form, its mass, and what a transfer keeps."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.attack.perturbation import Perturbation, make_perturbation
from audit.attack.spatial_value import PSF_WIDTH, resized, spatial_value, transfer
from audit.errors import ConfigError
from audit.results import Edit

NARROW = 1e-3  # pixels: the Gaussian is 0 in double precision one pixel away


def planted(
    places: list[tuple[int, int, int]],
    image_size: tuple[int, int] = (32, 32),
    n_classes: int = 2,
    value: float = 1.0,
    fraction: float = 1.0,
) -> Perturbation:
    """Grey edits of one value at (class, row, col)."""
    edits = tuple(Edit(label=k, row=r, col=c, value=[value]) for k, r, c in places)
    return Perturbation(
        image_size=image_size, channels=1, n_classes=n_classes, edits=edits, fraction=fraction, carrier_seed=5
    )


def places(perturbation: Perturbation, label: int) -> list[tuple[int, int]]:
    return [(e.row, e.col) for e in perturbation.edits if e.label == label]


@st.composite
def perturbations(draw: st.DrawFn) -> Perturbation:
    """Any valid one, 1 to 3 pixels for each of 1 to 4 classes, on 4 x 4 to 12 x 12 images."""
    size = (draw(st.integers(4, 12)), draw(st.integers(4, 12)))
    channels, n_classes, severity = (draw(st.sampled_from(s)) for s in ((1, 3), (1, 2, 3, 4), (1, 2, 3)))
    wish = st.tuples(
        st.floats(0, size[0]),
        st.floats(0, size[1]),
        st.lists(st.floats(0, 1), min_size=channels, max_size=channels),
    )
    wanted = [(label, *draw(wish)) for label in range(n_classes) for _ in range(severity)]
    return make_perturbation(wanted, size, channels, n_classes)


def test_one_edit_gives_the_gaussian_in_closed_form() -> None:
    value = spatial_value(planted([(0, 15, 16)]), width=2.0)
    peak = value[15, 16]
    assert value.argmax() == 15 * 32 + 16
    assert value[15, 18] / peak == pytest.approx(math.exp(-1 / 2)), "one width away"
    assert value[18, 20] / peak == pytest.approx(math.exp(-25 / 8)), "5 pixels away, as 3, 4, 5"
    assert peak == pytest.approx(1 / (2 * math.pi * 2.0**2)), "the density of a normal distribution"


def test_the_default_width_keeps_86_percent_within_two_pixels() -> None:
    """1 - exp(-2) = 0.865 for a continuous radius; the same on pixels within the rim's share."""
    value = spatial_value(planted([(0, 16, 16)]))
    rows, cols = np.indices(value.shape)
    radius = np.hypot(rows - 16, cols - 16)
    assert PSF_WIDTH == 1.0 and value[radius < 2].sum() < 1 - math.exp(-2) < value[radius <= 2].sum()


def test_each_edit_has_an_equal_share_of_the_pooled_map() -> None:
    value = spatial_value(planted([(0, 16, 7), (1, 16, 24)]))
    assert value[:, :16].sum() == pytest.approx(0.5) and value[:, 16:].sum() == pytest.approx(0.5)


def test_the_map_of_one_class_leaves_the_others_out() -> None:
    both = planted([(0, 16, 7), (1, 16, 24)])
    assert (spatial_value(both, 1) == spatial_value(planted([(1, 16, 24)]))).all()


def test_bilinear_doubling_by_hand() -> None:
    assert resized(np.array([[1.0, 0.0]]), (1, 4)).tolist() == [[0.5, 0.375, 0.125, 0.0]]


def test_doubling_maps_a_planted_pixel_to_doubled_coordinates() -> None:
    """Row r, centre r + 1/2, becomes 2 r + 1, between rows 2 r and 2 r + 1: on average 2 r + 1/2."""
    larger = resized(spatial_value(planted([(0, 10, 20)])), (64, 64))
    assert larger.sum(axis=1) @ np.arange(64) == pytest.approx(20.5)
    assert larger.sum(axis=0) @ np.arange(64) == pytest.approx(40.5)


@pytest.mark.parametrize("row", range(0, 64, 7))
def test_shrinking_loses_no_edit(row: int) -> None:
    """Two samples per axis, 32 pixels apart: plain bilinear reads rows 15, 16, 47, 48 and nothing else."""
    smaller = resized(spatial_value(planted([(0, row, 5)], (64, 64)), width=NARROW), (2, 2))
    assert smaller.argmax() == (0 if row < 32 else 2)


def test_a_map_of_one_column_loses_nothing() -> None:
    """torch's interpolation to 5 x 1 gave 0 for an edit in the last row."""
    column = resized(spatial_value(planted([(0, 3, 0)], (4, 4)), width=NARROW), (5, 1))
    assert column.sum() == pytest.approx(1) and column.argmax() == 4


@given(perturbations(), st.integers(1, 30), st.integers(1, 30), st.floats(0.01, 10))
def test_maps_are_densities_at_every_size(
    source: Perturbation, height: int, width: int, spread: float
) -> None:
    value = spatial_value(source, width=spread)
    before = value.copy()
    scaled = resized(value, (height, width))
    assert value.shape == source.image_size and scaled.shape == (height, width)
    for each in (value, scaled):
        assert (each >= 0).all() and each.sum() == pytest.approx(1)
    assert (value == before).all(), "the input is not changed"


@given(perturbations(), st.integers(0, 2**32))
def test_a_narrow_psf_at_the_same_size_gives_the_source_back(source: Perturbation, seed: int) -> None:
    same = transfer(
        source, source.image_size, source.channels, source.n_classes, source.severity, seed, width=NARROW
    )
    assert sorted(e.model_dump_json() for e in same.edits) == sorted(
        e.model_dump_json() for e in source.edits
    )


@given(perturbations(), st.data())
def test_any_transfer_is_valid_repeatable_and_leaves_its_source(
    source: Perturbation, data: st.DataObject
) -> None:
    size = (data.draw(st.integers(5, 20)), data.draw(st.integers(5, 20)))
    channels, n_classes = data.draw(st.sampled_from((1, 3))), data.draw(st.integers(1, 6))
    severity, seed = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2**32))
    width, pooled = data.draw(st.sampled_from((NARROW, 0.3, 1.0, 8.0))), data.draw(st.booleans())
    before = source.model_dump_json()
    made, again = (
        transfer(source, size, channels, n_classes, severity, seed, width=width, pooled=pooled)
        for _ in range(2)
    )
    Perturbation.model_validate(made.model_dump())  # distinct positions, no shared marks, values on the grid
    assert Counter(e.label for e in made.edits) == dict.fromkeys(range(n_classes), severity)
    assert (made.image_size, made.channels, made.n_classes) == (size, channels, n_classes)
    assert made.id == again.id and source.model_dump_json() == before


def test_other_seeds_give_other_positions() -> None:
    source = planted([(0, 10, 20)])
    assert len({transfer(source, (64, 64), 1, 1, 1, seed).id for seed in range(20)}) > 10


@pytest.mark.parametrize("seed", range(20))
def test_a_pixel_lands_near_its_doubled_coordinates(seed: int) -> None:
    """Width 1 is 2 pixels at twice the size; five of those plus the interpolation's one are 11."""
    made = transfer(planted([(0, 10, 20), (1, 25, 4)]), (64, 64), 1, 2, 1, seed)
    for label, row, col in ((0, 20.5, 40.5), (1, 50.5, 8.5)):
        (place,) = places(made, label)
        assert math.dist(place, (row, col)) < 11


def test_height_and_width_scale_apart() -> None:
    made = transfer(planted([(0, 10, 20)]), (64, 16), 1, 1, 1, seed=0, width=NARROW)
    ((row, col),) = places(made, 0)
    assert 19 <= row <= 22 and 9 <= col <= 11, "row doubled, column halved, within the bilinear kernel"


def test_the_value_is_that_of_the_nearest_edit_of_the_class() -> None:
    """Halfway between (4, 4) and (12, 12) is (8, 8), at twice the size (16.5, 16.5)."""
    edits = [(0, 4, 4, [0.0]), (0, 12, 12, [1.0]), (1, 4, 4, [0.2])]
    made = transfer(make_perturbation(edits, (32, 32), 1, 2), (64, 64), 1, 2, 8, seed=1)
    for edit in made.edits:
        expected = 51 / 255 if edit.label == 1 else float(edit.row + edit.col > 33)
        assert edit.value == [expected]
    assert {e.value[0] for e in made.edits if e.label == 0} == {0.0, 1.0}


def test_grey_is_repeated_over_the_colours() -> None:
    made = transfer(planted([(0, 3, 3)], value=51 / 255), (64, 64), 3, 1, 1, seed=0)
    assert made.edits[0].value == [51 / 255] * 3


@pytest.mark.parametrize(
    ("colour", "level"),
    [([1, 0, 0], 76), ([0, 1, 0], 150), ([0, 0, 1], 29), ([1, 1, 1], 255), ([0, 0, 0], 0)],
)
def test_colours_become_luminance(colour: list[float], level: int) -> None:
    """0.299, 0.587 and 0.114 of 255 are 76.2, 149.7 and 29.1."""
    source = make_perturbation([(0, 3, 3, colour)], (32, 32), 3, 1)
    assert transfer(source, (64, 64), 1, 1, 1, seed=0).edits[0].value == [level / 255]


def test_further_classes_reuse_the_source_classes_in_turn_without_collision() -> None:
    source = planted([(0, 4, 4), (1, 27, 27)])
    made = transfer(source, (32, 32), 1, 6, 1, seed=0, width=NARROW)
    for label in range(6):
        (place,) = places(made, label)
        assert math.dist(place, [(4, 4), (27, 27)][label % 2]) <= 1, "the source's place or the next to it"
    assert len({(e.row, e.col) for e in made.edits}) == 6, "equal values, so all positions differ"


def test_fewer_classes_take_the_first_ones() -> None:
    source = planted([(0, 4, 4), (1, 27, 27), (2, 4, 27)], n_classes=3)
    made = transfer(source, (32, 32), 1, 2, 1, seed=0, width=NARROW)
    assert [places(made, label) for label in range(2)] == [[(4, 4)], [(27, 27)]]


def test_a_class_does_not_depend_on_the_others() -> None:
    both, first, second = (planted(p) for p in ([(0, 4, 4), (1, 27, 27)], [(0, 4, 4)], [(1, 27, 27)]))
    together, alone_0, alone_1 = (
        transfer(source, (64, 64), 1, 2, 3, seed=9) for source in (both, first, second)
    )
    assert (places(together, 0), places(together, 1)) == (places(alone_0, 0), places(alone_1, 1))


def test_classes_draw_independently() -> None:
    """Else all classes would stand off their edits in the same direction."""
    made = transfer(planted([(0, 10, 10), (1, 20, 20)]), (64, 64), 1, 2, 8, seed=0)
    assert places(made, 1) != [(row + 20, col + 20) for row, col in places(made, 0)]


def test_a_clean_source_class_stays_clean() -> None:
    made = transfer(planted([(1, 27, 27)]), (64, 64), 1, 4, 2, seed=0)
    assert Counter(e.label for e in made.edits) == {1: 2, 3: 2}


def test_more_pixels_than_a_narrow_map_holds_stand_around_its_edit() -> None:
    made = transfer(planted([(0, 16, 16)]), (32, 32), 1, 1, 5, seed=0, width=NARROW)
    assert sorted(places(made, 0)) == [(15, 16), (16, 15), (16, 16), (16, 17), (17, 16)]


def test_pooled_positions_come_from_all_classes_and_values_from_the_own() -> None:
    source = make_perturbation([(0, 4, 4, [0.0]), (1, 27, 27, [1.0])], (32, 32), 1, 2)
    made = transfer(source, (32, 32), 1, 2, 2, seed=0, width=NARROW, pooled=True)
    for label in (0, 1):
        assert sorted(places(made, label)) == [(4, 4), (27, 27)]
        assert all(e.value == [float(label)] for e in made.edits if e.label == label)


def test_the_carriers_stay_those_of_the_source() -> None:
    made = transfer(planted([(0, 4, 4)], fraction=0.5), (64, 64), 1, 2, 1, seed=0)
    assert (made.fraction, made.carrier_seed) == (0.5, 5)


def test_an_image_with_one_position_for_each_edit_is_large_enough() -> None:
    made = transfer(planted([(0, 4, 4), (1, 27, 27)]), (2, 3), 1, 2, 3, seed=0)
    assert len({(e.row, e.col) for e in made.edits}) == 6


def refusal(**changes: object) -> str:
    settings: dict[str, object] = {
        "image_size": (64, 64),
        "channels": 1,
        "n_classes": 2,
        "severity": 1,
        "seed": 0,
    }
    with pytest.raises(ConfigError) as error:
        transfer(planted([(1, 4, 4)]), **{**settings, **changes})  # type: ignore[arg-type]
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size": (2, 3), "n_classes": 4, "severity": 5},
            "image_size: 2 x 3 has 6 positions, 2 perturbed classes of 5 pixels need 10; "
            "take larger images or a lower severity",
        ),
        ({"channels": 2}, "channels: 2 is neither 1 (grey) nor 3 (colour); write 1 or 3"),
        ({"severity": 0}, "severity: 0 pixels cannot be transferred; write 1 or more"),
        (
            {"n_classes": 1},
            "n_classes: none of the first 1 source classes has edits to transfer; "
            "ask for more classes or name a perturbation that edits these",
        ),
        ({"width": 0.0}, "width: 0.0 is not a positive number of pixels; write e.g. 1.0"),
        ({"width": math.inf}, "width: inf is not a positive number of pixels; write e.g. 1.0"),
    ],
)
def test_what_cannot_be_transferred_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    assert refusal(**changes) == message


@pytest.mark.parametrize(("label", "missing"), [(None, "the perturbation"), (1, "class 1")])
def test_a_map_without_edits_is_refused(label: int | None, missing: str) -> None:
    source = planted([] if label is None else [(0, 4, 4)])
    with pytest.raises(ConfigError) as error:
        spatial_value(source, label)
    assert str(error.value) == f"label: {missing} has no edits; name one of the perturbed classes"
