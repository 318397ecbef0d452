"""ISIC's challenges ship labels and lesions apart: `..._GroundTruth.csv`, and `..._Metadata.csv` beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit.data.table_file import key, open_table
from audit.data.table_layouts import KNOWN
from audit.errors import DataError

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
GROUND_TRUTH = "_groundtruth"
COMPANIONS = ("_metadata", "_lesiongroupings")  # ISIC 2019, ISIC 2018


@dataclass(frozen=True)
class LesionsBeside:
    """Lesion ids by image name, with the file and column they come from."""

    name: str
    column: str
    lesions: Mapping[str, str] = field(repr=False)


def find_table(folder_entries: Sequence[Path], shown: str) -> Path | None:
    """The one .csv or .tsv among the entries of a data folder called `shown`; None without one.

    ISIC's table of lesions beside its ground truth does not count. Raises DataError where several are left.
    """
    tables = sorted(entry for entry in folder_entries if _is_table(entry))
    lesion_tables = {_companion(table, tables) for table in tables}
    tables = [table for table in tables if table not in lesion_tables]
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise DataError(f"{shown}: several tables ({names}); say which holds the labels with --table")
    return tables[0] if tables else None


def lesions_beside(path: Path, shown: str, max_rows: int, max_bytes: int) -> LesionsBeside | None:
    """Lesions from the table beside a ground truth of ISIC; None where there is none, or none with lesions."""
    try:
        companion = _companion(path, sorted(path.parent.iterdir()))
    except OSError:  # a folder that may be entered but not listed
        return None
    if companion is None:
        return None
    folder, slash, _ = shown.rpartition("/")
    table = open_table(companion, f"{folder}{slash}{companion.name}", KNOWN, max_bytes)
    names = [key(name) for name in table.header]
    if "image" not in names or "lesionid" not in names:
        return None
    image, lesion = names.index("image"), names.index("lesionid")
    lesions: dict[str, str] = {}
    for line, fields in table.rows(max_rows):
        if lesions.setdefault(fields[image], fields[lesion]) != fields[lesion]:
            raise DataError(f"{table.shown}: line {line} gives an image a second lesion; keep the right one")
    return LesionsBeside(companion.name, table.header[lesion], lesions)


def _is_table(entry: Path) -> bool:
    return entry.suffix.lower() in TABLE_SUFFIXES and entry.name[0] != "." and entry.is_file()


def _companion(table: Path, entries: Sequence[Path]) -> Path | None:
    """The table of lesions that belongs to a ground truth; None where `table` is no ground truth."""
    stem = table.stem.lower()
    if not stem.endswith(GROUND_TRUTH):
        return None
    wanted = [stem.removesuffix(GROUND_TRUTH) + ending for ending in COMPANIONS]
    found = {entry.stem.lower(): entry for entry in entries if _is_table(entry)}
    return next((found[name] for name in wanted if name in found), None)
