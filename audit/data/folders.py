"""Folders of images: `train/val/test/CLASS/*` as given, or `CLASS/*`, to be split by patient."""

from __future__ import annotations

import re
from pathlib import Path

from audit.data.dataset import SPLITS
from audit.data.listing import ImageFile, Listing, entries, kind_of
from audit.errors import ConfigError, DataError

SPLIT_FOLDERS = {split: split for split in SPLITS} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}
PATIENT_AND_NUMBER = re.compile(r"-(?P<patient>[^-]+)-\d+$")  # what follows CLASS in Kermany's names
LAYOUT = "expected CLASS/IMAGE or train/CLASS/IMAGE, val/CLASS/IMAGE, test/CLASS/IMAGE"


def list_folders(root: Path, name: str) -> Listing:
    """The images of a data folder called `name` in messages; splits None for plain class folders.

    Patient ids are read from file names CLASS-patient-n. Raises ConfigError where `root` is no folder, DataError
    naming the file or folder and the remedy for every other layout.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; give the folder that holds the class or split folders")
    files = _find_given_splits(root, name) or _find_classes(root, name, None)
    return Listing(name=name, files=tuple(files), groups_from="the file names")


def _find_given_splits(root: Path, name: str) -> list[ImageFile] | None:
    """The files of all splits, or None where `root` has no train or test folder of its own."""
    folders = {entry: SPLIT_FOLDERS.get(entry.name.lower()) for entry in entries(root)}
    names = [split for split in folders.values() if split is not None]
    if not {"train", "test"} & set(names):
        return None
    files: list[ImageFile] = []
    for folder, split in folders.items():
        shown = f"{name}/{folder.name}"
        if split is None:
            _refuse_loose_file(folder, shown)
            raise DataError(f"{shown}: stands beside the split folders; move it out of the data folder")
        if names.count(split) > 1:
            raise DataError(f"{shown}: the {split} split has two folders; keep one")
        files += _find_classes(folder, shown, split)
    for split in ("train", "test"):
        if split not in names:
            raise DataError(f"{name}: no {split} folder; add {split}/CLASS/IMAGE")
    return files


def _find_classes(folder: Path, shown: str, split: str | None) -> list[ImageFile]:
    """The images of `folder`/CLASS/*, sorted by class and name: listing order must not matter."""
    files = []
    for entry in entries(folder):
        _refuse_loose_file(entry, f"{shown}/{entry.name}")
        files += _find_images(entry, f"{shown}/{entry.name}", split)
    if not files:
        raise DataError(f"{shown}: no images; {LAYOUT}")
    return files


def _refuse_loose_file(entry: Path, shown: str) -> None:
    if entry.is_dir():
        return
    kind_of(entry, shown)  # what is no image at all is refused in its own words
    raise DataError(f"{shown}: an image outside the class folders; {LAYOUT}")


def _find_images(folder: Path, shown: str, split: str | None) -> list[ImageFile]:
    files = []
    for entry in entries(folder):
        if entry.is_dir():
            raise DataError(f"{shown}/{entry.name}: a folder inside a class folder; {LAYOUT}")
        files.append(
            ImageFile(
                path=entry,
                shown=f"{shown}/{entry.name}",
                class_name=folder.name,
                group=patient_in_name(entry, folder.name),
                split=split,
                kind=kind_of(entry, f"{shown}/{entry.name}"),
            )
        )
    if not files:
        raise DataError(
            f"{shown}: no images in this class folder; add images of the class or remove the folder"
        )
    return files


def patient_in_name(file: Path, class_name: str) -> str | None:
    """Patient id from CLASS-patient-n.ext, where CLASS is the folder; None for other names.

    The folder's name is demanded so that dates (2021-03-14.png) are not taken for patients.
    """
    stem, start = file.stem, len(class_name)
    found = PATIENT_AND_NUMBER.fullmatch(stem[start:])
    if found is None or stem[:start].casefold() != class_name.casefold():
        return None
    return found["patient"]
