"""The page that says which combination to use: no more than the corrected comparisons allow."""

from __future__ import annotations

from pathlib import Path

from audit.results import AuditResult, ConditionSummary, Interval, Pair, PairComparison
from reports.document import Table, Text
from reports.figures import write_figures
from reports.recommendation import front, options, recommendation_section
from tests.results_factory import example_result

PLAIN: Pair = ("resnet50", "adam", "none")
CSN: Pair = ("resnet50", "adam", "csn")
DENSE: Pair = ("densenet121", "adam", "none")


def interval(value: float) -> Interval:
    return Interval(estimate=value, low=value - 0.05, high=value + 0.05, n_images=100, n_groups=50, n_seeds=3)


def with_accuracies(table: dict[Pair, tuple[float, float]], **more: object) -> AuditResult:
    """(clean, attacked) accuracy of each pair, one pixel."""
    base = example_result(optimizers=("adam",), synthetic=False)
    conditions = []
    for found in base.conditions:
        if found.pair in table:
            clean, attacked = table[found.pair]
            value = interval(clean if found.attack == "clean" else attacked)
            conditions.append(found.model_copy(update={"accuracy": value, "under_fitted_seeds": 0}))
    cells = [cell for cell in base.cells if cell.pair in table]
    fields = {"conditions": conditions, "cells": cells, "baseline_pair": PLAIN, "comparisons": []}
    return base.model_copy(update={**fields, **more})


def better(first: Pair, second: Pair, attack: str = "evoshift") -> PairComparison:
    return PairComparison(
        first=first, second=second, attack=attack, severity=1, attacked=interval(0.3), corrected=interval(0.3),
        clean=interval(0.0), reading="better", reason="attacked accuracy differs by 30.0 points", is_defence=True,
    )  # fmt: skip


def lead(result: AuditResult) -> str:
    first = recommendation_section(result, []).blocks[0]
    assert isinstance(first, Text)
    return first.text


def rows(result: AuditResult) -> list[list[str]]:
    (table,) = [b for b in recommendation_section(result, []).blocks if isinstance(b, Table)]
    return table.rows


def test_the_front_by_hand() -> None:
    """CSN beats plain in both; dense is lower than CSN under attack and higher when clean."""
    result = with_accuracies({PLAIN: (0.90, 0.30), CSN: (0.91, 0.60), DENSE: (0.95, 0.40)})
    found = options(result)
    assert [option.pair for option in found] == [CSN, DENSE, PLAIN], "most under attack first"
    assert [option.pair for option in front(found)] == [CSN, DENSE]
    assert [row[4] for row in rows(result)] == ["yes", "yes", "no"]


def test_equal_pairs_are_both_on_the_front() -> None:
    result = with_accuracies({PLAIN: (0.9, 0.3), CSN: (0.9, 0.3)})
    assert len(front(options(result))) == 2


def test_a_higher_estimate_alone_recommends_nothing() -> None:
    result = with_accuracies({PLAIN: (0.90, 0.30), CSN: (0.91, 0.60)})
    assert lead(result).startswith("No difference shown: ")
    assert "CSN" not in lead(result)


def test_a_shown_difference_is_recommended_and_the_rest_of_the_danger_said() -> None:
    result = with_accuracies({PLAIN: (0.90, 0.30), CSN: (0.91, 0.60)}, comparisons=[better(CSN, PLAIN)])
    assert lead(result).startswith(
        "On these data, resnet50 · adam · CSN: it kept 60.0 % (55.0–65.0) accuracy"
    )
    assert "91.0 % (86.0–96.0) on clean ones" in lead(result)
    attacked = next(c for c in result.conditions if (c.pair, c.attack) == (CSN, "evoshift"))
    assert ("It is vulnerable all the same" in lead(result)) == (attacked.reading == "vulnerable")
    assert rows(result)[0][5] == "better" and rows(result)[1][5] == "baseline"


def test_what_was_shown_under_another_attack_or_is_beaten_is_not_recommended() -> None:
    table = {PLAIN: (0.90, 0.30), CSN: (0.91, 0.60)}
    assert lead(with_accuracies(table, comparisons=[better(CSN, PLAIN, "shortcut")])).startswith(
        "No difference"
    )
    beaten = with_accuracies(table, comparisons=[better(PLAIN, CSN)])
    assert lead(beaten).startswith("No difference"), "not on the front"


def test_withheld_comparisons_are_counted() -> None:
    withheld = better(CSN, PLAIN).model_copy(update={"reading": "withheld"})
    table = {PLAIN: (0.90, 0.30), CSN: (0.91, 0.60)}
    result = with_accuracies(
        table, comparisons=[withheld, better(PLAIN, CSN), better(CSN, PLAIN, "shortcut")]
    )
    texts = [b.text for b in recommendation_section(result, []).blocks if isinstance(b, Text)]
    assert any(text.startswith("1 of 2 comparisons under this attack are withheld, as") for text in texts)


def test_under_fitted_trainings_recommend_nothing() -> None:
    result = with_accuracies({PLAIN: (0.90, 0.30), CSN: (0.91, 0.60)}, comparisons=[better(CSN, PLAIN)])
    unfit: list[ConditionSummary] = [
        c.model_copy(update={"under_fitted_seeds": 1}) for c in result.conditions
    ]
    assert lead(result.model_copy(update={"conditions": unfit})).startswith("No difference")


def test_nothing_to_choose() -> None:
    assert lead(with_accuracies({PLAIN: (0.9, 0.3)})) == (
        "Nothing to choose between: only resnet50 · adam · no defence was trained on clean and attacked images."
    )
    none = with_accuracies({PLAIN: (0.9, 0.3)}, conditions=[])
    assert (
        lead(none) == "No recommendation: no combination has both clean and attacked trainings that finished."
    )


def test_phantoms_choose_nothing_for_patients(tmp_path: Path) -> None:
    result = example_result(synthetic=True)
    texts = [b.text for b in recommendation_section(result, []).blocks if isinstance(b, Text)]
    assert "These are synthetic phantoms: choose nothing for patients' images by this page." in texts
    figure = next(f for f in write_figures(result, tmp_path) if f.kind == "pareto")
    assert figure.caption.endswith("Synthetic data.") and "resnet50" in figure.alternative
