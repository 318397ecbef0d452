"""An audit of seconds: dark and bright squares that any network learns at once, and short searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audit.config import load_config
from audit.data.dataset import ImageDataset, Split
from audit.settings import AuditConfig

PATIENT = "MUSTERMANN4711"  # how the patient ids of the set start; must never come out

SETTINGS: dict[str, Any] = {
    "models": ["small-cnn"],
    "optimizers": ["adam"],
    "normalizations": ["none"],
    "baseline.model": "small-cnn",
    "baseline.optimizer": "adam",
    "severities": [0, 1],
    "seeds": [0, 1],
    "device": "cpu",
    "data.image_size": 16,
    "training.epochs": 1,
    "training.batch_size": 16,
    "search.generations": 2,
    "search.population": 4,
    "search.images_per_class": 16,
    "search.steps": 2,
    "search.finalists": 0,
    "search.rescoring_seeds": 1,
    "evaluation.bootstrap": 200,
    "controls.methods": ["shortcut", "random"],
    "controls.random_draws": 1,
}


def tiny_config(**changes: Any) -> AuditConfig:
    """The settings above; keys of `changes` have `__` for the dot."""
    return load_config("oct", overrides=SETTINGS | {k.replace("__", "."): v for k, v in changes.items()})


def as_options(**changes: Any) -> list[str]:
    """The same as arguments of the command line."""
    wanted = SETTINGS | {k.replace("__", "."): v for k, v in changes.items()}
    return [part for field, value in wanted.items() for part in ("--set", f"{field}={value}")]


def squares(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (count, 16, 16): class 0 dark, class 1 bright; int64 labels 0, 1, 0, 1 ..."""
    labels = np.arange(count) % 2
    noise = np.random.default_rng(seed).integers(0, 60, (count, 16, 16))
    return (noise + 150 * labels[:, None, None]).astype(np.uint8), labels


def write_npz(path: Path, class_names: tuple[str, str] = ("dark", "bright")) -> Path:
    """A MedMNIST-style file: 64 training and 24 test images, patients of two images each."""
    arrays: dict[str, Any] = {"class_names": np.array(class_names)}
    for split, count, seed in (("train", 64, 1), ("test", 24, 2)):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = squares(count, seed)
        arrays[f"{split}_groups"] = np.array([f"{PATIENT}-{split}-{n // 2}" for n in range(count)])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def tiny_dataset(seed: int = 1) -> ImageDataset:
    """The same in memory, without patients."""

    def split(count: int) -> Split:
        images, labels = squares(count, seed)
        return Split(images[:, None], labels)

    return ImageDataset(
        name="tiny",
        class_names=("dark", "bright"),
        train=split(8),
        val=split(0),
        test=split(4),
        source="tiny",
        licence="none",
        synthetic=True,
    )
