"""Two pairs compared: each reading, each reason for withholding one, and the correction by hand."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evaluation.comparison import compare_pairs
from audit.evaluation.conditions import Evidence, summarize_conditions
from audit.evaluation.verdict import defence_effect
from audit.results import AuditResult, CellResult, Pair, PairComparison
from tests.results_factory import example_result
from tests.test_verdict import LABELS, cell, evidence

PLAIN, CSN = ("resnet50", "adam", "none"), ("resnet50", "adam", "csn")


def training(
    pair: Pair, attack: str, right: int, seed: int = 0, fit: float = 1.0, severity: int = 1
) -> CellResult:
    """One training of 100 test images, the first `right` of them right."""
    made = cell(pair[0], attack, 0 if attack == "clean" else severity, right, seed, fit)
    return made.model_copy(update={"optimizer": pair[1], "defence": pair[2]})


def trainings(
    pair: Pair, clean: int = 90, attacked: int = 30, seeds: tuple[int, ...] = (0, 1, 2)
) -> list[CellResult]:
    """Clean and attacked by EvoShift, all seeds alike."""
    rights = (("clean", clean), ("evoshift", attacked))
    return [training(pair, attack, right, seed) for attack, right in rights for seed in seeds]


def only(cells: list[CellResult]) -> PairComparison:
    (found,) = compare_pairs(evidence(*cells))
    return found


def test_a_defence_with_recovery_and_cost() -> None:
    found = only(trainings(PLAIN, 90, 30) + trainings(CSN, 87, 70))
    assert (found.first, found.second, found.attack, found.severity) == (CSN, PLAIN, "evoshift", 1)
    assert found.reading == "better" and found.is_defence
    assert found.recovery is not None and found.recovery == found.attacked
    assert found.recovery.estimate == pytest.approx(0.40) and found.recovery.n_seeds == 3
    assert found.recovery.low < 0.40 < found.recovery.high
    assert found.cost is not None and found.clean is not None
    assert found.cost.estimate == pytest.approx(0.03)
    assert (found.cost.low, found.cost.high) == (-found.clean.high, -found.clean.low)
    assert found.reason.startswith("attacked accuracy differs by 40.0 points (")
    assert found.reason.endswith(" at the 95 % level, one comparison)")


def test_another_model_has_no_recovery_and_no_cost() -> None:
    found = only(trainings(PLAIN) + trainings(("resnet18", "adam", "none")))
    assert not found.is_defence and found.recovery is None and found.cost is None


@pytest.mark.parametrize(
    ("attacked", "reading"), [(80, "better"), (10, "worse"), (34, "no difference shown")]
)
def test_readings(attacked: int, reading: str) -> None:
    assert only(trainings(PLAIN, 90, 30) + trainings(CSN, 90, attacked)).reading == reading


def test_a_difference_that_may_be_zero_says_so() -> None:
    """Two images of 100 differ: the added patient and sampling leave zero inside."""
    found = only(trainings(PLAIN, 90, 30) + trainings(CSN, 90, 32))
    assert found.reading == "no difference shown"
    assert found.reason.endswith(" at the 95 % level, one comparison): it may be zero")


def test_one_training_each_is_said() -> None:
    found = only(trainings(PLAIN, 90, 30, (0,)) + trainings(CSN, 90, 80, (0,)))
    assert found.reading == "better"
    assert found.reason.endswith("one comparison); one training each: other seeds may turn it around")


def test_only_shared_seeds_count() -> None:
    found = only(trainings(PLAIN, 90, 30, (0, 1)) + trainings(CSN, 90, 70, (1, 2)))
    assert found.attacked is not None and found.clean is not None
    assert found.attacked.n_seeds == found.clean.n_seeds == 1


def test_withheld_without_shared_seeds() -> None:
    found = only(trainings(PLAIN, seeds=(0,)) + trainings(CSN, seeds=(1,)))
    assert found.attacked is None and found.corrected is None and found.clean is None
    assert found.reading == "withheld"
    assert found.reason == "no attacked trainings of both with the same seeds"


def test_withheld_without_clean_trainings() -> None:
    cells = [training(PLAIN, "evoshift", 30), training(CSN, "evoshift", 80), training(CSN, "clean", 90)]
    found = only(cells)
    assert found.attacked is not None and found.clean is None and found.reading == "withheld"
    assert found.reason == (
        "no clean trainings of both with the same seeds: whether they learned equally well is not known"
    )


def test_withheld_where_trainings_did_not_fit() -> None:
    cells = [
        *trainings(PLAIN, 90, 30),
        *trainings(CSN, 90, 70, (0, 1)),
        training(CSN, "clean", 90, 2),
        training(CSN, "evoshift", 70, 2, fit=0.74),
    ]
    found = only(cells)
    assert found.reading == "withheld" and found.attacked is not None
    assert found.reason == (
        "fit differs or is missing: resnet50 with adam and covariate shift normalization under-fitted in 1 of 6 "
        "trainings (attacked and clean; lowest training accuracy 74.0 %)"
    )


def test_withheld_where_both_did_not_fit() -> None:
    cells = [training(pair, attack, 50, fit=0.6) for pair in (PLAIN, CSN) for attack in ("clean", "evoshift")]
    found = only(cells)
    assert found.reading == "withheld"
    assert found.reason == (
        "fit differs or is missing: resnet50 with adam and covariate shift normalization under-fitted in 2 of 2 "
        "trainings (attacked and clean; lowest training accuracy 60.0 %); resnet50 with adam and no defence "
        "under-fitted in 2 of 2 trainings (attacked and clean; lowest training accuracy 60.0 %)"
    )


@pytest.mark.parametrize(("clean", "word", "gap"), [(84, "lower", "6.0"), (97, "higher", "7.0")])
def test_withheld_where_clean_accuracy_differs(clean: int, word: str, gap: str) -> None:
    found = only(trainings(PLAIN, 90, 30) + trainings(CSN, clean, 80))
    assert found.reading == "withheld" and found.recovery is not None and found.cost is not None
    assert found.reason == (
        f"clean accuracy differs by {gap} points (more than 5.0 points): "
        f"resnet50 with adam and covariate shift normalization has the {word} one"
    )


def test_baseline_and_own_plain_pair_are_what_is_compared_with() -> None:
    other, defended = ("resnet18", "adam", "none"), ("resnet18", "adam", "csn")
    found = compare_pairs(evidence(*(c for p in (PLAIN, CSN, other, defended) for c in trainings(p))))
    assert [(one.first, one.second) for one in found] == [
        (CSN, PLAIN),
        (other, PLAIN),
        (defended, PLAIN),
        (defended, other),
    ]
    assert [one.is_defence for one in found] == [True, False, False, True]


def test_attacks_that_the_other_pair_does_not_have_are_left_out() -> None:
    cells = [*trainings(PLAIN), *trainings(CSN), training(CSN, "shortcut", 40)]
    assert [one.attack for one in compare_pairs(evidence(*cells))] == ["evoshift"]


def test_bonferroni_by_hand() -> None:
    """Three comparisons, severities 1, 2 and 5: each read at 1 - 0.05 / 3 = 0.98333."""
    cells = trainings(PLAIN) + trainings(CSN, 90, 45)
    cells += [training(p, "evoshift", r, s, severity=n) for n in (2, 5) for p, r in ((PLAIN, 30), (CSN, 45))
              for s in (0, 1, 2)]  # fmt: skip
    found = compare_pairs(evidence(*cells))
    assert len(found) == 3
    for one in found:
        assert one.attacked is not None and one.corrected is not None
        assert one.attacked.level == 0.95 and one.corrected.level == pytest.approx(1 - 0.05 / 3)
        assert one.corrected.low < one.attacked.low and one.attacked.high < one.corrected.high
        assert "at the 98.33 % level, corrected for 3 comparisons)" in one.reason


def test_the_corrected_interval_decides() -> None:
    """A difference that is clear by itself and not among 40."""
    alone = only(trainings(PLAIN, 90, 30) + trainings(CSN, 90, 36))
    assert alone.reading == "better"
    many = [
        training(p, "evoshift", right, severity=n, seed=s)
        for n in range(2, 41)
        for p, right in ((PLAIN, 30), (CSN, 36))
        for s in (0, 1, 2)
    ]
    found = compare_pairs(evidence(*trainings(PLAIN, 90, 30), *trainings(CSN, 90, 36), *many))
    assert len(found) == 40 and {one.reading for one in found} == {"no difference shown"}
    assert all(one.attacked is not None and one.attacked.low > 0 for one in found)


def test_spread_between_trainings_widens_a_comparison() -> None:
    """The same mean difference, once equal in three seeds, once 5, 25 and 45 images."""
    steady = only(trainings(PLAIN, 90, 30) + trainings(CSN, 90, 55))
    cells = trainings(PLAIN, 90, 30) + [training(CSN, "clean", 90, s) for s in (0, 1, 2)]
    cells += [training(CSN, "evoshift", right, s) for s, right in enumerate((35, 55, 75))]
    uneven = only(cells)
    assert steady.reading == "better" and uneven.reading == "no difference shown"
    assert steady.attacked is not None and uneven.attacked is not None
    assert uneven.attacked.estimate == pytest.approx(steady.attacked.estimate)


def test_patients_widen_a_comparison() -> None:
    cells = trainings(PLAIN, 90, 30) + trainings(CSN, 90, 55)
    by_image = only(cells)
    groups = np.arange(100) // 10
    plain = evidence(*cells)
    (by_patient,) = compare_pairs(Evidence(cells, LABELS, groups, plain.config, plain.baseline))
    assert by_patient.attacked is not None and by_image.attacked is not None
    assert by_patient.attacked.n_groups == 10
    assert by_patient.attacked.low < by_image.attacked.low


def test_failed_trainings_and_a_lone_pair_compare_nothing() -> None:
    failed = [one.model_copy(update={"status": "failed"}) for one in trainings(CSN)]
    assert compare_pairs(evidence(*trainings(PLAIN), *failed)) == []
    assert compare_pairs(evidence()) == []


def test_results_written_before_comparisons_are_still_read() -> None:
    result = example_result()
    assert result.comparisons == []
    content = result.model_dump(mode="json")
    del content["comparisons"]
    assert AuditResult.model_validate(content) == result


def test_comparisons_survive_json() -> None:
    found = only(trainings(PLAIN) + trainings(CSN))
    assert PairComparison.model_validate_json(found.model_dump_json()) == found


NOT_SHOWN = "No defence was shown to help resnet50 with adam: covariate shift normalization"


def test_the_action_follows_the_reading_of_the_comparison() -> None:
    """Recovered by a lot and by little; not shown for one that costs too much clean accuracy."""
    for attacked, clean, said in (
        (70, 87, "Covariate shift normalization helped resnet50 with adam: it recovered 40.0 points ("),
        (
            34,
            90,
            f"{NOT_SHOWN} recovered 4.0 points (",
        ),
        (
            70,
            80,
            f"{NOT_SHOWN} recovered 40.0 points (",
        ),
    ):
        cells = trainings(PLAIN, 90, 30) + trainings(CSN, clean, attacked)
        found = evidence(*cells)
        worst = next(c for c in summarize_conditions(found) if c.pair == PLAIN and c.attack == "evoshift")
        sentence = defence_effect(worst, compare_pairs(found))
        assert sentence.startswith(said), sentence
        assert sentence.endswith(
            "of clean accuracy."
            if attacked == 70 and clean == 87
            else f"reading {'withheld' if clean == 80 else 'no difference shown'}."
        )
        assert defence_effect(worst, []) == (
            "No defence was compared for the worst pair: add some to see whether they help."
        )
