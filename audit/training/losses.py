"""Training losses by name. torch is imported when a network is built.

A loss decides what is built around the recipe's network; the trainer treats all alike: logits out of
`forward`, cross-entropy (of mixed labels where images are mixed), plus `vib.extra_loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.results import Vib

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LossRequest:
    """What a loss may need to know of the training."""

    n_classes: int
    image_shape: tuple[int, int, int]  # (C, H, W)
    seed: int
    vib: Vib  # parameters of vibCE


NetworkOf = Callable[[int], "nn.Module"]
"""Number of outputs -> the recipe's network, its input normalization included."""


def _cross_entropy(network_of: NetworkOf, request: LossRequest) -> nn.Module:
    return network_of(request.n_classes)


def _vibce(network_of: NetworkOf, request: LossRequest) -> nn.Module:
    from audit.training.vib import VariationalClassifier

    return VariationalClassifier(
        network_of(2 * request.vib.latent),
        request.n_classes,
        request.image_shape,
        request.vib.latent,
        request.vib.beta,
        request.seed,
        request.vib.reconstruction_weight,
    )


@dataclass(frozen=True)
class LossRow:
    """One row of the table. `build` gives a network (N, C, H, W) in [0, 1] -> logits (N, K)."""

    build: Callable[[NetworkOf, LossRequest], nn.Module]
    description: str


LOSSES: dict[str, LossRow] = {
    "ce": LossRow(_cross_entropy, "cross-entropy"),
    "vibce": LossRow(
        _vibce,
        "cross-entropy of a latent code, reconstruction of the image from it, and its KL divergence from a "
        "standard normal (2.11)",
    ),
}


def build_network(loss: str, network_of: NetworkOf, request: LossRequest) -> nn.Module:
    """The network that is trained under `loss`, freshly initialized from torch's global generator: seed it
    first. With `ce` it is the recipe's network itself. Raises KeyError on an unknown name."""
    return LOSSES[loss].build(network_of, request)
