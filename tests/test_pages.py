"""Page breaks: no page of a report is empty, however full the one before is."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.document import Block, Bullets, Section, Text
from reports.pdf import ReportDocument, story
from reports.pdf_blocks import Typesetter
from reports.sections import cover
from reports.style import register_fonts
from tests.results_factory import example_result

pypdf = pytest.importorskip("pypdf")
CONTENT = ("line ", "words", "Robustness audit\n")


@pytest.mark.parametrize("paragraphs", range(5))
def test_a_full_page_before_a_section_on_a_new_page_leaves_no_empty_one(
    tmp_path: Path, paragraphs: int
) -> None:
    """Paragraphs and bullets, of different heights, fill the page to within a line of its end or just beyond."""
    register_fonts()
    result = example_result()
    for lines in range(36, 48):
        blocks: list[Block] = [Text("words")] * paragraphs
        blocks.append(Bullets([f"line {i}" for i in range(lines)]))
        sections = [
            Section("First", blocks, new_page=True),
            Section("Second", [Text("words")], new_page=True),
        ]
        file = tmp_path / f"{lines}.pdf"
        setter = Typesetter(tmp_path, {})
        document = ReportDocument(str(file), result, setter)
        document.multiBuild(story(cover(result), sections, setter), maxPasses=8)
        pages = [page.extract_text() for page in pypdf.PdfReader(file).pages]
        assert all(any(word in page for word in CONTENT) for page in pages), (lines, len(pages))
