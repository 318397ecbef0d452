"""Factories as a user might write them, good and bad."""

from __future__ import annotations

from torch import Tensor, nn

NOT_A_FUNCTION = 3


def make(n_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """A good one."""
    height, width = image_size
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * height * width, n_classes))


def no_module(n_classes: int, channels: int, image_size: tuple[int, int]) -> str:
    """Not a network."""
    return "resnet50"


def too_many_classes(n_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """One output too many."""
    return make(n_classes + 1, channels, image_size)


class ColourOnly(nn.Module):
    """Refuses grey images."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            raise ValueError("colour images only\nand this is a second line")
        return x.mean(dim=(2, 3))


def colour_only(n_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Does not read grey images."""
    return ColourOnly()


class TupleNetwork(nn.Module):
    """Gives a tuple."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def a_tuple(n_classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Logits and something else."""
    return TupleNetwork()


def wrong_arguments(n_classes: int) -> nn.Module:
    """Takes too few."""
    return nn.Identity()
