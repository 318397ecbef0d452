"""From blocks of plain data to reportlab flowables: one type scale, one table style, escaped text."""

from __future__ import annotations

import html
import re
from functools import singledispatchmethod
from itertools import pairwise
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_CENTER, TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, Spacer
from reportlab.platypus import Table as GridTable
from svglib.svglib import svg2rlg

from audit.errors import RunDirectoryError
from reports.document import Bullets, Column, Cover, Facts, Heading, Section, Shown, Table, Text
from reports.style import ACCENT, ALERT, BOLD, FALLBACK, INK, MUTED, REGULAR, RULE, TEXT_WIDTH, TINT

ALIGN = {"left": TA_LEFT, "right": TA_RIGHT, "center": TA_CENTER}
NUMBER = r"−?\d[\d.]*"
UNIT = r"(?:%|points?|pixels?)"
BRACKET = r"(?:\([−\d.]+(?:–| to )[−\d.]+\)|\[[−\d.]+; [−\d.]+\])(?: †)?"
IN_TEXT = re.compile(rf"{NUMBER} {UNIT}(?: {BRACKET})?|{NUMBER} {BRACKET}")
IN_CELL = re.compile(rf"{NUMBER} {UNIT}|{BRACKET}")  # narrow: the interval may stand below its estimate
SUBSCRIPTS = re.compile(r"([Nα])_([pSN])\b")
WIDTH = TEXT_WIDTH * mm
MAX_FIGURE = 205 * mm
SHORT_TABLE = 14  # rows; a longer table may run over the end of a page
CELL_SIGNS = 3000  # signs that a column as wide as the page may hold in one cell
ROOM = 60 * mm  # below a heading or a caption


def make_styles() -> dict[str, ParagraphStyle]:
    """The type scale: 24 / 15 / 10.5 / 9.5 / 8 / 7.5 points."""

    def style(name: str, size: float, leading: float, **more: Any) -> ParagraphStyle:
        settings: dict[str, Any] = {
            "fontName": REGULAR,
            "textColor": HexColor(INK),
            "bulletFontName": REGULAR,
        }
        return ParagraphStyle(name, fontSize=size, leading=leading, **{**settings, **more})

    bold = {"fontName": BOLD}
    styles = [
        style("title", 24, 30, textColor=HexColor(ACCENT), spaceAfter=4, **bold),
        style("subtitle", 11, 16, textColor=HexColor(MUTED), spaceAfter=20),
        style("badge", 14, 18, textColor=white, **bold),
        style(
            "heading",
            15,
            20,
            textColor=HexColor(ACCENT),
            spaceBefore=18,
            spaceAfter=8,
            keepWithNext=1,
            **bold,
        ),
        style("small_heading", 10.5, 14, spaceBefore=10, spaceAfter=4, keepWithNext=1, **bold),
        style("body", 9.5, 13.8, spaceAfter=6),
        style("lead", 11.5, 17, spaceAfter=9),
        style("bullet", 9.5, 13.4, leftIndent=13, bulletIndent=2, spaceAfter=3),
        style("caption", 8.5, 11.8, spaceBefore=8, spaceAfter=4, keepWithNext=1, **bold),
        style("long_caption", 8.5, 11.8, spaceBefore=8, spaceAfter=4, **bold),
        style("cell", 7.8, 10.6, splitLongWords=1),
        style("head", 7.8, 10.6, **bold),
        style("note", 7.5, 10.4, textColor=HexColor(MUTED), spaceBefore=3, spaceAfter=10),
        style("figure_caption", 8, 11.2, spaceBefore=2, spaceAfter=12),
        style("contents", 9.5, 13),
    ]
    return {entry.name: entry for entry in styles}


