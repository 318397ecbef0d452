"""Frames of files of several."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.data.frames import check_policy, chosen_frames


@pytest.mark.parametrize(
    ("frames", "policy", "chosen"),
    [
        (1, "all", [0]),
        (1, "middle", [0]),
        (1, "every-3", [0]),
        (4, "all", [0, 1, 2, 3]),
        (4, "middle", [2]),
        (5, "middle", [2]),
        (7, "every-3", [0, 3, 6]),
        (7, "every-1", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_chosen_frames(frames: int, policy: str, chosen: list[int]) -> None:
    assert chosen_frames(frames, policy) == chosen


@given(st.integers(1, 500), st.integers(1, 600))
def test_every_nth_frame_is_within_and_equally_far(frames: int, step: int) -> None:
    chosen = chosen_frames(frames, f"every-{step}")
    assert chosen[0] == 0 and chosen[-1] < frames <= chosen[-1] + step
    assert {after - before for before, after in itertools.pairwise(chosen)} <= {step}


@pytest.mark.parametrize(
    "policy", ["", "first", "every-0", "every-", "every--1", "every-2.5", "ALL", "every-٣", "every-2\n"]
)
def test_unknown_policy(policy: str) -> None:
    with pytest.raises(ValueError, match="unknown frame policy") as refusal:
        check_policy(policy)
    assert str(refusal.value) == (
        f"unknown frame policy {policy!r}; use all, middle or every-N (every-4: frames 1, 5, 9, ..)"
    )
