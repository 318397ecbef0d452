"""From blocks of plain data to reportlab flowables: one type scale, one table style, escaped text."""

from __future__ import annotations

import html
import itertools
import re
from functools import singledispatchmethod
from itertools import pairwise
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_CENTER, TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Spacer
from svglib.svglib import svg2rlg

from audit.errors import RunDirectoryError
from reports.document import Bullets, Column, Cover, Facts, Heading, Section, Shown, Table, Text
from reports.language import code, say
from reports.references import MENTION
from reports.style import ACCENT, ALERT, BOLD, INK, MUTED, REGULAR, RULE, TEXT_WIDTH, TINT
from reports.tagging import MarkedDrawing, MarkedParagraph, MarkedTable, Node

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
CUT = "… (cut; in full in results.json)"
ROOM = 60 * mm  # below a heading or a caption


def make_styles() -> dict[str, ParagraphStyle]:
    """The type scale: 24 / 15 / 10.5 / 9.5 / 8 / 7.5 points."""

    def style(name: str, size: float, leading: float, **more: Any) -> ParagraphStyle:
        settings: dict[str, Any] = {
            "wordWrap": "CJK" if code() == "ja" else None,
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
        style("contents", 8.5, 10.6),
        style("margin", 7.5, 10, textColor=HexColor(MUTED)),
        style("margin_right", 7.5, 10, textColor=HexColor(MUTED), alignment=TA_RIGHT),
        style("margin_limits", 7.5, 10, textColor=HexColor(ACCENT), alignment=TA_RIGHT),
    ]
    return {entry.name: entry for entry in styles}


