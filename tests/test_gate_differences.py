"""The gate's arithmetic against numbers that can be worked out by hand."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from audit.gate.differences import Difference, Draws, Part, difference
from audit.gate.quantities import NotMeasured, Quantity, expanded_recalls, quantity
from tests.gate_parts import ATTACKED, CLEAN_KEY, IMAGES, PAIR, condition, rules, snapshot, training

SPREADS = (0.01, 0.02)
OTHER = ("net", "adam", "csn")


def rule(measure: str, **more: object):
    attack = {} if "attack" in more or measure == "robustness_score" else {"attack": "evoshift"}
    limit = {"at_most": 1} if measure in ("drop", "ece", "nuisance_sensitivity") else {"at_least": 0}
    return rules({"measure": measure, **attack, **limit, **more}).rules[0]


def draws_of(weight: float = 4) -> Draws:
    return Draws.of(snapshot({}), weight)


def scalar(points: list[float], spread: float = 0.1, name: str = "new", first: int = 0) -> Quantity:
    """`first`: seed of the first training."""
    seeds = tuple((first + number, 0) for number in range(len(points)))
    cells = tuple(f"{name} {seed}" for seed in seeds)
    return Quantity(None, np.array(points), np.zeros(len(points)), spread, seeds, cells, 0)


def test_equal_seeds_are_paired() -> None:
    # Differences -0.1 and 0.1, of variance 0.02, in place of an assumed 2 * 0.1²: (2 * 0.02 + 1 * 0.02) / (2 + 1).
    found = difference([scalar([0.5, 0.7])], [scalar([0.6, 0.6], name="base")], draws_of(weight=2))
    (part,) = found.parts
    assert (part.pairs, part.pair_variance, part.pair_freedom) == (2, pytest.approx(0.02), 3)
    # Trainings that go together: their differences hardly vary.
    together = difference([scalar([0.2, 0.7])], [scalar([0.3, 0.8], name="base")], draws_of(weight=2))
    assert together.parts[0].pair_variance == pytest.approx(0.04 / 3)
    assert together.parts[0].paired
    assert together.margin(0.95) == pytest.approx(np.sqrt(0.04 / 3 / 2) * t.ppf(0.975, 3))


def test_other_seeds_are_two_samples() -> None:
    # (2 * 0.1² + 0.02) / (2 + 1 + 1) = 0.01, for the difference of two means of two: 0.01 * (1/2 + 1/2)
    found = difference([scalar([0.5, 0.7])], [scalar([0.6, 0.6], name="base", first=7)], draws_of(weight=2))
    assert found.parts == (Part(pytest.approx(0.01), 4, 2, 2),)
    assert found.estimate == pytest.approx(0.0)
    assert found.margin(0.95) == pytest.approx(0.1 * t.ppf(0.975, 4))
    assert found.margin(0.95, more=2) == pytest.approx(np.sqrt(0.01 * 0.75) * t.ppf(0.975, 6))
    assert found.margin(0.95, more=2, unlimited=True) == pytest.approx(np.sqrt(0.01 / 4) * t.ppf(0.975, 6))


def test_a_seed_of_one_side_is_left_out_where_pairs_tell_more() -> None:
    new, base = scalar([0.2, 0.7, 0.9]), scalar([0.3, 0.8], name="base")
    found = difference([new], [base], draws_of(weight=1))
    assert found.parts[0].paired and found.n_seeds == 2
    assert found.estimate == pytest.approx(-0.1)
    unlike = difference([scalar([0.5, 0.7, 0.6])], [scalar([0.6, 0.6], name="base")], draws_of(weight=1))
    assert not unlike.parts[0].paired
    assert unlike.estimate == pytest.approx(0.0)


def test_more_seeds_never_make_it_less_sure() -> None:
    found = difference([scalar([0.2, 0.7])], [scalar([0.3, 0.8], name="base")], draws_of(weight=1))
    margins = [found.margin(0.95, more) for more in range(20)]
    assert margins == sorted(margins, reverse=True)


def test_one_training_each_rests_on_the_assumption_alone() -> None:
    found = difference([scalar([0.5])], [scalar([0.6], name="base")], draws_of(weight=4))
    assert found.margin(0.95) == pytest.approx(np.sqrt(2 * 0.1**2) * t.ppf(0.975, 4))
    assert found.n_seeds == 1


def test_the_mean_of_conditions_varies_less() -> None:
    new, base = scalar([0.5, 0.7]), scalar([0.6, 0.6], name="base", first=7)
    one = difference([new], [base], draws_of())
    two = difference([new, new], [base, base], draws_of())
    # Half the variance, twice the degrees of freedom (Welch and Satterthwaite for equal parts).
    ratio = np.sqrt(0.5) * t.ppf(0.975, 12) / t.ppf(0.975, 6)
    assert two.margin(0.95) == pytest.approx(one.margin(0.95) * ratio)


def test_the_same_trainings_differ_by_nothing() -> None:
    audit = snapshot({ATTACKED: [0.5, 0.7]})
    one = quantity(audit, ATTACKED, rule("accuracy"), SPREADS)
    found = difference([one], [one], draws_of())
    assert (found.estimate, found.margin(0.95), found.parts) == (0.0, 0.0, ())


def test_patients_vary_as_a_binomial_does() -> None:
    audit = snapshot({ATTACKED: [0.5]})
    found = difference([quantity(audit, ATTACKED, rule("accuracy"), (0, 0))], None, draws_of())
    assert found.estimate == 0.5
    assert found.margin(0.95) == pytest.approx(norm.ppf(0.975) * np.sqrt(0.25 / IMAGES), rel=0.1)


def test_errors_of_scalars_add_between_audits() -> None:
    new, base = scalar([0.5], spread=0.0), scalar([0.6], spread=0.0, name="base")
    new, base = (replace(one, errors=np.array([error])) for one, error in ((new, 0.03), (base, 0.04)))
    found = difference([new], [base], draws_of())
    assert found.patients == pytest.approx(0.05**2)
    assert found.estimate == pytest.approx(-0.1)


def test_recalls_as_means_over_images() -> None:
    labels = np.array([0, 0, 0, 1])
    recalls, rows = expanded_recalls(np.array([[1.0, 1, 0, 0]]), labels)
    assert recalls[:, 0] == pytest.approx([2 / 3, 0])
    assert rows.mean(axis=2)[:, 0] == pytest.approx([2 / 3, 0])
    # A class's images alone carry its recall's spread.
    assert rows[0, 0, 3] == pytest.approx(2 / 3)


def test_every_measure_of_a_small_audit() -> None:
    audit = snapshot({CLEAN_KEY: [0.9, 1.0], ATTACKED: [0.5, 0.6], (OTHER, "evoshift", 1): [0.25, 0.3]})

    def value(measure: str, key: object = ATTACKED) -> float:
        return quantity(audit, key, rule(measure), SPREADS).estimate

    assert value("accuracy") == pytest.approx(0.55)
    assert value("drop") == pytest.approx(0.4)
    assert value("balanced_accuracy") == pytest.approx(0.55)
    assert value("auc") == pytest.approx(0.55)
    assert value("ece") == pytest.approx(0.45)
    assert value("robustness_score", (OTHER, "evoshift", 1)) == pytest.approx(0.275 / 0.55)


def test_the_worst_class() -> None:
    right = np.tile([True, False], IMAGES // 2)  # class a always, class b never
    bits = training(0.5, 0, "x").model_copy(update={"right": packed_bits(right)})
    one = condition(ATTACKED, [0.5], "x").model_copy(update={"trainings": [bits]})
    audit = snapshot({}, conditions=[one])
    assert quantity(audit, ATTACKED, rule("worst_class_recall"), SPREADS).estimate == 0.0


def packed_bits(right: np.ndarray) -> str:
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def test_what_is_not_there_is_said() -> None:
    audit = snapshot({ATTACKED: [0.5]})
    cases = {
        "drop": "this condition is not in the audit",  # the clean one
        "nuisance_sensitivity": "nuisance_sensitivity is not defined for every training",
    }
    for measure, message in cases.items():
        with pytest.raises(NotMeasured, match=message):
            quantity(audit, ATTACKED, rule(measure), SPREADS)


@given(
    distance=st.floats(0.02, 0.5),
    variance=st.floats(1e-5, 0.05),
    base=st.integers(1, 6),
    new=st.integers(1, 6),
)
def test_the_number_of_seeds_asked_for_is_the_smallest_that_decides(
    distance: float, variance: float, base: int, new: int
) -> None:
    found = Difference(distance, None, 1e-6, (Part(variance, 4, new, base),), 1, min(new, base), draws_of())
    more = found.seeds_to_decide(0.0, 0.95)
    if more is None:
        assert found.margin(0.95, 50) >= distance
        assert found.what_limits(0.0, 0.95)
    else:
        assert found.margin(0.95, more) < distance
        assert more == 1 or found.margin(0.95, more - 1) >= distance


def test_what_limits_a_decision() -> None:
    few = Difference(0.1, None, 1e-6, (Part(0.04, 4, 3, 1),), 1, 1, draws_of())
    assert (
        few.what_limits(0.0, 0.95)
        == "the baseline holds 1 training of a condition only: accept one with more seeds"
    )
    patients = Difference(0.1, None, 0.04, (Part(1e-6, 4, 3, 3),), 1, 3, draws_of())
    assert (
        patients.what_limits(0.0, 0.95)
        == "the 400 test patients or images are too few: more of them are needed"
    )
    at = Difference(0.001, None, 0.04, (Part(1e-6, 4, 3, 3),), 1, 3, draws_of())
    assert at.what_limits(0.0, 0.95) == "it lies at the limit itself: no number of trainings decides"


def test_the_score_needs_a_baseline_pair() -> None:
    audit = snapshot({(OTHER, "evoshift", 1): [0.5], ATTACKED: [0.0]}, baseline_pair=PAIR)
    with pytest.raises(NotMeasured, match="the baseline pair was never right: no robustness score"):
        quantity(audit, (OTHER, "evoshift", 1), rule("robustness_score"), SPREADS)
