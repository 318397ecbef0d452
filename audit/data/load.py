"""One door for all images: phantoms, a MedMNIST-style file, a folder or a ZIP of one, as the settings say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audit.data.archive import Quotas, unpack
from audit.data.assembly import Intake, assemble
from audit.data.cache import entry_key, load_entry, save_entry
from audit.data.dataset import ImageDataset, Images, Split
from audit.data.folders import list_folders
from audit.data.headers import with_headers
from audit.data.listing import Listing, all_files, entries
from audit.data.npz import KNOWN_SETS, read_npz
from audit.data.repaired import repair_summary
from audit.data.table import Columns
from audit.data.table_lesions import find_table
from audit.data.table_listing import list_table
from audit.errors import ConfigError

if TYPE_CHECKING:
    from audit.settings import DataSettings

__all__ = ["KNOWN_SETS", "load_dataset"]

ACCEPTED = "a folder of images, a ZIP of one, or a MedMNIST-style .npz file"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"

Progress = Callable[[int, int], None]


def load_dataset(
    settings: DataSettings, progress: Progress | None = None, unpacking: Progress | None = None
) -> ImageDataset:
    """The data set that `settings` describe: uint8 (N, C, image_size, image_size) in three splits.

    No path: phantoms, seeded by `split_seed`. `progress(done, total)` counts decoded images, `unpacking(done,
    total)` bytes of an archive. Raises ConfigError for a path that is missing or of no accepted kind, DataError
    for data that is refused.
    """
    dataset = _read(settings, progress, unpacking)
    if settings.channels is not None and settings.channels != dataset.channels:
        dataset = _with_channels(dataset, settings.channels)
    if settings.path is not None and (repair := repair_summary(Path(settings.path).expanduser())):
        dataset = replace(dataset, notes=(repair.note, *dataset.notes))
    if settings.path is not None and settings.licence is not None:
        dataset = replace(dataset, licence=settings.licence)
    return dataset


def _read(settings: DataSettings, progress: Progress | None, unpacking: Progress | None) -> ImageDataset:
    if settings.path is None:
        return _phantoms(settings)
    path = Path(settings.path).expanduser()
    if path.is_dir():
        root = path if path.name not in ("", "..") else path.resolve()
        return _cached(root, settings, lambda: _read_folder(root, root.name, settings, progress))
    if path.is_file() and path.suffix.lower() == ".npz":
        return read_npz(path, settings.image_size, settings.square)
    if path.is_file() and path.suffix.lower() == ".zip":
        return _cached(path, settings, lambda: _read_zip(path, settings, progress, unpacking))
    if not path.exists():
        raise ConfigError(f"data.path: {settings.path} does not exist; give {ACCEPTED}")
    raise ConfigError(f"data.path: {settings.path} is of no accepted kind; give {ACCEPTED}")


def _cached(path: Path, settings: DataSettings, read: Callable[[], ImageDataset]) -> ImageDataset:
    """What was kept of an earlier reading of the same files, or `read()`, which is then kept."""
    if not settings.cache:
        return read()
    files = (
        [(path, path.name)] if path.is_file() else [(f, f"{path.name}/{rel}") for rel, f in all_files(path)]
    )
    if settings.table is not None and settings.table.is_file():
        files.append((settings.table, settings.table.name))
    described = settings.model_dump(mode="json", exclude={"path", "table", "channels", "licence", "cache"})
    key = entry_key(files, described | {"name": path.name, "channels": settings.channels})
    found = load_entry(key)
    if found is None:
        found = read()
        save_entry(key, found)
    return found


def _read_zip(
    path: Path, settings: DataSettings, progress: Progress | None, unpacking: Progress | None
) -> ImageDataset:
    """The folder inside an archive, unpacked into a private temporary folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        q = settings.quotas
        quotas = Quotas(max_files=q.files, max_bytes=q.bytes, max_file_bytes=q.file_bytes, max_ratio=q.ratio)
        unpacked = unpack(path, Path(folder), quotas, unpacking)
        dataset = _read_folder(unpacked.root, path.stem, settings, progress)
    return replace(dataset, notes=(*unpacked.notes, *dataset.notes))


def _read_folder(root: Path, name: str, settings: DataSettings, progress: Progress | None) -> ImageDataset:
    intake = Intake(
        image_size=settings.image_size,
        channels=settings.channels,
        square=settings.square,
        unreadable=settings.unreadable,
        frames=settings.frames,
        max_pixels=settings.quotas.pixels,
        seed=settings.split_seed,
    )
    return assemble(with_headers(_listing(root, name, settings), intake), intake, progress)


def _listing(root: Path, name: str, settings: DataSettings) -> Listing:
    """By the label table where there is one, else by the folders."""
    table = settings.table
    if table is None:
        table = find_table(entries(root), name)
    elif not table.is_file():
        table = root / table  # named as it lies in the data folder, or in the archive
        if not table.is_file():
            raise ConfigError(
                f"data.table: {settings.table} does not exist; name a .csv file here or in the data folder"
            )
    if table is None:
        return list_folders(root, name)
    c = settings.columns
    return list_table(root, name, table, Columns(image=c.image, label=c.label, group=c.group, split=c.split))


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
