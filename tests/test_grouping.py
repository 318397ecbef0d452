"""Splits by group: whole groups, covered classes, the same whatever the order."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.data.grouping import consecutive_numbers, split_groups

FRACTIONS = (0.7, 0.1, 0.2)
Tables = st.lists(
    st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any), min_size=2, max_size=6
)  # images of each of three classes, for each of two to six groups


def expand(table: list[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(labels, groups) of the images that a table of counts describes."""
    rows = [
        (label, group) for group, row in enumerate(table) for label, n in enumerate(row) for _ in range(n)
    ]
    labels, groups = np.array(rows, dtype=np.int64).T
    return labels, groups


def coverable(table: npt.NDArray[np.int64]) -> bool:
    """Whether any way to lay the groups on two sides puts every class that occurs on both sides."""
    sides = itertools.product((False, True), repeat=len(table))
    occurs = table.sum(axis=0) > 0
    return any(
        (table[np.array(side)].sum(axis=0) > 0)[occurs].all()
        and (table[~np.array(side)].sum(axis=0) > 0)[occurs].all()
        for side in sides
    )


@settings(max_examples=150, deadline=None)
@given(Tables, st.integers(-5, 2**32))
def test_split_keeps_groups_whole_and_covers_classes(table: list[list[int]], seed: int) -> None:
    labels, groups = expand(table)
    split = split_groups(labels, groups, FRACTIONS, seed)
    assert set(split.tolist()) <= {0, 1, 2}
    assert all(len(set(split[groups == group].tolist())) == 1 for group in np.unique(groups))
    if coverable(np.array(table)):
        for label in np.unique(labels):
            assert {0, 2} <= set(split[labels == label].tolist())


@settings(max_examples=50, deadline=None)
@given(Tables, st.integers(0, 2**32), st.integers(0, 2**32))
def test_split_does_not_depend_on_order(table: list[list[int]], seed: int, order_seed: int) -> None:
    labels, groups = expand(table)
    order = np.random.default_rng(order_seed).permutation(len(labels))
    first = split_groups(labels, groups, FRACTIONS, seed)
    np.testing.assert_array_equal(split_groups(labels[order], groups[order], FRACTIONS, seed), first[order])


def test_split_balances_classes() -> None:
    labels = np.arange(400) % 4
    split = split_groups(labels, np.arange(400), FRACTIONS, 3)
    counts = [np.bincount(labels[split == number]).tolist() for number in range(3)]
    assert counts == [[70] * 4, [10] * 4, [20] * 4]


def test_no_share_means_no_image() -> None:
    split = split_groups(np.arange(40) % 2, np.arange(40), (0.75, 0.0, 0.25), 0)
    assert np.bincount(split, minlength=3).tolist() == [30, 0, 10]


def test_consecutive_numbers_by_first_appearance() -> None:
    assert consecutive_numbers(np.array(["b", "a", "b", "c"])).tolist() == [0, 1, 0, 2]
    assert consecutive_numbers(np.array([], dtype=str)).tolist() == []
