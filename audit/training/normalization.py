"""Input normalizations (thesis 4.2.2). Images are (N, C, H, W) floats in [0, 1]. No torch import here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_STD = 1e-3  # a quarter of a grey level: a constant batch stays at zero instead of growing noise


def no_normalization(images: Tensor) -> Tensor:
    """The images as they are, in [0, 1]."""
    return images


def covariate_shift_normalization(images: Tensor) -> Tensor:
    """CSN: this batch to zero mean and unit standard deviation per channel, over (N, H, W).

    No learned parameter and no running statistic, in training and in testing alike: the output for one
    image depends on the other images of its batch. Source: thesis 4.2.2.
    """
    mean = images.mean(dim=(0, 2, 3), keepdim=True)
    std = images.std(dim=(0, 2, 3), keepdim=True, correction=0)
    return (images - mean) / std.clamp_min(SMALLEST_STD)


@dataclass(frozen=True)
class NormalizationRow:
    """One row of the table: what the normalization does, and what a reader must know of it."""

    apply: Callable[[Tensor], Tensor]
    description: str
    uses_batch: bool  # the result for an image depends on its batch


NORMALIZATIONS: dict[str, NormalizationRow] = {
    "none": NormalizationRow(no_normalization, "pixels in [0, 1], unchanged", uses_batch=False),
    "csn": NormalizationRow(
        covariate_shift_normalization,
        "input covariate shift normalization: each batch to zero mean and unit standard deviation",
        uses_batch=True,
    ),
}
