"""Under the pages: structure for assistive technology, numbers of tables and sections, fonts for every sign."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pikepdf
import pytest

from audit.results import AuditResult
from reports import write_report
from reports.attachments import attachments
from reports.canvas import shorten
from reports.document import Bullets, Shown, Table, Text
from reports.figure_images import difference
from reports.figures import write_figures
from reports.lookups import config_fingerprint
from reports.references import referenced
from reports.sections import build_sections, cover
from reports.style import fallback_fonts, missing
from reports.traceability_section import NEEDS, traceability
from tests.results_factory import example_result

JAPANESE = ("正常", "ドルーゼン", "脈絡膜新生血管", "糖尿病黄斑浮腫")
ONE_PAIR = {"models": ("resnet50",), "optimizers": ("adam",), "normalizations": ("none",)}
GRID = {
    "optimizers": ("adam", "adabound", "sgd", "sgd-m"),
    "models": ("resnet18", "resnet50"),
    "severities": (1, 2),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(example_result(), tmp_path_factory.mktemp("structure"))


# ---- structure


def elements(node: pikepdf.Object) -> list[pikepdf.Object]:
    """This element and all below it, in reading order."""
    found = [node]
    for kid in node.get("/K", []):
        if kid.get("/Type") == "/StructElem":
            found += elements(kid)
    return found


def test_every_part_of_a_page_belongs_to_one_element_or_is_decoration(report: Path) -> None:
    with pikepdf.Pdf.open(report) as pdf:
        assert pdf.Root.MarkInfo.Marked
        (document,) = pdf.Root.StructTreeRoot.K
        claimed = [
            (kid.Pg.objgen, int(kid.MCID))
            for one in elements(document)
            for kid in one.K
            if kid.get("/Type") == "/MCR"
        ]
        numbers = list(pdf.Root.StructTreeRoot.ParentTree.Nums)
        drawn = []
        for page in pdf.pages:
            depth = 0
            owners = numbers[2 * int(page.StructParents) + 1]
            for instruction in pikepdf.parse_content_stream(page):
                operands, name = instruction.operands, str(instruction.operator)
                depth += {"BDC": 1, "BMC": 1, "EMC": -1}.get(name, 0)
                assert depth in (0, 1), "marks do not lie in each other"
                if name == "BDC":
                    number = int(operands[1].MCID)
                    drawn.append((page.obj.objgen, number))
                    assert str(owners[number].S) == str(operands[0]), "the tree names the same role"
                elif name in ("Tj", "TJ", "Do", "S", "f", "f*", "B"):
                    assert depth == 1, f"{name} outside of marks on a page"
            assert depth == 0
        assert Counter(drawn) == Counter(claimed)


def test_elements_are_those_of_the_report(report: Path) -> None:
    result, folder = example_result(), report.parent
    sections = build_sections(result, write_figures(result, folder / "figures"), attachments(result, folder))
    blocks = [block for section in sections for block in section.blocks]
    with pikepdf.Pdf.open(report) as pdf:
        found = elements(pdf.Root.StructTreeRoot.K[0])
        roles = Counter(str(one.S) for one in found)
        assert (roles["/H1"], roles["/Sect"], roles["/TOC"]) == (1, len(sections), 1)
        assert roles["/H2"] == len(sections) + 1, "one for each section and one for the contents"
        figures = [block.figure for block in blocks if isinstance(block, Shown)]
        assert [str(one.Alt) for one in found if one.S == "/Figure"] == [
            f"{figure.title}. {figure.alternative}" for figure in figures
        ]
        assert roles["/LI"] == sum(len(block.items) for block in blocks if isinstance(block, Bullets))
        tables = [block for block in blocks if isinstance(block, Table)]
        titled = [one for one in found if one.S == "/Table" and "/T" in one]
        assert [str(one.T) for one in titled] == [table.caption for table in tables]
        assert [len(one.K) for one in titled] == [len(table.rows) + 1 for table in tables]
        assert [str(cell.A.Scope) for cell in titled[0].K[0].K] == ["/Column"] * len(tables[0].columns)


@pytest.mark.skipif(shutil.which("qpdf") is None, reason="qpdf is not installed")
def test_qpdf_has_nothing_to_say(report: Path) -> None:
    checked = subprocess.run(["qpdf", "--check", str(report)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and "No syntax or stream encoding errors found" in checked.stdout


def test_metadata_are_the_same_in_both_places(report: Path) -> None:
    with pikepdf.Pdf.open(report) as pdf:
        assert pdf.Root.ViewerPreferences.DisplayDocTitle
        metadata = pdf.open_metadata()
        assert metadata["dc:title"] == str(pdf.docinfo["/Title"]) == "Robustness audit: OCT clinic set"


# ---- numbers and references


def test_tables_and_figures_are_numbered_through_and_sections_named_by_number() -> None:
    from reports.document import Column, Section

    table = Table("Counts.", [Column("n", 1.0)], [["see the section Second"]])
    sections = referenced(
        [Section("First", [table, Text("as in the section Second.")]), Section("Second", [table])]
    )
    first, text = sections[0].blocks
    assert isinstance(first, Table) and isinstance(text, Text)
    assert first.caption == "Table 1. Counts." and first.rows == [["see section 2 (Second)"]]
    assert text.text == "as in section 2 (Second)."
    assert sections[1].blocks[0].caption == "Table 2. Counts."


def test_mentions_of_sections_are_links(report: Path) -> None:
    with pikepdf.Pdf.open(report) as pdf:
        targets = [
            note.Dest[0].objgen
            for page in pdf.pages[2:]  # after cover and contents
            for note in page.get("/Annots", [])
        ]
        with pdf.open_outline() as outline:
            starts = [entry.destination[0].objgen for entry in outline.root]
    assert targets and set(targets) <= set(starts)


def test_no_mention_of_a_section_leads_nowhere() -> None:
    for result in (
        example_result(),
        example_result(**GRID),
        example_result(cells=[], conditions=[], scores=[]),
    ):
        assert "the section " not in repr(build_sections(result, [])).replace("the section of", "")


# ---- large grids


def test_a_large_grid_stands_in_the_appendix() -> None:
    result = example_result(**GRID)
    sections = {section.heading: section for section in build_sections(result, [])}
    text, table = sections["All conditions"].blocks[:2]
    assert isinstance(text, Text) and isinstance(table, Table)
    pairs = {" · ".join(pair) for pair in (("resnet18", "adam", "none"), ("resnet18", "adabound", "none"))}
    assert len(table.rows) < len(result.conditions) and pairs & {row[0] for row in table.rows}
    everything = sections["Appendix: all conditions"].blocks[0]
    assert isinstance(everything, Table) and len(everything.rows) == len(result.conditions)
    assert f"{len(table.rows)} of {len(everything.rows)} conditions" in text.text
    small = [section.heading for section in build_sections(example_result(), [])]
    assert "Appendix: all conditions" not in small


# ---- figures


def test_the_difference_is_ten_times_as_large_and_cut_at_white() -> None:
    clean = np.full((2, 2, 3), 100, dtype=np.uint8)
    perturbed = clean.copy()
    perturbed[0, 0], perturbed[1, 1] = 103, 0
    assert difference(clean, perturbed)[:, :, 0].tolist() == [[30, 0], [0, 255]]


def test_the_map_shows_every_method_on_the_mean_of_each_class(tmp_path: Path) -> None:
    result = example_result(class_names=("a & b", "c", "d", "e"), severities=(1, 2), **ONE_PAIR)
    figure = next(f for f in write_figures(result, tmp_path) if f.kind == "map")
    assert "(n = 180)" in figure.caption
    picture = (tmp_path / figure.file).read_text()
    assert picture.count("<image") == 2 * 4 and "a &amp; b" in picture
    assert all(method in picture for method in ("EvoShift", "shortcut", "random (first of 2 draws)"))
    without = result.model_copy(update={"dataset": result.dataset.model_copy(update={"means": []})})
    assert not [f for f in write_figures(without, tmp_path) if f.kind == "map"]


# ---- cover


def test_the_cover_names_operator_and_configuration() -> None:
    result = example_result()
    facts = dict(cover(result).facts.rows)
    assert facts["Operator"] == "not recorded"
    assert facts["Date"] == "2026-03-04, 05:06 UTC"
    assert facts["Configuration fingerprint"] == config_fingerprint(result)
    named = result.model_copy(update={"config": {**result.config, "operator": "Desk 2"}})
    assert dict(cover(named).facts.rows)["Operator"] == "Desk 2"
    assert config_fingerprint(named) != config_fingerprint(result)
    unnamed = result.model_copy(update={"config": {**result.config, "operator": ""}})
    assert dict(cover(unnamed).facts.rows)["Operator"] == "not stated"
    turned = result.model_copy(update={"config": dict(reversed(result.config.items()))})
    assert config_fingerprint(turned) == config_fingerprint(result), "the order of keys says nothing"


# ---- traceability


def clauses(result: AuditResult, document: int) -> dict[str, list[str]]:
    """Rows of one table by clause."""
    (section,) = [s for s in build_sections(result, []) if s.heading == "Traceability"]
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return {row[0]: row for row in tables[document].rows}


def test_clauses_name_sections_that_exist_and_claim_nothing_they_do_not_show() -> None:
    headings = {section.heading for section in build_sections(example_result(), [])}
    headings |= {"Defences and pairs compared", "Where the networks look"}  # not in this example
    for document in traceability().documents:
        for clause in document.clauses:
            assert set(clause.where) <= headings, clause
            assert bool(clause.where) == (clause.support != "not covered"), clause
            assert set(clause.needs) <= set(NEEDS)
    text = repr(traceability()).lower()
    assert "compliant" not in text and "compliance" not in text and "conform" not in text


def test_a_clause_that_the_audit_does_not_serve_says_what_is_missing() -> None:
    poisoning = "Art. 15(5), data poisoning"
    without = clauses(example_result(), 0)[poisoning]
    assert without[2:] == ["–", "not covered", "No defence was compared."]
    accuracy = clauses(example_result(), 0)["Art. 15(1), (3)"]
    assert accuracy[3] == "partial" and accuracy[2].startswith("section 7 (Results)")
    nothing = clauses(example_result(cells=[], conditions=[], scores=[]), 0)["Art. 15(1), (3)"]
    assert nothing[2:] == ["–", "not covered", "No training on clean images finished."]


def test_phantoms_support_nothing_about_patients() -> None:
    result = example_result(synthetic=True)
    assert clauses(result, 0)["Art. 15(4)"][3] == "partial (synthetic)"
    (section,) = [s for s in build_sections(result, []) if s.heading == "Traceability"]
    assert any(isinstance(b, Text) and b.label == "Synthetic data" for b in section.blocks)


# ---- fonts


def test_japanese_names_are_searchable_and_embedded(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    reader = pypdf.PdfReader(write_report(example_result(class_names=JAPANESE), tmp_path))
    text = "".join(page.extract_text() for page in reader.pages)
    assert all(name in text for name in JAPANESE)
    fonts = {
        str(font.get_object()["/BaseFont"]): "/FontFile2" in font.get_object()["/FontDescriptor"]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert all(fonts.values()) and any("IPAex" in name for name in fonts)


def test_the_font_that_comes_with_the_program_has_the_kana_and_the_common_kanji() -> None:
    signs = frozenset(missing(["あいうえおアイウエオ。、「」", *JAPANESE, "網膜皮膚癌検査報告書"]))
    ((file, own),) = fallback_fonts(signs)
    assert (file.name, own) == ("ipaexg.ttf", signs)


def test_a_sign_that_no_font_has_is_written_as_its_number(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    sign = "\U0001f9ff"  # a bead against the evil eye
    if any(sign in own for _, own in fallback_fonts(frozenset(sign))):
        pytest.skip("a font of this machine has the sign")
    reader = pypdf.PdfReader(
        write_report(example_result(class_names=("a" + sign, "b", "c", "d"), **ONE_PAIR), tmp_path)
    )
    assert "a[U+1F9FF]" in "".join(page.extract_text() for page in reader.pages)


def test_a_wide_sign_takes_the_room_of_two() -> None:
    assert shorten("NORMAL", 6) == "NORMAL" and shorten("NORMALLY", 6) == "NORMA…"
    assert shorten("正常", 4) == "正常" and shorten("脈絡膜新生血管", 9) == "脈絡膜…"
