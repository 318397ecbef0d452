"""Pretrained weights from a local file. Nothing is downloaded, and no file can run code."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import ConfigError
from audit.training.adaptations import core

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict, beside an optimizer or an epoch."""

RENAMED = (
    (
        re.compile(r"^(?:(?:module|model|network|_orig_mod)\.)+"),
        "",
    ),  # what other programs put around a network
    (re.compile(r"\.(norm|conv)\.([12])\."), r".\1\2."),  # torchvision's DenseNet files of 2017
)


@dataclass(frozen=True)
class WeightsReport:
    """What `load_weights` did. Names are the network's own."""

    loaded: tuple[str, ...]
    skipped: dict[str, str]  # name -> why
    sha256: str  # of the file, hexadecimal


def load_weights(network: nn.Module, path: Path) -> WeightsReport:
    """Copy the tensors of a .safetensors file, or of a state dict saved by `torch.save`, into `network`.

    Tensors of another shape (the head of other classes, a first convolution of other channels) and names
    on one side only are skipped and reported. Raises ConfigError for a file that cannot be read, that holds
    more than tensors, or of which no parameter fits.
    """
    sha256 = fingerprint(path)
    own = core(network).state_dict()  # shares memory with the network
    given = {name if name in own else renamed(name): t for name, t in read_tensors(path).items()}
    skipped = {name: "not in the network" for name in given if name not in own}
    loaded = []
    for name, tensor in own.items():
        if name not in given:
            skipped[name] = "not in the file"
        elif given[name].shape != tensor.shape:
            skipped[name] = (
                f"shape {tuple(given[name].shape)} in the file, {tuple(tensor.shape)} in the network"
            )
        else:
            tensor.copy_(given[name])
            loaded.append(name)
    if not {name for name, _ in core(network).named_parameters()} & set(loaded):
        raise ConfigError(
            f"{path}: none of its {len(given)} tensors fits the network; give weights of the same model"
        )
    return WeightsReport(tuple(loaded), skipped, sha256)


def fingerprint(path: Path) -> str:
    """SHA-256 of the file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); check the path of the weights"
        ) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a file, on the CPU. Raises ConfigError."""
    content = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{path}: holds a {type(content).__name__}, not named tensors; save the network's state_dict()"
        )
    return {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}


def read_safetensors(path: Path) -> object:
    """Raises ConfigError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ConfigError(f"{path}: not a readable .safetensors file ({error}); save it again") from None


def read_torch(path: Path) -> object:
    """Tensors and plain containers only: `weights_only` builds no other object. Raises ConfigError."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigError(
            f"{path}: holds more than tensors, or is damaged, and was not loaded; "
            "save the network's state_dict() as .safetensors"
        ) from None
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{path}: not a readable file of weights ({reason}); save the network's state_dict() again"
        ) from None


def renamed(name: str) -> str:
    """The name as the networks of today have it."""
    for pattern, replacement in RENAMED:
        name = pattern.sub(replacement, name)
    return name
