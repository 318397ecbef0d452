"""Which frames of a file of several are used."""

from __future__ import annotations

import re

EVERY = re.compile(r"every-([1-9][0-9]{0,5})")


def check_policy(policy: str) -> str:
    """`policy` itself. Raises ValueError for what is none."""
    if policy not in ("all", "middle") and not EVERY.fullmatch(policy):
        raise ValueError(
            f"unknown frame policy {policy!r}; use all, middle or every-N (every-4: frames 1, 5, 9, ..)"
        )
    return policy


def chosen_frames(frames: int, policy: str) -> list[int]:
    """Frames from 0, of `frames` in all. Raises ValueError for an unknown policy."""
    if check_policy(policy) == "middle":
        return [frames // 2]
    step = EVERY.fullmatch(policy)
    return list(range(0, frames, int(step[1]) if step else 1))
