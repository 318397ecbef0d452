"""Surrogate networks (2.8), and many copies of one trained as a single program.

A population of P networks is one network whose convolutions have P groups: activations are
(B, P * channels, H, W), weights stack along the output channels. Batch norm works per channel and Adam per
weight, so each member learns exactly what it would learn alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


def strided(channels: int, n_classes: int, image_size: tuple[int, int]) -> nn.Sequential:
    """Three strided convolutions with batch norm, one linear layer over all places, which it therefore
    knows. It tells weak perturbations from strong ones, but not the strong ones apart (docs/log.md)."""
    layers: list[nn.Module] = []
    height, width = image_size
    for width_in, width_out in ((channels, 16), (16, 32), (32, 48)):
        layers += [
            nn.Conv2d(width_in, width_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width_out),
            nn.ReLU(inplace=True),
        ]
        height, width = -(-height // 2), -(-width // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(48 * height * width, n_classes))


class BrightestDarkest(nn.Module):
    """(B, C, H, W) -> (B, 2 C, H / 2, W / 2): the brightest and minus the darkest of every 2 x 2 pixels, channel
    by channel. A quarter of the places, and no single pixel is lost."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % 2 or width % 2:  # the last row or column stands for the missing one
            x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        bright, dark = four_by(torch.maximum, x), four_by(torch.minimum, x).neg()
        both = torch.stack([bright, dark], dim=2).flatten(1, 2)
        return both.contiguous(memory_format=torch.channels_last)


def four_by(pick: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
    """One of every 2 x 2 pixels. Four times as fast as a pooling layer on single-channel images."""
    rows = pick(x[:, :, 0::2], x[:, :, 1::2])
    return pick(rows[..., 0::2], rows[..., 1::2])


def pooled(channels: int, n_classes: int, image_size: tuple[int, int]) -> nn.Sequential:
    """Brightest and darkest pixels, three narrow convolutions, each pooled by maximum, and a global average: sees
    no positions, as the audited networks do, so that it ranks strong perturbations as they do (docs/log.md)."""
    layers: list[nn.Module] = [BrightestDarkest()]
    width_in = 2 * channels
    for width in (16, 32, 64):
        layers += [
            nn.Conv2d(width_in, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.ReLU(inplace=True),  # after the pooling: the same numbers from a quarter of the places
        ]
        width_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width_in, n_classes))


def graynet(channels: int, n_classes: int, image_size: tuple[int, int]) -> nn.Sequential:
    """GrayNet 24C3-P-48C3-P-256FC-K (2.8)."""
    height, width = image_size
    return nn.Sequential(
        *convolution(channels, 24),
        nn.MaxPool2d(2),
        *convolution(24, 48),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(48 * (height // 4) * (width // 4), 256),
        nn.ReLU(inplace=True),
        nn.Linear(256, n_classes),
    )


def colornet(channels: int, n_classes: int, image_size: tuple[int, int]) -> nn.Sequential:
    """ColorNet 32C3-32C3-P-64C3-64C3-P-128C3-128C3-P-512FC-K (2.8)."""
    height, width = image_size
    layers: list[nn.Module] = []
    width_in = channels
    for wide in (32, 64, 128):
        layers += [*convolution(width_in, wide), *convolution(wide, wide), nn.MaxPool2d(2)]
        width_in = wide
    flat = 128 * (height // 8) * (width // 8)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(flat, 512), nn.ReLU(inplace=True), nn.Linear(512, n_classes)
    )


def convolution(width_in: int, width: int) -> list[nn.Module]:
    """3 x 3, same size, ReLU."""
    return [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU(inplace=True)]


@dataclass(frozen=True)
class SurrogateRow:
    """One row of the table. `build(channels, n_classes, (height, width))`."""

    title: str
    build: Callable[[int, int, tuple[int, int]], nn.Sequential]
    faster: float = 1.0  # times the optimizer's learning rate: few steps have to do


SURROGATES: dict[str, SurrogateRow] = {
    "pooled": SurrogateRow("pooled CNN 16-32-64, batch norm", pooled, faster=3.0),
    "strided": SurrogateRow("strided CNN 16-32-48, batch norm", strided, faster=2.0),
    "graynet": SurrogateRow("GrayNet 24C3-P-48C3-P-256FC-K", graynet),
    "colornet": SurrogateRow("ColorNet 32C3-32C3-P-64C3-64C3-P-128C3-128C3-P-512FC-K", colornet),
}


class PopulationFlatten(nn.Module):
    """(B, P * C, H, W) -> (B, P, C * H * W)."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), self.members, -1)


class PopulationLinear(nn.Module):
    """P linear layers side by side: (B, P, in) -> (B, P, out)."""

    def __init__(self, single: nn.Linear, members: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(single.weight.detach().repeat(members, 1, 1))  # (P, out, in)
        self.bias = nn.Parameter(single.bias.detach().repeat(members, 1))  # (P, out)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight.transpose(1, 2))
        return out.transpose(0, 1)


def population_of(single: nn.Sequential, members: int) -> nn.Sequential:
    """`members` equal copies of a network as one: (B, P * C, H, W) -> (B, P, K) logits."""
    return nn.Sequential(*[side_by_side(layer, members) for layer in single])


def side_by_side(layer: nn.Module, members: int) -> nn.Module:
    """One layer for all members. Raises TypeError for a kind of layer that is not known here."""
    if isinstance(layer, nn.Conv2d):
        grouped = nn.Conv2d(
            layer.in_channels * members,
            layer.out_channels * members,
            layer.kernel_size,  # type: ignore[arg-type]
            stride=layer.stride,  # type: ignore[arg-type]
            padding=layer.padding,  # type: ignore[arg-type]
            groups=members,
            bias=layer.bias is not None,
            device="meta",  # no draw from torch's generator: the weights are copied
        )
        grouped.weight = nn.Parameter(layer.weight.detach().repeat(members, 1, 1, 1))
        if layer.bias is not None:
            grouped.bias = nn.Parameter(layer.bias.detach().repeat(members))
        return grouped
    if isinstance(layer, nn.BatchNorm2d):
        return nn.BatchNorm2d(layer.num_features * members, dtype=layer.weight.dtype)
    if isinstance(layer, nn.Linear):
        return PopulationLinear(layer, members)
    if isinstance(layer, nn.Flatten):
        return PopulationFlatten(members)
    if isinstance(layer, nn.ReLU | nn.MaxPool2d | nn.AdaptiveAvgPool2d | BrightestDarkest):
        return layer
    raise TypeError(f"no population form of {type(layer).__name__}")
