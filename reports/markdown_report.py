"""The report as Markdown (GitHub's dialect), for a CI step's summary or a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import singledispatchmethod
from pathlib import Path

from audit.results import AuditResult
from reports.attachments import Attachment
from reports.document import Bullets, Cover, Facts, Figure, Heading, Section, Shown, Table, Text
from reports.files import whole_file
from reports.language import say
from reports.sections import build_sections, cover

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
ALIGN = {"left": ":--", "right": "--:", "center": ":-:"}
CELL_SIGNS = 400  # of one table cell


def write_markdown(
    result: AuditResult,
    path: Path,
    figures: list[Figure],
    figure_folder: Path,
    files: Sequence[Attachment] = (),
) -> None:
    """Replace `path` in one step; figures are linked as files beside it. Equal input gives equal bytes."""
    setter = MarkdownSetter(figure_folder.name)
    sections = build_sections(result, figures, files)
    parts = [setter.cover(cover(result)), *[setter.section(n, s) for n, s in enumerate(sections, 1)]]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")


class MarkdownSetter:
    """Sets blocks as Markdown; every text is escaped here and nowhere else."""

    def __init__(self, figures: str) -> None:
        self.figures = figures

    def text(self, text: str) -> str:
        """One line, with nothing in it that Markdown or HTML would take for markup."""
        plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return SPECIAL.sub(r"\\\1", plain).replace("@", "@\u200b")  # nobody is notified

    def cover(self, front: Cover) -> str:
        """Title, verdict, facts and notice."""
        banner = f"> **{self.text(front.banner)}**\n\n" if front.banner else ""
        return (
            f"# {self.text(front.title)}\n\n**{self.text(front.verdict)}.** "
            f"{self.text(front.verdict_text)}\n\n{banner}{self.set(front.facts)}\n*{self.text(front.notice)}*\n"
        )

    def section(self, number: int, section: Section) -> str:
        """Heading, then the blocks."""
        blocks = "\n".join(self.set(block) for block in section.blocks)
        return f"## {number} {self.text(section.heading)}\n\n{blocks}"

    @singledispatchmethod
    def set(self, block: object) -> str:
        """Markdown of one block."""
        raise TypeError(f"no way to set {type(block).__name__}")

    @set.register
    def _(self, block: Text) -> str:
        label = f"**{self.text(block.label)}** " if block.label else ""
        return f"{label}{self.text(block.text)}\n"

    @set.register
    def _(self, block: Heading) -> str:
        return f"### {self.text(block.text)}\n"

    @set.register
    def _(self, block: Bullets) -> str:
        signs = [f"{n}." if block.numbered else "-" for n in range(1, len(block.items) + 1)]
        return "".join(f"{sign} {self.text(item)}\n" for sign, item in zip(signs, block.items, strict=True))

    @set.register
    def _(self, block: Facts) -> str:
        rows = "".join(f"| {self.text(label)} | {self.text(value)} |\n" for label, value in block.rows)
        return f"| | |\n|:--|:--|\n{rows}"

    @set.register
    def _(self, block: Shown) -> str:
        figure = block.figure
        return (
            f"**{self.text(figure.title)}**\n\n![{self.text(figure.alternative)}]({self.figures}/{figure.file})\n\n"
            f"{self.text(figure.caption)}\n"
        )

    @set.register
    def _(self, block: Table) -> str:
        head = " | ".join(self.text(column.title) or " " for column in block.columns)
        rule = "|".join(ALIGN[column.align] for column in block.columns)
        rows = "".join(
            f"| {' | '.join(self.cell(cell, block.marks.get(i) == 'strong') for cell in row)} |\n"
            for i, row in enumerate(block.rows)
        )
        note = f"\n{self.text(block.note)}\n" if block.note else ""
        return f"**{self.text(block.caption)}**\n\n| {head} |\n|{rule}|\n{rows}{note}"

    def cell(self, text: str, strong: bool) -> str:
        """One cell, cut where it is too long to be read in a table."""
        if len(text) > CELL_SIGNS:
            text = text[:CELL_SIGNS] + say("… (cut; in full in results.json)")
        found = self.text(text)
        return f"**{found}**" if strong and found else found
