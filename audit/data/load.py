"""One door for all images: phantoms, a MedMNIST-style file or a folder, as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audit.data.dataset import ImageDataset, Images, Split
from audit.data.folders import read_folders
from audit.data.npz import KNOWN_SETS, read_npz
from audit.errors import ConfigError

if TYPE_CHECKING:
    from audit.settings import DataSettings

__all__ = ["KNOWN_SETS", "load_dataset"]

ACCEPTED = "a folder of class folders or a MedMNIST-style .npz file"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


def load_dataset(settings: DataSettings, progress: Callable[[int, int], None] | None = None) -> ImageDataset:
    """The data set that `settings` describe: uint8 (N, C, image_size, image_size) in three splits.

    No path: phantoms, seeded by `split_seed`. `progress(done, total)` counts decoded image files. Raises
    ConfigError for a path that is missing or of no accepted kind, DataError for data that is refused.
    """
    dataset = _read(settings, progress)
    if settings.channels is not None and settings.channels != dataset.channels:
        dataset = _with_channels(dataset, settings.channels)
    if settings.path is not None and settings.licence is not None:
        dataset = replace(dataset, licence=settings.licence)
    return dataset


def _read(settings: DataSettings, progress: Callable[[int, int], None] | None) -> ImageDataset:
    if settings.path is None:
        return _phantoms(settings)
    path = Path(settings.path).expanduser()
    if path.is_dir():
        return read_folders(
            path, settings.image_size, settings.channels, settings.split_seed, progress=progress
        )
    if path.suffix.lower() == ".npz" and path.is_file():
        return read_npz(path, settings.image_size)
    if not path.exists():
        raise ConfigError(f"data.path: {settings.path} does not exist; give {ACCEPTED}")
    raise ConfigError(f"data.path: {settings.path} is of no accepted kind; give {ACCEPTED}")


def _phantoms(settings: DataSettings) -> ImageDataset:
    from audit.data.phantoms import make_phantoms

    sizes = (settings.n_train, settings.n_val, settings.n_test)
    dataset: ImageDataset = make_phantoms(settings.phantom, settings.image_size, *sizes, settings.split_seed)
    return dataset


def _with_channels(dataset: ImageDataset, channels: int) -> ImageDataset:
    """The same data set in grey (1) or RGB (3), with a note: arrays and phantoms come as they are stored."""
    note = f"converted from {dataset.channels} to {channels} channels as data.channels asks"
    return replace(
        dataset,
        train=_convert(dataset.train, channels),
        val=_convert(dataset.val, channels),
        test=_convert(dataset.test, channels),
        notes=(*dataset.notes, note),
    )


def _convert(split: Split, channels: int) -> Split:
    to = _to_grey if channels == 1 else _to_rgb
    return replace(split, images=to(split.images))


def _to_grey(images: Images) -> Images:
    """RGB (N, 3, H, W) to (N, 1, H, W) uint8."""
    red, green, blue = (images[:, i].astype(np.float32) * weight for i, weight in enumerate(LUMA))
    grey: Images = np.rint(red + green + blue).astype(np.uint8)
    return grey[:, None]


def _to_rgb(images: Images) -> Images:
    """Grey (N, 1, H, W) to (N, 3, H, W), three equal channels."""
    return np.repeat(images, 3, axis=1)
