"""Optimizers by name, with the learning rates of method §5. torch is imported when one is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

Parameters = Iterable["Parameter"]


def _adam(parameters: Parameters, learning_rate: float) -> Optimizer:
    from torch.optim import Adam

    return Adam(parameters, lr=learning_rate, fused=True)


def _adabound(parameters: Parameters, learning_rate: float) -> Optimizer:
    from pytorch_optimizer import AdaBound

    optimizer: Optimizer = AdaBound(parameters, lr=learning_rate, final_lr=0.1)
    return optimizer


def _sgd(parameters: Parameters, learning_rate: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=learning_rate)


def _sgd_momentum(parameters: Parameters, learning_rate: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=learning_rate, momentum=0.9)


@dataclass(frozen=True)
class OptimizerRow:
    """One row of the table: default learning rate and how to build it."""

    learning_rate: float
    build: Callable[[Parameters, float], Optimizer]
    description: str


OPTIMIZERS: dict[str, OptimizerRow] = {
    "adam": OptimizerRow(1e-3, _adam, "Adam"),
    "adabound": OptimizerRow(1e-3, _adabound, "AdaBound, final learning rate 0.1"),
    "sgd": OptimizerRow(1e-2, _sgd, "SGD without momentum"),
    "sgd-m": OptimizerRow(1e-2, _sgd_momentum, "SGD with momentum 0.9"),
}


def build_optimizer(name: str, parameters: Parameters, learning_rate: float) -> Optimizer:
    """The optimizer called `name` over `parameters`."""
    return OPTIMIZERS[name].build(parameters, learning_rate)
