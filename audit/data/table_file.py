"""A CSV or TSV file as a header and rows of stripped text: encoding, separator, quotes, line numbers."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from audit.errors import DataError

MAX_BYTES = 500_000_000
MAX_ROWS = 2_000_000
SEPARATORS = (",", ";", "\t")
SPREADSHEETS = (b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1"))  # xlsx and ods; xls
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CSV_PROBLEMS = {
    "unexpected end of data": "a quote is not closed",
    "expected after": "text behind a closing quote",
}
CHUNK = 1 << 20
LONGEST_SHOWN = 60
MOST_SHOWN = 20
# What a cell of data looks like: a number, an id with four digits, a file name.
VALUE = re.compile(r"[\d.,\s+-]+|.*\d{4}.*|.*\.(png|jpe?g|bmp|tiff?|dcm|dicom)", re.IGNORECASE | re.DOTALL)

Row = tuple[int, list[str]]  # line number of its first line, stripped fields


@dataclass(frozen=True)
class TableFile:
    """A table whose encoding, separator and header are known; `rows()` reads it from the start each time."""

    path: Path
    shown: str
    encoding: str
    separator: str
    header: tuple[str, ...]
    notes: tuple[str, ...]

    def rows(self, max_rows: int = MAX_ROWS) -> Iterator[Row]:
        """(line number, as many stripped fields as the header has) for each row that is not blank.

        Raises DataError, naming the line, for a row of another length, for broken quotes, and beyond
        `max_rows` rows.
        """
        width = len(self.header)
        records = _records(self.path, self.shown, self.encoding, self.separator)
        next(records, None)  # the header
        for count, (line, fields) in enumerate(records, start=1):
            if count > max_rows:
                raise DataError(
                    f"{self.shown}: more than {max_rows:,} rows, the most that are read; split the table"
                )
            if len(fields) < width or any(fields[width:]):
                raise DataError(
                    f"{self.shown}: line {line} has {len(fields)} fields but the header has {width}; "
                    f"check the separators and quotes of this line"
                )
            yield line, fields[:width]


def open_table(path: Path, shown: str, known: Collection[str], max_bytes: int = MAX_BYTES) -> TableFile:
    """Find out encoding, separator and header. `known` are column names (as `key` gives them) to look for.

    The separator is the one, of comma, semicolon and tab, that finds most of the `known` columns in the
    header, and most columns where they tie. Raises DataError for what is no text table.
    """
    encoding, notes = _find_encoding(path, shown, max_bytes)
    found: dict[str, list[str]] = {}
    problem = DataError(f"{shown}: empty; give a header line and one line per image")
    for separator in SEPARATORS:
        try:
            with closing(_records(path, shown, encoding, separator)) as records:
                found[separator] = next(records, (0, []))[1]
        except DataError as error:
            problem = error
    if not any(found.values()):
        raise problem
    separator = max(found, key=lambda name: (_hits(found[name], known), len(found[name])))
    header = found[separator]
    while not header[-1]:  # trailing separators
        header.pop()
    _check_header(shown, header, known)
    return TableFile(path, shown, encoding, separator, tuple(header), notes)


def key(name: str) -> str:
    """A column name for comparison: "Patient ID", "patient_id" and "PatientID" are one."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def shown_text(text: str) -> str:
    """Text of a table on one line of a message: control characters as "?", long text cut."""
    clean = "".join(letter if letter.isprintable() or letter == "\u3000" else "?" for letter in text)
    return clean if len(clean) <= LONGEST_SHOWN else f"{clean[:LONGEST_SHOWN]}…"


def shown_columns(names: Sequence[str]) -> str:
    """Column names for a message. One that looks like a value is shown by its place: it may be an id."""
    shown = [
        shown_text(name) if name and not VALUE.fullmatch(name) else f"column {place}"
        for place, name in enumerate(names, start=1)
    ]
    more = [f"and {len(shown) - MOST_SHOWN} more"] if len(shown) > MOST_SHOWN else []
    return ", ".join(shown[:MOST_SHOWN] + more)


def _hits(names: Sequence[str], known: Collection[str]) -> int:
    return sum(key(name) in known for name in names)


def _check_header(shown: str, header: Sequence[str], known: Collection[str]) -> None:
    if not _hits(header, known) and any(VALUE.fullmatch(name) for name in header):
        raise DataError(
            f"{shown}: the first line holds values, not names of columns; add a header line such as image,label"
        )
    if len(header) < 2:
        raise DataError(f"{shown}: one column only; separate the columns by commas, semicolons or tabs")
    seen: dict[str, int] = {}
    for place, name in enumerate(header, start=1):
        first = seen.setdefault(name.casefold(), place)
        if name and first != place:
            raise DataError(f"{shown}: columns {first} and {place} have the same name; rename one")


def _find_encoding(path: Path, shown: str, max_bytes: int) -> tuple[str, tuple[str, ...]]:
    """(encoding, notes). Windows-1252 is the last guess: it cannot be told from Shift JIS with certainty."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
        if size > max_bytes:
            raise DataError(
                f"{shown}: {size:,} bytes, more than the {max_bytes:,} that are read; "
                f"keep only the columns of image, label, patient and split"
            )
        if start.startswith(SPREADSHEETS):
            raise DataError(f"{shown}: a spreadsheet or an archive, not a text table; save it as CSV (UTF-8)")
        if start.startswith(UTF16):
            choices = ["utf-16"]
        else:
            choices = ["utf-8-sig"] if start.startswith(codecs.BOM_UTF8) else ["utf-8", "cp1252"]
        for encoding in choices:
            if _decodes(path, shown, encoding):
                note = "the table is not UTF-8 and was read as Windows-1252: check the names of the classes"
                return encoding, (note,) if encoding == "cp1252" else ()
    except OSError as error:
        raise DataError(_cannot_read(shown, error)) from error
    raise DataError(f"{shown}: in an unknown encoding; save it as CSV (UTF-8)")


def _decodes(path: Path, shown: str, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while chunk := file.read(CHUNK):
                if "\0" in chunk:
                    raise DataError(
                        f"{shown}: holds NUL bytes, so it is no text table; save it as CSV (UTF-8)"
                    )
    except UnicodeError:
        return False
    return True


def _records(path: Path, shown: str, encoding: str, separator: str) -> Generator[Row, None, None]:
    """Every record that is not blank. DataError without its cause: the cause may quote the table."""
    end = 0
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
            for record in reader:
                line, end = end + 1, reader.line_num
                fields = [field.strip() for field in record]
                if any(fields):
                    yield line, fields
    except csv.Error as error:
        reason = next((words for part, words in CSV_PROBLEMS.items() if part in str(error)), str(error))
        raise DataError(f"{shown}: line {end + 1} cannot be read ({reason}); check its quotes") from None
    except UnicodeError:
        raise DataError(f"{shown}: changed while it was read; try again") from None
    except OSError as error:
        raise DataError(_cannot_read(shown, error)) from error


def _cannot_read(shown: str, error: OSError) -> str:
    return f"{shown}: cannot be read ({error.strerror}); check that it is a file and its permissions"
