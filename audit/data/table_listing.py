"""Images with a label table (CSV) beside them, as a listing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from audit.data.listing import DICOM_SUFFIXES, IMAGE_SUFFIXES, ImageFile, Listing, all_files, is_dicom
from audit.data.table import Columns, LabelTable, TableRow, read_table
from audit.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv")
METADATA = "metadata"  # how ISIC calls the table that holds lesions beside the one that holds classes


def find_table(found: Sequence[Path]) -> Path | None:
    """The label table among the entries of a data folder; ISIC's metadata beside it does not count."""
    tables = [path for path in found if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]
    labels = [path for path in tables if METADATA not in path.stem.lower()] or tables
    if len(labels) > 1:
        names = ", ".join(path.name for path in labels[:3])
        raise DataError(
            f"{names}: {len(labels)} tables in the data folder; name the one of the labels with --table"
        )
    return labels[0] if labels else None


def list_table(root: Path, name: str, table: Path, columns: Columns) -> Listing:
    """The images of `root`, in whatever folders, that the rows of `table` name. Raises DataError."""
    shown = f"{name}/{table.name}"
    labels = with_lesions(read_table(table, shown, columns), table, columns)
    images = {relative: path for relative, path in all_files(root) if may_be_image(path)}
    if not images:
        raise DataError(f"{name}: no images beside {table.name}; put the table into the folder of the images")
    matched = match_images(labels.rows, images, name, shown)
    splits = [row.split for row, _ in matched]
    if None in splits and any(splits):
        raise DataError(f"{shown}: {splits.count(None)} rows name no split; give one to all rows or to none")
    files = [
        ImageFile(
            path=images[relative],
            shown=f"{name}/{relative}",
            class_name=row.label,
            group=row.group,
            split=row.split,
            is_dicom=is_dicom(images[relative], f"{name}/{relative}"),
        )
        for row, relative in matched
    ]
    spare = len(images) - len({relative for _, relative in matched})
    notes = [f"{spare} images that no row of the label table names were left out"] * bool(spare)
    return Listing(
        name=name,
        files=tuple(sorted(files, key=lambda file: (file.class_name, file.shown))),
        groups_from="the label table",
        splits_from="the label table",
        notes=(*labels.notes, *notes),
    )


def may_be_image(path: Path) -> bool:
    """By the name alone: tables, licences and read-me files lie beside the images."""
    return path.suffix.lower() in {*IMAGE_SUFFIXES, *DICOM_SUFFIXES, ""}


def with_lesions(labels: LabelTable, table: Path, columns: Columns) -> LabelTable:
    """Groups from ISIC's metadata table, where the labels have none: X_GroundTruth.csv, X_Metadata.csv."""
    if columns.group is not None or any(row.group for row in labels.rows):
        return labels
    beside = [
        path
        for path in sorted(table.parent.iterdir())
        if path.suffix.lower() in TABLE_SUFFIXES and METADATA in path.stem.lower() and path != table
    ]
    for path in beside:
        groups = groups_by_image(path)
        rows = tuple(replace(row, group=groups.get(row.image)) for row in labels.rows)
        known = sum(row.group is not None for row in rows)
        if known:
            note = f"patients or lesions of {known} of {len(rows)} images from {path.name}"
            return LabelTable(rows, (*labels.notes, note))
    return labels


def groups_by_image(metadata: Path) -> dict[str, str]:
    """Lesion (patient) of each image that a metadata table names; nothing where it is no such table."""
    from audit.data.table import IMAGE_COLUMNS, LESION_COLUMNS, PATIENT_COLUMNS, read_sheet

    try:
        sheet, _ = read_sheet(metadata, metadata.name)
    except DataError:
        return {}
    image, group = sheet.column(*IMAGE_COLUMNS), sheet.column(*PATIENT_COLUMNS, *LESION_COLUMNS)
    if image is None or group is None:
        return {}
    return {values[image]: values[group] for _, values in sheet.rows if values[group]}


def match_images(
    rows: Sequence[TableRow], images: Mapping[str, Path], name: str, shown: str
) -> list[tuple[TableRow, str]]:
    """Every row with its file, as path from the data folder on: by that path, by name, by name without suffix.

    Raises DataError for rows without a file and for names that several files have.
    """
    keys = (str, lambda text: PurePosixPath(text).name, lambda text: PurePosixPath(text).stem)
    found: dict[str, str] = {}
    for key in keys:
        by_name = defaultdict(list)
        for relative in images:
            by_name[key(relative).casefold()].append(relative)
        for row in rows:
            given = row.image.replace("\\", "/").removeprefix("./")
            wanted = (given if key is str else PurePosixPath(given).name).casefold()
            hits = by_name.get(wanted, [])
            if len(hits) > 1 and row.image not in found:
                raise DataError(
                    f"{shown}: line {row.line}: {name}/{hits[0]} and {name}/{hits[1]} have the name in the table; "
                    "give the path from the data folder on"
                )
            if hits:
                found.setdefault(row.image, hits[0])
    missing = [row for row in rows if row.image not in found]
    if missing:
        lines = ", ".join(str(row.line) for row in missing[:3])
        raise DataError(
            f"{shown}: {len(missing)} of {len(rows)} rows name images that are not in {name} (line {lines}"
            f"{', ..' if len(missing) > 3 else ''}); add the images or remove the rows"
        )
    matched = [(row, found[row.image]) for row in rows]
    refuse_shared(matched, name, shown)
    return matched


def refuse_shared(matched: Sequence[tuple[TableRow, str]], name: str, shown: str) -> None:
    """Two rows of one file, under two spellings."""
    counts = Counter(relative for _, relative in matched)
    for relative, count in counts.items():
        if count > 1:
            lines = [row.line for row, other in matched if other == relative]
            raise DataError(
                f"{shown}: lines {lines[0]} and {lines[1]} name the same file {name}/{relative}; keep one of them"
            )
