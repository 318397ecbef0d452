"""Each reading and each reason for withholding one."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evaluation.conditions import Evidence, robustness_scores, summarize_conditions
from audit.evaluation.verdict import find, read_condition, search_against_controls
from audit.results import CellMeasures, CellResult, DatasetRecord, EpochReading, Interval, Recipe
from audit.settings import AuditConfig, EvaluationSettings

SETTINGS = EvaluationSettings()


def interval(estimate: float, half: float = 0.02) -> Interval:
    return Interval(
        estimate=estimate, low=estimate - half, high=estimate + half, n_images=100, n_groups=100, n_seeds=1
    )


def measures(accuracy: float = 0.5, fit: float = 1.0) -> CellMeasures:
    return CellMeasures(
        accuracy=accuracy,
        balanced_accuracy=accuracy,
        auc=None,
        ece=0.0,
        semantic_sensitivity=0.0,
        nuisance_sensitivity=None,
        train_accuracy=fit,
        matched_fit_epoch=1 if fit >= 0.95 else None,
        matched_fit_accuracy=accuracy if fit >= 0.95 else None,
        peak_accuracy=accuracy,
        peak_epoch=1,
        per_class=[],
        confusion=[],
        epochs=[EpochReading(epoch=1, train_loss=0.1, train_accuracy=fit, test_accuracy=accuracy)],
    )


@pytest.mark.parametrize(
    ("clean", "drop", "fit", "reading", "reason"),
    [
        (
            0.9,
            0.6,
            1.0,
            "vulnerable",
            "drop 60.0 points (58.0 to 62.0) is surely above the tolerance of 10.0 points",
        ),
        (
            0.9,
            0.01,
            1.0,
            "within tolerance",
            "drop 1.0 points (-1.0 to 3.0) is surely below the tolerance of 10.0 points",
        ),
        (
            0.9,
            0.1,
            1.0,
            "inconclusive",
            "drop 10.0 points (8.0 to 12.0) does not clear the tolerance of 10.0 points: "
            "more seeds or test images",
        ),
        (
            0.46,
            0.2,
            1.0,
            "withheld",
            "clean accuracy 46.0 % is not surely above 45.0 %: there is too little to lose",
        ),
        (
            0.9,
            0.6,
            0.8,
            "withheld",
            "under-fitted: 1 of 1 trainings never reached 95 % on their own training images (best 80.0 %)",
        ),
    ],
)
def test_readings(clean: float, drop: float, fit: float, reading: str, reason: str) -> None:
    found = read_condition(interval(clean), interval(drop), [measures(fit=fit)], 4, SETTINGS)
    assert found == (reading, reason)


def test_no_clean_training_no_reading() -> None:
    found = read_condition(None, None, [measures()], 4, SETTINGS)
    assert found == ("withheld", "no clean training with the same seeds to compare with")


LABELS = np.tile(np.arange(4), 25)


def cell(model: str, attack: str, severity: int, right: int, seed: int = 0, fit: float = 1.0) -> CellResult:
    predictions = np.where(np.arange(100) < right, LABELS, (LABELS + 1) % 4)
    recipe = Recipe(
        model=model, stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
        normalization="none", epochs=1, batch_size=8, seed=seed,
    )  # fmt: skip
    return CellResult(
        id=f"{model}{attack}{severity}{seed}", model=model, optimizer="adam", defence="none", attack=attack,
        severity=severity, seed=seed, role="grid", recipe=recipe, perturbation_id=None, status="done",
        measures=measures(right / 100, fit), predictions=[int(p) for p in predictions],
    )  # fmt: skip


def evidence(*cells: CellResult) -> Evidence:
    config = AuditConfig(models=["resnet50", "resnet18"], optimizers=["adam"], normalizations=["none"])
    return Evidence(list(cells), LABELS, None, config, ("resnet50", "adam", "none"))


def test_drop_is_paired_over_the_seeds_that_both_have() -> None:
    rows = summarize_conditions(
        evidence(
            cell("resnet50", "clean", 0, 86, 0),
            cell("resnet50", "clean", 0, 84, 1),
            cell("resnet50", "evoshift", 1, 26, 0),
        )
    )
    clean, attacked = rows
    assert (
        clean.accuracy.estimate == pytest.approx(0.85) and clean.accuracy.n_seeds == 2 and clean.drop is None
    )
    assert (
        attacked.drop is not None
        and attacked.drop.estimate == pytest.approx(0.6)
        and attacked.drop.n_seeds == 1
    )
    assert attacked.reading == "vulnerable"


def test_robustness_score_by_hand() -> None:
    """resnet18: (40 + 20) / (50 + 30) of the baseline ResNet-50 + Adam."""
    rows = robustness_scores(
        evidence(
            cell("resnet50", "clean", 0, 90), cell("resnet50", "evoshift", 1, 50), cell("resnet50", "evoshift", 2, 30),
            cell("resnet18", "clean", 0, 70), cell("resnet18", "evoshift", 1, 40),
            cell("resnet18", "evoshift", 2, 20, fit=0.5),
        )
    )  # fmt: skip
    baseline, other = rows
    assert baseline.is_baseline and (baseline.score.low, baseline.score.estimate, baseline.score.high) == (
        1,
        1,
        1,
    )
    assert other.score.estimate == pytest.approx(0.75) and other.severities == [1, 2]
    assert other.note == (
        "under-fitted in 1 of 2 trainings: part of the score is lack of fit; "
        "clean accuracy lower than the baseline's by 20.0 points"
    )


def test_failed_cells_are_left_out_of_scores() -> None:
    failed = cell("resnet18", "evoshift", 1, 40).model_copy(update={"status": "failed"})
    rows = robustness_scores(
        evidence(
            cell("resnet50", "evoshift", 1, 50),
            cell("resnet50", "clean", 0, 90),
            cell("resnet18", "clean", 0, 80),
            failed,
        )
    )
    assert [row.model for row in rows] == ["resnet50"]


def test_a_control_that_does_more_harm_than_the_search_is_named() -> None:
    rows = summarize_conditions(
        evidence(
            cell("resnet50", "clean", 0, 90),
            cell("resnet50", "evoshift", 1, 50),
            cell("resnet50", "shortcut", 1, 28),
        )
    )
    (sentence,) = search_against_controls(rows)
    assert sentence.startswith(
        "The search did not beat the shortcut control on resnet50 adam none at N_p = 1:"
    )
    assert sentence.endswith("; the control did more harm.")
    found = find(rows, 0, dataset_record(), 0.1, [])
    assert found.worst is not None and found.worst.attack == "shortcut", (
        "the worst is the worst, whoever found it"
    )
    assert "found in closed form, the shortcut control" in found.sentence


def test_a_control_whose_interval_overlaps_the_search_is_named_as_such() -> None:
    rows = summarize_conditions(
        evidence(
            cell("resnet50", "clean", 0, 90),
            cell("resnet50", "evoshift", 1, 41),
            cell("resnet50", "random-search", 1, 40),
        )
    )
    (sentence,) = search_against_controls(rows)
    assert sentence.endswith("; their intervals overlap.")


def test_a_search_that_beats_its_controls_needs_no_sentence() -> None:
    rows = summarize_conditions(
        evidence(
            cell("resnet50", "clean", 0, 90),
            cell("resnet50", "evoshift", 1, 30),
            cell("resnet50", "shortcut", 1, 50),
        )
    )
    assert search_against_controls(rows) == []


def test_overall_verdicts() -> None:
    clean = cell("resnet50", "clean", 0, 90)
    vulnerable = summarize_conditions(evidence(clean, cell("resnet50", "evoshift", 1, 30)))
    unchanged = summarize_conditions(evidence(clean, cell("resnet50", "evoshift", 1, 90)))
    unfit = summarize_conditions(evidence(clean, cell("resnet50", "evoshift", 1, 30, fit=0.5)))
    verdicts = [
        find(rows, failed, dataset_record(), 0.1, []).verdict
        for rows, failed in (
            (vulnerable, 0),
            (vulnerable, 1),
            (unchanged, 0),
            (unchanged, 1),
            (unfit, 0),
            ([], 0),
        )
    ]
    assert verdicts == [
        "vulnerable",
        "vulnerable",
        "within tolerance",
        "incomplete",
        "inconclusive",
        "incomplete",
    ]


def dataset_record() -> DatasetRecord:
    return DatasetRecord(
        name="tiny", synthetic=False, source="tiny", licence="none", class_names=["a", "b", "c", "d"],
        image_size=(8, 8), channels=1, counts={}, groups={}, groups_in_several_splits=None, notes=[], fingerprint="f",
        test_labels=[], test_groups=None,
    )  # fmt: skip


def test_who_reaches_95_percent_in_the_end_has_fitted() -> None:
    """Cutout on real OCT: 94 % of the 256 images read after epochs, 96 % of all 600 in the end."""
    fitted = measures(0.9).model_copy(update={"matched_fit_epoch": None, "train_accuracy": 0.963})
    assert not fitted.under_fitted
    assert fitted.model_copy(update={"train_accuracy": 0.949}).under_fitted
    assert not fitted.model_copy(update={"matched_fit_epoch": 7, "train_accuracy": 0.949}).under_fitted
