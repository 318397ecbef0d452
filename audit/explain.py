"""Where a cell's network looks, for the report: Grad-CAM of a sample of images, summed up."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from audit.attack.perturbation import Perturbation
from audit.data.dataset import Labels
from audit.evaluation.explanations import Maps, Saliency, mean_maps, saliency, share_on_edits
from audit.results import Explanation

SAMPLE_SEED = 11
POSITIONS = 6  # rows and columns of the feature map, at least, where the network has such a one


def explain(
    network: nn.Module,
    perturbation: Perturbation | None,
    train: tuple[Tensor, Labels],
    test: tuple[Tensor, Labels],
    n_classes: int,
    images: int,
    batch_size: int,
) -> Explanation:
    """Mean maps per class over a sample of training images as trained, and the shares of saliency on the edits
    there and on clean test images.

    `train` and `test`: uint8 (N, C, H, W) as the network sees them, labels (N,); at most `images` of each are
    drawn. A network without a convolutional feature map is not explained, with the reason.
    """
    try:
        trained, tested = (
            saliency(network, *sample(part, images), batch_size=batch_size, positions=POSITIONS)
            for part in (train, test)
        )
    except ValueError as error:
        return Explanation(reason=str(error))
    mean = mean_maps(trained, n_classes)
    on_train = on_edits(trained, perturbation)
    on_test = on_edits(tested, perturbation)
    return Explanation(
        layer=trained.layer.name,
        radius=trained.radius,
        images=list(mean.images),
        zero_maps=list(mean.zero_maps),
        maps=[png(one) for one in mean.maps],
        train_shares=on_train[0],
        test_shares=on_test[0],
        uniform_shares=on_train[1],
    )


def sample(images: tuple[Tensor, Labels], count: int) -> tuple[Tensor, Labels]:
    """At most `count` images, always the same."""
    pixels, labels = images
    chosen = np.sort(np.random.default_rng(SAMPLE_SEED).permutation(len(labels))[:count])
    return pixels[torch.from_numpy(chosen).to(pixels.device)], labels[chosen]


def on_edits(
    found: Saliency, perturbation: Perturbation | None
) -> tuple[list[float | None], list[float | None]]:
    """Shares on the edits by class, and what a uniform map would have there; empty without a perturbation."""
    if perturbation is None:
        return [], []
    shares = share_on_edits(found.maps, found.labels, perturbation, found.radius)
    return list(shares.shares), list(shares.uniform)


def png(saliency_map: Maps) -> str:
    """One map (H, W), white at its own maximum, as PNG in base64."""
    highest = float(saliency_map.max())
    levels = np.rint(saliency_map / highest * 255 if highest > 0 else saliency_map).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
