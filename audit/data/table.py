"""Label tables beside images (CSV, TSV): which image has which class, patient or lesion, and split.

Layouts that are recognised: HAM10000 (image_id, lesion_id, dx), the ISIC archive's (isic_id, diagnosis), ISIC's
one-hot ground truth (image, MEL, NV, ..), and plain tables with columns of the usual names. Values of the group column
are identifiers: no message and no `repr` shows one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit.errors import DataError

MAX_BYTES = 500 * 2**20
MAX_ROWS = 2_000_000
MAX_CLASSES = 100
SEPARATORS = (",", ";", "\t")

IMAGE_COLUMNS = (
    "image_id",
    "isic_id",
    "image",
    "image_name",
    "file",
    "filename",
    "file_name",
    "path",
    "img",
    "name",
)
LABEL_COLUMNS = ("dx", "label", "class", "diagnosis", "diagnosis_1", "target", "category", "class_name")
PATIENT_COLUMNS = ("patient_id", "patient", "patientid", "subject", "subject_id", "group")
LESION_COLUMNS = ("lesion_id", "lesion")
SPLIT_COLUMNS = ("split", "set", "subset", "partition")
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Columns:
    """Columns by name, as the user gave them; None: found by itself."""

    image: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class TableRow:
    """One image."""

    line: int  # of the file, from 1
    image: str  # path or name, perhaps without suffix
    label: str
    group: str | None = field(default=None, repr=False)  # patient or lesion
    split: str | None = None  # train, val or test


@dataclass(frozen=True)
class LabelTable:
    """All rows, and what a reader of the report needs to know of how they were read."""

    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """The text of a table: names of its columns and its rows with their lines."""

    shown: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def column(self, *names: str) -> int | None:
        """Position of the first of `names` that there is, whatever its case."""
        folded = [name.casefold() for name in self.header]
        return next((folded.index(name) for name in names if name in folded), None)


def read_table(path: Path, shown: str, columns: Columns = Columns()) -> LabelTable:
    """Read the table at `path`, called `shown` in messages. Raises DataError naming line or column and the remedy."""
    sheet, notes = read_sheet(path, shown)
    image = chosen_column(sheet, columns.image, "image", IMAGE_COLUMNS, "data.columns.image")
    if image is None:
        raise DataError(no_column(sheet, "image names", "--set data.columns.image=NAME"))
    labels, how = read_labels(sheet, columns, image)
    group = chosen_column(
        sheet, columns.group, "group", (*PATIENT_COLUMNS, *LESION_COLUMNS), "--group-column"
    )
    split = chosen_column(sheet, columns.split, "split", SPLIT_COLUMNS, "data.columns.split")
    rows = tuple(
        TableRow(
            line, values[image], label, cell(values, group), read_split(sheet, line, cell(values, split))
        )
        for (line, values), label in zip(sheet.rows, labels, strict=True)
    )
    rows, repeated = without_repeats(rows, shown)
    refuse_odd_labels(rows, shown)
    notes += [f"classes from {how} of the label table"]
    if group is not None:
        notes.append(f"patients or lesions from column {sheet.header[group]} of the label table")
        missing = sum(row.group is None for row in rows)
        notes += [f"{missing} of {len(rows)} rows of the label table name no patient or lesion"] * bool(
            missing
        )
    notes += [f"{repeated} rows of the label table say again what another says"] * bool(repeated)
    return LabelTable(rows, tuple(notes))


def read_sheet(path: Path, shown: str) -> tuple[Sheet, list[str]]:
    """Decode, split into cells, check that every row has as many as the header."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror}); check its permissions") from error
    if size > MAX_BYTES:
        raise DataError(f"{shown}: more than {MAX_BYTES // 2**20} MiB; a table of labels is smaller")
    text, notes = decode(content, shown)
    header, separator = read_header(text, shown)
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for values in reader:
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            while len(cells) > len(header) and not cells[-1]:
                cells.pop()  # separators at the end of a line
            if len(cells) != len(header):
                raise DataError(
                    f"{shown}: line {reader.line_num} has {len(cells)} fields, the header {len(header)}; mend the line"
                )
            rows.append((reader.line_num, cells))
            if len(rows) > MAX_ROWS + 1:
                raise DataError(f"{shown}: more than {MAX_ROWS:,} rows; split the data set")
    except csv.Error as error:
        raise DataError(
            f"{shown}: line {reader.line_num} is no valid CSV ({error}); save the table again"
        ) from error
    if len(rows) < 2:
        raise DataError(f"{shown}: no rows under the header; list one image per row")
    return Sheet(shown, header, rows[1:]), notes


def decode(content: bytes, shown: str) -> tuple[str, list[str]]:
    """UTF-8 or UTF-16 by its mark, else UTF-8, else Windows's code page 1252."""
    if content[:2] == b"PK":
        raise DataError(f"{shown}: a spreadsheet or archive, not CSV; save it as CSV (UTF-8)")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    notes = []
    try:
        text = content.decode(encoding)
    except UnicodeError:
        text = content.decode("cp1252", "replace")
        notes.append("the label table is not UTF-8 and was read as Windows code page 1252")
    if "\0" in text:
        raise DataError(f"{shown}: NUL bytes, so no text; save the table as CSV (UTF-8)")
    if not text.strip():
        raise DataError(f"{shown}: empty; list one image per row under a header")
    return text, notes


