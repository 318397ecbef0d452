"""The PDF says what the result says, labels what it says, and drops nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit.results import AuditResult, CheckResult, Cost
from reports import words, write_report
from reports.document import Block, Bullets, Table, Text
from reports.integrity_section import integrity_section
from reports.sections import build_sections
from reports.style import missing
from tests.results_factory import ALL_METHODS, example_result

pypdf = pytest.importorskip("pypdf")

FORBIDDEN = ("compliant", "use sgd", "guarantee")


def pages_of(result: AuditResult, folder: Path) -> list[str]:
    """The text layer, page by page, with runs of blanks made one."""
    path = write_report(result, folder)
    pages = pypdf.PdfReader(path).pages
    return [re.sub(r"\s+", " ", page.extract_text()) for page in pages]


def text_of(result: AuditResult, folder: Path) -> str:
    """The whole text layer."""
    return " ".join(pages_of(result, folder))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditResult, Path, list[str]]:
    """One complete report of an audit of real images with two seeds."""
    folder = tmp_path_factory.mktemp("report")
    result = example_result()
    return result, folder, pages_of(result, folder)


def test_every_accuracy_and_drop_of_the_result_is_printed(example):
    result, _, pages = example
    text = " ".join(pages)
    for condition in result.conditions:
        assert words.percent_interval(condition.accuracy) in text
        if condition.drop is not None:
            assert words.points_interval(condition.drop).replace(" points", "") in text
    for row in result.scores:
        assert row.is_baseline or words.ratio_interval(row.score) in text


def test_intervals_read_as_the_numbers_they_are():
    interval = (
        example_result()
        .conditions[0]
        .accuracy.model_copy(update={"estimate": 0.931, "low": 0.902, "high": 0.954})
    )
    assert words.percent_interval(interval) == "93.1 % (90.2–95.4)"
    assert words.percent_interval(words.error_of(interval)) == "6.9 % (4.6–9.8)"
    drop = interval.model_copy(update={"estimate": -0.0001, "low": -0.02, "high": 0.02})
    assert words.points_interval(drop) == "0.0 points (−2.0 to 2.0)"


def test_table_4_1_holds_the_mean_over_seeds(example):
    result, _, pages = example
    found = [
        c.measures for c in result.cells if c.pair == ("resnet50", "adam", "none") and c.attack == "clean"
    ]
    recall = sum(m.per_class[1].recall for m in found if m) / len(found)
    row = re.search(r"DRUSEN 25 (\d\.\d\d) / (\d\.\d\d) / (\d\.\d\d)", " ".join(pages))
    assert row is not None
    assert row[2] == f"{recall:.2f}"


def test_each_page_has_its_number_and_the_audit_id(example):
    _, _, pages = example
    for number, text in enumerate(pages, start=1):
        assert f"page {number} of {len(pages)}" in text
        assert "0123456789abcdef" in text


def test_finding_actions_limitations_and_notice_are_printed(example):
    result, _, pages = example
    text = " ".join(pages)
    for part in (
        result.finding.sentence,
        result.finding.reason,
        *result.finding.actions,
        *result.limitations,
    ):
        assert part in text
    assert "Not a medical device" in text
    assert "hash-evoshift-1-0" in text
    assert result.command in text


def test_forbidden_words_do_not_appear(example):
    text = " ".join(example[2]).lower()
    for word in FORBIDDEN:
        assert word not in text


def test_peak_is_an_oracle_and_under_fitting_is_marked(example):
    text = " ".join(example[2])
    assert "Peak (oracle)" in text
    assert "under-fitted: 1 of 2 trainings" in text
    unfit = next(c for c in example[0].conditions if c.under_fitted_seeds)
    assert f"{words.percent_interval(unfit.accuracy)} †" in text


def test_synthetic_stands_on_every_page_or_on_none(example, tmp_path):
    assert not any("synthetic" in page.lower() for page in example[2])
    for page in pages_of(example_result(synthetic=True, profile="quick"), tmp_path):
        assert "synthetic data" in page.lower()
        assert "quick profile" in page.lower()


def test_every_figure_caption_says_synthetic(tmp_path):
    from reports.figures import write_figures

    figures = write_figures(example_result(synthetic=True, profile="quick"), tmp_path)
    assert {f.kind for f in figures} == {
        "test-error", "pareto", "scores", "confusion", "epochs", "search", "map", "examples",
    }  # fmt: skip
    for figure in figures:
        assert figure.caption.endswith("Synthetic data, quick profile.")
        assert figure.alternative in (tmp_path / figure.file).read_text().replace("&gt;", ">")


def test_equal_input_gives_equal_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (write_report(example_result(), tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    for file in (tmp_path / "a" / "figures").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "figures" / file.name).read_bytes()
    assert b"20260304050607" in first.read_bytes()  # the date of the run, not of the writing


def test_no_font_is_left_out_of_the_file(example):
    reader = pypdf.PdfReader(example[1] / "report.pdf")
    names = set()
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            descriptor = font.get_object()["/FontDescriptor"].get_object()
            assert "/FontFile2" in descriptor
            names.add(descriptor["/FontName"])
    assert names and all("DejaVu" in name for name in names)


def test_document_has_title_language_and_outline(example):
    reader = pypdf.PdfReader(example[1] / "report.pdf")
    assert reader.metadata.title == "Robustness audit: OCT clinic set"
    assert reader.trailer["/Root"]["/Lang"] == "en-GB"
    assert next(e.title for e in reader.outline) == "1  Summary"


def test_failed_cells_are_printed_with_their_reason(tmp_path):
    reason = "loss is not finite at epoch 2"
    failures = {("densenet121", "adam", "none", "evoshift"): reason}
    text = text_of(example_result(failures=failures), tmp_path)
    assert f"failed: {reason}" in text
    assert "Incomplete audit" in text
    assert "2 of 44 trainings failed" in text


def test_pairs_that_failed_in_one_panel_keep_their_name_in_the_legend(tmp_path):
    from reports.figures import write_figures

    result = example_result(failures={("resnet50", "adam", "none", "clean"): "out of memory"})
    figures = {f.file: f for f in write_figures(result, tmp_path)}
    assert "adam · no defence" in (tmp_path / "accuracy-by-epoch-resnet50.svg").read_text()
    caption = figures["accuracy-by-epoch-resnet50.svg"].caption
    assert "not drawn: adam · no defence, clean." in caption


def test_one_seed_says_what_the_interval_leaves_out(example, tmp_path):
    sentence = "the interval does not contain the spread between trainings"
    assert sentence not in " ".join(example[2])
    pages = pages_of(example_result(seeds=(0,)), tmp_path)
    assert sentence in pages[1]  # the page that clinicians read
    assert "1 training (seeds) per condition" in pages[1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scores": []}, "No score could be formed"),
        ({"perturbations": []}, "The search was not run, or left no record"),
        ({"severities": ()}, "The attack by EvoShift was not run"),
        ({"limitations": []}, "this does not mean that there are none"),
        ({"config": {}}, "not recorded"),
        ({"cells": [], "conditions": [], "scores": []}, "No training was planned or none is recorded"),
    ],
)
def test_what_is_missing_gets_a_sentence(changes, sentence, tmp_path):
    small = {"models": ("resnet50",), "optimizers": ("adam",)}
    assert sentence in text_of(example_result(**small, **changes), tmp_path)


def test_names_are_escaped(tmp_path):
    names = ("Érythème & <b>", "<script>&", "$Ulcer_{x}$", "a very long name of a class " * 4)
    text = text_of(example_result(class_names=names), tmp_path)
    for name in names[:3]:
        assert name in text


def test_signs_that_the_font_lacks_are_found_and_do_not_stop_the_report(tmp_path):
    assert missing(["網膜", "Größe"]) == {"網", "膜"}
    assert text_of(example_result(class_names=("網膜", "b", "c", "d")), tmp_path)


def test_large_grids_show_a_selection_and_say_so(tmp_path):
    result = example_result(optimizers=("adam", "adabound", "sgd", "sgd-m"), severities=(1, 2, 5))
    text = text_of(result, tmp_path)
    assert "Of 16 pairs only the worst and the best under attack and the baseline are shown" in text
    assert all(words.percent_interval(c.accuracy) in text for c in result.conditions)


def test_sections_are_plain_data(example):
    result = example[0]
    headings = [section.heading for section in build_sections(result, [])]
    assert headings[:4] == ["Summary", "Recommendation", "Scope", "Data"]
    assert headings[-3:] == ["Limitations", "Traceability", "Reproduction"]


def test_a_report_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    write_report(example_result(), tmp_path)
    write_report(example_result(), tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["figures", "report.pdf"]


def test_reports_need_no_torch():
    code = "import sys, reports, reports.pdf, reports.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


ONE_PAIR = {"models": ("resnet50",), "optimizers": ("adam",), "normalizations": ("none",)}


def blocks_of(result: AuditResult, heading: str) -> list[Block]:
    """The blocks of one section, without figures."""
    return next(section.blocks for section in build_sections(result, []) if section.heading == heading)


def table_of(result: AuditResult, heading: str, caption: str) -> Table:
    """The table of a section whose caption begins so."""
    tables = [block for block in blocks_of(result, heading) if isinstance(block, Table)]
    return next(table for table in tables if f". {caption}" in table.caption)


def test_the_recipe_names_the_augmentation(example):
    table = table_of(example_result(augmentation="crop-flip", **ONE_PAIR), "Protocol", "Training recipes")
    assert table.columns[-1].title == "Augmentation"
    assert [row[-1] for row in table.rows] == ["crop-flip"]
    plain = table_of(example[0], "Protocol", "Training recipes")
    assert {row[-1] for row in plain.rows} == {"none"}
    assert plain.note == ""


def test_the_protocol_says_what_each_defence_does(example):
    changed = example[0].model_copy(
        update={"defences": {"crop-flip": "shifts and flips", "csn": "zero mean"}}
    )
    said = [block for block in blocks_of(changed, "Protocol") if isinstance(block, Bullets)]
    assert said[0].items == ["crop-flip: shifts and flips.", "CSN: zero mean."]
    none = blocks_of(example_result(**ONE_PAIR), "Protocol")
    assert any(isinstance(b, Text) and b.text.startswith("No defence was tested") for b in none)


@pytest.mark.parametrize(
    ("edited", "fraction", "phrase"),
    [
        (None, 1.0, "every training image of a class"),
        (None, 0.5, "50.0 % of the training images of each class"),
        ((3,), 1.0, "every training image of class DME alone"),
        ((1, 2, 3), 1.0, "every training image of the classes DRUSEN, CNV and DME alone"),
        ((2, 3), 0.25, "25.0 % of the training images of each of the classes CNV and DME alone"),
        ((), 1.0, "no training image"),
    ],
)
def test_which_images_carry_the_pixels(edited, fraction, phrase):
    result = example_result(edited=edited, fraction=fraction, **ONE_PAIR)
    assert words.carriers(result) == phrase
    assert words.px_note(result) == f"px: pixels changed in {phrase}."


def test_partly_perturbed_classes_are_said_plainly(tmp_path):
    result = example_result(edited=(2, 3), fraction=0.5, **ONE_PAIR)
    text = text_of(result, tmp_path)
    part = "50.0 % of the training images of each of the classes CNV and DME alone"
    for sentence in (
        f"Here a few pixels are changed in {part}, the same ones throughout a class.",
        f"Changed pixels in {part}",
        f"px: pixels changed in {part}.",
        f"The same pixels are changed in {part}; test images never carry them.",
        f"Carried by {part}.",
    ):
        assert sentence in text
    assert "very training image of a class" not in text
    assert "ll training images of a class" not in text
    assert "EvoShift, 1 px NORMAL, DRUSEN not edited 0.0 %" in text
    assert (tmp_path / "figures" / "examples-evoshift-1px.svg").read_text().count("(not edited)") == 2


def test_methods_may_differ_in_the_classes_that_they_edit():
    result = example_result(methods=ALL_METHODS, **ONE_PAIR)
    first, *others = result.perturbations
    kept = first.model_copy(update={"edits": [e for e in first.edits if e.label == 0]})
    mixed = result.model_copy(update={"perturbations": [kept, *others]})
    assert first.attack == "random"
    assert words.carriers(mixed) == (
        "every training image of a class (EvoShift, random search, shortcut, heuristic (label by position), transfer "
        "(from other images), random), or every training image of class NORMAL alone (random)"
    )


def test_without_evoshift_the_tables_follow_the_next_method(tmp_path):
    result = example_result(methods=("shortcut", "heuristic"), **ONE_PAIR)
    text = text_of(result, tmp_path)
    assert "it took those of shortcut and heuristic (label by position), trained models on them" in text
    assert "by number of pixels changed per class (shortcut)." in text
    assert "EvoShift: not run, not part of this audit's configuration." in text
    assert "Shortcut left an accuracy not separated from that of heuristic (label by position)" in text
    assert "This audit holds no training on images changed by the search" not in text
    found = next(c for c in result.conditions if c.attack == "shortcut")
    assert words.percent_interval(words.error_of(found.accuracy)) in text


def test_the_summary_says_whose_the_worst_finding_is():
    result = example_result(methods=("evoshift", "random-search"), **ONE_PAIR)
    worst = next(c for c in result.conditions if c.attack == "random-search")
    finding = result.finding.model_copy(update={"worst": worst})
    (table,) = [
        b
        for b in blocks_of(result.model_copy(update={"finding": finding}), "Summary")
        if isinstance(b, Table)
    ]
    number = words.percent_interval(worst.accuracy)
    assert (
        f"Bold: the worst finding, made with random search: {number}, see section 10 (Controls)."
        in table.note
    )
    (table,) = [b for b in blocks_of(result, "Summary") if isinstance(b, Table)]
    assert "Bold: the worst finding." in table.note


def test_checks_of_the_data_failures_first_with_remedies():
    checks = [
        CheckResult(name="a", title="Exact duplicates", status="pass", sentence="none"),
        CheckResult(name="b", title="Leakage", status="fail", sentence="2 patients", remedy="split again"),
        CheckResult(name="c", title="Identity", status="not run", sentence="no DICOM"),
    ]
    section = integrity_section(example_result().model_copy(update={"checks": checks}), [])
    text, table, _, remedies, *scan = section.blocks
    assert isinstance(text, Text) and text.text.startswith(
        "3 checks before any training: 1 fail, 0 warn, 1 not run, 1 pass."
    )
    assert isinstance(table, Table) and [row[0] for row in table.rows] == [
        "Leakage",
        "Identity",
        "Exact duplicates",
    ]
    assert table.marks == {0: "alert", 1: "muted"}
    assert isinstance(remedies, Bullets) and remedies.items == ["Leakage: split again"]
    assert [block.text for block in scan] == ["Shortcut scan", "The scan for shortcuts was not run."]  # type: ignore[union-attr]
    [alone] = integrity_section(example_result(), []).blocks
    assert isinstance(alone, Text) and alone.text == "Checks of the data: not run."


def test_prediction_and_measurement_stand_side_by_side(tmp_path: Path) -> None:
    cost = Cost(
        predicted_seconds=100.0, measured_seconds=125.0, time_error=0.25, workers=2, sessions=2,
        predicted_bytes=2**30, measured_bytes=3 * 2**29,
        predicted_watt_hours=0.5, measured_watt_hours=None, power_basis="assumed 10 W per worker",
    )  # fmt: skip
    text = " ".join(" ".join(pages_of(example_result(cost=cost), tmp_path)).split())
    assert "100 s predicted, 2 min measured (+25 %) for trainings and searches in 2 sessions" in text
    assert "memory of the largest process 1.0 GiB predicted, 1.5 GiB measured" in text
    assert "energy 0.5 Wh predicted (assumed 10 W per worker)" in text
