"""Images with a label table (CSV) beside them, as a listing."""

from __future__ import annotations

from pathlib import Path

from audit.data.listing import (
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    RAW_SUFFIXES,
    ImageFile,
    Listing,
    all_files,
    kind_of,
)
from audit.data.table import Columns, read_table
from audit.data.table_images import match_images
from audit.errors import DataError


def list_table(root: Path, name: str, table: Path, columns: Columns) -> Listing:
    """The images of `root`, in whatever folders, that the rows of `table` name. Raises DataError."""
    shown = f"{name}/{table.name}"
    labels = read_table(table, shown, columns)
    images = {relative: path for relative, path in all_files(root) if may_be_image(path)}
    if not images:
        raise DataError(f"{name}: no images beside {table.name}; put the table into the folder of the images")
    matched = match_images(labels, images, shown)
    splits = [row.split for row, _, _ in matched.images]
    if None in splits and any(splits):
        raise DataError(f"{shown}: {splits.count(None)} rows name no split; give one to all rows or to none")
    files = [
        ImageFile(
            path=path,
            shown=f"{name}/{relative}",
            class_name=row.label,
            group=row.group,
            split=row.split,
            kind=kind_of(path, f"{name}/{relative}"),
        )
        for row, path, relative in matched.images
    ]
    return Listing(
        name=name,
        files=tuple(sorted(files, key=lambda file: (file.class_name, file.shown))),
        groups_from="the label table",
        splits_from="the label table",
        notes=(*labels.notes, *matched.notes),
    )


def may_be_image(path: Path) -> bool:
    """By the name alone: tables, licences and read-me files lie beside the images."""
    return path.suffix.lower() in {*IMAGE_SUFFIXES, *DICOM_SUFFIXES, *RAW_SUFFIXES, ""}
