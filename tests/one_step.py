"""One training step of a network: what `each listed model trains` means in tests."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


def trains(network: nn.Module, channels: int, size: int, n_classes: int = 4, batch: int = 4) -> None:
    """Logits of the right shape, a finite loss, and a first and a last parameter that move."""
    torch.manual_seed(0)
    images, labels = torch.rand(batch, channels, size, size), torch.arange(batch) % n_classes
    parameters = list(network.parameters())
    head_of_zeros = not parameters[-2].any()  # vision transformers: a first step moves nothing below it
    watched = parameters[-1:] if head_of_zeros else [parameters[0], parameters[-1]]
    before = [parameter.detach().clone() for parameter in watched]
    network.train()
    logits = network(images)
    assert logits.shape == (batch, n_classes)
    loss = functional.cross_entropy(logits, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(float(loss.detach()))
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in parameters)
    torch.optim.SGD(parameters, lr=1.0).step()
    for old, new in zip(before, watched, strict=True):
        assert not torch.equal(old, new)
