"""Small folders of images on disk, for the tests that read them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from PIL import Image

from audit.data.assembly import Intake, assemble
from audit.data.dataset import ImageDataset
from audit.data.folders import list_folders
from audit.data.headers import with_headers
from audit.errors import DataError


def write(path: Path, value: int | tuple[int, int, int] = 100, size: tuple[int, int] = (8, 8)) -> Path:
    """One image of a single grey value or colour; `size` is (width, height), as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)
    return path


def make_clinic(folder: Path) -> Path:
    """A sound folder: train and test of two classes, one grey image each."""
    root = folder / "clinic"
    for split, name in itertools.product(("train", "test"), ("DRUSEN", "NORMAL")):
        write(root / split / name / f"{split}_a.png")
    return root


def read(root: Path, size: int = 8, channels: int | None = None, seed: int = 0) -> ImageDataset:
    """As the command line reads a folder, without what was kept from an earlier reading."""
    intake = Intake(image_size=size, channels=channels, seed=seed)
    return assemble(with_headers(list_folders(root, root.name), intake), intake)


def refused(root: Path, message: str) -> None:
    with pytest.raises(DataError) as refusal:
        read(root)
    assert str(refusal.value) == message
