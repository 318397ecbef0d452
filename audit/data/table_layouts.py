"""Which column of a label table holds what: as the user says, a known layout, or names that speak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from audit.data.table_file import Row, TableFile, key, shown_columns, shown_text
from audit.errors import ConfigError, DataError

IMAGE_NAMES = (
    *("image", "imageid", "imagename", "imagefile", "imagepath", "isicid"),
    *("file", "filename", "filepath", "path"),
)
LABEL_NAMES = ("label", "class", "diagnosis", "dx", "target", "category")
PATIENT_NAMES = ("patient", "patientid", "subject", "subjectid")
GROUP_NAMES = ("group", "groupid")
LESION_NAMES = ("lesion", "lesionid")
SPLIT_NAMES = ("split", "set", "fold")
HAM10000 = {"imageid", "lesionid", "dx"}
ARCHIVE_LABELS = ("diagnosis", *(f"diagnosis{level}" for level in range(1, 6)))  # 1 is the coarsest
ISIC_CLASSES = frozenset({"mel", "nv", "bcc", "ak", "akiec", "bkl", "df", "vasc", "scc", "unk"})
KNOWN = frozenset(
    {*IMAGE_NAMES, *LABEL_NAMES, *PATIENT_NAMES, *GROUP_NAMES, *LESION_NAMES, *SPLIT_NAMES, *ARCHIVE_LABELS}
)
ONE_HOT = {"0": False, "0.0": False, "1": True, "1.0": True}


@dataclass(frozen=True)
class Columns:
    """Names of columns that the user gave; None leaves the choice to the layout."""

    image: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None

    def known(self) -> frozenset[str]:
        """Keys of all names worth looking for in a header."""
        given = (self.image, self.label, self.group, self.split)
        return KNOWN | {key(name) for name in given if name is not None}


@dataclass(frozen=True)
class Layout:
    """Places of the columns. Without a `label` column `classes` are the one-hot columns.

    `lesion` is what groups the rows whose `group` (a patient) is empty; None where there is no such column.
    """

    name: str
    image: int
    label: int | None
    classes: tuple[int, ...]
    group: int | None
    lesion: int | None
    split: int | None
    split_given: bool
    notes: tuple[str, ...]


class Header:
    """The names of the columns, looked up the way people write them."""

    def __init__(self, table: TableFile) -> None:
        self.shown = table.shown
        self.names = table.header
        self.keys = [key(name) for name in table.header]

    def given(self, name: str | None, option: str) -> int | None:
        """Place of the column that the user named with `option`; DataError where it is not there."""
        if name is None:
            return None
        places = [i for i, there in enumerate(self.names) if there.casefold() == name.strip().casefold()]
        if not places or not name.strip():
            raise DataError(
                f"{self.shown}: no column {shown_text(name)} (columns found: {shown_columns(self.names)}); "
                f"give one of them with {option}"
            )
        return places[0]

    def one_of(self, names: Sequence[str], what: str, option: str, taken: Iterable[int | None]) -> int | None:
        """Place of the one column called like one of `names`, None where there is none."""
        places = [i for i, there in enumerate(self.keys) if there in names and i not in taken]
        if len(places) > 1:
            choices = shown_columns([self.names[i] for i in places])
            raise DataError(
                f"{self.shown}: several columns may hold the {what} ({choices}); say which with {option}"
            )
        return places[0] if places else None

    def first(self, names: Sequence[str]) -> int:
        """Place of the first of `names` that is there."""
        return next(self.keys.index(name) for name in names if name in self.keys)


def find_layout(table: TableFile, columns: Columns, max_rows: int) -> Layout:
    """What each column holds. Raises DataError that lists the columns and the options where this is open."""
    header = Header(table)
    given = _given_places(header, columns)
    taken = [place for place in given.values() if place is not None]
    name, known = _known_layout(header)
    image, label = given["image"], given["label"]
    if image is None:
        image = known.get("image")
        if image is None or image in taken:
            image = header.one_of(IMAGE_NAMES, "image", "--image-column", taken)
    if label is None:
        label = known.get("label")
        if label is None or label in taken:
            label = header.one_of(LABEL_NAMES, "label", "--label-column", taken)
    group, lesion, notes = _group_columns(header, given["group"], [*taken, image, label])
    split = given["split"]
    if split is None:
        split = header.one_of(SPLIT_NAMES, "split", "--split-column", [*taken, image, label, group])
    classes: tuple[int, ...] = ()
    if label is None and image is not None:
        name, classes = (
            "one-hot",
            _one_hot_columns(header, table.rows(max_rows), {image, group, lesion, split}),
        )
    if image is None or (label is None and len(classes) < 2):
        raise DataError(_missing(header, image is None, label is None))
    if label is not None and (image, label) != (known.get("image"), known.get("label")):
        name = "columns"
    if name == "ISIC archive":
        notes = (*notes, *_other_levels(header, label))
    return Layout(name, image, label, classes, group, lesion, split, given["split"] is not None, notes)


def _given_places(header: Header, columns: Columns) -> dict[str, int | None]:
    """Places of the columns that the user named; ConfigError where one is named for two things."""
    options = {"image": columns.image, "label": columns.label, "group": columns.group, "split": columns.split}
    places = {role: header.given(name, f"--{role}-column") for role, name in options.items()}
    seen: dict[int, str] = {}
    for role, place in places.items():
        if place is not None and seen.setdefault(place, role) != role:
            raise ConfigError(
                f"--{seen[place]}-column and --{role}-column: both are {shown_columns([header.names[place]])}; "
                f"give each a column of its own"
            )
    return places


def _known_layout(header: Header) -> tuple[str, dict[str, int]]:
    """(name, places of image and label) of HAM10000 or of the ISIC archive; ("columns", {}) for others."""
    if set(header.keys) >= HAM10000:
        return "HAM10000", {"image": header.keys.index("imageid"), "label": header.keys.index("dx")}
    if "isicid" in header.keys and set(ARCHIVE_LABELS) & set(header.keys):
        return "ISIC archive", {"image": header.keys.index("isicid"), "label": header.first(ARCHIVE_LABELS)}
    return "columns", {}


def _other_levels(header: Header, label: int | None) -> tuple[str, ...]:
    """A note on the levels of diagnosis that the ISIC archive has beside the one taken."""
    others = [
        name
        for place, name in enumerate(header.names)
        if header.keys[place] in ARCHIVE_LABELS and place != label
    ]
    if not others:
        return ()
    return (
        f"other levels of diagnosis in the table: {shown_columns(others)} (take one with --label-column)",
    )


def _group_columns(
    header: Header, given: int | None, taken: Sequence[int | None]
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """(column to group by, column of lesions for its empty cells, notes): patients before lesions."""
    if given is not None:
        return given, None, ()
    found = [
        header.one_of(names, what, "--group-column", taken)
        for names, what in ((PATIENT_NAMES, "patient"), (GROUP_NAMES, "group"), (LESION_NAMES, "lesion"))
    ]
    there = [place for place in found if place is not None]
    if not there:
        return None, None, ()
    group, lesion = there[0], found[2] if found[2] != there[0] else None
    if len(there) == 1:
        return group, lesion, ()
    names = [shown_columns([header.names[place]]) for place in there]
    return group, lesion, (f"grouped by {names[0]}, the coarser one, not by {' or '.join(names[1:])}",)


def _one_hot_columns(header: Header, rows: Iterable[Row], taken: set[int | None]) -> tuple[int, ...]:
    """Columns named after a class of ISIC, and further ones that hold only 0 and 1."""
    isic = {place for place, name in enumerate(header.keys) if name in ISIC_CLASSES and place not in taken}
    numeric = {place for place, name in enumerate(header.names) if name and place not in taken} - isic
    for _, fields in rows:
        numeric = {place for place in numeric if fields[place] in ONE_HOT}
        if not numeric:
            break
    return tuple(sorted(isic | numeric))


def one_hot_class(table: TableFile, layout: Layout, line: int, fields: Sequence[str]) -> str:
    """The class that a row marks with 1. Raises DataError naming the line unless exactly one is marked."""
    for place in layout.classes:
        if fields[place] not in ONE_HOT:
            raise DataError(
                f"{table.shown}: line {line} holds something other than 0 and 1 in column "
                f"{shown_columns([table.header[place]])}; give 0 or 1, or the column of labels with --label-column"
            )
    marked = [table.header[place] for place in layout.classes if ONE_HOT[fields[place]]]
    if len(marked) != 1:
        names = shown_columns([table.header[place] for place in layout.classes])
        raise DataError(
            f"{table.shown}: line {line} marks {len(marked)} of the classes {names} with 1; mark exactly one"
        )
    return marked[0]


def layout_note(header: Sequence[str], layout: Layout) -> str:
    """ "labels from column dx, lesions from column lesion_id (HAM10000's layout)"."""
    if layout.label is None:
        parts = [f"labels from the 0/1 columns {shown_columns([header[place] for place in layout.classes])}"]
    else:
        parts = [f"labels from column {shown_columns([header[layout.label]])}"]
    if layout.group is not None:
        parts.append(f"{group_word(header, layout)}s from column {shown_columns([header[layout.group]])}")
    if layout.split is not None:
        parts.append(f"splits from column {shown_columns([header[layout.split]])}")
    layouts: Mapping[str, str] = {
        "HAM10000": " (HAM10000's layout)",
        "ISIC archive": " (the ISIC archive's layout)",
    }
    return ", ".join(parts) + layouts.get(layout.name, "")


def group_word(header: Sequence[str], layout: Layout) -> str:
    """What the group column counts: patient, lesion or group."""
    name = key(header[layout.group]) if layout.group is not None else ""
    if name in PATIENT_NAMES:
        return "patient"
    return "lesion" if name in LESION_NAMES else "group"


def _missing(header: Header, image: bool, label: bool) -> str:
    what = [word for word, missing in (("image", image), ("label", label)) if missing]
    return (
        f"{header.shown}: no column for the {' or the '.join(what)} is recognised "
        f"(columns found: {shown_columns(header.names)}); "
        f"give {' and '.join(f'--{word}-column' for word in what)}"
    )
