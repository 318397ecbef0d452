"""Folders of images: `train/val/test/CLASS/*` as given, or `CLASS/*` split here by patient.

Read top to bottom in `read_folders`: find the files, refuse what cannot be used, split, decode, assemble.
Patient ids are read from file names to group images, and never leave this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from audit.data.dataset import SPLITS, ImageDataset, Images, Labels, Split
from audit.data.decode import ImageFile, Progress, decode_images
from audit.data.grouping import consecutive_numbers, leak_notes, split_groups
from audit.data.npz import LICENCE_NOT_STATED
from audit.errors import ConfigError, DataError

SPLIT_FOLDERS = {split: split for split in SPLITS} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # beside hidden files such as .DS_Store
PATIENT_AND_NUMBER = re.compile(r"-(?P<patient>[^-]+)-\d+$")  # what follows CLASS in Kermany's names
LAYOUT = "expected CLASS/IMAGE or train/CLASS/IMAGE, val/CLASS/IMAGE, test/CLASS/IMAGE"


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
    images, notes = decode_images(ordered, image_size, channels, progress)
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


def _patient(file: ImageFile) -> str | None:
    """Patient id from CLASS-patient-n.ext, where CLASS is the folder; None for other names.

    The folder's name is demanded so that dates (2021-03-14.png) are not taken for patients.
    """
    stem, start = file.path.stem, len(file.class_name)
    found = PATIENT_AND_NUMBER.fullmatch(stem[start:])
    if found is None or stem[:start].casefold() != file.class_name.casefold():
        return None
    return found["patient"]


def _group_key(file: ImageFile) -> str:
    """The patient alone, whatever the class (some patients stand under two); else the file itself."""
    patient = _patient(file)
    return f"file {file.shown}" if patient is None else f"patient {patient}"


def _group_numbers(files: Sequence[ImageFile]) -> Labels | None:
    """Numbers of patients (N,), or None where no name tells one: unknown patients are no separate ones."""
    if all(_patient(file) is None for file in files):
        return None
    return consecutive_numbers(np.array([_group_key(file) for file in files]))


def _split_notes(
    files: Sequence[ImageFile], given: bool, seed: int, fractions: Sequence[float]
) -> tuple[str, ...]:
    known = sum(_patient(file) is not None for file in files)
    shares = " / ".join(f"{fraction:.0%}" for fraction in fractions)
    unit = "patient" if known else "image"
    how = "split as given by the folders" if given else f"split by {unit} {shares} with seed {seed}"
    if known == len(files):
        return (f"{how}; patients read from the file names",)
    return (
        f"{how}; {len(files) - known} of {len(files)} file names hold no patient id: each of these images "
        f"counts as its own group, so a leak of patients between splits cannot be excluded",
    )


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
