"""What every reader of images produces: labelled splits of uint8 images, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from audit.errors import DataError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """One split. `images` uint8 (N, C, H, W), `labels` int64 (N,), `groups` int64 (N,) or None.

    `groups` are consecutive numbers, one per patient or lesion: never the identifier itself.
    """

    images: Images
    labels: Labels
    groups: Labels | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class FileFacts:
    """What is known of the files behind the images, split by split in their order; for the data checks."""

    names: Mapping[str, tuple[str, ...]]  # path from the data folder on
    sizes: Mapping[str, npt.NDArray[np.int64]]  # (N, 2) height and width in the file
    excluded: tuple[tuple[str, str], ...] = ()  # unreadable files that were skipped: path, reason
    identifying: Mapping[str, int] | None = None  # DICOM tag -> files in which it is filled in
    burned_in: Mapping[str, int] | None = None  # BurnedInAnnotation: yes, no, not stated -> files


@dataclass(frozen=True)
class ImageDataset:
    """A labelled data set at training resolution, ready to be audited.

    `source` says in words where the images come from ("synthetic ..." for phantoms); `notes` are facts
    about the intake that a reader of the report needs (how it was split, what was converted).
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    source: str
    licence: str
    synthetic: bool
    notes: tuple[str, ...] = ()
    files: FileFacts | None = field(default=None, compare=False, repr=False)  # None: arrays, phantoms
    stored_size: tuple[int, int] | None = field(
        default=None, compare=False
    )  # (height, width) of arrays in the file
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        check_dataset(self)
        object.__setattr__(self, "fingerprint", fingerprint(self))

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (int(self.train.images.shape[2]), int(self.train.images.shape[3]))

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return int(self.train.images.shape[1])

    def split(self, name: str) -> Split:
        """The split called `name` (train, val or test)."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return splits[name]


def fingerprint(dataset: ImageDataset) -> str:
    """SHA-256 over class names, pixels, labels and groups of all splits, in order."""
    digest = hashlib.sha256("\0".join(dataset.class_names).encode())
    for name in SPLITS:
        split = dataset.split(name)
        digest.update(f"{name}{split.images.shape}".encode())
        digest.update(np.ascontiguousarray(split.images).tobytes())
        digest.update(np.ascontiguousarray(split.labels).tobytes())
        if split.groups is not None:
            digest.update(np.ascontiguousarray(split.groups).tobytes())
    return digest.hexdigest()


def counts_by_class(split: Split, n_classes: int) -> list[int]:
    """Images of each class in a split."""
    return [int(count) for count in np.bincount(split.labels, minlength=n_classes)]


def groups_in_several_splits(dataset: ImageDataset) -> int | None:
    """How many patients or lesions stand in more than one split; None where ids are missing."""
    found = [dataset.split(name).groups for name in SPLITS if len(dataset.split(name))]
    if any(groups is None for groups in found):
        return None
    seen = [set(np.unique(groups).tolist()) for groups in found if groups is not None]
    everyone = set().union(*seen)
    return sum(1 for group in everyone if sum(group in part for part in seen) > 1)


def check_dataset(dataset: ImageDataset) -> None:
    """Refuse what cannot be audited, naming the class and the remedy. Raises DataError."""
    n_classes = len(dataset.class_names)
    if n_classes < 2:
        found = dataset.class_names[0] if dataset.class_names else "none"
        raise DataError(
            f"{dataset.source}: one class only ({found}); an audit compares classes: give at least two"
        )
    for split_name in ("train", "test"):
        split = dataset.split(split_name)
        for name, count in zip(dataset.class_names, counts_by_class(split, n_classes), strict=True):
            if count == 0:
                raise DataError(
                    f"{dataset.source}: class {name} has no {split_name} image; "
                    f"add images of {name} to the {split_name} split"
                )
