"""Input normalizations (thesis 4.2.2) by name: the first layer of every audited network. No torch import here;
the layers stand in `covariate_shift.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def _none(channels: int) -> nn.Module:
    from torch import nn

    return nn.Identity()


def _csn(channels: int) -> nn.Module:
    from audit.training.covariate_shift import BatchStatistics

    return BatchStatistics()


def _csn_image(channels: int) -> nn.Module:
    from audit.training.covariate_shift import ImageStatistics

    return ImageStatistics()


def _csn_running(channels: int) -> nn.Module:
    from audit.training.covariate_shift import RunningStatistics

    return RunningStatistics(channels)


@dataclass(frozen=True)
class NormalizationRow:
    """One row of the table. `build(channels)` gives a layer (N, C, H, W) -> (N, C, H, W), pixels in [0, 1]."""

    build: Callable[[int], nn.Module]
    description: str
    uses_batch: bool  # in testing, the result for an image depends on its batch


NORMALIZATIONS: dict[str, NormalizationRow] = {
    "none": NormalizationRow(_none, "pixels in [0, 1], unchanged", uses_batch=False),
    "csn": NormalizationRow(
        _csn,
        "input covariate shift normalization: each batch to zero mean and unit standard deviation per channel, in "
        "training and in testing",
        uses_batch=True,
    ),
    "csn-image": NormalizationRow(
        _csn_image,
        "each image by itself to zero mean and unit standard deviation per channel",
        uses_batch=False,
    ),
    "csn-running": NormalizationRow(
        _csn_running,
        "each training batch to zero mean and unit standard deviation per channel; in testing, mean and standard "
        "deviation of the training images",
        uses_batch=False,
    ),
}


def build_normalization(name: str, channels: int) -> nn.Module:
    """The layer called `name`. None of them has a parameter to learn."""
    return NORMALIZATIONS[name].build(channels)
