"""Folders of images: `train/val/test/CLASS/*` as given, or `CLASS/*` split here by patient.

Read top to bottom in `read_folders`: find the files, refuse what cannot be used, split, decode, assemble.
Patient ids are read from file names to group images, and never leave this module.
"""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from audit.data.dataset import SPLITS, ImageDataset, Images, Labels, Split
from audit.data.npz import LICENCE_NOT_STATED, consecutive_numbers, fit_square, leak_notes
from audit.errors import ConfigError, DataError

Progress = Callable[[int, int], None]

SPLIT_FOLDERS = {split: split for split in SPLITS} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # beside hidden files such as .DS_Store
ONE_PAGE = frozenset({"TIFF", "PNG"})  # formats whose further pages would be lost unseen
PATIENT_AND_NUMBER = re.compile(r"-(?P<patient>[^-]+)-\d+$")  # what follows CLASS in Kermany's names
MAX_THREADS = 8  # Pillow and torch release the interpreter lock while they decode and resize
SPLIT_ATTEMPTS = 200  # random orders tried until every class stands in train and test
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)

CUT = "not square: the central square of the short edge was kept"
ENLARGED = "smaller than the wanted size and enlarged (bilinear)"
SIXTEEN_BIT = "16-bit grey, scaled to 8 bit by the full range (0..65535 to 0..255)"
ALPHA = "with an alpha channel, which was dropped"
LAYOUT = "expected CLASS/IMAGE or train/CLASS/IMAGE, val/CLASS/IMAGE, test/CLASS/IMAGE"


@dataclass(frozen=True)
class ImageFile:
    """One image file: `shown` is its path from the data folder on, as messages name it."""

    path: Path
    shown: str
    class_name: str

    @property
    def patient(self) -> str | None:
        """Patient id from CLASS-patient-n.ext, where CLASS is the folder; None for other names.

        The folder's name is demanded so that dates (2021-03-14.png) are not taken for patients.
        """
        stem, start = self.path.stem, len(self.class_name)
        found = PATIENT_AND_NUMBER.fullmatch(stem[start:])
        if found is None or stem[:start].casefold() != self.class_name.casefold():
            return None
        return found["patient"]


def read_folders(
    path: Path,
    image_size: int,
    channels: int | None,
    seed: int,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    progress: Progress | None = None,
) -> ImageDataset:
    """Read a folder of images as uint8 (N, C, image_size, image_size) with labels in sorted class order.

    Split folders are kept as given (val may be missing); plain class folders are split by patient in the
    given (train, val, test) `fractions`. `channels` 1 or 3 converts all images; None keeps what they are and
    refuses a mixture. `progress(done, total)` counts decoded files. Raises ConfigError where `path` is no
    folder, and DataError naming the file or class and the remedy for everything that cannot be audited.
    """
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder; give the folder that holds the class or split folders")
    root = path if path.name not in ("", "..") else path.resolve()
    given = _find_given_splits(root)
    files = given if given is not None else {"all": _find_classes(root, root.name)}
    everything = [file for part in files.values() for file in part]
    class_names = tuple(sorted({file.class_name for file in everything}))
    _refuse_too_few(root.name, class_names, files)
    if given is None:
        files = _split_files(root.name, class_names, everything, seed, fractions)
    ordered = [file for split in SPLITS for file in files[split]]
    images, notes = _decode_all(ordered, image_size, channels, progress)
    splits = _assemble(files, class_names, images, _group_numbers(ordered))
    return ImageDataset(
        name=root.name,
        class_names=class_names,
        **splits,
        source=root.name,
        licence=LICENCE_NOT_STATED,
        synthetic=False,
        notes=(*_split_notes(ordered, given is not None, seed, fractions), *leak_notes(splits), *notes),
    )


