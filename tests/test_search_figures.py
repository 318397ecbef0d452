"""How methods are compared: what the report says of searches and controls, and the figures of `audit search`."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from audit.results import AuditResult
from reports import lookups, words, write_search_figures
from reports.control_sections import ONE_SEARCH_EACH, compare_searches
from reports.document import Bullets
from reports.figures import write_figures
from reports.style import CYCLE
from tests.results_factory import ALL_METHODS, example_result
from tests.test_report import ONE_PAIR, blocks_of, table_of, text_of


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditResult, Path, str]:
    """The report of an audit with all methods, its fitness in probability, its images augmented."""
    result = example_result(
        methods=ALL_METHODS, severities=(1, 2), augmentation="crop-flip", fitness="probability", **ONE_PAIR
    )
    folder = tmp_path_factory.mktemp("compared")
    return result, folder, text_of(result, folder)


def test_the_controls_have_one_column_for_each_method_that_was_run(compared):
    table = table_of(compared[0], "Controls", "Accuracy on unchanged test images")
    assert [column.title for column in table.columns[2:]] == [
        "Random (2 draws)",
        "Transfer (from other images)",
        "Heuristic (label by position)",
        "Shortcut",
        "Random search",
        "EvoShift",
    ]
    by_method = dict(zip([column.title for column in table.columns], table.rows[0], strict=True))
    found = next(c for c in compared[0].conditions if (c.attack, c.severity) == ("heuristic", 1))
    assert by_method["Heuristic (label by position)"] == words.percent_interval(found.accuracy)
    few = table_of(example_result(methods=("evoshift", "heuristic")), "Controls", "Accuracy on unchanged")
    assert [column.title for column in few.columns[2:]] == ["Heuristic (label by position)", "EvoShift"]


def test_controls_are_named_together_by_outcome(compared):
    sentences = [
        item for b in blocks_of(compared[0], "Controls") if isinstance(b, Bullets) for item in b.items
    ]
    assert sentences[0] == (
        "resnet50 · adam · no defence, 1 pixel: EvoShift left a lower accuracy than random and "
        "transfer (from other images); an accuracy not separated from that of heuristic (label by position) and "
        "shortcut (intervals overlap)."
    )


def test_methods_that_were_not_run_are_named():
    bullets = next(
        block for block in blocks_of(example_result(**ONE_PAIR), "Controls") if isinstance(block, Bullets)
    )
    assert [item for item in bullets.items if words.NOT_RUN in item] == [
        "Pixels whose place encodes the label: not run, not part of this audit's configuration.",
        "Random search at the budget of EvoShift: not run, not part of this audit's configuration.",
    ]


def test_hash_file_and_pixels_of_every_method_are_printed(compared):
    result, _, text = compared
    for perturbation in result.perturbations:
        assert perturbation.id in text
        assert perturbation.file in text
    rows = table_of(result, "Search and perturbations", "Changed pixels by method").rows
    assert list(dict.fromkeys(row[0] for row in rows if row[0].endswith("1 px"))) == [
        "EvoShift, 1 px",
        "random search, 1 px",
        "shortcut, 1 px",
        "heuristic, 1 px",
        "transfer, 1 px",
        "random, 1 px",
    ]
    assert ["heuristic, 1 px", "CNV", "row 0, col 2 = 1.00", "100.0 %"] in rows
    assert "2 further draws of random pixels: see results.json." in text


def test_random_search_is_compared_at_equal_budget_with_intervals(compared):
    assert (
        "resnet50 · adam · no defence, 1 pixel, at equal budget (110 surrogate trainings each): EvoShift "
        "left 36.0 % (26.6–45.4), random search 48.0 % (38.2–57.8); not separated (intervals overlap)."
    ) in compared[2]
    assert ONE_SEARCH_EACH in compared[2]
    assert "at the budget of EvoShift: not run" not in compared[2]


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.6, 0.7, "EvoShift did more harm (intervals apart)."),
        (0.4, 0.7, "not separated (intervals overlap)."),
        (0.1, 0.2, "random search did more harm (intervals apart)."),
    ],
)
def test_either_search_may_win(compared, low, high, outcome):
    result = compared[0]
    search = lookups.condition(result, ("resnet50", "adam", "none"), "evoshift", 1)
    rival = lookups.condition(result, ("resnet50", "adam", "none"), "random-search", 1)
    shifted = rival.accuracy.model_copy(update={"estimate": (low + high) / 2, "low": low, "high": high})
    rival = rival.model_copy(update={"accuracy": shifted})
    assert compare_searches(result, search, rival).endswith(outcome)


def test_unequal_budgets_are_not_called_equal(compared):
    result = compared[0]
    pair = ("resnet50", "adam", "none")
    conditions = [lookups.condition(result, pair, name, 1) for name in ("evoshift", "random-search")]

    def with_search(change):
        changed = [
            p.model_copy(update={"search": change(p.search)}) if p.attack == "random-search" else p
            for p in result.perturbations
        ]
        return compare_searches(result.model_copy(update={"perturbations": changed}), *conditions)

    shorter = with_search(lambda search: search.model_copy(update={"trainings": 94}))
    assert "not at equal budget (EvoShift 110, random search 94 surrogate trainings)" in shorter
    assert "budgets not recorded" in with_search(lambda search: None)


def test_each_search_has_its_row_and_its_budget(compared):
    table = table_of(compared[0], "Protocol", "Searches and their budget")
    assert [(row[0], row[1], row[4]) for row in table.rows] == [
        ("EvoShift, 1 pixel", "110", "all 6 generations done"),
        ("random search, 1 pixel", "110", "budget of 110 surrogate trainings"),
        ("EvoShift, 2 pixels", "110", "all 6 generations done"),
        ("random search, 2 pixels", "110", "budget of 110 surrogate trainings"),
    ]
    assert "All searches: surrogate strided batch-norm net, fitness probability," in compared[2]
    assert "EvoShift, 1 pixel: dimensions 12." in compared[2]


def test_learning_curves_stand_one_below_the_other_in_the_unit_of_their_fitness(compared, tmp_path):
    svg = (compared[1] / "figures" / "search-curve-1px.svg").read_text()
    assert svg.count('<g id="axes_') == 4
    for title in ("EvoShift: one reading per candidate", "random search: one reading per candidate"):
        assert svg.count(f">{title}<") == 1
    assert "fitness, probability" in svg and "nats" not in svg
    write_figures(example_result(**ONE_PAIR), tmp_path)
    alone = (tmp_path / "search-curve-1px.svg").read_text()
    assert alone.count('<g id="axes_') == 2
    assert "fitness, nats" in alone
    assert "EvoShift: 110 (1); random search: 110 (1)." in compared[2]


def test_what_is_weighed_is_part_of_the_unit(compared):
    search = lookups.searches(compared[0])[0][1]
    settings = {"fitness": "cross-entropy", "domain_weight": 0.5, "loss_weight": 2.0}
    weighed = search.model_copy(update={"settings": settings})
    assert lookups.fitness_unit([weighed]) == "nats − 2 × training loss + 0.5 × domain divergence"
    assert lookups.fitness_label([weighed]) == "fitness, nats\n− 2 × training loss\n+ 0.5 × domain divergence"
    assert lookups.fitness_unit([search.model_copy(update={"settings": {}})]) == "nats"


FILES = ["learning-curve.svg", "overlay.svg", "victims.svg"]


def drawn(result: AuditResult, folder: Path) -> dict[str, str]:
    """The SVG files of a comparison by name."""
    return {path.name: path.read_text() for path in write_search_figures(result, folder)}


def texts(svg: str) -> str:
    """All texts that a figure shows, in the order of the file."""
    return html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditResult, dict[str, str]]:
    """All methods at two severities on two victims, synthetic images."""
    two = {"models": ("resnet50", "small-cnn"), "optimizers": ("adam",), "normalizations": ("none",)}
    result = example_result(methods=ALL_METHODS, severities=(1, 2), synthetic=True, **two)
    return result, drawn(result, tmp_path_factory.mktemp("figures"))


def test_the_three_figures_lie_in_the_folder_of_figures(tmp_path):
    paths = write_search_figures(example_result(methods=ALL_METHODS, **ONE_PAIR), tmp_path)
    assert paths == [tmp_path / "figures" / name for name in FILES]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == FILES


def test_figures_that_stand_alone_say_what_limits_them(figures, tmp_path):
    for svg in figures[1].values():
        assert "Synthetic data" in texts(svg)
    for svg in drawn(example_result(**ONE_PAIR), tmp_path).values():
        assert "synthetic" not in svg.lower()


def test_equal_results_give_equal_files(figures, tmp_path):
    assert drawn(figures[0], tmp_path) == figures[1]


def test_one_panel_for_each_severity_one_line_for_each_search(figures):
    svg = figures[1]["learning-curve.svg"]
    assert svg.count('<g id="axes_') == 2
    shown = texts(svg)
    for part in ("1 pixel per class", "2 pixels per class", "EvoShift", "random search", "fitness, nats"):
        assert part in shown
    for part in ("EvoShift, 1 pixel: 110 (1)", "random search, 2 pixels: 110 (1)"):
        assert part in shown
    assert svg.count("PolyCollection") == 4, "one band for each search"
    assert "scored again final mean 2.30" in svg and "scored again candidate 1 1.40" in svg


def test_the_overlay_has_a_mark_for_every_edit_of_every_method(figures):
    result, files = figures
    svg = files["overlay.svg"]
    shown = texts(svg)
    for title in (*(words.attack_title(name) for name in ALL_METHODS[:-1]), "random (first of 2 draws)"):
        assert title in shown
    assert [shown.count(words.pixels(severity)) for severity in (1, 2)] == [4, 4], "one panel for each class"
    edits = sum(len(p.edits) for p in result.perturbations if p.draw == 0)
    assert edits == 72
    assert svg.count('<g id="patch_') == 1 + 2 * edits, "the background; each mark with its white edge"
    assert svg.count("<image ") == 8
    assert "heuristic (label by position), 1 pixel: NORMAL row 0, col 0 = 1.00" in svg


def test_the_overlay_shows_images_as_supplied(figures, tmp_path):
    result, files = figures
    other = [e.model_copy(update={"perturbed_png": "no picture"}) for e in result.dataset.examples]
    changed = result.model_copy(update={"dataset": result.dataset.model_copy(update={"examples": other})})
    assert drawn(changed, tmp_path)["overlay.svg"] == files["overlay.svg"]


def test_classes_without_edits_are_called_so(tmp_path):
    files = drawn(example_result(methods=ALL_METHODS, edited=(2, 3), fraction=0.5, **ONE_PAIR), tmp_path)
    shown = texts(files["overlay.svg"])
    assert shown.count("(not edited)") == 2
    assert "50.0 % of the training images of each of the classes CNV and DME alone" in shown


def test_every_accuracy_of_every_victim_is_drawn_with_its_interval(figures):
    result, files = figures
    shown = texts(files["victims.svg"])
    for condition in result.conditions:
        assert words.attack_cell(condition.attack, condition.severity) in shown
        assert words.percent_interval(condition.accuracy) in shown
    for part in ("resnet50 · adam · no defence", "small-cnn · adam · no defence", "guessing"):
        assert part in shown
    assert "95 % intervals; n = 100 test images" in shown
    assert shown.count("clean") >= 2, "the reference of each victim"


def test_failed_victims_keep_their_row(tmp_path):
    failures = {("resnet50", "adam", "none", "shortcut"): "loss is not finite"}
    shown = texts(drawn(example_result(failures=failures, **ONE_PAIR), tmp_path)["victims.svg"])
    assert "failed: loss is not finite" in shown
    assert "shortcut, 1 px" in shown


def test_large_comparisons_say_how_many_victims_are_left_out(tmp_path):
    many = example_result(optimizers=("adam", "adabound", "sgd", "sgd-m"), methods=("evoshift",))
    assert "4 further victims: see results.json." in texts(drawn(many, tmp_path)["victims.svg"])


def test_methods_keep_their_look_when_evoshift_is_left_out(figures, tmp_path):
    without = drawn(example_result(methods=("random-search", "shortcut"), **ONE_PAIR), tmp_path)
    assert sorted(without) == FILES
    orange, blue = CYCLE[1], CYCLE[0]
    for name in FILES:
        assert orange in figures[1][name] and blue in figures[1][name]
        assert orange in without[name] and blue not in without[name]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"methods": ("shortcut", "heuristic")}, ["overlay.svg", "victims.svg"]),
        ({"perturbations": []}, ["victims.svg"]),
        ({"cells": [], "conditions": [], "scores": []}, ["learning-curve.svg", "overlay.svg"]),
    ],
)
def test_figures_without_numbers_are_not_written(changes, expected, tmp_path):
    assert sorted(drawn(example_result(**ONE_PAIR, **changes), tmp_path)) == expected
