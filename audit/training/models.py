"""Classifiers by name, trained from scratch. torch is imported when one is built.

Stems: `published` is the network as its authors wrote it; small images leave it few positions, so
`half` replaces the first strided convolution and its pooling by one 3 x 3 convolution of stride 2, and
`full` by one of stride 1. The stem always takes 1 or 3 channels.

Small images: where the layers need more pixels than the images have, a first layer enlarges them
bilinearly, on the device. Note that it spreads a changed pixel over several.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from audit.errors import ModelError
from audit.names import nearest
from audit.training.external_models import factory_row, is_factory, monai_row, timm_row
from audit.training.model_row import STEMS, ImageSize, ModelRow
from audit.training.torchvision_models import FAMILY_OF, build, torchvision_row

if TYPE_CHECKING:
    from torch import nn


def _small(network: str, n_classes: int, channels: int, stem: str, image_size: ImageSize) -> nn.Module:
    """A function of `small_networks`, which has no stem to replace."""
    from audit.training import small_networks

    made: nn.Module = getattr(small_networks, network)(n_classes, channels, image_size)
    return made


def _cifar_resnet(depth: int, n_classes: int, channels: int, stem: str, image_size: ImageSize) -> nn.Module:
    from audit.training.small_networks import cifar_resnet

    return cifar_resnet(depth, n_classes, channels, image_size)


MODELS: dict[str, ModelRow] = {
    # Residual branches that start at zero (Goyal et al. 2017): without it ResNet-50 over-fits short
    # trainings (docs/log.md, 2026-11-23).
    "resnet50": ModelRow("ResNet-50", partial(build, "resnet50", {"zero_init_residual": True}, True), STEMS),
    "densenet121": ModelRow("DenseNet-121", partial(build, "densenet121", {}, True), STEMS),
    "resnet18": ModelRow("ResNet-18", partial(build, "resnet18", {}, True), STEMS),
    "small-cnn": ModelRow("small CNN (4 convolutions, batch norm)", partial(_small, "small_cnn"), STEMS),
    "graynet": ModelRow("GrayNet (thesis 2.8)", partial(_small, "graynet"), STEMS, smallest=4),
    "colornet": ModelRow("ColorNet (thesis 2.8)", partial(_small, "colornet"), STEMS, smallest=8),
    "mnist-cnn": ModelRow("MNIST CNN (thesis Table 3.2)", partial(_small, "mnist_cnn"), STEMS, smallest=6),
    "cifar-cnn": ModelRow(
        "CIFAR CNN (thesis Table 3.3, the same as ColorNet)", partial(_small, "colornet"), STEMS, smallest=8
    ),
    "resnet20": ModelRow("ResNet-20 for 32 x 32 images", partial(_cifar_resnet, 20), STEMS),
    "resnet32": ModelRow("ResNet-32 for 32 x 32 images", partial(_cifar_resnet, 32), STEMS),
    "densenet40": ModelRow(
        "DenseNet-40 (k = 12) for 32 x 32 images", partial(_small, "densenet40"), STEMS, smallest=4
    ),
}


def model_row(name: str) -> ModelRow:
    """The row of a classifier: ours, torchvision's, `monai:NAME`, `timm:NAME`, `package.module:factory`.

    Ours and torchvision's are looked up without importing torch. Raises ModelError (a ValueError).
    """
    if name in MODELS:
        return MODELS[name]
    if name in FAMILY_OF:
        return torchvision_row(name)
    library, separator, key = name.partition(":")
    if is_factory(name):
        return factory_row(name)
    if separator:
        return {"monai": monai_row, "timm": timm_row}[library](key)
    shown = [*MODELS, "or another name of `audit models --all`"]
    raise ModelError(f"unknown model {name!r}; {nearest(name, [*MODELS, *FAMILY_OF], shown)}")


def build_model(
    name: str,
    n_classes: int,
    channels: int,
    stem: str,
    image_size: ImageSize = (64, 64),
    dropout: float = 0.0,
) -> nn.Module:
    """The classifier called `name`, freshly initialized: (N, channels, *image_size) -> (N, n_classes) logits.

    `image_size` is (height, width) in pixels; networks that end in a global average read other sizes as
    well. `dropout` is the probability before the last linear layer; 0 changes nothing, not even the weights
    drawn. Initial weights come from torch's global generator: seed it first. Raises ModelError.
    """
    row = model_row(name)
    if stem not in row.stems:
        raise ModelError(
            f"model {name!r} has no stem {stem!r}; set training.stem: published, or leave the model out"
        )
    size = row.input_size(image_size)
    network = row.build(n_classes, channels, stem, size)
    if dropout or size != image_size:
        from audit.training.adaptations import add_dropout, resized

        network = add_dropout(network, dropout, name) if dropout else network
        network = resized(network, size) if size != image_size else network
    return network
