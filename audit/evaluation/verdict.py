"""Readings and the overall finding, in words. Thresholds come from the configuration, fixed beforehand."""

from __future__ import annotations

from audit.results import (
    CLEAN,
    EVOSHIFT,
    NO_DEFENCE,
    CellMeasures,
    ConditionSummary,
    DatasetRecord,
    Finding,
    Interval,
    PairComparison,
    Reading,
    Verdict,
)
from audit.settings import EvaluationSettings

ATTACK_WORDS = {
    EVOSHIFT: "found by evolutionary search",
    "shortcut": "found in closed form, the shortcut control",
    "random": "drawn at random, a control",
    "random-search": "found by random search, a control",
    "heuristic": "whose place encodes the label, a control",
    "transfer": "carried over from other images",
}
DEFENCE_WORDS = {"csn": "covariate shift normalization"}


def read_condition(
    clean: Interval | None,
    drop: Interval | None,
    measures: list[CellMeasures],
    n_classes: int,
    settings: EvaluationSettings,
) -> tuple[Reading, str]:
    """Reading of one attacked condition and its reason. `drop` is at the corrected level."""
    if clean is None or drop is None:
        return "withheld", "no clean training with the same seeds to compare with"
    needed = 1 / n_classes + settings.min_clean_above_chance
    if clean.low < needed:
        return "withheld", (
            f"clean accuracy {percent(clean.estimate)} is not surely above {percent(needed)}: "
            "there is too little to lose"
        )
    unfit = [m for m in measures if m.under_fitted]
    if unfit:
        best = max(reading.train_accuracy for m in unfit for reading in m.epochs)
        return "withheld", (
            f"under-fitted: {len(unfit)} of {len(measures)} trainings never reached 95 % on their own training "
            f"images (best {percent(best)})"
        )
    tolerance = settings.drop_tolerance
    shown = f"drop {points(drop.estimate)} ({100 * drop.low:.1f} to {100 * drop.high:.1f})"
    if drop.low > tolerance:
        return "vulnerable", f"{shown} is surely above the tolerance of {points(tolerance)}"
    if drop.high < tolerance:
        return "within tolerance", f"{shown} is surely below the tolerance of {points(tolerance)}"
    return (
        "inconclusive",
        f"{shown} does not clear the tolerance of {points(tolerance)}: more seeds or test images",
    )


def find(
    conditions: list[ConditionSummary],
    failed: int,
    dataset: DatasetRecord,
    tolerance: float,
    comparisons: list[PairComparison],
) -> Finding:
    """The overall verdict, the worst finding in one sentence, and what to do."""
    judged = [c for c in conditions if c.attack != CLEAN]
    readings = [c.reading for c in judged]
    verdict: Verdict
    if "vulnerable" in readings:
        verdict = "vulnerable"
        count = readings.count("vulnerable")
        reason = f"{count} of {len(judged)} attacked conditions lose surely more than {points(tolerance)}"
    elif failed or not judged:
        verdict = "incomplete"
        reason = f"{failed} trainings failed" if failed else "no attacked training finished"
    elif readings and all(reading == "within tolerance" for reading in readings):
        verdict = "within tolerance"
        reason = f"all {len(judged)} attacked conditions lose surely less than {points(tolerance)}"
    else:
        verdict = "inconclusive"
        open_readings = [r for r in readings if r in ("inconclusive", "withheld")]
        reason = f"{len(open_readings)} of {len(judged)} attacked conditions allow no reading"
    candidates = [c for c in judged if c.reading == "vulnerable"] or judged
    worst = max(candidates, key=lambda c: c.drop.estimate if c.drop else -1.0, default=None)
    return Finding(
        verdict=verdict,
        sentence=worst_sentence(worst, conditions, dataset),
        reason=reason,
        worst=worst,
        actions=actions(verdict, conditions, dataset, comparisons),
    )


def worst_sentence(
    worst: ConditionSummary | None, conditions: list[ConditionSummary], dataset: DatasetRecord
) -> str:
    """From what to what the worst condition fell, on which data."""
    if worst is None:
        return "No attacked training finished; nothing can be said about robustness."
    clean = next((c for c in conditions if c.pair == worst.pair and c.attack == CLEAN), None)
    pixels = f"{worst.severity} pixel{'s' if worst.severity > 1 else ''} per class"
    who = f"{worst.model} with {worst.optimizer} and {defence_words(worst.defence)}"
    before = f"from {percent_interval(clean.accuracy)} " if clean else ""
    kind = "synthetic test images" if dataset.synthetic else "unchanged test images"
    held = "" if worst.reading == "vulnerable" else f" (reading {worst.reading}: {worst.reason})"
    return (
        f"Changing {pixels} in the training images ({ATTACK_WORDS.get(worst.attack, worst.attack)}) took {who} "
        f"{before}to {percent_interval(worst.accuracy)} accuracy on {kind}, while it fitted "
        f"{percent(worst.train_accuracy)} of its training images{held}."
    )


