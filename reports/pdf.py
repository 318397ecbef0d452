"""The report as PDF: cover, contents, numbered sections. Equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import TimeStamp
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Spacer,
    TableStyle,
)

from audit.results import AuditResult
from reports import words
from reports.attachments import Attachment
from reports.document import Block, Cover, Facts, Figure, Section, Shown, Table
from reports.files import whole_file
from reports.language import code, say, signs
from reports.pdf_blocks import Typesetter
from reports.pdf_finish import finish
from reports.sections import FOOTER, TITLE, build_sections, cover
from reports.style import (
    REGULAR,
    RULE,
    TEXT_WIDTH,
    VERDICTS,
    register_fallback,
    register_fonts,
)
from reports.tagging import MarkedContents, marked

SIDE = (210 - TEXT_WIDTH) / 2  # mm
TOP, BOTTOM = 26.0, 22.0  # mm
PASSES = 8  # until the page numbers of the contents no longer move


def write_pdf(
    result: AuditResult,
    path: Path,
    figures: list[Figure],
    figure_folder: Path,
    files: Sequence[Attachment] = (),
) -> None:
    """Lay out the report, attach the files, and replace `path` by it in one step. The date is that of the run."""
    register_fonts()
    sections = build_sections(result, figures, files)
    front = cover(result)
    setter = Typesetter(
        figure_folder, register_fallback([*all_texts(front, sections), *margins(result), *signs()])
    )
    with whole_file(path) as temporary:
        document = ReportDocument(str(temporary), result, setter)
        document.multiBuild(story(front, sections, setter), maxPasses=PASSES)
        finish(temporary, setter.root, files, moment_of(result.created))


class ReportDocument(BaseDocTemplate):  # type: ignore[misc]
    """A4 pages with running header and 'page x of y'; headings become bookmarks and contents."""

    def __init__(self, file: str, result: AuditResult, setter: Typesetter) -> None:
        limits = words.banner(result)
        super().__init__(
            file,
            pagesize=A4,
            initialFontName=REGULAR,
            invariant=1,
            lang=code(),
            title=f"{say(TITLE)}: {result.dataset.name}",
            author=f"audit {result.environment.audit_version}",
            subject=f"Audit {result.audit_id}, {result.finding.verdict}" + (f"; {limits}" if limits else ""),
            creator=f"audit {result.environment.audit_version}",
            keywords=["robustness", "medical imaging", "audit", *([limits] if limits else [])],
        )
        self.result, self.setter = result, setter
        self.total = self.page = 0
        frame = Frame(SIDE * mm, BOTTOM * mm, TEXT_WIDTH * mm, A4[1] - (TOP + BOTTOM) * mm, 0, 0, 0, 0)
        self.addPageTemplates([PageTemplate("page", [frame], onPage=self.draw_margins)])

    def handle_documentBegin(self) -> None:
        """The date of the file is the date of the run."""
        self.total = self.page  # of the pass before
        self.setter.root.clear()
        self.canv._doc._timeStamp = run_time(self.result.created)
        super().handle_documentBegin()

    def _allSatisfied(self) -> bool:
        """Done when the contents no longer move and the number of pages printed is the number there are."""
        return bool(super()._allSatisfied()) and self.total == self.page

    def afterFlowable(self, flowable: Flowable) -> None:
        """Enter headings into the outline and the contents."""
        entry = getattr(flowable, "outline_entry", None)
        if entry is not None:
            level, text, key = entry
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(text, key, level, closed=False)
            if level == 0:
                self.notify("TOCEntry", (level, self.setter.markup(text), self.page, key))

    def draw_margins(self, canvas: Any, _document: BaseDocTemplate) -> None:
        """Header: audit and limits; footer: data set, notice, page x of y."""
        left, right = SIDE * mm, A4[0] - SIDE * mm
        head, foot = A4[1] - 16 * mm, 13 * mm
        title, limits, notice = margins(self.result)
        number = say(f"page {canvas.getPageNumber()} of {self.total}")
        for text, height, style in (
            (title, head, "margin"),
            (limits, head, "margin_limits"),
            (notice, foot, "margin"),
            (number, foot, "margin_right"),
        ):
            line = self.setter.decoration(text, style)
            line.wrapOn(canvas, TEXT_WIDTH * mm, 10 * mm)
            line.drawOn(canvas, left, height - 2)
        with marked(canvas, None):
            canvas.saveState()
            canvas.setStrokeColor(HexColor(RULE))
            canvas.setLineWidth(0.5)
            canvas.line(left, head - 2.2 * mm, right, head - 2.2 * mm)
            canvas.line(left, foot + 3.6 * mm, right, foot + 3.6 * mm)
            canvas.restoreState()


def margins(result: AuditResult) -> tuple[str, str, str]:
    """Header left and right, footer left, in the language of the report."""
    return f"{say(TITLE)} · {result.audit_id}", say(words.capital(words.banner(result))), say(FOOTER)


def moment_of(created: str) -> datetime | None:
    """The time of the run, UTC; None where `created` is no date."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def run_time(created: str) -> Any:
    """The time of the run as reportlab's time stamp; its fixed date where `created` is no date."""
    stamp, moment = TimeStamp(1), moment_of(created)
    if moment is None:
        return stamp
    stamp.t, stamp.lt = moment.timestamp(), moment.timetuple()
    stamp.YMDhms = tuple(stamp.lt)[:6]
    return stamp


def story(front: Cover, sections: list[Section], setter: Typesetter) -> list[Flowable]:
    """All flowables in order: cover with contents, then the sections."""
    flowables = [NextPageTemplate("page"), *setter.cover(front, VERDICTS[front.look]), *contents(setter)]
    for number, section in enumerate(sections, start=1):
        if section.new_page:
            # A spacer would begin a page of its own where the last one is full.
            while isinstance(flowables[-1], Spacer):
                flowables.pop()
            flowables.append(PageBreak())
        flowables += setter.section(number, section)
    return flowables


def contents(setter: Typesetter) -> list[Flowable]:
    """The table of contents, with page numbers that link."""
    grid = TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), REGULAR),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 0.8),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0.8),
        ]
    )
    heading = setter.paragraph(say("Contents"), "small_heading", role="H2")
    table = MarkedContents(dotsMinLevel=0, levelStyles=[setter.styles["contents"]], tableStyle=grid)
    table.node = setter.root.add("TOC")
    return [heading, table]


def all_texts(front: Cover, sections: list[Section]) -> Iterator[str]:
    """Every text of the report, to find signs that the font lacks."""
    yield from (value for row in front.facts.rows for value in row)
    for section in sections:
        for block in section.blocks:
            yield from block_texts(block)


def block_texts(block: Block) -> Iterator[str]:
    """The texts of one block."""
    if isinstance(block, Table):
        yield block.caption
        yield from (cell for row in block.rows for cell in row)
    elif isinstance(block, Facts):
        yield from (value for row in block.rows for value in row)
    elif isinstance(block, Shown):
        yield from (block.figure.title, block.figure.caption)
    else:
        yield from getattr(block, "items", None) or [getattr(block, "text", "")]
