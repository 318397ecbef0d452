"""MedMNIST-style .npz files: `{train,val,test}_images`, `_labels`, and optionally `_groups`, `class_names`.

Also here, because every reader of finished images needs them: the known sets and the resize.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.data.dataset import SPLITS, ImageDataset, Images, Labels, Split
from audit.data.grouping import consecutive_numbers, leak_notes
from audit.errors import ConfigError, DataError

LICENCE_NOT_STATED = "not stated"
CHANNEL_COUNTS = (1, 3)
RESIZE_CHUNK = 512  # images resized at a time: bounds the float32 copy, four times the uint8 one


@dataclass(frozen=True)
class KnownSet:
    """A published set: recognised by how the file name starts and by the number of its classes."""

    prefix: str
    class_names: tuple[str, ...]


# Label orders of MedMNIST: medmnist/info.py 2.1; of derm_isic7: its README.
KNOWN_SETS = (
    KnownSet("oct", ("CNV", "DME", "DRUSEN", "NORMAL")),
    KnownSet(
        "dermamnist",
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
    ),
    KnownSet(
        "derm_isic7",
        (
            "Actinic keratosis",
            "Benign keratosis",
            "Dermatofibroma",
            "Melanocytic nevus",
            "Melanoma",
            "Squamous cell carcinoma",
            "Vascular lesion",
        ),
    ),
    KnownSet("pneumoniamnist", ("normal", "pneumonia")),
    KnownSet("breastmnist", ("malignant", "normal, benign")),
)


def read_npz(path: Path, image_size: int | None, square: str = "crop") -> ImageDataset:
    """Read a MedMNIST-style file; nothing in it is ever unpickled.

    Images are uint8 (N, H, W) or (N, H, W, 3), labels integers (N,) or (N, 1) from 0 to K-1. With
    `image_size` (pixels) the square (see `fit_square`) is resized to it; None keeps the original pixels. Patient
    ids of any type become consecutive numbers. Raises ConfigError where there is no such file, and DataError, naming
    the file and the key, for everything that cannot be audited.
    """
    arrays = _read_arrays(path)
    name = path.name
    images = _checked_images(name, arrays)
    labels = {split: _checked_labels(name, split, arrays, len(images[split])) for split in SPLITS}
    groups = _numbered_groups(name, arrays, labels)
    class_names, notes = _class_names(path, arrays, labels)
    height, width = images["train"].shape[2:]
    notes += _resize_notes((height, width), image_size, square)
    if image_size is not None:
        images = {split: fit_square(pixels, image_size, square) for split, pixels in images.items()}
    splits = {split: Split(images[split], labels[split], groups.get(split)) for split in SPLITS}
    return ImageDataset(
        name=path.stem,
        class_names=class_names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        source=name,
        licence=LICENCE_NOT_STATED,
        synthetic=False,
        notes=(*notes, *leak_notes(splits)),
        stored_size=(height, width),
    )


def stored_edge(path: Path) -> int:
    """Pixels of the short edge of the images in a file. Raises as `read_npz` does."""
    height, width = _checked_images(path.name, _read_arrays(path))["train"].shape[2:]
    return min(int(height), int(width))


def fit_square(images: Images, size: int, square: str = "crop") -> Images:
    """A square, then MONAI's Resize to `size` pixels: (N, C, H, W) uint8 both ways.

    `crop` keeps the central square of the short edge, `pad` adds black bars along the long edges.

    Shrinking averages areas (each output pixel is the mean of those it covers, so nothing aliases);
    enlarging is bilinear. Images that already have the size come back unchanged.
    """
    from monai.transforms import CenterSpatialCrop, Resize, SpatialPad

    count, channels, height, width = images.shape
    edge = max(height, width) if square == "pad" else min(height, width)
    if (height, width) == (size, size):
        return images
    make_square = SpatialPad((edge, edge)) if square == "pad" else CenterSpatialCrop((edge, edge))
    resize = Resize(spatial_size=(size, size), mode=resize_mode(edge, size))
    fitted = np.empty((count, channels, size, size), dtype=np.uint8)
    for start in range(0, count, RESIZE_CHUNK):
        chunk = images[start : start + RESIZE_CHUNK]
        # MONAI's transforms take one image: the chunk's images go in as its channels.
        flat = resize(make_square(chunk.reshape(-1, height, width)))
        rounded = np.rint(np.asarray(flat)).clip(0, 255).astype(np.uint8)
        fitted[start : start + RESIZE_CHUNK] = rounded.reshape(-1, channels, size, size)
    return fitted


def resize_mode(edge: int, size: int) -> str:
    """The interpolation that `fit_square` uses from `edge` to `size` pixels, as MONAI names it."""
    return "area" if size < edge else "bilinear"


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays that belong to the format, by key; other keys are left unread."""
    wanted = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels", "groups")]
    broken = f"{path.name}: not a readable .npz file; save it again with numpy.savez_compressed"
    try:
        archive = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give a MedMNIST-style .npz file") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(broken) from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(broken)
    with archive:
        keys = [key for key in (*wanted, "class_names") if key in archive.files]
        return {key: _member(archive, key, path.name, broken) for key in keys}


