"""What was found in a data folder, before any pixel is decoded: image files with class, split and patient."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit.data.oct_raw import DEVICES
from audit.data.sniff import sniff
from audit.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
RAW_SUFFIXES = frozenset(DEVICES)
PICTURE, DICOM, RAW = "picture", "DICOM", "raw scan"  # kinds of file
LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # beside hidden files such as .DS_Store


@dataclass(frozen=True)
class ImageFile:
    """One image: a file, or one frame of a DICOM file. `shown` is its path from the data folder on, as messages
    name it; `group` a patient or lesion, which never leaves audit.data."""

    path: Path
    shown: str
    class_name: str
    group: str | None = field(default=None, repr=False)
    split: str | None = None  # train, val or test as given; None: to be split here
    kind: str = PICTURE
    frame: int | None = None  # of a file of several, from 0

    @property
    def group_key(self) -> str:
        """The patient alone, whatever the class (some patients stand under two); else the file itself."""
        return f"file {self.shown}" if self.group is None else f"patient {self.group}"

    @property
    def shown_frame(self) -> str:
        """`shown`, with the frame where the file has several."""
        return self.shown if self.frame is None else f"{self.shown}, frame {self.frame + 1}"


@dataclass(frozen=True)
class Tags:
    """What the headers of DICOM files hold beside pixels, in counts of files: no value leaves its file."""

    files: int
    identifying: Mapping[str, int]  # keyword of the tag -> files in which it is filled in
    burned_in: Mapping[str, int]  # BurnedInAnnotation: yes, no, not stated


@dataclass(frozen=True)
class Listing:
    """All images of a data set, sorted, with what a reader of the report needs to know of how they were found."""

    name: str
    files: tuple[ImageFile, ...]
    groups_from: str  # "the file names": where patients or lesions were read
    splits_from: str = "the folders"  # where they were given
    notes: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()  # shown, reason
    tags: Tags | None = None  # None: no DICOM

    @property
    def splits_given(self) -> bool:
        """Whether the data set came with its splits."""
        return all(file.split is not None for file in self.files)


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files and the litter of operating systems."""
    try:
        found = list(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder.name}: cannot be listed ({error.strerror}); check its permissions"
        ) from error
    return sorted(entry for entry in found if not is_litter(entry.name))


def all_files(root: Path) -> list[tuple[str, Path]]:
    """Every file below `root`: path from there on (with /) and path, sorted, without hidden ones and litter."""
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else [name for name in folders if not is_litter(name)]
        if real in seen:  # a link back up
            continue
        seen.add(real)
        found += [Path(folder, name) for name in files if not is_litter(name)]
    return sorted((path.relative_to(root).as_posix(), path) for path in found)


def is_litter(name: str) -> bool:
    """Hidden files and what operating systems leave behind."""
    return name.startswith(".") or name.lower() in LITTER


def kind_of(file: Path, shown: str) -> str:
    """PICTURE, DICOM or RAW, by the name of a file. Raises DataError for what is no image by its name."""
    suffix = file.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return PICTURE
    if suffix in RAW_SUFFIXES:
        return RAW
    if suffix in DICOM_SUFFIXES or sniff(file, shown) == "DICOM":  # scanners like to leave the suffix out
        return DICOM
    raise DataError(
        f"{shown}: not an image ({suffix or 'no file extension'}); move it out of the data folder"
    )


def refuse_too_few(name: str, class_names: Sequence[str], files: Sequence[ImageFile]) -> None:
    """The checks on classes that need no pixels, before hours of decoding."""
    if len(class_names) < 2:
        raise DataError(
            f"{name}: one class only ({class_names[0]}); an audit compares classes: give at least two"
        )
    for split in ("train", "test"):
        present = {file.class_name for file in files if file.split in (split, None)}
        for class_name in class_names:
            if class_name not in present:
                raise DataError(
                    f"{name}: class {class_name} has no {split} image; "
                    f"add images of {class_name} to the {split} split"
                )
