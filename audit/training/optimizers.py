"""Optimizers by name, with the learning rates of method §5. torch is imported when one is built.

Weight decay acts on all parameters, biases and batch-norm weights included, as the updates were published;
leaving some out is a later habit. It is added to the gradient (L2), except where a row says decoupled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

Parameters = Iterable["Parameter"]

MOMENTUM = 0.9


def _adam(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from torch.optim import Adam

    return Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def _adamw(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from torch.optim import AdamW

    return AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def _adabound(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from pytorch_optimizer import AdaBound

    # The library decouples by default; the authors' AdaBound adds the decay to the gradient.
    optimizer: Optimizer = AdaBound(
        parameters, lr=learning_rate, final_lr=0.1, weight_decay=weight_decay, weight_decouple=False
    )
    return optimizer


def _rmsprop(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from torch.optim import RMSprop

    # 0.9 as published; torch's own default of 0.99 averages over ten times as many steps.
    return RMSprop(parameters, lr=learning_rate, alpha=0.9, weight_decay=weight_decay)


def _sgd(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=learning_rate, weight_decay=weight_decay)


def _sgd_momentum(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=learning_rate, momentum=MOMENTUM, weight_decay=weight_decay)


def _nesterov(parameters: Parameters, learning_rate: float, weight_decay: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=learning_rate, momentum=MOMENTUM, nesterov=True, weight_decay=weight_decay)


@dataclass(frozen=True)
class OptimizerRow:
    """One row of the table: default learning rate and weight decay, and how to build it."""

    learning_rate: float
    build: Callable[[Parameters, float, float], Optimizer]  # (parameters, learning rate, weight decay)
    description: str
    weight_decay: float = 0.0


OPTIMIZERS: dict[str, OptimizerRow] = {
    "adam": OptimizerRow(1e-3, _adam, "Adam (Kingma & Ba 2015)"),
    "adamw": OptimizerRow(1e-3, _adamw, "AdamW, decoupled weight decay (Loshchilov & Hutter 2019)", 0.01),
    "adabound": OptimizerRow(1e-3, _adabound, "AdaBound, final learning rate 0.1 (Luo et al. 2019)"),
    "rmsprop": OptimizerRow(1e-3, _rmsprop, "RMSprop, decay 0.9 (Tieleman & Hinton 2012)"),
    "sgd": OptimizerRow(1e-2, _sgd, "SGD without momentum"),
    "sgd-m": OptimizerRow(1e-2, _sgd_momentum, "SGD with momentum 0.9"),
    "nag": OptimizerRow(1e-2, _nesterov, "SGD with Nesterov momentum 0.9 (Sutskever et al. 2013)"),
}


def build_optimizer(
    name: str, parameters: Parameters, learning_rate: float, weight_decay: float | None = None
) -> Optimizer:
    """The optimizer called `name` over `parameters`, all of which decay by `weight_decay` (None: the row's own).

    Raises KeyError on an unknown name, ValueError on a negative rate or decay.
    """
    row = OPTIMIZERS[name]
    return row.build(parameters, learning_rate, row.weight_decay if weight_decay is None else weight_decay)
