"""Learning-rate schedules against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from audit.training.optimizers import build_optimizer
from audit.training.schedules import SCHEDULES, learning_rate_schedule


def rates(name: str, steps: int, rate: float = 1.0, optimizer: str = "sgd") -> list[float]:
    """The learning rate of each of `steps` optimizer steps."""
    x = torch.nn.Parameter(torch.ones(1))
    built = build_optimizer(optimizer, [x], rate)
    schedule = learning_rate_schedule(built, name, steps)
    found = []
    for _ in range(steps):
        found.append(built.param_groups[0]["lr"])
        x.grad = torch.zeros(1)
        built.step()
        schedule.step()
    return found


def test_constant_is_the_full_rate() -> None:
    assert rates("constant", 7, 0.3) == [0.3] * 7


def test_cosine_falls_from_the_full_rate_to_nearly_zero() -> None:
    expected = [0.25 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert rates("cosine", 10, 0.5) == pytest.approx(expected, rel=1e-12)
    assert SCHEDULES["cosine"].share(10, 10) == 0.0


def test_step_divides_by_ten_at_half_and_at_three_quarters() -> None:
    assert rates("step", 8) == [1.0] * 4 + [0.1] * 2 + [0.01] * 2
    # 50 % of 10 steps are 5; 75 % are 7.5, so that the eighth step is the last at a tenth
    assert rates("step", 10) == [1.0] * 5 + [0.1] * 3 + [0.01] * 2
    # He et al. 2016: 64k iterations, divided at 32k and 48k
    share = SCHEDULES["step"].share
    assert [share(s, 64_000) for s in (31_999, 32_000, 47_999, 48_000)] == [1.0, 0.1, 0.1, 0.01]


def test_warmup_rises_over_five_percent_and_then_falls_as_a_cosine() -> None:
    found = rates("warmup-cosine", 100)
    assert found[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    expected = [0.5 * (1 + math.cos(math.pi * step / 95)) for step in range(95)]
    assert found[5:] == pytest.approx(expected, rel=1e-12)


def test_fewer_than_twenty_steps_have_no_warmup() -> None:
    assert rates("warmup-cosine", 19) == rates("cosine", 19)
    assert rates("warmup-cosine", 20)[:2] == [0.5, 1.0]


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 333])
def test_shares_stay_between_zero_and_one_and_reach_one(name: str, steps: int) -> None:
    shares = [SCHEDULES[name].share(step, steps) for step in range(steps + 1)]
    assert all(0 <= share <= 1 for share in shares) and max(shares) == 1
    assert shares[0] > 0, "the first step moves"
    assert SCHEDULES[name].description


def test_one_step_and_the_steps_of_other_optimizers() -> None:
    assert rates("cosine", 1) == [1.0]
    assert rates("step", 8, 1e-3, "adabound") == pytest.approx([1e-3] * 4 + [1e-4] * 2 + [1e-5] * 2)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(KeyError):
        rates("linear", 3)
