"""Two audits of the same data side by side: `audit compare`. The gate's own differences, without limits."""

from __future__ import annotations

from typing import Literal

from audit.gate.comparability import differences_in_words, require_comparable
from audit.gate.differences import Draws, difference
from audit.gate.judge import ROUNDING, withheld
from audit.gate.quantities import NotMeasured, quantity, require_same_score
from audit.gate.record import Comparison, DifferenceRow
from audit.gate.rules import Measure, Rule, Spread
from audit.gate.snapshot import Key, Snapshot
from audit.results import CLEAN, EVOSHIFT, Interval

LEVEL = 0.95
Reading = Literal["higher", "lower", "no difference shown", "same", "withheld"]


def compare(first: Snapshot, second: Snapshot, spread: Spread | None = None) -> Comparison:
    """Accuracy of every condition that both have, and robustness scores; readings at a level corrected for all of
    them. Raises ConfigError where the two cannot be compared."""
    require_comparable(first, second)
    keys = [one.key for one in first.conditions if second.condition(one.key) is not None]
    asked: list[tuple[Key, Measure]] = [(key, "accuracy") for key in keys]
    asked += [(key, "robustness_score") for key in scored(keys, first)]
    draws = Draws.of(first, (spread or Spread()).weight)
    corrected = 1 - (1 - LEVEL) / max(len(asked), 1)
    rows = [row(key, measure, first, second, spread or Spread(), draws, corrected) for key, measure in asked]
    return Comparison(
        first=first.audit_id,
        second=second.audit_id,
        dataset=first.dataset,
        synthetic=first.synthetic,
        rows=rows,
        only_first=[named(one.key) for one in first.conditions if one.key not in keys],
        only_second=[named(one.key) for one in second.conditions if one.key not in keys],
        notes=differences_in_words(second, first),
    )


def scored(keys: list[Key], first: Snapshot) -> list[Key]:
    """One condition for each pair that has a robustness score in both."""
    found: dict[object, Key] = {}
    for key in keys:
        if key[1] == EVOSHIFT and key[0] != first.baseline_pair:
            found.setdefault(key[0], key)
    return list(found.values())


def row(
    key: Key,
    measure: Measure,
    first: Snapshot,
    second: Snapshot,
    spread: Spread,
    draws: Draws,
    corrected: float,
) -> DifferenceRow:
    """First minus second."""
    pair, attack, severity = key
    rule = Rule(measure=measure, attack=attack if measure == "accuracy" else EVOSHIFT, tolerance=0)
    spreads = (spread.clean, spread.attacked)
    try:
        require_same_score(rule, first, second)
        one, other = [quantity(first, key, rule, spreads)], [quantity(second, key, rule, spreads)]
    except NotMeasured as missing:
        return DifferenceRow(
            pair=pair, attack=attack, severity=severity, measure=measure, first=None, second=None,
            difference=None, reading="withheld", reason=str(missing),
        )  # fmt: skip
    found = difference(one, other, draws)
    same = one[0].cells == other[0].cells
    unfit = "" if same else withheld(one, other, ("the first audit", "the second audit"))
    return DifferenceRow(
        pair=pair,
        attack=attack,
        severity=severity,
        measure=measure,
        first=found.new,
        second=found.base,
        difference=found.interval(LEVEL),
        reading="withheld" if unfit else read_difference(found.interval(corrected)),
        reason=unfit,
    )


def read_difference(corrected: Interval) -> Reading:
    """Higher or lower where the corrected interval leaves zero out."""
    if corrected.low == corrected.high == 0:
        return "same"
    if corrected.low > ROUNDING:
        return "higher"
    return "lower" if corrected.high < -ROUNDING else "no difference shown"


def named(key: Key) -> str:
    """'resnet50, adam, none; evoshift, 1 px'."""
    pair, attack, severity = key
    return f"{', '.join(pair)}; {attack}" + ("" if attack == CLEAN else f", {severity} px")
