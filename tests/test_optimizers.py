"""The first steps of each optimizer against its published update, written out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch

from audit.training.optimizers import OPTIMIZERS, build_optimizer
from audit.training.schedules import learning_rate_schedule

STEPS = 3
EPS = 1e-8
# Loss: sum of curvature * x^2 / 2, so that the gradient is curvature * x. AdaBound's lower bound holds the
# first coordinate up, its upper bound holds the last one down.
CURVATURES = [1e3, 1.0, 1e-6]
START = [1.0, -2.0, 3.0]

Update = Callable[[float, float, float, float], Iterator[float]]
"""(x, curvature, learning rate, weight decay) -> x after each step."""


def adam(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    """Kingma & Ba 2015, Algorithm 1; decay in the gradient."""
    m = v = 0.0
    for t in range(1, STEPS + 1):
        gradient = curvature * x + decay * x
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x -= rate * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + EPS)
        yield x


def adamw(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    """Loshchilov & Hutter 2019, Algorithm 2 (as torch has it: the decay is multiplied by the learning rate): the
    decay never meets the moments."""
    m = v = 0.0
    for t in range(1, STEPS + 1):
        gradient = curvature * x
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x -= rate * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + EPS) + rate * decay * x
        yield x


def adabound_rates(curvature: float, rate: float, decay: float, x: float) -> Iterator[tuple[float, float]]:
    """(rate of the step, x after it): Adam's rate between bounds that close in on final_lr = 0.1, Luo et al. 2019
    in the authors' code."""
    m = v = 0.0
    for t in range(1, STEPS + 1):
        gradient = curvature * x + decay * x
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        low, high = 0.1 * (1 - 1 / (1e-3 * t + 1)), 0.1 * (1 + 1 / (1e-3 * t))
        of_adam = rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) / (math.sqrt(v) + EPS)
        bounded = min(max(of_adam, low), high)
        x -= bounded * m
        yield bounded, x


def adabound(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    return (after for _, after in adabound_rates(curvature, rate, decay, x))


def rmsprop(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    """Tieleman & Hinton 2012, lecture 6e; no bias correction."""
    v = 0.0
    for _ in range(STEPS):
        gradient = curvature * x + decay * x
        v = 0.9 * v + 0.1 * gradient**2
        x -= rate * gradient / (math.sqrt(v) + EPS)
        yield x


def sgd(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    for _ in range(STEPS):
        x -= rate * (curvature * x + decay * x)
        yield x


def momentum(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    """Polyak 1964, the velocity in units of the gradient."""
    velocity = 0.0
    for _ in range(STEPS):
        velocity = 0.9 * velocity + curvature * x + decay * x
        x -= rate * velocity
        yield x


def nesterov(x: float, curvature: float, rate: float, decay: float) -> Iterator[float]:
    """Sutskever et al. 2013, eq. 3 and 4: the gradient is taken ahead, at theta + mu v. What an optimizer holds is
    that place ahead, which is why it is what comes out here."""
    theta, velocity, ahead = x, 0.0, x
    for _ in range(STEPS):
        velocity = 0.9 * velocity - rate * (curvature * ahead + decay * ahead)
        theta += velocity
        ahead = theta + 0.9 * velocity
        yield ahead


PUBLISHED: dict[str, Update] = {
    "adam": adam,
    "adamw": adamw,
    "adabound": adabound,
    "rmsprop": rmsprop,
    "sgd": sgd,
    "sgd-m": momentum,
    "nag": nesterov,
}


def steps_of(name: str, decay: float | None) -> list[list[float]]:
    """x after each of three steps from START, in float64."""
    x = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    curvatures = torch.tensor(CURVATURES, dtype=torch.float64)
    optimizer = build_optimizer(name, [x], OPTIMIZERS[name].learning_rate, decay)
    found = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        (curvatures * x**2 / 2).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(x.tolist())
    return found


def published(name: str, decay: float) -> list[list[float]]:
    rate = OPTIMIZERS[name].learning_rate
    columns = [PUBLISHED[name](x, c, rate, decay) for x, c in zip(START, CURVATURES, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_first_steps_follow_the_published_update(name: str, decay: float) -> None:
    for found, expected in zip(steps_of(name, decay), published(name, decay), strict=True):
        assert found == pytest.approx(expected, rel=1e-11, abs=0)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_without_a_decay_the_row_decides(name: str) -> None:
    assert steps_of(name, None) == steps_of(name, OPTIMIZERS[name].weight_decay)
    assert OPTIMIZERS[name].weight_decay == (0.01 if name == "adamw" else 0.0)


def test_learning_rates_of_the_rows() -> None:
    assert {name: row.learning_rate for name, row in OPTIMIZERS.items()} == {
        "adam": 1e-3, "adamw": 1e-3, "adabound": 1e-3, "rmsprop": 1e-3, "sgd": 1e-2, "sgd-m": 1e-2, "nag": 1e-2,
    }  # fmt: skip


def test_both_bounds_of_adabound_are_met_in_its_test() -> None:
    """At step 1 the bounds are 0.1 / 1001 and 0.1 * 1001; Adam's rate is 0.01 over the gradient."""
    first = [next(adabound_rates(c, 1e-3, 0.0, x))[0] for c, x in zip(CURVATURES, START, strict=True)]
    assert first[0] == pytest.approx(0.1 / 1001)
    assert first[1] == pytest.approx(0.01 / 2, rel=1e-6)
    assert first[2] == pytest.approx(0.1 * 1001)


def test_adabound_s_bounds_fall_with_the_schedule() -> None:
    """At a share of a tenth the lower bound is a tenth too: the authors scale final_lr by lr / base_lr."""
    x = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = build_optimizer("adabound", [x], 1e-3)
    schedule = learning_rate_schedule(optimizer, "step", 2)
    for _ in range(2):
        x.grad = torch.tensor([1e3], dtype=torch.float64)
        before = x.item()
        optimizer.step()
        schedule.step()
    m = 0.9 * 100 + 0.1 * 1e3
    assert before - x.item() == pytest.approx(0.01 * (1 - 1 / (1e-3 * 2 + 1)) * m)


def test_decoupled_decay_does_not_touch_what_the_gradient_does() -> None:
    """Without a gradient AdamW shrinks by lr * decay; Adam takes the decay for a gradient and moves by lr."""
    for name, expected in (("adamw", 2.0 * (1 - 1e-3 * 0.5)), ("adam", 2.0 - 1e-3)):
        x = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
        x.grad = torch.zeros_like(x)
        build_optimizer(name, [x], 1e-3, 0.5).step()
        assert x.item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_all_parameters_decay(name: str) -> None:
    """Biases and batch-norm weights too."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = build_optimizer(name, network.parameters(), 1e-3, 0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1]
    assert len(optimizer.param_groups[0]["params"]) == 4


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_negative_decay_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="weight_decay"):
        build_optimizer(name, [torch.nn.Parameter(torch.ones(1))], 1e-3, -0.1)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(KeyError):
        build_optimizer("lion", [torch.nn.Parameter(torch.ones(1))], 1e-3)
