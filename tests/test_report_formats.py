"""HTML and Markdown: the same sentences and numbers as in the PDF, nothing from elsewhere, nothing that names carry."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audit.errors import RunDirectoryError
from audit.results import AuditResult
from reports import write_report_as
from reports.document import Bullets, Facts, Heading, Shown, Table, Text
from reports.figures import write_figures
from reports.sections import build_sections
from tests.command_line import Command, make_command
from tests.results_factory import example_result

EVIL = ("<script>alert(1)</script>", "a|b `c` *d*", "_e_ [f](javascript:g)", "@everyone & \"h'")
VOID = {"meta", "img", "br"}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


class Reader(HTMLParser):
    """Text, tags and attributes; raises where tags do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == [], "unclosed tags"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def written(kind: str, result: AuditResult, folder: Path) -> str:
    path = write_report_as("html" if kind == "html" else "md", result, folder)
    return path.read_text(encoding="utf-8")


def sentences(result: AuditResult, folder: Path) -> list[str]:
    """Every text of the intermediate sections."""
    found: list[str] = []
    for section in build_sections(result, write_figures(result, folder / "again")):
        found.append(section.heading)
        for block in section.blocks:
            if isinstance(block, Text | Heading):
                found.append(block.text)
            elif isinstance(block, Bullets):
                found += block.items
            elif isinstance(block, Facts):
                found += [part for row in block.rows for part in row]
            elif isinstance(block, Shown):
                found += [block.figure.title, block.figure.caption]
            elif isinstance(block, Table):
                found += [block.caption, block.note, *[cell for row in block.rows for cell in row]]
    return [" ".join(text.split()) for text in found if text.strip()]


def test_html_holds_every_sentence_of_the_report(tmp_path: Path) -> None:
    result = example_result(synthetic=True, profile="quick")
    page = Reader(written("html", result, tmp_path))
    shown = page.text.replace("N p", "N_p")
    for text in sentences(result, tmp_path):
        assert text.replace("N_p", "Np").replace("α_S", "αS").replace("α_N", "αN") in shown, text


def test_markdown_holds_every_sentence_of_the_report(tmp_path: Path) -> None:
    result = example_result(synthetic=True, profile="quick")
    plain = re.sub(r"\\([\\`*_{}\[\]<>#|~$])", r"\1", written("md", result, tmp_path)).replace("\u200b", "")
    shown = " ".join(plain.split())
    for text in sentences(result, tmp_path):
        assert text in shown or len(text) > 400, text


def test_html_is_one_file_that_asks_nothing_of_anybody(tmp_path: Path) -> None:
    page = Reader(written("html", example_result(), tmp_path))
    tags = [tag for tag, _ in page.found]
    assert not {"script", "link", "iframe", "object"} & set(tags)
    sources = [a["src"] for tag, a in page.found if tag == "img"]
    assert sources and all(source and source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert all(a.get("alt") for tag, a in page.found if tag == "img"), "figures have a text"
    assert ("html", {"lang": "en-GB"}) in page.found
    anchors = {a["id"] for _, a in page.found if "id" in a}
    assert {a["href"] for tag, a in page.found if tag == "a"} == {f"#{anchor}" for anchor in anchors}


def test_what_class_names_carry_is_text(tmp_path: Path) -> None:
    result = example_result(class_names=EVIL)
    page = Reader(written("html", result, tmp_path))
    assert not [tag for tag, _ in page.found if tag == "script"]
    assert EVIL[0] in page.text and EVIL[3] in page.text
    text = written("md", result, tmp_path)
    assert "<script" not in text.replace("\\<script", "") and "](javascript" not in text.replace(
        "\\](javascript", ""
    )
    assert "@everyone" not in text, "nobody is notified"
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows and all(line.endswith(" |") for line in rows)


@pytest.mark.parametrize("kind", ["html", "md"])
def test_equal_input_gives_equal_bytes(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert written(kind, example_result(), tmp_path / "a") == written(kind, example_result(), tmp_path / "b")


def test_markdown_links_its_figures(tmp_path: Path) -> None:
    text = written("md", example_result(), tmp_path)
    linked = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert linked and all((tmp_path / file).is_file() for file in linked)


# ---- the command


def test_formats_and_places(audit: Command) -> None:
    example_result().save(Path("run/results.json"))
    assert audit("report", "run", "--format", "html").out == "run/report.html\n"
    Path("elsewhere").mkdir()
    assert audit("report", "run", "--format", "md", "--out", "elsewhere/a.md").out == "elsewhere/a.md\n"
    assert list(Path("elsewhere/figures").glob("*.svg")), "beside the file that links them"
    assert audit("report", "run", "--out", "elsewhere/a.pdf").out == "elsewhere/a.pdf\n"
    assert Path("elsewhere/a.pdf").read_bytes().startswith(b"%PDF-")


def test_unknown_format(audit: Command) -> None:
    example_result().save(Path("run/results.json"))
    outcome = audit("report", "run", "--format", "docx")
    assert (outcome.code, outcome.err) == (
        2, "audit: --format: unknown format 'docx'; write one of pdf, html, md\n",
    )  # fmt: skip


def test_a_folder_that_is_not_there(audit: Command) -> None:
    example_result().save(Path("run/results.json"))
    outcome = audit("report", "run", "--out", "nowhere/a.pdf")
    assert (outcome.code, outcome.err) == (
        2, "audit: nowhere/a.pdf: its folder does not exist; make it first, or choose another --out\n",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["html", "md", "pdf"])
def test_a_place_that_cannot_be_written(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = example_result()

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("reports.files.tempfile.mkstemp", denied)
    with pytest.raises(RunDirectoryError) as refusal:
        write_report_as("html" if kind == "html" else "md" if kind == "md" else "pdf", result, tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path / f'report.{kind}'}: cannot be written (Permission denied); choose another folder"
    )


def test_japanese_on_paper(audit: Command) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    example_result(class_names=("clean", "b", "c", "d")).save(Path("run/results.json"))
    assert audit("report", "run", "--lang", "ja").out == "run/report-ja.pdf\n"
    reader = pypdf.PdfReader("run/report-ja.pdf")
    assert reader.trailer["/Root"]["/Lang"] == "ja"
    text = "".join(page.extract_text() for page in reader.pages)
    assert "頑健性監査報告書" in text and "研究用。医療機器ではありません。" in text
    assert not re.search(r"\b(the|of|which|that)\b", text)
    assert sorted(path.name for path in Path("run").iterdir()) == [
        "figures-ja",
        "report-ja.pdf",
        "results.json",
    ]
    figure = Path("run/figures-ja/test-error.svg").read_text()
    assert "font-family" not in figure, "outlines: one text has signs of two fonts"


def test_unknown_language(audit: Command) -> None:
    example_result().save(Path("run/results.json"))
    outcome = audit("report", "run", "--lang", "fr")
    assert (outcome.code, outcome.err) == (2, "audit: --lang: unknown language 'fr'; write one of en, ja\n")
