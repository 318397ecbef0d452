"""Label tables beside images: which image has which label, patient or lesion, and split.

Read top to bottom in `read_table`: open the file, find the columns, read the rows, refuse what cannot be
used. Patient and lesion ids are kept in `TableRow.group` only, and never stand in a message or a repr.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audit.data.table_file import MAX_BYTES, MAX_ROWS, TableFile, open_table, shown_columns, shown_text
from audit.data.table_layouts import (
    Columns,
    Layout,
    find_layout,
    group_word,
    layout_note,
    one_hot_class,
)
from audit.data.table_lesions import lesions_beside
from audit.errors import DataError

__all__ = ["Columns", "LabelTable", "TableRow", "read_table", "split_of"]

MAX_CLASSES = 100
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NO_GROUP = "counts as its own group, so a leak of patients between splits cannot be excluded"


@dataclass(frozen=True)
class TableRow:
    """One image. `group` is a patient or lesion id, None where unknown; `split` is train, val, test or None."""

    image: str
    label: str
    group: str | None = field(repr=False)
    split: str | None


@dataclass(frozen=True)
class LabelTable:
    """Rows in the order of the file, each image once.

    `layout` is HAM10000, ISIC archive, one-hot or columns; `notes` are sentences for the report; `skipped`
    are (where, why) of rows left out.
    """

    rows: tuple[TableRow, ...]
    layout: str
    notes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Read:
    """A row as it stands in the file."""

    line: int
    image: str
    label: str
    group: str = field(repr=False)
    lesion: str = field(repr=False)
    split: str


def read_table(
    path: Path,
    shown: str,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> LabelTable:
    """Read a label table. `shown` is its path from the data folder on; `columns` are names the user gave.

    Raises DataError, naming the line, for everything that leaves a label open: no or several columns for
    image or label, an empty image or label, one image with two labels, a label column that is probably none.
    Raises ConfigError where one column is named for two things.
    """
    table = open_table(path, shown, columns.known(), max_bytes)
    layout = find_layout(table, columns, max_rows)
    read, skipped = _each_image_once(shown, _read_rows(table, layout, max_rows))
    _check_classes(table, layout, read)
    splits, split_notes = _splits(table, layout, read)
    if not any(splits):
        layout = replace(layout, split=None)
    groups, group_notes = _groups(table, layout, read, max_rows, max_bytes)
    rows = tuple(
        TableRow(row.image, row.label, group, split)
        for row, group, split in zip(read, groups, splits, strict=True)
    )
    notes = (layout_note(table.header, layout), *layout.notes, *table.notes, *group_notes, *split_notes)
    return LabelTable(rows, layout.name, (*notes, *_label_notes(table, layout, read, skipped)), skipped)


def split_of(text: str) -> str | None:
    """train, val or test for the words that people use for them in any case; None for other text."""
    return SPLIT_WORDS.get(text.strip().casefold())


def _read_rows(table: TableFile, layout: Layout, max_rows: int) -> Iterator[_Read]:
    def cell(fields: Sequence[str], place: int | None) -> str:
        return "" if place is None else fields[place]

    for line, fields in table.rows(max_rows):
        label = one_hot_class(table, layout, line, fields) if layout.label is None else fields[layout.label]
        for what, text in (("image", fields[layout.image]), ("label", label)):
            if not text:
                raise DataError(f"{table.shown}: line {line} has no {what}; fill it in or remove the line")
            if CONTROL.search(text):
                raise DataError(
                    f"{table.shown}: line {line} has a line break or control character in its {what}; "
                    f"check the quotes of this line"
                )
        group, lesion = cell(fields, layout.group), cell(fields, layout.lesion)
        yield _Read(line, fields[layout.image], label, group, lesion, cell(fields, layout.split))


def _each_image_once(shown: str, rows: Iterator[_Read]) -> tuple[list[_Read], tuple[tuple[str, str], ...]]:
    """The rows without repeated ones, and the repeated ones; DataError where two rows contradict."""
    first: dict[str, _Read] = {}
    skipped = []
    for row in rows:
        known = first.setdefault(row.image, row)
        if known is row:
            continue
        for what, same in (
            ("labels", known.label == row.label),
            ("patients or lesions", (known.group, known.lesion) == (row.group, row.lesion)),
            ("splits", split_of(known.split) == split_of(row.split)),
        ):
            if not same:
                raise DataError(
                    f"{shown}: lines {known.line} and {row.line} give one image different {what}; "
                    f"keep the right one"
                )
        skipped.append((f"line {row.line}", f"the same image and label as line {known.line}"))
    if not first:
        raise DataError(f"{shown}: no rows below the header; give one line per image")
    return list(first.values()), tuple(skipped)


def _check_classes(table: TableFile, layout: Layout, rows: Sequence[_Read]) -> None:
    """Refuse a label column that is probably an id or a measurement."""
    count = len({row.label for row in rows})
    if layout.label is None or (count <= MAX_CLASSES and count < len(rows)):
        return
    raise DataError(
        f"{table.shown}: column {shown_columns([table.header[layout.label]])} holds {count} different labels "
        f"in {len(rows)} rows, so it is probably not the label; name the right one with --label-column"
    )


def _splits(
    table: TableFile, layout: Layout, rows: Sequence[_Read]
) -> tuple[list[str | None], tuple[str, ...]]:
    """(split of each row, notes). A column that merely has the name of one is left alone."""
    splits = [split_of(row.split) for row in rows]
    if layout.split is None or all(splits):
        return splits, ()
    column = shown_columns([table.header[layout.split]])
    if not any(splits) and not layout.split_given:
        return splits, (f"column {column} holds no train, val or test and was not used",)
    remedy = "leave out --split-column" if layout.split_given else "rename the column"
    line = next(row.line for row, split in zip(rows, splits, strict=True) if split is None)
    raise DataError(
        f"{table.shown}: line {line} holds no split in column {column}; "
        f"give train, val or test in every line, or {remedy}"
    )


def _groups(
    table: TableFile, layout: Layout, rows: Sequence[_Read], max_rows: int, max_bytes: int
) -> tuple[list[str | None], tuple[str, ...]]:
    """(patient or lesion of each row, notes)."""
    beside = None
    if layout.group is None:
        beside = lesions_beside(table.path, table.shown, max_rows, max_bytes)
        if beside is None:
            return [None] * len(rows), (f"no column of patients or lesions: each image {NO_GROUP}",)
    word = "lesion" if beside else group_word(table.header, layout)
    notes = [f"lesions from column {beside.column} of {beside.name}, by image"] if beside else []
    ids = [beside.lesions.get(row.image, "") if beside else row.group for row in rows]
    groups = [name or None for name in ids]
    if layout.lesion is not None:
        groups = _lesions_where_empty(groups, rows)
        filled = sum(not name and group is not None for name, group in zip(ids, groups, strict=True))
        column = shown_columns([table.header[layout.lesion]])
        if filled:
            notes.append(f"{filled} of {len(rows)} images without a {word} id are grouped by column {column}")
    empty = groups.count(None)
    if empty:
        notes.append(f"{empty} of {len(rows)} images have no {word} id: each of these images {NO_GROUP}")
    return groups, tuple(notes)


def _lesions_where_empty(groups: Sequence[str | None], rows: Sequence[_Read]) -> list[str | None]:
    """The lesion in place of an empty patient, or the patient that another row of the lesion names."""
    patient = {
        row.lesion: group for row, group in zip(rows, groups, strict=True) if row.lesion and group is not None
    }
    return [
        group if group is not None or not row.lesion else patient.get(row.lesion, f"lesion {row.lesion}")
        for row, group in zip(rows, groups, strict=True)
    ]


def _label_notes(
    table: TableFile, layout: Layout, rows: Sequence[_Read], skipped: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Remarks on the labels that a reader should check."""
    labels = {row.label for row in rows}
    notes = []
    if skipped:
        notes.append(f"rows left out because they repeat an image with its label: {len(skipped)}")
    unused = [table.header[place] for place in layout.classes if table.header[place] not in labels]
    if unused:
        notes.append(f"no image is marked {shown_columns(unused)}: not a class here")
    folded = Counter(label.casefold() for label in labels)
    alike = sorted(label for label in labels if folded[label.casefold()] > 1)
    if alike:
        names = ", ".join(shown_text(label) for label in alike)
        notes.append(f"labels that differ only in capitals count as different classes: {names}")
    return tuple(notes)