def search_against_controls(conditions: list[ConditionSummary]) -> list[str]:
    """One sentence for each control that did at least as much harm as the search on the same pair."""
    searched = {(c.pair, c.severity): c for c in conditions if c.attack == EVOSHIFT}
    found = []
    for control in conditions:
        rival = searched.get((control.pair, control.severity))
        if control.attack in (CLEAN, EVOSHIFT) or rival is None:
            continue
        if control.accuracy.estimate <= rival.accuracy.estimate:
            apart = control.accuracy.high < rival.accuracy.low
            judged = "the control did more harm" if apart else "their intervals overlap"
            found.append(
                f"The search did not beat the {control.attack} control on {' '.join(control.pair)} at "
                f"N_p = {control.severity}: accuracy {percent_interval(rival.accuracy)} after the search, "
                f"{percent_interval(control.accuracy)} after the control; {judged}."
            )
    return found


def actions(
    verdict: Verdict,
    conditions: list[ConditionSummary],
    dataset: DatasetRecord,
    comparisons: list[PairComparison],
) -> list[str]:
    """Up to three things to do, from what was measured and nothing else."""
    found = []
    if dataset.synthetic:
        found.append(
            "Run the audit on your own images (--data): synthetic phantoms say nothing about patients."
        )
    if verdict == "vulnerable":
        found.append(
            "Guard the training images: verify files against their originals before each training; a high "
            "training accuracy does not show that the images are sound."
        )
    else:
        found.append("Repeat with more seeds and a larger search before relying on this result.")
    searched = [c for c in conditions if c.attack == EVOSHIFT]
    if searched:
        worst = min(searched, key=lambda c: c.accuracy.estimate)
        found.append(defence_effect(worst, comparisons))
    return found[:3]


def defence_effect(worst: ConditionSummary, comparisons: list[PairComparison]) -> str:
    """What the best defence recovered for the worst model and optimizer, read as its comparison is."""
    place = (worst.model, worst.optimizer, worst.attack, worst.severity)
    tried = [
        (c.recovery.estimate, c)
        for c in comparisons
        if c.recovery is not None and (*c.first[:2], c.attack, c.severity) == place
    ]
    if not tried:
        return "No defence was compared for the worst pair: add some to see whether they help."
    shown = [one for one in tried if one[1].reading == "better"]
    best = max(shown or tried, key=lambda one: one[0])[1]
    name = defence_words(best.first[2])
    of = f", the best of {len(tried)} defences," if len(tried) > 1 else ""
    who = f"{worst.model} with {worst.optimizer}"
    if not shown or best.recovery is None:
        largest = interval_of_points(best.recovery)
        return (
            f"No defence was shown to help {who}: {name}{of} recovered {largest} of attacked accuracy; reading "
            f"{best.reading}."
        )
    return (
        f"{name[:1].upper()}{name[1:]}{of} helped {who}: it recovered {interval_of_points(best.recovery)} of attacked "
        f"accuracy and cost {interval_of_points(best.cost)} of clean accuracy."
    )


def interval_of_points(interval: Interval | None) -> str:
    """'12.0 points (8.1 to 15.9)'."""
    if interval is None:
        return "an unknown part"
    return f"{points(interval.estimate)} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def defence_words(defence: str) -> str:
    """'no defence', 'covariate shift normalization + crop-flip'."""
    if defence == NO_DEFENCE:
        return "no defence"
    return " + ".join(DEFENCE_WORDS.get(part, part) for part in defence.split(" + "))


def percent(value: float) -> str:
    """0.931 -> '93.1 %'."""
    return f"{100 * value:.1f} %"


def points(value: float) -> str:
    """0.1 -> '10.0 points' (percentage points)."""
    return f"{100 * value:.1f} points"


def percent_interval(interval: Interval) -> str:
    """'93.1 % (90.2–95.4)'."""
    return f"{percent(interval.estimate)} ({100 * interval.low:.1f}–{100 * interval.high:.1f})"
