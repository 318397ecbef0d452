"""Patients and lesions as groups: numbers in place of identifiers, splits by group, leaks counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Labels, Split

SPLIT_ATTEMPTS = 200  # random orders tried until every class stands in train and test


def consecutive_numbers(identifiers: npt.NDArray[Any]) -> Labels:
    """0, 1, 2 ... in order of first appearance, equal identifiers alike: (N,) of any type to int64 (N,).

    First appearance rather than sorted order, so that a number says nothing about the identifier.
    """
    _, first, inverse = np.unique(identifiers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def leak_notes(splits: Mapping[str, Split]) -> tuple[str, ...]:
    """One sentence, with counts, for every two splits that share patients or lesions; none where ids lack."""
    notes = []
    for first, second in combinations(("test", "train", "val"), 2):
        one, other = splits[first].groups, splits[second].groups
        if one is None or other is None:
            continue
        shared = np.intersect1d(one, other)
        if len(shared):
            notes.append(
                f"leak between the given splits: patients or lesions in both {first} and {second}: "
                f"{len(shared)} ({int(np.isin(one, shared).sum())} of {len(one)} {first} images)"
            )
    return tuple(notes)


def split_groups(labels: Labels, groups: npt.NDArray[Any], fractions: Sequence[float], seed: int) -> Labels:
    """Split 0 (train), 1 (val) or 2 (test) for each image: (N,) int64; whole groups, classes balanced.

    The result depends on the set of (label, group) pairs and the seed, not on their order. Groups go, large
    ones first, to the split whose class counts then come nearest to the wanted ones (chi-square distance).
    Before that every class gets a group in test and one in train; several random orders are tried until this
    holds for all. Where it cannot hold, the best effort is returned: the caller looks.
    scikit-learn's StratifiedGroupKFold balances too, but may leave a rare class out of a fold.
    """
    members, inverse = np.unique(groups, return_inverse=True)
    table = np.zeros((len(members), int(labels.max()) + 1))
    np.add.at(table, (inverse.reshape(-1), labels), 1)
    wanted = np.outer(np.asarray(fractions) / sum(fractions), table.sum(axis=0))
    rng = np.random.default_rng(seed % 2**64)  # negative seeds are valid settings, not valid for numpy
    for attempt in range(SPLIT_ATTEMPTS):
        order = rng.permutation(len(members))
        if attempt == 0:
            order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
        owner = _deal_out(table, wanted, order)
        if all((table[owner == split].sum(axis=0) > 0).all() for split in (0, 2)):
            break
    return owner[inverse.reshape(-1)]


def _deal_out(table: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], order: Labels) -> Labels:
    """Split of each group. `table` (G, K): images by group and class; `wanted` (3, K); `order` of dealing."""
    owner = np.full(len(table), -1, dtype=np.int64)
    filled = np.zeros_like(wanted)
    rarest_first = np.argsort((table > 0).sum(axis=0), kind="stable")
    for class_index in rarest_first:
        for split in (2, 0):
            free = order[(owner[order] < 0) & (table[order, class_index] > 0)]
            if filled[split, class_index] == 0 and len(free):
                owner[free[-1]] = split  # the last in order: small groups keep the balance
                filled[split] += table[free[-1]]
    for group in order[owner[order] < 0]:
        count = table[group]
        present = count > 0
        # Growth of (filled - wanted)^2 / wanted; a split that wants nothing (share 0) costs without bound.
        growth = count[present] * (2 * (filled - wanted)[:, present] + count[present])
        cost = growth / np.maximum(wanted[:, present], 1e-9)
        split = int(np.argmin(cost.sum(axis=1)))
        owner[group] = split
        filled[split] += count
    return owner
