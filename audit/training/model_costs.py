"""What a classifier costs: parameters, and multiply-adds of one image, counted without computing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils.flop_counter import FlopCounterMode

from audit.training.external_models import is_factory
from audit.training.model_row import ImageSize
from audit.training.models import MODELS, build_model, model_row
from audit.training.torchvision_models import FAMILIES, FAMILY_OF

COUNTED_SIZE: ImageSize = (64, 64)
COUNTED_CLASSES = 4
COUNTED_CHANNELS = 1


@dataclass(frozen=True)
class ModelCost:
    """One row of `audit models`."""

    name: str
    title: str
    parameters: int
    multiply_adds: int  # of convolutions, linear layers and attention, one image forward
    smallest: int  # pixels of the shorter side; smaller images are enlarged to it


def listed_names(everything: bool) -> list[str]:
    """Our own models and one of most torchvision families, or all that torchvision has."""
    shown = FAMILY_OF if everything else [family.names[0] for family in FAMILIES if family.shown]
    return list(dict.fromkeys([*MODELS, *shown]))


def model_cost(
    name: str,
    n_classes: int = COUNTED_CLASSES,
    channels: int = COUNTED_CHANNELS,
    image_size: ImageSize = COUNTED_SIZE,
) -> ModelCost:
    """The cost of a classifier with its published stem. Raises ModelError."""
    with nullcontext() if is_factory(name) else parameters_on_meta():  # own ones are tried out when built
        network = build_model(name, n_classes, channels, "published", image_size)
    network.to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.empty(1, channels, *image_size, device="meta"))
    row = model_row(name)
    return ModelCost(
        name,
        row.title,
        sum(parameter.numel() for parameter in network.parameters()),
        counter.get_total_flops() // 2,  # a multiply-add is two operations
        row.smallest,
    )


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Networks built inside have parameters without memory or values. The default device stays as it is:
    some constructors compute with small tensors."""

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        return None if parameter is None else nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    # typed as if it could return nothing, documented to return the parameter that replaces
    hook = register_module_parameter_registration_hook(to_meta)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()
