"""Controls and random search: what they edit, what they spend, what they choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from audit.attack.evoshift import evoshift
from audit.attack.methods import METHODS
from audit.attack.surrogates import Job, Reading
from tests.planted import noise_split, quick, random_perturbation, reading, search_request


def first_edit_row(jobs: Sequence[Job]) -> list[Reading]:
    """Fitness by hand: the row of the first edit."""
    return [reading(float(p.edits[0].row), 10, steps=10) for p, *_ in jobs]


def test_heuristic_encodes_the_label_in_the_place() -> None:
    request = search_request(
        noise_split(40, 8, n_classes=4), score_all=first_edit_row, n_classes=4, severity=2
    )
    found, record = METHODS["heuristic"].find(request)
    assert record is None
    assert [(e.label, e.row, e.col) for e in found.edits] == [(k, n, k) for k in range(4) for n in (0, 1)]
    assert all(e.value == [1.0] for e in found.edits)


@pytest.mark.parametrize("n_classes", [2, 4, 10])
def test_every_method_gives_a_valid_perturbation_for_narrow_images(n_classes: int) -> None:
    """Ten classes in images eight pixels wide: the heuristic runs out of columns in its row."""
    split = noise_split(20 * n_classes, 8, 3, n_classes)
    for name, row in METHODS.items():
        request = search_request(
            split, quick(generations=1), first_edit_row, n_classes=n_classes, severity=2, fraction=0.5,
            source=random_perturbation((12, 12), 1, n_classes, 2, seed=1),
        )  # fmt: skip
        found, record = row.find(request)
        assert (record is not None) == row.trains_surrogates, name
        assert sorted(e.label for e in found.edits) == sorted([*range(n_classes)] * 2), name
        assert found.fraction == 0.5, name


def test_random_search_spends_what_evoshift_spends_and_returns_its_best_draw() -> None:
    settings = quick(generations=4)
    spent = {}
    for name in ("evoshift", "random-search"):
        found, record = METHODS[name].find(search_request(noise_split(40, 16), settings, first_edit_row))
        assert record is not None
        spent[name] = (record.trainings, record.image_steps)
        if name == "random-search":
            assert found.edits[0].row == max(g.best for g in record.curve) == 15
    assert spent["evoshift"] == spent["random-search"] == (4 * 16 + 8 + 8, (4 * 16 + 8 + 8) * 10 * 16)


def test_random_draws_differ_by_seed_and_repeat_with_it() -> None:
    split = noise_split(40, 16)
    draws = [
        METHODS["random"].find(search_request(split, score_all=first_edit_row, seed=s))[0] for s in (1, 2, 1)
    ]
    assert draws[0] == draws[2] != draws[1]


def test_evoshift_begins_with_the_shortcut_control_itself() -> None:
    request = search_request(noise_split(40, 16), quick(generations=1), first_edit_row)
    control, _ = METHODS["shortcut"].find(request)
    asked: list[str] = []

    def score_all(jobs: Sequence[Job]) -> list[Reading]:
        asked.extend(p.id for p, *_ in jobs)
        return first_edit_row(jobs)

    evoshift(search_request(noise_split(40, 16), quick(generations=1), score_all))
    assert asked[0] == control.id
    assert np.unique(asked[:16]).size == 16
