"""Learning-rate schedules by name: the share of the full rate at each step. torch is imported when one is built."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

WARMUP_PART = 20  # one step in so many: 5 %, about the 5 of 90 epochs of Goyal et al. 2017


def _constant(step: int, steps: int) -> float:
    return 1.0


def _cosine(step: int, steps: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


def _step(step: int, steps: int) -> float:
    if 4 * step >= 3 * steps:  # integers: no rounding decides where the fall is
        return 0.01
    return 0.1 if 2 * step >= steps else 1.0


def _warmup_cosine(step: int, steps: int) -> float:
    warmup = steps // WARMUP_PART
    if step < warmup:
        return (step + 1) / (warmup + 1)  # the first step moves already
    return _cosine(step - warmup, steps - warmup)


@dataclass(frozen=True)
class ScheduleRow:
    """One row of the table: (step from 0, all steps) -> share of the full learning rate in [0, 1]."""

    share: Callable[[int, int], float]
    description: str


SCHEDULES: dict[str, ScheduleRow] = {
    "constant": ScheduleRow(_constant, "the full learning rate throughout"),
    "cosine": ScheduleRow(_cosine, "half a cosine from the full rate to zero (Loshchilov & Hutter 2017)"),
    "step": ScheduleRow(_step, "divided by 10 after 50 % and after 75 % of the steps (He et al. 2016)"),
    "warmup-cosine": ScheduleRow(
        _warmup_cosine,
        "linear rise over the first 5 % of the steps (Goyal et al. 2017), then half a cosine to zero "
        "(Loshchilov & Hutter 2017); fewer than 20 steps have no rise",
    ),
}


def learning_rate_schedule(optimizer: Optimizer, name: str, steps: int) -> LambdaLR:
    """The schedule called `name` over `steps` optimizer steps (at least 1); call its `step` after each.

    Scales the learning rate that the optimizer was built with, and so AdaBound's bounds too. Raises
    KeyError on an unknown name.
    """
    from torch.optim.lr_scheduler import LambdaLR

    share = SCHEDULES[name].share
    return LambdaLR(optimizer, lambda step: share(step, steps))
