"""Every classifier of torchvision, family by family. torch is imported when one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from audit.training.model_row import STEMS, ImageSize, ModelRow

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Stem:
    """Where a family keeps the layers that `half` and `full` replace."""

    convolution: str
    pooling: str


@dataclass(frozen=True)
class Family:
    """Networks that are adapted in the same way."""

    title: str
    names: tuple[str, ...]
    smallest: int = 1  # pixels, shorter side: ModelRow.smallest
    grid: int = 1  # ModelRow.grid
    options: dict[str, Any] = field(default_factory=dict)  # of the constructor
    sized: Callable[[int], dict[str, Any]] | None = None  # its option for the side of the image
    fan_in: bool = False  # the first convolution's initial weights narrow with its number of inputs
    stem: Stem | None = None  # None: `published` only
    pool_upwards: bool = False
    shown: bool = True  # the first name, in `audit models` without --all


RESNET_STEM = Stem("conv1", "maxpool")
NO_AUXILIARY_HEADS = {"aux_logits": False, "init_weights": True}  # with them, training gives tuples

FAMILIES = (
    Family("ResNet (He 2016)", ("resnet34", "resnet18", "resnet50", "resnet101", "resnet152"), stem=RESNET_STEM),
    Family(
        "ResNeXt (Xie 2017)",
        ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
        stem=RESNET_STEM,
    ),
    Family("wide ResNet (Zagoruyko 2016)", ("wide_resnet50_2", "wide_resnet101_2"), stem=RESNET_STEM),
    Family(
        "DenseNet (Huang 2017)",
        ("densenet169", "densenet121", "densenet161", "densenet201"),
        fan_in=True,
        stem=Stem("features.conv0", "features.pool0"),
        pool_upwards=True,
    ),
    Family("AlexNet (Krizhevsky 2014)", ("alexnet",), smallest=63, fan_in=True),
    Family(
        "VGG (Simonyan 2015)",
        ("vgg11_bn", "vgg11", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
        smallest=32,
    ),
    Family("SqueezeNet (Iandola 2016)", ("squeezenet1_1", "squeezenet1_0"), smallest=21, fan_in=True),
    Family("GoogLeNet (Szegedy 2015)", ("googlenet",), smallest=16, options=NO_AUXILIARY_HEADS),
    Family("Inception v3 (Szegedy 2016)", ("inception_v3",), smallest=75, options=NO_AUXILIARY_HEADS),
    Family("MobileNet v2 (Sandler 2018)", ("mobilenet_v2",)),
    Family("MobileNet v3 (Howard 2019)", ("mobilenet_v3_small", "mobilenet_v3_large")),
    Family("MnasNet (Tan 2019)", ("mnasnet1_0", "mnasnet0_5", "mnasnet0_75", "mnasnet1_3")),
    Family(
        "ShuffleNet v2 (Ma 2018)",
        ("shufflenet_v2_x1_0", "shufflenet_v2_x0_5", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
        fan_in=True,
    ),
    Family("EfficientNet (Tan 2019)", tuple(f"efficientnet_b{size}" for size in range(8))),
    Family("EfficientNet v2 (Tan 2021)", ("efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l")),
    Family(
        "RegNet (Radosavovic 2020)",
        (
            *(f"regnet_y_{cost}" for cost in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf")),
            *(f"regnet_x_{cost}" for cost in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
        ),
    ),
    Family(
        "ConvNeXt (Liu 2022)",
        ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
        smallest=32,
    ),
    Family("Swin transformer (Liu 2021)", ("swin_t", "swin_s", "swin_b"), fan_in=True),
    Family("Swin transformer v2 (Liu 2022)", ("swin_v2_t", "swin_v2_s", "swin_v2_b"), fan_in=True),
    Family(
        "vision transformer, patches of 16 (Dosovitskiy 2021)",
        ("vit_b_16", "vit_l_16"),
        smallest=16, grid=16, sized=lambda side: {"image_size": side}, fan_in=True,
    ),
    Family(
        "vision transformer, patches of 32 (Dosovitskiy 2021)",
        ("vit_b_32", "vit_l_32"),
        smallest=32, grid=32, sized=lambda side: {"image_size": side}, fan_in=True, shown=False,
    ),
    Family(
        "vision transformer, patches of 14 (Dosovitskiy 2021)",
        ("vit_h_14",),
        smallest=14, grid=14, sized=lambda side: {"image_size": side}, fan_in=True, shown=False,
    ),
    Family(
        "MaxViT (Tu 2022)",
        ("maxvit_t",),
        smallest=224, grid=224, sized=lambda side: {"input_size": (side, side)},
    ),
)  # fmt: skip
# Written out, so that a name is checked without the seconds that importing torchvision takes;
# tests/test_models.py holds the list against the installed torchvision.
FAMILY_OF = {name: family for family in FAMILIES for name in family.names}


def torchvision_row(name: str) -> ModelRow:
    """The row of a torchvision classifier. Raises KeyError."""
    family = FAMILY_OF[name]
    return ModelRow(
        family.title,
        partial(build, name, {}, False),
        STEMS if family.stem else ("published",),
        family.smallest,
        family.grid,
    )


def build(
    name: str,
    options: dict[str, Any],
    new_stem: bool,
    n_classes: int,
    channels: int,
    stem: str,
    image_size: ImageSize,
) -> nn.Module:
    """As torchvision builds it, with fresh weights (nothing is downloaded), adapted to `channels` and `stem`.

    `new_stem`: torch's default weights in the first convolution, also for `published`; the networks of
    earlier audits, bit by bit.
    """
    import torchvision

    from audit.training.adaptations import pool_upwards, read_channels, replace_stem

    family = FAMILY_OF[name]
    sized = family.sized(image_size[0]) if family.sized else {}
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=n_classes, **family.options, **sized, **options
    )
    if family.stem and (new_stem or stem != "published"):
        replace_stem(network, family.stem.convolution, family.stem.pooling, channels, stem)
    else:
        read_channels(network, channels, family.fan_in)
    if family.pool_upwards:
        pool_upwards(network)
    return network
