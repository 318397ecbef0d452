"""Passes of a population in training, forward and backward: on a GPU two calls instead of hundreds of kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from audit.training.precision import autocast


class Precise(nn.Module):
    """A network under a precision. The backward pass stays outside, as in a loop without a graph."""

    def __init__(self, network: nn.Module, device: str, precision: str) -> None:
        super().__init__()
        self.network, self.device, self.precision = network, device, precision

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        with autocast(self.device, self.precision):
            logits: Tensor = self.network(images)
        return logits


@contextmanager
def training_pass(
    network: nn.Module, device: str, precision: str, example: Tensor
) -> Iterator[Callable[[Tensor], Tensor]]:
    """From images, of the shape and layout of `example`, to logits; gradients go to the network's parameters.

    On a GPU both passes are captured as CUDA graphs and started by one call each; the numbers are those of the
    network itself. Where a capture fails they run kernel by kernel, with a RuntimeWarning.
    """
    forward = Precise(network, device, precision)
    if device == "cuda":
        capture(forward, example)
    try:
        yield forward
    finally:
        # The captured forward pass refers to its module: without this, its memory would wait for Python's collector.
        vars(forward).pop("forward", None)


def capture(forward: Precise, example: Tensor) -> None:
    """Replace the module's forward pass by graphs; what batch norm has averaged stays as it was."""
    buffers = [(buffer, buffer.clone()) for buffer in forward.buffers()]
    try:
        torch.cuda.make_graphed_callables(forward, (example,))  # replaces its forward pass
    except torch.OutOfMemoryError:
        raise  # whoever called makes smaller parts
    except RuntimeError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        warnings.warn(
            f"no CUDA graph of the surrogates ({reason}); they train kernel by kernel, which is slower",
            RuntimeWarning,
            stacklevel=2,
        )
    with torch.no_grad():
        for buffer, before in buffers:  # batch norm has averaged over the passes that warmed up
            buffer.copy_(before)
