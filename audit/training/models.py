"""Classifiers by name, trained from scratch. torch is imported when one is built.

Stems: `published` is the network as its authors wrote it; small images leave it few positions, so
`half` replaces the first strided convolution and its pooling by one 3 x 3 convolution of stride 2, and
`full` by one of stride 1. The stem always takes 1 or 3 channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

STEM_STRIDE = {"half": 2, "full": 1}


def _resnet(
    architecture: str, n_classes: int, channels: int, stem: str, zero_init_residual: bool = False
) -> nn.Module:
    import torchvision
    from torch import nn

    network: nn.Module = torchvision.models.get_model(
        architecture, weights=None, num_classes=n_classes, zero_init_residual=zero_init_residual
    )
    if stem in STEM_STRIDE:
        network.conv1 = nn.Conv2d(channels, 64, 3, STEM_STRIDE[stem], padding=1, bias=False)
        network.maxpool = nn.Identity()
    else:
        network.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
    return network


def _densenet(architecture: str, n_classes: int, channels: int, stem: str) -> nn.Module:
    import torchvision
    from torch import nn

    network: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=n_classes)
    features = network.get_submodule("features")
    width = int(features.get_submodule("norm0").num_features)  # type: ignore[arg-type]
    if stem in STEM_STRIDE:
        features.conv0 = nn.Conv2d(channels, width, 3, STEM_STRIDE[stem], padding=1, bias=False)
        features.pool0 = nn.Identity()
    else:
        features.conv0 = nn.Conv2d(channels, width, 7, 2, padding=3, bias=False)
    for layer in features.modules():
        if isinstance(layer, nn.AvgPool2d):
            layer.ceil_mode = True  # images below 32 pixels would shrink to nothing
    return network


def _small_cnn(architecture: str, n_classes: int, channels: int, stem: str) -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    width_in = channels
    for width in (32, 64, 128, 128):
        layers += [
            nn.Conv2d(width_in, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
        width_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width_in, n_classes))


@dataclass(frozen=True)
class ModelRow:
    """One row of the table. `build(architecture, n_classes, channels, stem)`."""

    title: str
    build: Callable[[str, int, int, str], nn.Module]


MODELS: dict[str, ModelRow] = {
    # Residual branches that start at zero (Goyal et al. 2017): without it ResNet-50 over-fits short
    # trainings (docs/log.md, 2026-11-23).
    "resnet50": ModelRow("ResNet-50", partial(_resnet, zero_init_residual=True)),
    "densenet121": ModelRow("DenseNet-121", _densenet),
    "resnet18": ModelRow("ResNet-18", _resnet),
    "small-cnn": ModelRow("small CNN (4 convolutions, batch norm)", _small_cnn),
}


def build_model(name: str, n_classes: int, channels: int, stem: str) -> nn.Module:
    """The classifier called `name`, freshly initialized: (N, channels, H, W) -> (N, n_classes) logits.

    Initial weights come from torch's global generator: seed it first.
    """
    return MODELS[name].build(name, n_classes, channels, stem)