def read_header(text: str, shown: str) -> tuple[list[str], str]:
    """Names of the columns, and the separator: the one that gives the most of them."""
    line = next(line for line in text.splitlines() if line.strip())
    try:
        split = {s: next(csv.reader([line], delimiter=s, strict=True)) for s in SEPARATORS}
    except (csv.Error, StopIteration):
        raise DataError(f"{shown}: the header is no valid CSV; save the table again") from None
    separator = max(SEPARATORS, key=lambda s: len(split[s]))
    header = [name.strip() for name in split[separator]]
    while len(header) > 1 and not header[-1]:
        header.pop()
    folded = [name.casefold() for name in header]
    for name in header:
        if name and folded.count(name.casefold()) > 1:
            raise DataError(f"{shown}: two columns are called {name!r}; give every column its own name")
    return header, separator


def chosen_column(
    sheet: Sheet, given: str | None, what: str, usual: Sequence[str], option: str
) -> int | None:
    """Position of the column that the user named, or of the first of the usual names. Raises DataError."""
    if given is None:
        return sheet.column(*usual)
    found = sheet.column(given.casefold())
    if found is None:
        raise DataError(
            f"{sheet.shown}: no {what} column {given!r} ({option}); the columns are {listed(sheet.header)}"
        )
    return found


def read_labels(sheet: Sheet, columns: Columns, image: int) -> tuple[list[str], str]:
    """The class of every row, and from where: a label column, or the one-hot columns of ISIC's ground truth."""
    label = chosen_column(sheet, columns.label, "label", LABEL_COLUMNS, "--label-column")
    if label is None:
        hot = one_hot_columns(sheet, image)
        if len(hot) < 2:
            raise DataError(no_column(sheet, "classes", "--label-column NAME"))
        return [one_hot_label(sheet, line, values, hot) for line, values in sheet.rows], (
            f"{len(hot)} one-hot columns"
        )
    for line, values in sheet.rows:
        if not values[label]:
            raise DataError(
                f"{sheet.shown}: line {line} has no class in column {sheet.header[label]}; fill it in or remove the row"
            )
    return [values[label] for _, values in sheet.rows], f"column {sheet.header[label]}"


def one_hot_columns(sheet: Sheet, image: int) -> list[int]:
    """Columns that hold nothing but 0 and 1, both of them or zeros alone."""
    found = []
    for position in range(len(sheet.header)):
        values = {values[position] for _, values in sheet.rows}
        if position != image and values <= {"0", "1", "0.0", "1.0"}:
            found.append(position)
    return found


def one_hot_label(sheet: Sheet, line: int, values: list[str], hot: Sequence[int]) -> str:
    """The name of the one column that holds 1."""
    found = [sheet.header[position] for position in hot if values[position].startswith("1")]
    if len(found) != 1:
        classes = listed([sheet.header[position] for position in hot])
        raise DataError(
            f"{sheet.shown}: line {line} marks {len(found)} classes with 1; exactly one of {classes} must be"
        )
    return found[0]


def cell(values: Sequence[str], position: int | None) -> str | None:
    """What stands in a column; None for nothing."""
    return None if position is None else values[position] or None


def read_split(sheet: Sheet, line: int, text: str | None) -> str | None:
    """train, val or test."""
    if text is None:
        return None
    if text.casefold() not in SPLITS:
        raise DataError(f"{sheet.shown}: line {line} names the split {text!r}; use train, val or test")
    return SPLITS[text.casefold()]


def without_repeats(rows: tuple[TableRow, ...], shown: str) -> tuple[tuple[TableRow, ...], int]:
    """Each image once, and how many rows were repeats. Raises DataError where two rows disagree."""
    first: dict[str, TableRow] = {}
    for row in rows:
        if not row.image:
            raise DataError(f"{shown}: line {row.line} names no image; fill it in or remove the row")
        other = first.setdefault(row.image, row)
        if (other.label, other.group, other.split) != (row.label, row.group, row.split):
            raise DataError(
                f"{shown}: lines {other.line} and {row.line} name the same image and differ; keep one of them"
            )
    return tuple(first.values()), len(rows) - len(first)


def refuse_odd_labels(rows: Sequence[TableRow], shown: str) -> None:
    """A class per image, or hundreds, is another column than was meant."""
    classes = len({row.label for row in rows})
    if classes > MAX_CLASSES or (classes == len(rows) and classes > 10):
        raise DataError(
            f"{shown}: {classes} classes in {len(rows)} rows; name the column of the class with --label-column"
        )


def no_column(sheet: Sheet, what: str, option: str) -> str:
    """The refusal of a table without a column that is needed."""
    return f"{sheet.shown}: no column of {what} among {listed(sheet.header)}; name it with {option}"


def listed(names: Sequence[str]) -> str:
    """'a, b, c', the first twelve."""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(name[:40] or "(no name)" for name in names[:12]) + more
