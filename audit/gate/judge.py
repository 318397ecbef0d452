"""Rules × two audits -> a verdict.

A check passes where its interval lies within the tolerance, fails where it lies beyond, and is inconclusive
otherwise: then more seeds are asked for. Failing is read from an interval at Bonferroni's level for all checks of the
gate and all looks at these data, so that a gate with many checks is red no more often than one with few; passing
from the plain one, since all checks must pass. What is missing is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audit.errors import ConfigError
from audit.gate.comparability import require_comparable
from audit.gate.differences import Draws, difference
from audit.gate.quantities import NotMeasured, Quantity, quantity, require_same_score
from audit.gate.record import GateCheck, GateResult, Status
from audit.gate.rules import Rule, Rules
from audit.gate.snapshot import Key, Snapshot
from audit.gate.verdict import Gate, verdict
from audit.gate.words import many
from audit.results import CLEAN, EVOSHIFT, Interval

ROUNDING = 1e-12  # is no difference


@dataclass(frozen=True)
class Question:
    """What one check asks: a rule on one condition, or on the mean of several."""

    rule: Rule
    subject: str
    keys: tuple[Key, ...]


def judge(new: Snapshot, base: Snapshot | None, rules: Rules, looks: int = 1) -> GateResult:
    """The verdict on an audit. `base` may be missing only where no rule needs it. Raises ConfigError where the two
    cannot be compared."""
    if base is None and any(rule.tolerance is not None for rule in rules.rules):
        raise ConfigError("no baseline: rules with a tolerance need one; give --baseline FILE or RUN")
    if base is not None:
        require_comparable(new, base)
    gate = Gate(new, base, rules, looks)
    draws = Draws.of(new, rules.spread.weight)
    asked = [question for rule in rules.rules if not rule.of_data for question in questions(rule, gate)]
    corrected = 1 - (1 - rules.confidence) / max(len(asked) * looks, 1)
    checks = [answer(question, gate, draws, corrected) for question in asked]
    checks += [count_check(rule, gate) for rule in rules.rules if rule.of_data]
    return verdict(gate, checks)


def questions(rule: Rule, gate: Gate) -> Iterator[Question]:
    """The checks of a rule: conditions of this audit and of the baseline, so that none goes missing unseen."""
    known = [*gate.new.conditions, *(gate.base.conditions if gate.base is not None else [])]
    keys = list(dict.fromkeys(one.key for one in known if matches(one.key, rule, gate)))
    if not keys:
        yield Question(rule, in_words(rule), ())
    elif rule.over == "mean" and len(keys) > 1:
        yield Question(rule, f"mean of {len(keys)} conditions: {in_words(rule)}", tuple(keys))
    else:
        for key in keys:
            yield Question(rule, condition_in_words(key, rule), (key,))


def matches(key: Key, rule: Rule, gate: Gate) -> bool:
    """Whether a rule speaks of a condition. A score has one condition per pair, and none for the baseline pair."""
    (model, optimizer, defence), attack, severity = key
    if attack != rule.attack:
        return False
    if rule.measure == "robustness_score":
        attacked = {
            one.severity for one in gate.new.conditions if one.attack == EVOSHIFT and one.key[0] == key[0]
        }
        return key[0] != gate.new.baseline_pair and severity == min(attacked, default=severity)
    return (
        (not rule.severities or severity in rule.severities or attack == CLEAN)
        and (not rule.models or model in rule.models)
        and (not rule.optimizers or optimizer in rule.optimizers)
        and (not rule.defences or defence in rule.defences)
    )


def in_words(rule: Rule) -> str:
    """'evoshift, 1, 2 pixels'; 'clean'."""
    which = f", {', '.join(map(str, rule.severities))} pixels" if rule.severities else ""
    return f"{rule.attack}{which}"


def condition_in_words(key: Key, rule: Rule) -> str:
    """'resnet50, adam, none; evoshift, 1 pixel'."""
    pair, attack, severity = key
    if rule.measure == "robustness_score":
        return f"{', '.join(pair)}; all severities"
    size = "" if attack == CLEAN else f", {severity} pixel{'s' if severity > 1 else ''}"
    return f"{', '.join(pair)}; {attack}{size}"


def answer(question: Question, gate: Gate, draws: Draws, corrected_level: float) -> GateCheck:
    """Judge one check that has an interval."""
    rule = question.rule
    told: dict[str, Any] = {"rule": rule.title, "subject": question.subject, "measure": rule.measure}
    told |= {"lower_is_better": rule.lower_is_better, "limit": limit_of(rule)}
    if not question.keys:
        reason = (
            "no condition of this audit matches the rule; mend its attack, severities, models or defences"
        )
        return GateCheck(**told, status="error", reason=reason)
    try:
        new = [quantity(gate.new, key, rule, gate.spreads) for key in question.keys]
    except NotMeasured as missing:
        return GateCheck(**told, status="error", reason=f"this audit: {missing}", incomplete=True)
    base: list[Quantity] | None = None
    if rule.tolerance is not None and gate.base is not None:
        try:
            require_same_score(rule, gate.new, gate.base)
            base = [quantity(gate.base, key, rule, gate.spreads) for key in question.keys]
        except NotMeasured as missing:
            return GateCheck(**told, status="error", reason=f"baseline: {missing}")
    found = difference(new, base, draws)
    plain, corrected = found.interval(gate.rules.confidence), found.interval(corrected_level)
    status, more = read(rule, plain, corrected), None
    reason = withheld(new, base)
    if reason and plain.low < plain.high:
        status = "inconclusive"
    else:
        reason = explain(rule, status, plain, corrected)
        if status == "inconclusive":
            # A failure is read from the corrected interval, passing from the plain one.
            level = (corrected if is_beyond(rule, found.estimate) else plain).level
            more = found.seeds_to_decide(limit_of(rule), level)
            decides = (
                f"{many(more, 'more seed')} would decide"
                if more
                else found.what_limits(limit_of(rule), level)
            )
            reason += f"; {decides}"
    return GateCheck(
        **told,
        value=found.new,
        reference=found.base,
        judged=plain,
        corrected=corrected,
        status=status,
        reason=reason,
        more_seeds=more,
    )


def limit_of(rule: Rule) -> float:
    """The worst that is tolerated: of the difference from the baseline, or of the value."""
    if rule.tolerance is not None:
        return rule.tolerance if rule.lower_is_better else -rule.tolerance
    return float(rule.at_most if rule.lower_is_better else rule.at_least)  # type: ignore[arg-type]


def is_beyond(rule: Rule, judged: float) -> bool:
    """Whether a difference or a value is worse than what is tolerated."""
    limit = limit_of(rule)
    return judged > limit + ROUNDING if rule.lower_is_better else judged < limit - ROUNDING


def read(rule: Rule, plain: Interval, corrected: Interval) -> Status:
    """Within, beyond, or neither."""
    if not is_beyond(rule, plain.high if rule.lower_is_better else plain.low):
        return "pass"
    best = corrected.low if rule.lower_is_better else corrected.high
    return "fail" if is_beyond(rule, best) else "inconclusive"


def withheld(
    new: Sequence[Quantity],
    base: Sequence[Quantity] | None,
    names: tuple[str, str] = ("this audit", "the baseline"),
) -> str:
    """Why a difference is not one of robustness: trainings that did not learn their own images. Empty where all did."""
    for name, side in zip(names, (new, base or []), strict=True):
        unfit = sum(one.unfit for one in side)
        if unfit:
            return (
                f"{many(unfit, 'training')} of {name} did not learn the training images: whether robustness or fit "
                "changed cannot be told; train longer"
            )
    return ""


def explain(rule: Rule, status: Status, plain: Interval, corrected: Interval) -> str:
    """Why, in words."""
    if plain.low == plain.high:
        return "the same trainings as in the baseline, answer for answer"
    if status == "pass":
        return "the whole interval is tolerated"
    if status == "fail":
        return "the whole interval, corrected for all checks, lies beyond the limit"
    if is_beyond(rule, plain.low if rule.lower_is_better else plain.high):
        return (
            f"beyond the limit at {100 * plain.level:g} %, but not corrected for all checks "
            f"({100 * corrected.level:.4g} %)"
        )
    return "the interval holds the limit"


def count_check(rule: Rule, gate: Gate) -> GateCheck:
    """Judge a count of findings in the data."""
    told: dict[str, Any] = {
        "rule": rule.title,
        "subject": "data",
        "measure": rule.measure,
        "lower_is_better": True,
    }
    count, named = counted(rule, gate.new)
    if count is None:
        return GateCheck(
            **told, limit=limit_of(rule), status="error", reason=f"this audit: {named}", incomplete=True
        )
    if rule.tolerance is None or gate.base is None:
        limit, reference = limit_of(rule), None
    else:
        reference, missing = counted(rule, gate.base)
        if reference is None:
            return GateCheck(
                **told, limit=rule.tolerance, value=count, status="error", reason=f"baseline: {missing}"
            )
        limit = reference + rule.tolerance
    status: Status = "pass" if count <= limit else "fail"
    return GateCheck(
        **told, limit=limit, value=count, reference=reference, status=status, reason=named or "none"
    )


def counted(rule: Rule, snapshot: Snapshot) -> tuple[int | None, str]:
    """How many, and which; None and why where it was not looked for."""
    if rule.measure == "shortcut_findings":
        found = snapshot.shortcut_findings
        if found is None:
            return None, "the data was not scanned for shortcuts"
        return found, many(found, "finding") if found else ""
    if not snapshot.checks:
        return None, "the data was not checked"
    wanted = "fail" if rule.measure == "failed_checks" else "warn"
    names = [name for name, status in snapshot.checks.items() if status == wanted]
    return len(names), ", ".join(names)
