"""Verdicts of the gate on audits made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit.errors import ConfigError
from audit.gate.judge import judge
from audit.gate.record import GateCheck, GateResult
from audit.gate.rules import Rules, load_rules, validated
from audit.gate.snapshot import Snapshot
from tests.gate_parts import ATTACKED, CLEAN_KEY, PAIR, condition, rules, snapshot

ACCURACY = {"name": "attacked", "measure": "accuracy", "attack": "evoshift", "tolerance": 0.1}
OTHER = ("net", "adam", "csn")


def base(accuracies: dict[Any, list[float]] | None = None, **changes: Any) -> Snapshot:
    return snapshot(accuracies or {CLEAN_KEY: [0.9] * 3, ATTACKED: [0.6] * 3}, "base", **changes)


def after(
    shares: list[float], *given_rules: dict[str, Any], against: Snapshot | None = None, **more: Any
) -> GateResult:
    """The verdict when attacked accuracies are these."""
    new = snapshot({CLEAN_KEY: [0.9] * len(shares), ATTACKED: shares})
    return judge(new, against or base(), rules(*(given_rules or (ACCURACY,)), **more))


def only(result: GateResult) -> GateCheck:
    (check,) = result.checks
    return check


def test_pass_fail_and_inconclusive() -> None:
    passed, failed, undecided = after([0.6] * 3), after([0.3] * 3), after([0.5] * 3)
    assert [r.verdict for r in (passed, failed, undecided)] == ["pass", "fail", "inconclusive"]
    assert [r.exit_code for r in (passed, failed, undecided)] == [0, 1, 5]
    assert passed.sentence == "PASS: 1 check, none beyond its limit"
    assert failed.sentence == (
        "FAIL: 1 of 1 checks; attacked (net, adam, none; evoshift, 1 pixel): the whole interval, corrected "
        "for all checks, "
        "lies beyond the limit"
    )
    check = only(failed)
    assert (check.value, check.reference, check.limit) == (pytest.approx(0.3), pytest.approx(0.6), -0.1)
    assert check.judged is not None and check.judged.estimate == pytest.approx(-0.3)
    assert check.judged.high < -0.1 and check.judged.n_seeds == 3 and check.judged.n_images == 400


def test_better_is_never_a_failure() -> None:
    assert after([0.95] * 3).verdict == "pass"


def test_of_measures_where_lower_is_better_the_other_end_counts() -> None:
    rule = {"measure": "drop", "attack": "evoshift", "tolerance": 0.1}
    assert after([0.3] * 3, rule).verdict == "fail"  # the drop grew from 30 to 60 points
    assert after([0.8] * 3, rule).verdict == "pass"


def test_limits_without_a_baseline() -> None:
    new = snapshot({CLEAN_KEY: [0.9] * 3, ATTACKED: [0.3] * 3})
    at_least = {"measure": "accuracy", "attack": "clean", "at_least": 0.8}
    assert judge(new, None, rules(at_least)).verdict == "pass"
    assert judge(new, None, rules({**at_least, "at_least": 0.97})).verdict == "fail"
    assert judge(new, None, rules({"measure": "drop", "at_most": 0.5})).verdict == "fail"
    with pytest.raises(ConfigError) as refused:
        judge(new, None, rules(ACCURACY))
    assert str(refused.value) == "no baseline: rules with a tolerance need one; give --baseline FILE or RUN"


def test_an_undecided_check_says_how_many_seeds_decide() -> None:
    spread = {"clean": 0.02, "attacked": 0.06, "weight": 4}
    check = only(
        after([0.55, 0.5, 0.6], spread=spread, against=base({CLEAN_KEY: [0.9] * 9, ATTACKED: [0.6] * 9}))
    )
    assert check.status == "inconclusive" and check.more_seeds is not None
    assert check.reason == f"the interval holds the limit; {check.more_seeds} more seeds would decide"
    assert check.judged is not None and check.judged.low < -0.1 < check.judged.high


def test_many_checks_are_no_more_often_red_than_one() -> None:
    """What is beyond the limit by itself need not be so among twenty: then it is not red."""
    shares = [0.42] * 3
    alone = only(after(shares))
    assert alone.status == "fail"
    many = {(("net", "adam", f"d{n}"), "evoshift", 1): [0.6] * 3 for n in range(200)}
    first = next(iter(many))
    new = snapshot({**many, first: shares})
    found = judge(new, base(many), rules(ACCURACY))
    check = next(check for check in found.checks if check.subject.startswith("net, adam, d0;"))
    assert check.status == "inconclusive"
    assert check.reason.startswith("beyond the limit at 95 %, but not corrected for all checks (99.98 %)")
    assert found.verdict == "inconclusive"


def test_a_second_look_is_paid_for() -> None:
    new = snapshot({CLEAN_KEY: [0.9] * 3, ATTACKED: [0.5] * 3})
    once, twice = judge(new, base(), rules(ACCURACY)), judge(new, base(), rules(ACCURACY), looks=2)
    assert only(once).corrected.level == 0.95 and only(twice).corrected.level == pytest.approx(0.975)
    assert "Failures are corrected for 2 looks, the second after more seeds were trained." in twice.notes


def test_a_mean_over_conditions() -> None:
    keys = {ATTACKED: [0.6] * 3, (OTHER, "evoshift", 1): [0.6] * 3}
    new = snapshot({ATTACKED: [0.5] * 3, (OTHER, "evoshift", 1): [0.9] * 3})
    check = only(judge(new, base(keys), rules({**ACCURACY, "over": "mean"})))
    assert (check.subject, check.status) == ("mean of 2 conditions: evoshift", "pass")
    assert check.value == pytest.approx(0.7) and check.judged.estimate == pytest.approx(0.1)


def test_a_score_has_one_check_per_pair_and_none_for_the_baseline_pair() -> None:
    keys = {(pair, "evoshift", n): [0.5] * 3 for pair in (PAIR, OTHER) for n in (1, 2)}
    check = only(judge(snapshot(keys), base(keys), rules({"measure": "robustness_score", "tolerance": 0.3})))
    assert (check.subject, check.value) == ("net, adam, csn; all severities", pytest.approx(1.0))


def test_scores_of_other_severities_or_to_another_pair_are_not_compared() -> None:
    keys = {(pair, "evoshift", n): [0.5] * 3 for pair in (PAIR, OTHER) for n in (1, 2)}
    fewer = {key: shares for key, shares in keys.items() if key[2] == 1}
    rule = rules({"measure": "robustness_score", "tolerance": 0.3})
    assert (
        judge(snapshot(fewer), base(keys), rule).checks[0].reason
        == "baseline: its scores are of severities 1, 2"
    )
    turned = base(keys, baseline_pair=OTHER)
    assert (
        only(judge(snapshot(keys), turned, rule)).reason
        == "baseline: its scores are relative to net, adam, csn"
    )


def test_numbers_beside_each_other_are_of_the_same_trainings() -> None:
    """A seed that the baseline lacks is left out where pairs tell more: then of the value too."""
    check = only(after([0.6, 0.6, 0.1], against=base({CLEAN_KEY: [0.9] * 2, ATTACKED: [0.6] * 2})))
    assert check.value - check.reference == pytest.approx(check.judged.estimate)


def test_what_did_not_learn_is_not_judged() -> None:
    unfit = condition(ATTACKED, [0.3] * 3, "new", under_fitted=True)
    new = snapshot({}, conditions=[unfit])
    check = only(judge(new, base(), rules(ACCURACY)))
    assert check.status == "inconclusive"
    assert check.reason == (
        "3 trainings of this audit did not learn the training images: whether robustness or fit changed "
        "cannot be told; "
        "train longer"
    )


def test_crashed_and_missing_trainings_are_errors_and_never_a_pass() -> None:
    crashed = snapshot(
        {}, conditions=[condition(ATTACKED, [0.6], "new", failures=("seed 1: out of memory",))]
    )
    found = judge(crashed, base(), rules(ACCURACY))
    assert (found.verdict, found.exit_code) == ("error", 4)
    assert only(found).reason == "this audit: 1 training failed (seed 1: out of memory)"
    missing = judge(snapshot({CLEAN_KEY: [0.9] * 3}), base(), rules(ACCURACY))
    assert (missing.verdict, missing.exit_code) == ("error", 4)
    assert only(missing).reason == "this audit: this condition is not in the audit"
    unknown = judge(snapshot({ATTACKED: [0.6] * 3}), base({CLEAN_KEY: [0.9] * 3}), rules(ACCURACY))
    assert (unknown.verdict, unknown.exit_code) == ("error", 2)
    assert only(unknown).reason == "baseline: this condition is not in the audit"
    nothing = judge(snapshot({}), base(), rules({**ACCURACY, "models": ["nets"]}))
    assert (nothing.exit_code, only(nothing).reason) == (
        2, "no condition of this audit matches the rule; mend its attack, severities, models or defences"
    )  # fmt: skip


def test_a_proven_failure_outweighs_what_is_missing() -> None:
    new = snapshot({ATTACKED: [0.2] * 3})
    found = judge(new, base(), rules(ACCURACY, {"measure": "accuracy", "attack": "clean", "tolerance": 0.1}))
    assert [check.status for check in found.checks] == ["fail", "error"]
    assert (found.verdict, found.exit_code) == ("fail", 1)


def test_counts_of_findings() -> None:
    new = snapshot({}, shortcut_findings=2, checks={"leakage": "fail", "licence": "warn"})
    given_rules = [
        {"measure": name, "tolerance": 0} for name in ("shortcut_findings", "failed_checks", "warned_checks")
    ]
    found = judge(new, base(), rules(*given_rules))
    told = [(check.value, check.reference, check.limit, check.status, check.reason) for check in found.checks]
    assert told == [
        (2, 0, 0, "fail", "2 findings"),
        (1, 0, 0, "fail", "leakage"),
        (1, 1, 1, "pass", "licence"),
    ]
    unscanned = judge(snapshot({}, shortcut_findings=None), base(), rules(given_rules[0]))
    assert (unscanned.exit_code, only(unscanned).reason) == (
        4,
        "this audit: the data was not scanned for shortcuts",
    )
    unchecked = judge(snapshot({}, checks={}), None, rules({"measure": "failed_checks", "at_most": 0}))
    assert (unchecked.exit_code, only(unchecked).reason) == (4, "this audit: the data was not checked")


ACCEPT = "or accept a new baseline: audit baseline accept RUN"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fingerprint": "e" * 64, "dataset": "other"},
            f"other data: other (eeeeeeeeeeee) and, in the baseline, hand-made (ffffffffffff); audit the same "
            "images at the "
            f"same size, {ACCEPT}",
        ),
        (
            {"protocol_version": 1},
            "other protocol: version 1 and, in the baseline, 2: equal settings no longer give comparable "
            "numbers; accept a "
            "new baseline: audit baseline accept RUN",
        ),
        (
            {"attack_settings": {"search": {"generations": 3, "budget": 28}, "perturbed": {"fraction": 1.0}}},
            f"other attacks: search.budget 60 → 28 (baseline → this audit); search as for the baseline, {ACCEPT}",
        ),
    ],
)
def test_what_cannot_be_compared(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        judge(snapshot({ATTACKED: [0.6] * 3}, **changes), base(), rules(ACCURACY))
    assert str(refused.value) == message


def test_what_the_reader_must_know() -> None:
    new = snapshot(
        {ATTACKED: [0.6]},
        training_settings={"profile": "quick", "training": {"epochs": 5}},
        versions={"torch": "3"},
        platform="Darwin",
        code_fingerprint="d" * 64,
        perturbations={"evoshift, 1 px, draw 0": "p2"},
    )
    assert judge(new, base({ATTACKED: [0.6]}), rules(ACCURACY)).notes == [
        "Between trainings, accuracy is assumed to vary by 1 points (clean) and 1 (attacked), with the "
        "weight of 4 trainings "
        "beside what these trainings show.",
        "One training of each condition: how far trainings differ was not measured here, only assumed. "
        "Accept a baseline "
        "with several seeds.",
        "Training differs: training.epochs 3 → 5.",
        "Program differs: audit 1, code cccccccc → audit 1, code dddddddd.",
        "Libraries differ: torch 2 → 3.",
        "Machine differs: Linux, cpu → Darwin, cpu.",
        "The two searches found other pixels (evoshift, 1 px, draw 0): the luck of a search is in the differences, and "
        "not in their intervals.",
    ]


def test_a_check_that_cannot_fail_is_told() -> None:
    found = judge(snapshot({ATTACKED: [0.5] * 3}), base({ATTACKED: [0.55] * 3}), rules(ACCURACY))
    assert any(
        note.startswith("1 check cannot fail: the baseline's attacked accuracy lies within")
        for note in found.notes
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "rules: field required"),
        ({"rules": []}, "rules: list should have at least 1 item after validation, not 0, got []"),
        ({"rules": [{"measure": "accuracy"}]},
         "rules.0: give one of tolerance (against the baseline), at_least and at_most"),
        ({"rules": [{"measure": "accuracy", "at_most": 1}]},
         "rules.0: at_most: of accuracy, higher is better; give at_least"),
        ({"rules": [{"measure": "drop", "at_least": 1}]}, "rules.0: at_least: of drop, lower is better; give at_most"),
        ({"rules": [{"measure": "drop", "attack": "clean", "at_most": 1}]},
         "rules.0: attack: drop is not defined for clean trainings; name an attack"),
        ({"rules": [{"measure": "robustness_score", "severities": [1], "at_least": 1}]},
         "rules.0: attack, severities: a robustness score is of all severities of evoshift; leave them out"),
        ({"rules": [{"measure": "accuracy", "tolerence": 0.1}]},
         "rules.0.tolerence: unknown key; did you mean 'tolerance'?"),
        ({"spread": {"cleen": 0.1}, "rules": [ACCURACY]}, "spread.cleen: unknown key; did you mean 'clean'?"),
        ({"spread": {"\n": 0.1}, "rules": [ACCURACY]},
         "spread.\\n: unknown key; choose from clean, attacked, weight"),
        ({"confidence": 2, "rules": [ACCURACY]}, "confidence: input should be less than 1, got 2"),
    ],
)  # fmt: skip
def test_rules_that_are_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validated(content, "r.yaml")
    assert str(refused.value) == f"r.yaml: {message}"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["rules", "confidence", "spread", "x"]), json_values, max_size=4))
@example({"spread": {"\n": None}})
@example({"rules": [{"\x85": 1}]})
@example({"\ud800": 1})
def test_any_content_gives_rules_or_one_clear_line(content: dict[str, Any]) -> None:
    try:
        assert isinstance(validated(content, "r.yaml"), Rules)
    except ConfigError as error:
        assert str(error).startswith("r.yaml: ") and str(error).isprintable()


def test_the_rules_that_come_along() -> None:
    shipped = load_rules(None)
    assert [rule.title for rule in shipped.rules] == [
        "clean accuracy", "attacked accuracy, mean", "attacked accuracy, each pair", "shortcuts in the data",
        "integrity of the data",
    ]  # fmt: skip