def _find_given_splits(root: Path) -> dict[str, list[ImageFile]] | None:
    """Files by split, or None where `root` has no train or test folder of its own."""
    folders = {entry: SPLIT_FOLDERS.get(entry.name.lower()) for entry in _entries(root)}
    names = [split for split in folders.values() if split is not None]
    if not {"train", "test"} & set(names):
        return None
    files: dict[str, list[ImageFile]] = {split: [] for split in SPLITS}
    for folder, split in folders.items():
        shown = f"{root.name}/{folder.name}"
        if split is None:
            _refuse_loose_file(folder, shown)
            raise DataError(f"{shown}: stands beside the split folders; move it out of the data folder")
        if names.count(split) > 1:
            raise DataError(f"{shown}: the {split} split has two folders; keep one")
        files[split] = _find_classes(folder, shown)
    for split in ("train", "test"):
        if split not in names:
            raise DataError(f"{root.name}: no {split} folder; add {split}/CLASS/IMAGE")
    return files


def _find_classes(folder: Path, shown: str) -> list[ImageFile]:
    """The images of `folder`/CLASS/*, sorted by class and name: listing order must not matter."""
    files = []
    for entry in _entries(folder):
        _refuse_loose_file(entry, f"{shown}/{entry.name}")
        files += _find_images(entry, f"{shown}/{entry.name}")
    if not files:
        raise DataError(f"{shown}: no images; {LAYOUT}")
    return files


def _refuse_loose_file(entry: Path, shown: str) -> None:
    if entry.is_dir():
        return
    _check_suffix(entry, shown)
    raise DataError(f"{shown}: an image outside the class folders; {LAYOUT}")