class Typesetter:
    """Sets blocks; `fallback` are the signs that need the second font."""

    def __init__(self, figure_folder: Path, fallback: set[str]) -> None:
        self.folder = figure_folder
        self.fallback = re.compile(f"[{re.escape(''.join(sorted(fallback)))}]+") if fallback else None
        self.styles = make_styles()

    def markup(self, text: str, unbroken: re.Pattern[str] = IN_TEXT) -> str:
        """Plain text as reportlab's XML: escaped, subscripts set, numbers kept with their units."""
        escaped = html.escape(text, quote=False)
        escaped = "".join(sign if sign.isprintable() else " " for sign in escaped)
        escaped = unbroken.sub(lambda match: f"<nobr>{match[0]}</nobr>", escaped)
        escaped = SUBSCRIPTS.sub(r'\1<sub rise="1.6" size="70%">\2</sub>', escaped)
        if self.fallback is not None:
            escaped = self.fallback.sub(lambda match: f'<font name="{FALLBACK}">{match[0]}</font>', escaped)
        return escaped

    def paragraph(self, text: str, style: str, label: str = "", **more: Any) -> Flowable:
        """A paragraph of plain text, with its label in bold."""
        start = f'<font name="{BOLD}">{self.markup(label)}</font>  ' if label else ""
        return Paragraph(start + self.markup(text), self.styles[style], **more)

    def cover(self, front: Cover, colour: str) -> list[Flowable]:
        """Title, verdict, facts and notice."""
        badge = GridTable([[self.paragraph(front.verdict.capitalize(), "badge")]], colWidths=[WIDTH])
        badge.setStyle(
            [
                ("FONT", (0, 0), (-1, -1), REGULAR),
                ("BACKGROUND", (0, 0), (-1, -1), HexColor(colour)),
                ("LEFTPADDING", (0, 0), (-1, -1), 12),
                ("TOPPADDING", (0, 0), (-1, -1), 8),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 10),
            ]
        )
        limits = [self.boxed(front.banner)] if front.banner else []
        return [
            Spacer(1, 6 * mm),
            self.paragraph(front.title, "title"),
            self.paragraph(front.subtitle, "subtitle"),
            badge,
            Spacer(1, 3 * mm),
            self.paragraph(front.verdict_text, "body"),
            *limits,
            Spacer(1, 4 * mm),
            *self.set(front.facts),
            Spacer(1, 4 * mm),
            self.paragraph(front.notice, "note"),
        ]

    def boxed(self, text: str) -> Flowable:
        """A warning that cannot be overlooked."""
        box = GridTable([[self.paragraph(text, "body")]], colWidths=[WIDTH])
        box.setStyle(
            [
                ("FONT", (0, 0), (-1, -1), REGULAR),
                ("BACKGROUND", (0, 0), (-1, -1), HexColor(TINT)),
                ("LINEBEFORE", (0, 0), (0, -1), 3, HexColor(ALERT)),
                ("LEFTPADDING", (0, 0), (-1, -1), 10),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
        return box

    def section(self, number: int, section: Section) -> list[Flowable]:
        """Heading with bookmark, then the blocks."""
        text = f"{number}  {section.heading}"
        heading = self.paragraph(text, "heading")
        heading.outline_entry = (0, text, f"section-{number}")
        flowables = [flowable for block in section.blocks for flowable in self.set(block)]
        if flowables and isinstance(flowables[0], KeepTogether):  # else the heading may stay behind alone
            return [KeepTogether([heading, *flowables[0]._content]), *flowables[1:]]
        return [CondPageBreak(ROOM), heading, *flowables]

    @singledispatchmethod
    def set(self, block: object) -> list[Flowable]:
        """Flowables of one block."""
        raise TypeError(f"no way to set {type(block).__name__}")

    @set.register
    def _(self, block: Text) -> list[Flowable]:
        return [self.paragraph(block.text, block.kind, block.label)]

    @set.register
    def _(self, block: Heading) -> list[Flowable]:
        return [self.paragraph(block.text, "small_heading")]

    @set.register
    def _(self, block: Bullets) -> list[Flowable]:
        signs = [f"{n}." if block.numbered else "•" for n in range(1, len(block.items) + 1)]
        items = zip(block.items, signs, strict=True)
        return [self.paragraph(item, "bullet", bulletText=sign) for item, sign in items] + [Spacer(1, 4)]

    @set.register
    def _(self, block: Facts) -> list[Flowable]:
        rows = [[self.paragraph(label, "head"), self.paragraph(value, "cell")] for label, value in block.rows]
        grid = GridTable(rows, colWidths=[0.24 * WIDTH, 0.76 * WIDTH])
        grid.setStyle(
            [
                *BASE_STYLE,
                ("LEFTPADDING", (0, 0), (0, -1), 0),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(RULE)),
            ]
        )
        return [grid, Spacer(1, 8)]

    @set.register
    def _(self, block: Shown) -> list[Flowable]:
        figure = block.figure
        title = self.paragraph(figure.title, "caption")
        caption = self.paragraph(figure.caption, "figure_caption")
        return [KeepTogether([title, load_drawing(self.folder / figure.file), caption])]

    @set.register
    def _(self, block: Table) -> list[Flowable]:
        note = self.paragraph(block.note, "note") if block.note else Spacer(1, 10)
        if len(block.rows) <= SHORT_TABLE:
            caption = self.paragraph(block.caption, "caption")
            return [KeepTogether([caption, self.grid(block, []), note])]
        # The note is the last row, so that it does not stand alone on the next page.
        last_row = [[note, *[""] * (len(block.columns) - 1)]]
        caption = self.paragraph(block.caption, "long_caption")
        return [CondPageBreak(ROOM), caption, self.grid(block, last_row)]

    def grid(self, block: Table, last_row: list[list[Any]]) -> Flowable:
        """Head and rows; the head is repeated on each page. `last_row` spans all columns."""
        total = sum(column.share for column in block.columns)
        rows = [[self.cell(column.title, column, "head") for column in block.columns]]
        for index, row in enumerate(block.rows):
            style = "head" if block.marks.get(index) == "strong" else "cell"
            rows.append([self.cell(text, c, style) for text, c in zip(row, block.columns, strict=True)])
        grid = GridTable(
            rows + last_row, colWidths=[WIDTH * c.share / total for c in block.columns], repeatRows=1
        )
        grid.setStyle([*BASE_STYLE, *table_style(block), *(LAST_ROW if last_row else [])])
        return grid

    def cell(self, text: str, column: Column, style: str) -> Flowable:
        """One cell, aligned as its column; cut where it would outgrow the page."""
        limit = int(CELL_SIGNS * column.share)
        if len(text) > limit:
            text = text[:limit] + "… (cut; in full in results.json)"
        aligned = ParagraphStyle("aligned", self.styles[style], alignment=ALIGN[column.align])
        return Paragraph(self.markup(text, IN_CELL), aligned)


def table_style(block: Table) -> list[tuple[Any, ...]]:
    """Rules above and below, tints of marked rows, room between numbers and the text after them."""
    last = len(block.rows)
    ink, rule = HexColor(INK), HexColor(RULE)
    padded = [
        ("RIGHTPADDING", (i, 0), (i, last), 9)
        for i, (column, following) in enumerate(pairwise(block.columns))
        if column.align == "right" and following.align == "left"
    ]
    tinted = [
        ("BACKGROUND", (0, i + 1), (-1, i + 1), HexColor(MARK_COLOURS[mark]))
        for i, mark in block.marks.items()
        if mark in MARK_COLOURS
    ]
    return [
        ("BACKGROUND", (0, 0), (-1, 0), HexColor(TINT)),
        ("LINEABOVE", (0, 0), (-1, 0), 0.8, ink),
        ("LINEBELOW", (0, 0), (-1, 0), 0.5, ink),
        ("LINEBELOW", (0, 1), (-1, last - 1), 0.3, rule),
        ("LINEBELOW", (0, last), (-1, last), 0.8, ink),
        *padded,
        *tinted,
    ]


BASE_STYLE = [
    ("FONT", (0, 0), (-1, -1), REGULAR),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 4),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 2.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
]
LAST_ROW = [
    ("SPAN", (0, -1), (-1, -1)),
    ("LEFTPADDING", (0, -1), (-1, -1), 0),
    ("NOSPLIT", (0, -3), (-1, -1)),
]
MARK_COLOURS = {"muted": "#f1f4f7", "alert": "#fbeee6"}


def load_drawing(file: Path) -> Flowable:
    """An SVG file as vectors, as wide as the text."""
    drawing = svg2rlg(str(file)) if file.is_file() else None
    if drawing is None:
        raise RunDirectoryError(f"{file}: figure is missing or damaged; write the report again")
    scale = min(WIDTH / drawing.width, MAX_FIGURE / drawing.height)
    drawing.width, drawing.height = drawing.width * scale, drawing.height * scale
    drawing.scale(scale, scale)
    drawing.hAlign = "LEFT"
    return drawing
