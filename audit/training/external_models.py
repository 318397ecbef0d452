"""Classifiers from elsewhere: `monai:NAME`, `timm:NAME`, and a user's own `package.module:factory`.

Names are checked here; torch, MONAI and timm are imported when a network is built, timm also to look a
name up.
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import ModelError
from audit.names import nearest
from audit.training.model_row import ImageSize, ModelRow

if TYPE_CHECKING:
    from torch import nn

TRIED_SIDES = (32, 64, 96, 128)  # pixels
FACTORY = "(n_classes, channels, image_size)"


@dataclass(frozen=True)
class MonaiRow:
    """A classifier of `monai.networks.nets`, and how its constructor calls what we give."""

    constructor: str
    channels: str = "in_channels"
    n_classes: str = "num_classes"
    smallest: int = 1
    options: dict[str, Any] = field(default_factory=dict)


MONAI: dict[str, MonaiRow] = {
    **{
        name: MonaiRow(name, n_classes="out_channels", smallest=31)
        for name in ("DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264")
    },
    **{
        name: MonaiRow(name)
        for name in ("SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101", "SENet154")
    },
    **{
        f"resnet{depth}": MonaiRow(f"resnet{depth}", channels="n_input_channels")
        for depth in (10, 18, 34, 50, 101, 152, 200)
    },
    # Its padding is fixed for the size it was published with: smaller images run into its last kernels.
    **{
        name: MonaiRow(
            "EfficientNetBN", smallest=32, options={"model_name": f"efficientnet-{size}", "pretrained": False}
        )
        for name, size in (
            ("EfficientNetBN", "b0"),
            *((f"efficientnet-b{size}", f"b{size}") for size in range(8)),
        )
    },
}


def monai_row(name: str) -> ModelRow:
    """The row of `monai:NAME`, without `monai:`. Raises ModelError."""
    if name not in MONAI:
        known = [f"monai:{key}" for key in MONAI]
        raise ModelError(f"unknown model {f'monai:{name}'!r}; {nearest(f'monai:{name}', known)}")
    row = MONAI[name]
    return ModelRow(f"{name} (MONAI)", partial(build_monai, row), smallest=row.smallest)


def build_monai(row: MonaiRow, n_classes: int, channels: int, stem: str, image_size: ImageSize) -> nn.Module:
    """Two-dimensional, with fresh weights."""
    from monai.networks import nets

    shape = {row.channels: channels, row.n_classes: n_classes}
    network: nn.Module = getattr(nets, row.constructor)(spatial_dims=2, **shape, **row.options)
    return network


def timm_row(name: str) -> ModelRow:
    """The row of `timm:NAME`, without `timm:`. Raises ModelError, also without timm."""
    try:
        import timm
    except ImportError:
        raise ModelError(
            f"model {f'timm:{name}'!r} needs the extra timm; pip install 'imaging-audit[timm]'"
        ) from None
    if not timm.is_model(name):
        known = [f"timm:{key}" for key in timm.list_models()]
        few = [*known[:3], "... (python -c 'import timm; print(timm.list_models())')"]
        raise ModelError(f"unknown model {f'timm:{name}'!r}; {nearest(f'timm:{name}', known, few)}")
    return ModelRow(f"{name} (timm)", partial(build_timm, name))


def build_timm(name: str, n_classes: int, channels: int, stem: str, image_size: ImageSize) -> nn.Module:
    """With fresh weights. Images of a size that the network cannot read are enlarged to the first of a few that
    it can; a network of one fixed size gets that."""
    import timm

    from audit.training.adaptations import reads, resized

    made = timm.create_model(name, pretrained=False, num_classes=n_classes, in_chans=channels)
    network: nn.Module = made
    published: dict[str, Any] = made.pretrained_cfg
    _, height, width = published["input_size"]
    larger = [(side, side) for side in TRIED_SIDES if side > max(image_size)]
    tried = [] if published.get("fixed_input_size") else [image_size, *larger]
    probe = copy.deepcopy(network).to("meta")
    size = next((size for size in tried if reads(probe, channels, size)), (height, width))
    return network if size == image_size else resized(network, size)


def is_factory(name: str) -> bool:
    """Whether the name is code to import: `package.module:factory`."""
    package, separator, _ = name.partition(":")
    return bool(separator) and package not in ("monai", "timm")


def factory_row(name: str) -> ModelRow:
    """The row of a user's own `package.module:factory`. Imports the module, which runs it; the current folder
    is searched last. Raises ModelError."""
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # worker processes inherit it
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ModelError(
            f"model {name!r}: {module_name!r} cannot be imported ({in_a_line(error)}); "
            "mend it, or run where it can be imported"
        ) from error
    if not hasattr(module, attribute):
        raise ModelError(
            f"model {name!r}: {module_name!r} has no {attribute!r}; name a function of that module"
        )
    factory = getattr(module, attribute)
    if not callable(factory):
        raise ModelError(
            f"model {name!r}: {attribute!r} is a {type(factory).__name__}; name a function {FACTORY} -> nn.Module"
        )
    return ModelRow(f"{name} (your own)", partial(build_own, name, factory))


def build_own(
    name: str,
    factory: Callable[[int, int, ImageSize], object],
    n_classes: int,
    channels: int,
    stem: str,
    image_size: ImageSize,
) -> nn.Module:
    """What the factory returns, after two black images have passed through it. Raises ModelError."""
    import torch
    from torch import Tensor, nn

    try:
        network = factory(n_classes, channels, image_size)
    except Exception as error:
        raise ModelError(f"model {name!r} fails ({in_a_line(error)}); mend it: {FACTORY}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"model {name!r} returns a {type(network).__name__}; return an nn.Module")
    shape = (2, channels, *image_size)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # the check draws nothing from training
            output = network.eval()(torch.zeros(shape))
    except Exception as error:
        raise ModelError(
            f"model {name!r} cannot read images of shape {shape} ({in_a_line(error)}); mend its forward"
        ) from error
    network.train()
    found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if found != (2, n_classes):
        raise ModelError(
            f"model {name!r} gives {found} for images of shape {shape}; return logits of shape (2, {n_classes})"
        )
    return network


def in_a_line(error: Exception) -> str:
    """Its kind, and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