def _member(archive: Any, key: str, name: str, broken: str) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.asarray(archive[key])
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{name}: {key} is an object array, which is never unpickled; "
                f"save it as plain numbers or strings"
            ) from None
        raise DataError(broken) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(broken) from error
    return array


def _checked_images(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Images]:
    """Images of every split as uint8 (N, C, H, W); a missing or empty val gives N = 0."""
    for split in ("train", "test"):
        for part in ("images", "labels"):
            _require(name, arrays, f"{split}_{part}")
        if len(arrays[f"{split}_images"]) == 0:
            raise DataError(f"{name}: {split}_images is empty; add images of every class")
    found = {split: _channels_first(name, f"{split}_images", arrays) for split in ("train", "test")}
    shape = found["train"].shape[1:]
    if len(arrays.get("val_images", ())):
        found["val"] = _channels_first(name, "val_images", arrays)
    else:
        found["val"] = np.empty((0, *shape), dtype=np.uint8)
    for split in ("val", "test"):
        if found[split].shape[1:] != shape:
            raise DataError(
                f"{name}: {split}_images are {_in_words(found[split].shape[1:])}, "
                f"train_images {_in_words(shape)}; bring all splits to one shape"
            )
    return found


def _require(name: str, arrays: Mapping[str, npt.NDArray[Any]], key: str) -> None:
    if key not in arrays:
        raise DataError(
            f"{name}: {key} is missing; a MedMNIST-style file has train_images, train_labels, "
            f"test_images and test_labels"
        )


