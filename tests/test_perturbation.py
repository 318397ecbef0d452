"""Facts about perturbations: what they change, what they never change, what they refuse."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from audit.attack.perturbation import Artefact, Perturbation, make_perturbation
from audit.errors import DataError
from audit.results import Edit
from tests.planted import random_perturbation


def two_class(value: float = 1.0) -> Perturbation:
    edits = (Edit(label=0, row=1, col=2, value=[value]), Edit(label=1, row=3, col=0, value=[value]))
    return Perturbation(image_size=(4, 5), channels=1, n_classes=2, edits=edits)


def test_apply_assigns_the_value_at_row_and_col_of_its_own_class_only() -> None:
    images = np.full((3, 1, 4, 5), 10, np.uint8)
    labels = np.array([0, 1, 0])
    changed = two_class().apply(images, labels)
    assert changed[0, 0, 1, 2] == changed[2, 0, 1, 2] == changed[1, 0, 3, 0] == 255
    assert (changed != images).sum() == 3


def test_apply_never_touches_its_input() -> None:
    images = np.full((2, 1, 4, 5), 10, np.uint8)
    before = images.copy()
    two_class().apply(images, np.array([0, 1]))
    assert (images == before).all()


def test_overlay_puts_one_class_on_every_image() -> None:
    images = np.zeros((4, 1, 4, 5), np.uint8)
    overlaid = two_class().overlay(images, 1)
    assert (overlaid[:, 0, 3, 0] == 255).all() and overlaid.sum() == 4 * 255


def test_a_pixel_written_over_an_equal_pixel_changes_nothing() -> None:
    images = np.zeros((2, 1, 4, 5), np.uint8)
    images[0, 0, 1, 2] = 255
    assert two_class().changed(images, np.array([0, 0])).tolist() == [False, True]


def test_colour_edits_write_every_channel() -> None:
    edit = Edit(label=0, row=0, col=0, value=[1.0, 0.0, 51 / 255])
    perturbation = Perturbation(image_size=(2, 2), channels=3, n_classes=2, edits=(edit,))
    changed = perturbation.apply(np.full((1, 3, 2, 2), 9, np.uint8), np.array([0]))
    assert changed[0, :, 0, 0].tolist() == [255, 0, 51]


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ([(0, 4, 0, [1.0])], "position (4, 0) is outside 4 x 5"),
        ([(2, 0, 0, [1.0])], "class 2 is not one of 0..1"),
        ([(0, 0, 0, [1.0, 1.0])], "a value has 1 channels, got 2"),
        ([(0, 0, 0, [0.5])], "values are multiples of 1/255 in [0, 1], got [0.5]"),
        ([(0, 0, 0, [1.0]), (0, 0, 0, [0.0])], "class 0 edits position (0, 0) twice"),
        ([(0, 0, 0, [1.0]), (1, 0, 0, [1.0])], "classes 0 and 1 share (0, 0, (1.0,))"),
    ],
)
def test_invalid_edits_are_refused(edits: list[tuple[int, int, int, list[float]]], problem: str) -> None:
    made = tuple(Edit(label=k, row=r, col=c, value=v) for k, r, c, v in edits)
    with pytest.raises(ValidationError, match=re.escape(problem)):
        Perturbation(image_size=(4, 5), channels=1, n_classes=2, edits=made)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(-9, 20), st.floats(-9, 20), st.floats(-1, 2)),
        min_size=1,
        max_size=20,
    )
)
def test_any_wish_becomes_a_valid_perturbation(wishes: list[tuple[int, float, float, float]]) -> None:
    wanted = [(label, row, col, [value]) for label, row, col, value in wishes]
    made = make_perturbation(wanted, (6, 7), 1, 4)
    assert [e.label for e in made.edits] == [w[0] for w in wishes]
    assert all(0 <= e.row < 6 and 0 <= e.col < 7 for e in made.edits)


def test_a_wish_that_is_free_is_granted_exactly() -> None:
    made = make_perturbation([(0, 2.4, 3.6, [0.2]), (1, 2.4, 3.6, [0.2])], (8, 8), 1, 2)
    assert (made.edits[0].row, made.edits[0].col, made.edits[0].value) == (2, 4, [51 / 255])
    assert (made.edits[1].row, made.edits[1].col) == (1, 4), "nearest free place for the second class"


def test_random_perturbations_fill_a_tiny_image_without_collision() -> None:
    made = random_perturbation((2, 2), 1, 2, severity=4, seed=3)
    assert made.severity == 4 and len(made.edits) == 8


def test_equal_seeds_equal_draws_and_other_seeds_others() -> None:
    first, same, other = (random_perturbation((32, 32), 3, 4, 2, seed) for seed in (1, 1, 2))
    assert first == same and first != other and first.id == same.id != other.id


def artefact(perturbation: Perturbation) -> Artefact:
    return Artefact(
        attack="random",
        severity=1,
        draw=0,
        dataset_fingerprint="f",
        perturbation=perturbation,
        search=None,
        sha256=perturbation.id,
    )


def test_artefact_round_trip(tmp_path: Path) -> None:
    made = artefact(random_perturbation((32, 32), 3, 4, 2, 1))
    made.save(tmp_path / "p.json")
    assert Artefact.load(tmp_path / "p.json") == made


def test_an_edited_artefact_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    artefact(two_class()).save(path)
    path.write_text(path.read_text().replace('"row": 3', '"row": 2'))
    with pytest.raises(DataError) as refusal:
        Artefact.load(path)
    assert str(refusal.value) == f"{path}: edits do not match their hash; delete the file and run again"


def test_a_torn_artefact_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"attack": ')
    with pytest.raises(DataError, match=re.escape(f"{path}: not a perturbation (")):
        Artefact.load(path)
