"""Class-wise block search: one block exchanged, the weak ones first."""

from __future__ import annotations

import numpy as np

from audit.attack.contrast_code import ContrastCodes
from audit.attack.crossing import crossings
from audit.attack.perturbation import Perturbation
from audit.attack.search import Seen
from audit.attack.surrogates import Reading
from tests.planted import noise_split, random_perturbation, search_request


def seen(seed: int, by_class: tuple[float, ...], severity: int = 1) -> Seen:
    perturbation = random_perturbation((16, 16), 1, len(by_class), severity, seed)
    return Seen(perturbation, Reading(float(np.mean(by_class)), True, 1, by_class))


def codes(n_classes: int = 2, severity: int = 1) -> ContrastCodes:
    split = noise_split(20 * n_classes, 16, 1, n_classes)
    return ContrastCodes(
        search_request(split, score_all=lambda jobs: [], n_classes=n_classes, severity=severity)
    )


def children(
    seen: list[Seen], count: int, seed: int, n_classes: int = 2, severity: int = 1
) -> list[Perturbation]:
    groups = crossings(codes(n_classes, severity), seen, count, 1, seed)
    assert all(len(group) == 1 for group in groups)
    return [group[0] for group in groups]


def test_the_weak_class_is_exchanged_and_its_best_donor_is_found() -> None:
    """One candidate is good at class 0 only, the other at class 1 only: children join the good blocks."""
    one, two = seen(1, (9.5, 0.0)), seen(2, (0.0, 9.5))
    good = (one.perturbation.edits[0], two.perturbation.edits[1])
    found = children([one, two], 100, seed=0)
    assert any(child.edits == good for child in found)
    kept = sum(child.edits[0] == good[0] or child.edits[1] == good[1] for child in found)
    assert kept > 0.6 * len(found)


def test_all_pixels_of_a_class_travel_together() -> None:
    """At most two blocks of a child differ from its parent's: one exchanged, one moved."""
    parent = seen(0, (1.0, 1.0, 1.0, 1.0), severity=3)
    for child in children([parent], 30, 1, 4, 3):
        unlike = {a.label for a, b in zip(child.edits, parent.perturbation.edits, strict=True) if a != b}
        assert 1 <= len(unlike) <= 2


def test_children_are_new_different_and_repeat_with_their_seed() -> None:
    parents = [seen(s, (1.0, 0.5)) for s in range(8)]
    first, again, other = (children(parents, 16, seed=s) for s in (5, 5, 6))
    assert first == again != other
    assert len({child.id for child in first} | {p.perturbation.id for p in parents}) == 16 + 8


def test_the_order_in_which_candidates_were_seen_does_not_matter() -> None:
    parents = [seen(s, (1.0 + s, 0.5)) for s in range(8)]
    assert children(parents, 8, seed=0) == children(parents[::-1], 8, seed=0)


def test_groups_of_children_are_new_and_as_large_as_the_room_allows() -> None:
    parents = [seen(s, (1.0, 0.5)) for s in range(8)]
    groups = crossings(codes(), parents, 4, 3, seed=2)
    assert [len(group) for group in groups] == [3, 3, 3, 3]
    assert (
        len({child.id for group in groups for child in group} | {p.perturbation.id for p in parents})
        == 12 + 8
    )