class Typesetter:
    """Sets blocks; `fallback` names the font for each sign that the text font lacks ("": no font has it)."""

    def __init__(self, figure_folder: Path, fallback: dict[str, str]) -> None:
        self.folder = figure_folder
        self.fonts = fallback
        self.fallback = re.compile(f"[{re.escape(''.join(sorted(fallback)))}]+") if fallback else None
        self.styles = make_styles()
        self.root = Node("Document")
        self.parent = self.root  # where the next element goes

    def markup(self, text: str, unbroken: re.Pattern[str] = IN_TEXT) -> str:
        """Plain text as reportlab's XML: escaped, subscripts set, numbers kept with their units."""
        escaped = html.escape(text, quote=False)
        escaped = "".join(sign if sign.isprintable() else " " for sign in escaped)
        escaped = unbroken.sub(lambda match: f"<nobr>{match[0]}</nobr>", escaped)
        escaped = MENTION.sub(link, escaped)
        escaped = SUBSCRIPTS.sub(r'\1<sub rise="1.6" size="70%">\2</sub>', escaped)
        if self.fallback is not None:
            escaped = self.fallback.sub(lambda match: self.in_other_fonts(match[0]), escaped)
        return escaped

    def in_other_fonts(self, run: str) -> str:
        """Signs that the text font lacks; one that no font has is written as its code point, not as an empty box."""
        return "".join(
            f'<font name="{name}">{"".join(signs)}</font>'
            if name
            else "".join(f"[U+{ord(s):04X}]" for s in signs)
            for name, signs in itertools.groupby(run, self.fonts.__getitem__)
        )

    def paragraph(
        self, text: str, style: str, label: str = "", role: str = "P", node: Node | None = None, **more: Any
    ) -> Flowable:
        """A paragraph of plain text, with its label in bold; `node`: its element, else a new one of that role."""
        start = f'<font name="{BOLD}">{self.markup(label)}</font>  ' if label else ""
        found = MarkedParagraph(start + self.markup(text), self.styles[style], **more)
        found.node = node or self.parent.add(role)
        return found

    def decoration(self, text: str, style: str) -> Flowable:
        """A line that stands on each page and belongs to no element."""
        return MarkedParagraph(self.markup(text), self.styles[style])

    def cover(self, front: Cover, colour: str) -> list[Flowable]:
        """Title, verdict, facts and notice."""
        title, subtitle = (
            self.paragraph(front.title, "title", role="H1"),
            self.paragraph(front.subtitle, "subtitle"),
        )
        badge = MarkedTable([[self.paragraph(front.verdict, "badge")]], colWidths=[WIDTH])
        badge.setStyle(
            [
                ("FONT", (0, 0), (-1, -1), REGULAR),
                ("BACKGROUND", (0, 0), (-1, -1), HexColor(colour)),
                ("LEFTPADDING", (0, 0), (-1, -1), 12),
                ("TOPPADDING", (0, 0), (-1, -1), 8),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 10),
            ]
        )
        verdict = self.paragraph(front.verdict_text, "body")
        limits = [self.boxed(front.banner)] if front.banner else []
        return [
            Spacer(1, 6 * mm),
            title,
            subtitle,
            badge,
            Spacer(1, 3 * mm),
            verdict,
            *limits,
            Spacer(1, 4 * mm),
            *self.set(front.facts),
            Spacer(1, 4 * mm),
            self.paragraph(front.notice, "note"),
        ]

    def boxed(self, text: str) -> Flowable:
        """A warning that cannot be overlooked."""
        box = MarkedTable([[self.paragraph(text, "body")]], colWidths=[WIDTH])
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
        self.parent = self.root.add("Sect", title=text)
        heading = self.paragraph(text, "heading", role="H2")
        heading.outline_entry = (0, text, f"section-{number}")
        flowables = [heading]
        for block in section.blocks:
            flowables += self.set(block)
        self.parent = self.root
        kept = headings_kept(flowables)
        return kept if isinstance(kept[0], KeepTogether) else [CondPageBreak(ROOM), *kept]

    @singledispatchmethod
    def set(self, block: object) -> list[Flowable]:
        """Flowables of one block."""
        raise TypeError(f"no way to set {type(block).__name__}")

    @set.register
    def _(self, block: Text) -> list[Flowable]:
        found = self.paragraph(block.text, block.kind, block.label)
        if block.text.endswith((":", "：")):  # it leads to what follows
            found.keepWithNext = 1
        return [found]

    @set.register
    def _(self, block: Heading) -> list[Flowable]:
        return [self.paragraph(block.text, "small_heading", role="H3")]

    @set.register
    def _(self, block: Bullets) -> list[Flowable]:
        signs = [f"{n}." if block.numbered else "•" for n in range(1, len(block.items) + 1)]
        entries, items = self.parent.add("L"), []
        for item, sign in zip(block.items, signs, strict=True):
            body = entries.add("LI").add("LBody")
            items.append(self.paragraph(item, "bullet", node=body, bulletText=sign))
        return [*items, Spacer(1, 4)]

    @set.register
    def _(self, block: Facts) -> list[Flowable]:
        table, rows = self.parent.add("Table"), []
        for label, value in block.rows:
            row = table.add("TR")
            first = self.paragraph(label, "head", node=row.add("TH", scope="Row"))
            rows.append([first, self.paragraph(value, "cell", node=row.add("TD"))])
        grid = MarkedTable(rows, colWidths=[0.24 * WIDTH, 0.76 * WIDTH])
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
        node = self.parent.add("Figure", alternative=f"{figure.title}. {figure.alternative}")
        drawing = MarkedDrawing(load_drawing(self.folder / figure.file), node)
        caption = self.paragraph(figure.caption, "figure_caption")
        return [KeepTogether([title, drawing, caption])]

    @set.register
    def _(self, block: Table) -> list[Flowable]:
        long = len(block.rows) > SHORT_TABLE
        caption = self.paragraph(block.caption, "long_caption" if long else "caption")
        table = self.parent.add("Table", title=block.caption)
        note = self.paragraph(block.note, "note") if block.note else Spacer(1, 10)
        if not long:
            return [KeepTogether([caption, self.grid(block, [], table), note])]
        # The note is the last row, so that it does not stand alone on the next page.
        last_row = [[note, *[""] * (len(block.columns) - 1)]]
        return [CondPageBreak(ROOM), caption, self.grid(block, last_row, table)]

    def grid(self, block: Table, last_row: list[list[Any]], table: Node) -> Flowable:
        """Head and rows; the head is repeated on each page. `last_row` spans all columns."""
        total = sum(column.share for column in block.columns)
        top = table.add("TR")
        rows = [
            [
                self.cell(column.title, column, "head", top.add("TH", scope="Column"))
                for column in block.columns
            ]
        ]
        for index, row in enumerate(block.rows):
            style = "head" if block.marks.get(index) == "strong" else "cell"
            line = table.add("TR")
            cells = zip(row, block.columns, strict=True)
            rows.append([self.cell(text, column, style, line.add("TD")) for text, column in cells])
        grid = MarkedTable(
            rows + last_row, colWidths=[WIDTH * c.share / total for c in block.columns], repeatRows=1
        )
        grid.setStyle([*BASE_STYLE, *table_style(block), *(LAST_ROW if last_row else [])])
        return grid

    def cell(self, text: str, column: Column, style: str, node: Node) -> Flowable:
        """One cell, aligned as its column; cut where it would outgrow the page."""
        limit = int(CELL_SIGNS * column.share)
        if len(text) > limit:
            text = f"{text[:limit]}{say(CUT)}"
        aligned = ParagraphStyle("aligned", self.styles[style], alignment=ALIGN[column.align])
        found = MarkedParagraph(self.markup(text, IN_CELL), aligned)
        found.node = node
        return found


def headings_kept(flowables: list[Flowable]) -> list[Flowable]:
    """A heading before a group that is kept together becomes a part of it: else it may stay behind alone."""
    found: list[Flowable] = []
    for flowable in flowables:
        before = found[-1] if found else None
        heading = isinstance(before, MarkedParagraph) and before.style.name in ("heading", "small_heading")
        if isinstance(flowable, KeepTogether) and heading:
            found[-1] = KeepTogether([before, *flowable._content])
        else:
            found.append(flowable)
    return found


def link(mention: re.Match[str]) -> str:
    """A mention of a section as a link to it."""
    return f'<a href="#section-{mention[1] or mention[2]}" color="{ACCENT}">{mention[0]}</a>'


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
    return drawing
