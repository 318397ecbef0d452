"""The layers of input covariate shift normalization (CSN, thesis 4.2.2): to zero mean and unit standard deviation
per channel, without a parameter to learn. They differ in what the statistics are taken over."""

from __future__ import annotations

from torch import Tensor, nn

SMALLEST_STD = 1e-3  # a quarter of a grey level: constant images stay at zero instead of growing noise


def standardized(images: Tensor, over: tuple[int, ...]) -> Tensor:
    """(x - mean) / standard deviation, both over the axes `over`."""
    mean = images.mean(dim=over, keepdim=True)
    std = images.std(dim=over, keepdim=True, correction=0)
    return (images - mean) / std.clamp_min(SMALLEST_STD)


class BatchStatistics(nn.Module):
    """`csn`, the published form: over the batch, (N, H, W), in training and in testing alike. The output for one
    image depends on the other images of its batch."""

    def forward(self, images: Tensor) -> Tensor:
        return standardized(images, (0, 2, 3))


class ImageStatistics(nn.Module):
    """`csn-image`: over each image by itself, (H, W). It can be deployed: an image is read alone."""

    def forward(self, images: Tensor) -> Tensor:
        return standardized(images, (2, 3))


class RunningStatistics(nn.BatchNorm2d):
    """`csn-running`: over the batch in training; in testing over all training images as trained, which is what
    recalibration computes for every batch-norm layer before a reading."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=SMALLEST_STD**2, affine=False)
