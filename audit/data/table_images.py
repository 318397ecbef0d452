"""Rows of a label table and the image files they mean: by path, by name, by name without suffix."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audit.data.listing import DICOM_SUFFIXES, IMAGE_SUFFIXES
from audit.data.table import LabelTable, TableRow
from audit.data.table_file import shown_text
from audit.errors import DataError

SUFFIXES = IMAGE_SUFFIXES | DICOM_SUFFIXES


@dataclass(frozen=True)
class MatchedImages:
    """(row, file, path of the file from the data folder on) in the order of the table; notes on the rest."""

    images: tuple[tuple[TableRow, Path, str], ...]
    notes: tuple[str, ...]


def match_images(table: LabelTable, files: Mapping[str, Path], shown: str) -> MatchedImages:
    """Find the file of every row. `files` by their path from the data folder on (with "/").

    A row means the file of exactly its path; else the one file whose path ends so; else the same without
    suffix; else all this without regard to capitals; and only then the file of its name in another folder.
    Raises DataError where two files fit, where a row has no file, and where two rows mean one file.
    """
    exact, folded = _Index(files, fold=False), _Index(files, fold=True)
    images, missing, loose = [], [], 0
    rows_of: dict[str, str] = {}
    for row in table.rows:
        found, by_name = _find(row.image, exact, folded)
        if len(found) > 1:
            first, second = (shown_text(path) for path in sorted(found)[:2])
            raise DataError(
                f"{shown}: image {shown_text(row.image)} may be {first} or {second}; "
                f"give its path in the table or take one file away"
            )
        if not found:
            missing.append(row.image)
            continue
        path = found[0]
        if path in rows_of:
            raise DataError(
                f"{shown}: {shown_text(rows_of[path])} and {shown_text(row.image)} both mean the file "
                f"{shown_text(path)}; keep one row, or give paths in the table"
            )
        rows_of[path] = row.image
        loose += by_name and "/" in _posix(row.image)
        images.append((row, files[path], path))
    _refuse_missing(shown, missing, len(table.rows))
    return MatchedImages(tuple(images), _notes(len(files), len(images), loose))


def _find(image: str, exact: _Index, folded: _Index) -> tuple[list[str], bool]:
    """As `_Index.find`; capitals are left aside before folders are."""
    found, by_name = exact.find(image)
    if not by_name:
        return found, by_name
    other, other_by_name = folded.find(image)
    return (found, by_name) if found and other_by_name else (other, other_by_name)


class _Index:
    """Files by name and by name without suffix."""

    def __init__(self, files: Mapping[str, Path], fold: bool) -> None:
        self.fold = fold
        self.full: dict[str, list[str]] = defaultdict(list)
        self.bare: dict[str, list[str]] = defaultdict(list)
        for path in files:
            name = PurePosixPath(self._key(path)).name
            self.full[name].append(path)
            self.bare[_without_suffix(name)].append(path)

    def find(self, image: str) -> tuple[list[str], bool]:
        """(files that fit in the strictest way that fits any, whether their folders were left aside)."""
        wanted = self._key(_posix(image))
        name = PurePosixPath(wanted).name
        found = self._nearest(self.full.get(name, []), wanted, self._key)
        if found[0]:
            return found
        return self._nearest(
            self.bare.get(_without_suffix(name), []),
            _without_suffix(wanted),
            lambda path: _without_suffix(self._key(path)),
        )

    def _nearest(
        self, same_name: list[str], wanted: str, form: Callable[[str], str]
    ) -> tuple[list[str], bool]:
        exact = [path for path in same_name if form(path) == wanted]
        ending = exact or [path for path in same_name if form(path).endswith(f"/{wanted}")]
        return (ending, False) if ending else (same_name, True)

    def _key(self, text: str) -> str:
        # NFC too: systems differ in how they write an accented letter in a file name.
        return unicodedata.normalize("NFC", text).casefold() if self.fold else text


def _without_suffix(path: str) -> str:
    """Without the suffix of an image only: DICOM files are often named by a UID, which has dots."""
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in SUFFIXES else path


def _posix(image: str) -> str:
    """The path as written on any system, from the data folder on."""
    return image.replace("\\", "/").removeprefix("./")


def _refuse_missing(shown: str, missing: Sequence[str], total: int) -> None:
    if not missing:
        return
    names = ", ".join(shown_text(image) for image in missing[:3])
    more = ", ..." if len(missing) > 3 else ""
    raise DataError(
        f"{shown}: {len(missing)} of {total} rows have no image file ({names}{more}); "
        f"add the images or remove the rows"
    )


def _notes(files: int, images: int, loose: int) -> tuple[str, ...]:
    notes = []
    if files > images:
        notes.append(f"{files - images} of {files} image files have no row in the table and were left out")
    if loose:
        notes.append(
            f"{loose} of {images} images were found by name: their folders are not those of the table"
        )
    return tuple(notes)
