"""Changes to networks that others wrote: stems, pooling, size of the images, dropout."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.errors import ModelError
from audit.training.model_row import STEM_STRIDE, ImageSize


class Resize(nn.Module):
    """(N, C, H, W) -> (N, C, *size), bilinear, on whatever device the images are."""

    def __init__(self, size: ImageSize) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, self.size, mode="bilinear", antialias=x.shape[-1] > self.size[1])

    def extra_repr(self) -> str:
        return f"size={self.size}"


def resized(network: nn.Module, size: ImageSize) -> nn.Sequential:
    """The network behind a first layer that brings its images to `size`."""
    return nn.Sequential(OrderedDict(resize=Resize(size), network=network))


def core(network: nn.Module) -> nn.Module:
    """The network without the first layer of `resized`."""
    if isinstance(network, nn.Sequential) and len(network) and isinstance(network[0], Resize):
        return network.get_submodule("network")
    return network


class LinearAfterDropout(nn.Linear):
    """Dropout, then the linear layer that it replaces: weights and their names stay."""

    def __init__(self, linear: nn.Linear, p: float) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.dropout = nn.Dropout(p)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(cast(Tensor, self.dropout(input)))


def add_dropout(network: nn.Module, p: float, name: str) -> nn.Module:
    """The network with dropout of probability `p` before its last linear layer. Draws no random number.

    Raises ModelError for a network without a linear layer.
    """
    linear = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise ModelError(
            f"model {name!r} ends in no linear layer to put dropout before; set training.dropout: 0"
        )
    layer = cast(nn.Linear, network.get_submodule(linear[-1]))
    if linear[-1] == "":
        return LinearAfterDropout(layer, p)
    replace(network, linear[-1], LinearAfterDropout(layer, p))
    return network


def replace(network: nn.Module, path: str, layer: nn.Module) -> None:
    """Put `layer` where the submodule `path` was."""
    above, _, name = path.rpartition(".")
    setattr(network.get_submodule(above), name, layer)


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """The path and the layer of the convolution that reads the image: the first one, by definition order."""
    return next((path, m) for path, m in network.named_modules() if isinstance(m, nn.Conv2d))


def read_channels(network: nn.Module, channels: int, fan_in: bool) -> None:
    """Have the first convolution of a fresh network read `channels` instead of its own (three).

    The weights are those that the network itself drew for its first channels: drawn independently per
    channel, they follow its own distribution. Where that distribution narrows with the number of inputs
    (`fan_in`), they widen by the square root of the ratio, which is what it would have drawn.
    """
    path, old = first_convolution(network)
    if old.in_channels == channels:
        return
    scale = (old.in_channels / channels) ** 0.5 if fan_in else 1.0
    new = like(old, channels, old.kernel_size, old.stride, old.padding)
    new.weight = nn.Parameter(old.weight.detach()[:, :channels] * scale)
    if old.bias is not None:
        new.bias = nn.Parameter(old.bias.detach() * scale)
    replace(network, path, new)


def like(
    old: nn.Conv2d,
    channels: int,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: str | tuple[int, ...],
) -> nn.Conv2d:
    """A convolution of as many outputs as `old`, without weights: they are to be put in."""
    return nn.Conv2d(
        channels,
        old.out_channels,
        cast(tuple[int, int], kernel_size),
        cast(tuple[int, int], stride),
        padding=cast(tuple[int, int], padding),
        dilation=cast(tuple[int, int], old.dilation),
        bias=old.bias is not None,
        device="meta",
    )


def replace_stem(network: nn.Module, convolution: str, pooling: str, channels: int, stem: str) -> None:
    """A new first convolution with torch's default weights: as it was (`published`), or 3 x 3 of stride 2
    (`half`) or 1 (`full`) and no pooling after it."""
    old = cast(nn.Conv2d, network.get_submodule(convolution))
    kernel, stride, padding = int(old.kernel_size[0]), int(old.stride[0]), int(old.padding[0])
    if stem in STEM_STRIDE:
        kernel, stride, padding = 3, STEM_STRIDE[stem], 1
        replace(network, pooling, nn.Identity())
    new = nn.Conv2d(channels, old.out_channels, kernel, stride, padding=padding, bias=False)
    replace(network, convolution, new)


def pool_upwards(network: nn.Module) -> None:
    """Average pooling that keeps the last odd row: small images would shrink to nothing."""
    for layer in network.modules():
        if isinstance(layer, nn.AvgPool2d):
            layer.ceil_mode = True


@torch.no_grad()
def reads(network: nn.Module, channels: int, image_size: ImageSize) -> bool:
    """Whether images of this size pass through a network whose parameters are on the `meta` device."""
    try:
        network(torch.empty(2, channels, *image_size, device="meta"))
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError):
        return False
    return True