def _find_images(folder: Path, shown: str) -> list[ImageFile]:
    files = []
    for entry in _entries(folder):
        if entry.is_dir():
            raise DataError(f"{shown}/{entry.name}: a folder inside a class folder; {LAYOUT}")
        _check_suffix(entry, f"{shown}/{entry.name}")
        files.append(ImageFile(entry, f"{shown}/{entry.name}", folder.name))
    if not files:
        raise DataError(
            f"{shown}: no images in this class folder; add images of the class or remove the folder"
        )
    return files


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files and the litter of operating systems."""
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder.name}: cannot be listed ({error.strerror}); check its permissions"
        ) from error
    return sorted(entry for entry in entries if entry.name[0] != "." and entry.name.lower() not in LITTER)


def _check_suffix(file: Path, shown: str) -> None:
    suffix = file.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        raise DataError(f"{shown}: DICOM is not supported yet; export the images as PNG")
    if suffix not in IMAGE_SUFFIXES:
        found = suffix or "no file extension"
        raise DataError(f"{shown}: not an image ({found}); move it out of the data folder")


def _refuse_too_few(name: str, class_names: Sequence[str], files: Mapping[str, Sequence[ImageFile]]) -> None:
    """The checks on classes that need no pixels, before hours of decoding."""
    if len(class_names) < 2:
        raise DataError(
            f"{name}: one class only ({class_names[0]}); an audit compares classes: give at least two"
        )
    for split in ("train", "test"):
        present = {file.class_name for file in files.get(split, files.get("all", ()))}
        for class_name in class_names:
            if class_name not in present:
                raise DataError(
                    f"{name}: class {class_name} has no {split} image; "
                    f"add images of {class_name} to the {split} split"
                )


def split_groups(labels: Labels, groups: npt.NDArray[Any], fractions: Sequence[float], seed: int) -> Labels:
    """Split 0 (train), 1 (val) or 2 (test) for each image: (N,) int64; whole groups, classes balanced.

    The result depends on the set of (label, group) pairs and the seed, not on their order. Groups go, large
    ones first, to the split whose class counts then come nearest to the wanted ones (chi-square distance).
    Before that every class gets a group in test and one in train; several random orders are tried until this
    holds for all. Where it cannot hold, the best effort is returned: the caller looks.
    scikit-learn's StratifiedGroupKFold balances too, but may leave a rare class out of a fold.
    """
    members, inverse = np.unique(groups, return_inverse=True)
    table = np.zeros((len(members), int(labels.max()) + 1))
    np.add.at(table, (inverse.reshape(-1), labels), 1)
    wanted = np.outer(np.asarray(fractions) / sum(fractions), table.sum(axis=0))
    rng = np.random.default_rng(seed % 2**64)  # negative seeds are valid settings, not valid for numpy
    for attempt in range(SPLIT_ATTEMPTS):
        order = rng.permutation(len(members))
        if attempt == 0:
            order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
        owner = _deal_out(table, wanted, order)
        if all((table[owner == split].sum(axis=0) > 0).all() for split in (0, 2)):
            break
    return owner[inverse.reshape(-1)]


def _deal_out(table: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], order: Labels) -> Labels:
    """Split of each group. `table` (G, K): images by group and class; `wanted` (3, K); `order` of dealing."""
    owner = np.full(len(table), -1, dtype=np.int64)
    filled = np.zeros_like(wanted)
    rarest_first = np.argsort((table > 0).sum(axis=0), kind="stable")
    for class_index in rarest_first:
        for split in (2, 0):
            free = order[(owner[order] < 0) & (table[order, class_index] > 0)]
            if filled[split, class_index] == 0 and len(free):
                owner[free[-1]] = split  # the last in order: small groups keep the balance
                filled[split] += table[free[-1]]
    for group in order[owner[order] < 0]:
        count = table[group]
        present = count > 0
        # Growth of (filled - wanted)^2 / wanted; a split that wants nothing (share 0) costs without bound.
        growth = count[present] * (2 * (filled - wanted)[:, present] + count[present])
        cost = growth / np.maximum(wanted[:, present], 1e-9)
        split = int(np.argmin(cost.sum(axis=1)))
        owner[group] = split
        filled[split] += count
    return owner


def _split_files(
    name: str,
    class_names: Sequence[str],
    files: Sequence[ImageFile],
    seed: int,
    fractions: tuple[float, float, float],
) -> dict[str, list[ImageFile]]:
    labels = np.array([class_names.index(file.class_name) for file in files], dtype=np.int64)
    keys = np.array([_group_key(file) for file in files])
    chosen = split_groups(labels, keys, fractions, seed)
    for index, class_name in enumerate(class_names):
        if not {0, 2} <= set(chosen[labels == index].tolist()):
            patients = len(np.unique(keys[labels == index]))
            raise DataError(
                f"{name}: class {class_name} cannot stand in both train and test (patients or single images: "
                f"{patients}); add patients of {class_name} or give train and test folders"
            )
    return {
        split: [file for file, where in zip(files, chosen, strict=True) if where == number]
        for number, split in enumerate(SPLITS)
    }


def _group_key(file: ImageFile) -> str:
    """The patient alone, whatever the class (some patients stand under two); else the file itself."""
    return f"patient {file.patient}" if file.patient is not None else f"file {file.shown}"


def _group_numbers(files: Sequence[ImageFile]) -> Labels | None:
    """Numbers of patients (N,), or None where no name tells one: unknown patients are no separate ones."""
    if all(file.patient is None for file in files):
        return None
    return consecutive_numbers(np.array([_group_key(file) for file in files]))


def _split_notes(
    files: Sequence[ImageFile], given: bool, seed: int, fractions: Sequence[float]
) -> tuple[str, ...]:
    known = sum(file.patient is not None for file in files)
    shares = " / ".join(f"{fraction:.0%}" for fraction in fractions)
    unit = "patient" if known else "image"
    how = "split as given by the folders" if given else f"split by {unit} {shares} with seed {seed}"
    if known == len(files):
        return (f"{how}; patients read from the file names",)
    return (
        f"{how}; {len(files) - known} of {len(files)} file names hold no patient id: each of these images "
        f"counts as its own group, so a leak of patients between splits cannot be excluded",
    )


def _decode_all(
    files: Sequence[ImageFile], image_size: int, channels: int | None, progress: Progress | None
) -> tuple[Images, tuple[str, ...]]:
    """(N, C, size, size) uint8 in the order of `files`, and notes on what was converted."""
    decode = _make_decoder(image_size, channels)
    pixels = np.empty((len(files), 0, image_size, image_size), dtype=np.uint8)
    remarks: Counter[str] = Counter()
    pool = ThreadPoolExecutor(max_workers=min(MAX_THREADS, os.cpu_count() or 1))
    try:
        for done, (image, found) in enumerate(pool.map(decode, files)):
            if done == 0:
                pixels = np.empty((len(files), *image.shape), dtype=np.uint8)
            if len(image) != pixels.shape[1]:
                raise DataError(_mixed(files[done], files[0], len(image)))
            pixels[done] = image
            remarks.update(found)
            if progress is not None:
                progress(done + 1, len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    return pixels, tuple(f"{n} of {len(files)} images {remark}" for remark, n in sorted(remarks.items()))


def _mixed(file: ImageFile, first: ImageFile, channels: int) -> str:
    grey, colour = (file, first) if channels == 1 else (first, file)
    return (
        f"{grey.shown} is grey but {colour.shown} is colour; convert them to one kind, "
        f"or pass --set data.channels=1 or --set data.channels=3"
    )


def _make_decoder(image_size: int, channels: int | None) -> Callable[[ImageFile], tuple[Images, list[str]]]:
    """A function from file to ((C, size, size) uint8, remarks), safe to call from several threads."""
    from monai.data import PILReader

    # PILReader itself, not LoadImage around it: LoadImage tries its other readers on a damaged file, and
    # one of them takes anything for a DICOM. reverse_indexing=False keeps (row, column).
    def decode(file: ImageFile) -> tuple[Images, list[str]]:
        remarks: list[str] = []
        reader = PILReader(lambda image: _eight_bit(image, file, channels, remarks), reverse_indexing=False)
        try:
            array = np.array(reader.get_data(reader.read(file.path))[0])
        except UNREADABLE as error:
            raise DataError(_unreadable(file, error)) from error
        image = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        height, width = image.shape[1:]
        remarks += [CUT] * (height != width) + [ENLARGED] * (min(height, width) < image_size)
        return fit_square(image[None], image_size)[0], remarks

    return decode


def _eight_bit(image: Image.Image, file: ImageFile, channels: int | None, remarks: list[str]) -> Image.Image:
    """Any Pillow image, turned upright by its EXIF tag, as mode L or RGB; equal RGB channels become L."""
    if image.format in ONE_PAGE and getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{file.shown}: holds several pages; save each page as an image of its own")
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        image = _scaled(image, file)
        remarks.append(SIXTEEN_BIT)
    if image.has_transparency_data:
        remarks.append(ALPHA)
    if image.mode not in ("L", "LA", "1"):
        image = image.convert("RGB")
    if channels is not None:
        return image.convert("L" if channels == 1 else "RGB")
    array = np.asarray(image)
    is_grey = image.mode != "RGB" or bool((array == array[..., :1]).all())
    return image.convert("L") if is_grey else image


def _scaled(image: Image.Image, file: ImageFile) -> Image.Image:
    """16-bit grey to 8 bit over the full range; Pillow's own conversion would clip at 255."""
    array = np.asarray(image)
    if array.dtype.kind == "f" or array.min() < 0 or array.max() > 65535:
        raise DataError(f"{file.shown}: pixels of more than 16 bit; save the image with 8 or 16 bit")
    return Image.fromarray(np.rint(array / 257).astype(np.uint8))


def _unreadable(file: ImageFile, error: Exception) -> str:
    reason = "no known image format" if isinstance(error, UnidentifiedImageError) else str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror  # the full text would show the path of somebody's home
    return f"{file.shown}: cannot be read ({reason}); replace the file or remove it"


def _assemble(
    files: Mapping[str, Sequence[ImageFile]],
    class_names: Sequence[str],
    images: Images,
    groups: Labels | None,
) -> dict[str, Split]:
    """The decoded images, which lie in the order train, val, test, as splits."""
    splits, start = {}, 0
    for split in SPLITS:
        part = slice(start, start + len(files[split]))
        labels = np.array([class_names.index(file.class_name) for file in files[split]], dtype=np.int64)
        splits[split] = Split(images[part], labels, None if groups is None else groups[part])
        start = part.stop
    return splits