def _channels_first(name: str, key: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Images:
    array = arrays[key]
    if array.dtype != np.uint8:
        raise DataError(f"{name}: {key} is {array.dtype}; give uint8 grey values or RGB from 0 to 255")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in CHANNEL_COUNTS or 0 in array.shape[1:]:
        raise DataError(f"{name}: {key} has shape {arrays[key].shape}; give (N, H, W) or (N, H, W, 3)")
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _in_words(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width} pixels with {channels} channel{'s' if channels > 1 else ''}"


def _checked_labels(name: str, split: str, arrays: Mapping[str, npt.NDArray[Any]], count: int) -> Labels:
    key = f"{split}_labels"
    if count and key not in arrays:
        raise DataError(f"{name}: {key} is missing; give one integer label per image")
    labels = arrays.get(key, np.empty(0, dtype=np.int64))
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(f"{name}: {key} has shape {labels.shape}; give one integer label per image")
    if labels.dtype.kind not in "iu" and labels.size:
        raise DataError(f"{name}: {key} is {labels.dtype}; give one integer label per image")
    return _one_per_image(name, key, labels, count).astype(np.int64)


def _one_per_image(name: str, key: str, values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """(N,) or (N, 1) as (N,), or DataError where N is not the number of images."""
    if values.size != count or values.ndim > 2 or (values.ndim == 2 and values.shape[1] > 1):
        raise DataError(
            f"{name}: {key} has shape {values.shape} for {count} images; give one entry per image"
        )
    return values.reshape(-1)


def _numbered_groups(
    name: str, arrays: Mapping[str, npt.NDArray[Any]], labels: Mapping[str, Labels]
) -> dict[str, Labels]:
    """Patient ids of all splits as numbers that agree between splits; empty where the file has no ids."""
    if not any(f"{split}_groups" in arrays for split in SPLITS):
        return {}
    lengths = {split: len(labels[split]) for split in SPLITS}
    ids = []
    for split, count in lengths.items():
        key = f"{split}_groups"
        if count and key not in arrays:
            raise DataError(f"{name}: {key} is missing; give patient ids for all splits or for none")
        values = _one_per_image(name, key, arrays.get(key, np.empty(0, dtype=str)), count)
        ids.append(_as_text(name, key, values))
    numbers = consecutive_numbers(np.concatenate(ids))
    parts = np.split(numbers, np.cumsum([lengths[split] for split in SPLITS])[:-1])
    return dict(zip(SPLITS, parts, strict=True))


def _as_text(name: str, key: str, values: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """Ids as text, so that splits saved with other types still agree; a missing id is refused.

    A missing id must not become a patient of its own: it would tie unrelated images together.
    """
    text = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values.astype(str)
    missing = int(np.isin(np.char.strip(text), ("", "nan", "NaT")).sum()) if len(text) else 0
    if missing:
        raise DataError(f"{name}: {key} has {missing} empty ids; fill them in or leave out all groups")
    return text


def _class_names(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], labels: Mapping[str, Labels]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(class names, notes about where they come from), after a check of the labels against them."""
    values = np.unique(np.concatenate(list(labels.values())))
    if values[0] < 0:
        raise DataError(f"{path.name}: label {values[0]} is negative; number the classes from 0 to K-1")
    if "class_names" in arrays:
        return _given_names(path.name, arrays["class_names"], int(values[-1])), ()
    gaps = np.flatnonzero(values != np.arange(len(values)))
    if len(gaps):
        raise DataError(
            f"{path.name}: labels go up to {values[-1]} but no image has label {gaps[0]}; "
            f"number the classes from 0 to K-1 or add the key class_names"
        )
    for known in KNOWN_SETS:
        if path.name.lower().startswith(known.prefix) and len(values) == len(known.class_names):
            note = (
                f"class names of the known set {known.prefix}*, by the file name (key class_names overrides)"
            )
            return known.class_names, (note,)
    return tuple(f"class {value}" for value in values), ()


def _given_names(name: str, array: npt.NDArray[Any], highest: int) -> tuple[str, ...]:
    text = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array.astype(str)
    names = tuple(str(entry) for entry in text.reshape(-1))
    if len(names) <= highest:
        raise DataError(
            f"{name}: class_names has {len(names)} names but there is a label {highest}; name all"
        )
    if len(set(names)) < len(names):
        raise DataError(f"{name}: class_names holds a name twice; give every class its own name")
    return names


def _resize_notes(shape: tuple[int, ...], image_size: int | None, square: str) -> tuple[str, ...]:
    height, width = shape
    if image_size is None or (height, width) == (image_size, image_size):
        return ()
    edge = max(height, width) if square == "pad" else min(height, width)
    made = (
        "black bars added along the long edges"
        if square == "pad"
        else "central square of the short edge kept"
    )
    steps = [made] if height != width else []
    if edge != image_size:
        mode = resize_mode(edge, image_size)
        steps.append(f"resized from {edge} to {image_size} pixels (MONAI Resize, {mode})")
        if edge < image_size:  # measured: docs/log.md, 2026-11-28
            steps.append(
                f"a changed pixel is finer than one of the originals: data.image_size={edge} audits them as they are"
            )
    return ("; ".join(steps),)
