"""From a listing of image files to a data set: refuse what cannot be used, split by patient, decode, assemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from audit.data.dataset import SPLITS, FileFacts, ImageDataset, Labels, Split
from audit.data.decode import Decoded, Progress, decode_images
from audit.data.grouping import consecutive_numbers, leak_notes, split_groups
from audit.data.listing import ImageFile, Listing, refuse_too_few
from audit.data.npz import LICENCE_NOT_STATED
from audit.errors import DataError


@dataclass(frozen=True)
class Intake:
    """How images become arrays."""

    image_size: int  # pixels, square
    channels: int | None = None  # 1 or 3 converts all images; None keeps what they are and refuses a mixture
    square: Literal["crop", "pad"] = "crop"  # central square of the short edge, or black bars on the long one
    unreadable: Literal["refuse", "skip"] = "refuse"
    frames: str = "all"  # of DICOM files of several: all, middle, every-N
    max_pixels: int = 200_000_000  # of one image or DICOM file
    seed: int = 0  # of the split
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)  # train, val, test, where no splits are given


def assemble(listing: Listing, intake: Intake, progress: Progress | None = None) -> ImageDataset:
    """The data set that `listing` describes: uint8 (N, C, image_size, image_size), labels in sorted class order.

    Splits are kept as given, or made here by patient (lesion). `progress(done, total)` counts decoded images.
    Raises DataError naming the file or class and the remedy for everything that cannot be audited.
    """
    class_names = tuple(sorted({file.class_name for file in listing.files}))
    refuse_too_few(listing.name, class_names, listing.files)
    files = list(listing.files)
    if not listing.splits_given:
        files = split_files(listing.name, class_names, files, intake)
    ordered = sorted(files, key=lambda file: SPLITS.index(str(file.split)))
    decoded = decode_images(ordered, intake, progress)
    kept = [ordered[index] for index in decoded.kept]
    excluded = (*listing.excluded, *decoded.excluded)
    if excluded:
        refuse_too_few_left(listing.name, class_names, kept, excluded)
    splits = assemble_splits(kept, class_names, decoded)
    return ImageDataset(
        name=listing.name,
        class_names=class_names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        source=listing.name,
        licence=LICENCE_NOT_STATED,
        synthetic=False,
        notes=(
            *listing.notes,
            *split_notes(listing, kept, intake),
            *leak_notes(splits),
            *decoded.notes,
        ),
        files=file_facts(listing, kept, decoded),
    )


def refuse_too_few_left(
    name: str, class_names: Sequence[str], kept: Sequence[ImageFile], excluded: Sequence[tuple[str, str]]
) -> None:
    """`refuse_too_few` after files were skipped: then these are the reason."""
    try:
        refuse_too_few(name, class_names, kept)
    except DataError as refusal:
        shown, reason = excluded[0]
        raise DataError(
            f"{refusal} (skipped as unreadable: {len(excluded)} files, first {shown}: {reason})"
        ) from None


def split_files(
    name: str, class_names: Sequence[str], files: Sequence[ImageFile], intake: Intake
) -> list[ImageFile]:
    """Every file with the split that it falls into, patients kept together."""
    labels = np.array([class_names.index(file.class_name) for file in files], dtype=np.int64)
    keys = np.array([file.group_key for file in files])
    chosen = split_groups(labels, keys, intake.fractions, intake.seed)
    for index, class_name in enumerate(class_names):
        if not {0, 2} <= set(chosen[labels == index].tolist()):
            patients = len(np.unique(keys[labels == index]))
            raise DataError(
                f"{name}: class {class_name} cannot stand in both train and test (patients or single images: "
                f"{patients}); add patients of {class_name} or give train and test folders"
            )
    return [replace(file, split=SPLITS[number]) for file, number in zip(files, chosen, strict=True)]


def group_numbers(files: Sequence[ImageFile]) -> Labels | None:
    """Numbers of patients (N,), or None where none is told: unknown patients are no separate ones."""
    if all(file.group is None for file in files):
        return None
    return consecutive_numbers(np.array([file.group_key for file in files]))


def split_notes(listing: Listing, files: Sequence[ImageFile], intake: Intake) -> tuple[str, ...]:
    """How the splits came about, and what is not known of patients."""
    known = sum(file.group is not None for file in files)
    shares = " / ".join(f"{fraction:.0%}" for fraction in intake.fractions)
    unit = "patient" if known else "image"
    how = (
        f"split as given by {listing.splits_from}"
        if listing.splits_given
        else f"split by {unit} {shares} with seed {intake.seed}"
    )
    if known == len(files):
        return (f"{how}; patients read from {listing.groups_from}",)
    what = "file names" if listing.groups_from == "the file names" else "images"
    return (
        f"{how}; {len(files) - known} of {len(files)} {what} hold no patient id: each of these images "
        f"counts as its own group, so a leak of patients between splits cannot be excluded",
    )


def assemble_splits(
    files: Sequence[ImageFile], class_names: Sequence[str], decoded: Decoded
) -> dict[str, Split]:
    """The decoded images, which lie in the order train, val, test, as splits."""
    groups = group_numbers(files)
    splits, start = {}, 0
    for split in SPLITS:
        own = [file for file in files if file.split == split]
        part = slice(start, start + len(own))
        labels = np.array([class_names.index(file.class_name) for file in own], dtype=np.int64)
        splits[split] = Split(decoded.images[part], labels, None if groups is None else groups[part])
        start = part.stop
    return splits


def file_facts(listing: Listing, files: Sequence[ImageFile], decoded: Decoded) -> FileFacts:
    """What the checks want to know beside the pixels."""
    where = np.array([SPLITS.index(str(file.split)) for file in files])
    return FileFacts(
        names={split: tuple(file.shown_frame for file in files if file.split == split) for split in SPLITS},
        sizes={split: decoded.sizes[where == index] for index, split in enumerate(SPLITS)},
        excluded=(*listing.excluded, *decoded.excluded),
        identifying=None if listing.tags is None else dict(listing.tags.identifying),
        burned_in=None if listing.tags is None else dict(listing.tags.burned_in),
    )
