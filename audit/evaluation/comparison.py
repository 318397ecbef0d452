"""Two pairs under the same attack on the same seeds: which one keeps more accuracy, and where that is not said.

Every pair is compared with the baseline, and every defence with no defence of the same model and optimizer:
then the difference of attacked accuracy is its recovery, that of clean accuracy its cost. A comparison is
read by an interval at Bonferroni's level, 1 - 0.05 / (number of comparisons of the audit), withheld ones
counted: all intervals hold at once with 95 %. Bonferroni rather than Holm, whose steps have no intervals
that belong to them.
"""

from __future__ import annotations

from audit.evaluation.conditions import Evidence, Key
from audit.evaluation.intervals import LEVEL, difference_interval
from audit.evaluation.verdict import defence_words, percent, points
from audit.results import (
    CLEAN,
    ComparisonReading,
    Interval,
    Pair,
    PairComparison,
)

CLEAN_MARGIN = 0.05
"""Pairs whose clean accuracies differ by more than this (estimate) are not compared: robustness would be
confounded with how well they learned (method §6)."""


def compare_pairs(evidence: Evidence) -> list[PairComparison]:
    """All comparisons of an audit, in the order of its conditions."""
    family = planned_comparisons(evidence)
    corrected_level = 1 - (1 - LEVEL) / max(len(family), 1)
    return [compare(key, other, evidence, corrected_level, len(family)) for key, other in family]


def planned_comparisons(evidence: Evidence) -> list[tuple[Key, Pair]]:
    """Attacked conditions, each with the pairs that it is compared with: those that have it too."""
    found = []
    for key in evidence.by_condition:
        pair, attack, severity = key
        if attack == CLEAN:
            continue
        plain: Pair = (pair[0], pair[1], evidence.baseline[2])  # the recipe's own, mostly none
        for other in dict.fromkeys((evidence.baseline, plain)):
            if other != pair and (other, attack, severity) in evidence.by_condition:
                found.append((key, other))
    return found


def compare(key: Key, other: Pair, evidence: Evidence, corrected_level: float, family: int) -> PairComparison:
    """One pair under one attack against another; `corrected_level` for all `family` comparisons."""
    first, attack, severity = key
    keys: tuple[Key, Key] = (key, (other, attack, severity))
    clean_keys: tuple[Key, Key] = ((first, CLEAN, 0), (other, CLEAN, 0))
    corrected = paired_difference(*keys, evidence, corrected_level)
    clean = paired_difference(*clean_keys, evidence)
    withheld = why_withheld(keys, clean_keys, corrected, clean, evidence)
    reading: ComparisonReading = "withheld"
    if corrected is not None and not withheld:
        reading = read_difference(corrected)
    return PairComparison(
        first=first,
        second=other,
        attack=attack,
        severity=severity,
        attacked=paired_difference(*keys, evidence),
        corrected=corrected,
        clean=clean,
        reading=reading,
        reason=withheld or in_words(corrected, family),
        is_defence=first[:2] == other[:2] and other[2] == evidence.baseline[2],
    )


def paired_difference(first: Key, second: Key, evidence: Evidence, level: float = LEVEL) -> Interval | None:
    """Accuracy of first minus second over the seeds that both have; None where there is none."""
    seeds = evidence.seeds(first) & evidence.seeds(second)
    if not seeds:
        return None
    one, other = evidence.correct(first, seeds), evidence.correct(second, seeds)
    return difference_interval(one, other, evidence.resampling(len(seeds)), level)


def read_difference(corrected: Interval) -> ComparisonReading:
    """Better or worse where the corrected interval leaves zero out."""
    if corrected.low > 0:
        return "better"
    return "worse" if corrected.high < 0 else "no difference shown"


def why_withheld(
    keys: tuple[Key, Key],
    clean_keys: tuple[Key, Key],
    attacked: Interval | None,
    clean: Interval | None,
    evidence: Evidence,
) -> str:
    """Why two pairs cannot be compared, in words; empty where they can."""
    if attacked is None:
        return "no attacked trainings of both with the same seeds"
    if clean is None:
        return (
            "no clean trainings of both with the same seeds: whether they learned equally well is not known"
        )
    unfit = [words for pair in zip(keys, clean_keys, strict=True) if (words := under_fitted(pair, evidence))]
    if unfit:
        return f"fit differs or is missing: {'; '.join(unfit)}"
    if abs(clean.estimate) > CLEAN_MARGIN:
        return (
            f"clean accuracy differs by {points(abs(clean.estimate))} (more than {points(CLEAN_MARGIN)}): "
            f"{named(keys[0][0])} has the {'higher' if clean.estimate > 0 else 'lower'} one"
        )
    return ""


def under_fitted(conditions: tuple[Key, Key], evidence: Evidence) -> str:
    """How many trainings of a pair, attacked and clean, did not learn their own images; empty where all did."""
    measures = [m for key in conditions for m in evidence.measures(key)]
    unfit = [m for m in measures if m.under_fitted]
    if not unfit:
        return ""
    lowest = min(m.train_accuracy for m in unfit)
    return (
        f"{named(conditions[0][0])} under-fitted in {len(unfit)} of {len(measures)} trainings "
        f"(attacked and clean; lowest training accuracy {percent(lowest)})"
    )


def in_words(corrected: Interval | None, family: int) -> str:
    """The difference with its corrected interval, and what it rests on."""
    if corrected is None:
        return ""
    many = f"corrected for {family} comparisons" if family > 1 else "one comparison"
    text = (
        f"attacked accuracy differs by {points(corrected.estimate)} "
        f"({100 * corrected.low:.1f} to {100 * corrected.high:.1f} at the {100 * corrected.level:.4g} % level, {many})"
    )
    if corrected.low <= 0 <= corrected.high:
        text += ": it may be zero"
    if corrected.n_seeds == 1:
        text += "; one training each: other seeds may turn it around"
    return text


def named(pair: Pair) -> str:
    """'resnet50 with adam and no defence'."""
    return f"{pair[0]} with {pair[1]} and {defence_words(pair[2])}"
