"""A report as plain data: sections of text, lists, facts, tables and figures, free of any layout.

The PDF lays these out; other formats can be made from the same sections. All text is plain: whoever lays
it out escapes it. `N_p`, `α_S` and `α_N` stand for the symbols with a subscript.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RowMark = Literal["", "strong", "muted", "alert"]
TextKind = Literal["body", "lead", "note"]


@dataclass(frozen=True)
class Figure:
    """An SVG file with what a reader, or a screen reader, needs beside it."""

    file: str  # name inside the folder of figures
    kind: str  # which part of the report shows it
    title: str
    caption: str  # what to conclude, n, and which data
    alternative: str  # for those who do not see the figure


@dataclass(frozen=True)
class Text:
    """One paragraph; `label` stands before it in bold."""

    text: str
    label: str = ""
    kind: TextKind = "body"


@dataclass(frozen=True)
class Bullets:
    """A list, numbered where the order matters."""

    items: list[str]
    numbered: bool = False


@dataclass(frozen=True)
class Facts:
    """Labels and their values."""

    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A table column: `share` of the table's width, numbers to the right."""

    title: str
    share: float
    align: Literal["left", "right", "center"] = "left"


@dataclass(frozen=True)
class Table:
    """Rows of cells, with what they show above and how they were made below."""

    caption: str
    columns: list[Column]
    rows: list[list[str]]
    note: str = ""
    marks: dict[int, RowMark] = field(default_factory=dict)  # row -> how it stands out


@dataclass(frozen=True)
class Shown:
    """A figure at this place."""

    figure: Figure


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


Block = Text | Bullets | Facts | Table | Shown | Heading


@dataclass(frozen=True)
class Section:
    """A numbered part of the report."""

    heading: str
    blocks: list[Block]
    new_page: bool = False


@dataclass(frozen=True)
class Cover:
    """The first page."""

    title: str
    subtitle: str
    verdict: str
    look: str  # the verdict as `style.VERDICTS` names it
    verdict_text: str
    banner: str  # what limits everything that follows (synthetic data, quick profile); may be empty
    facts: Facts
    notice: str
