"""Numbers of a gate as people read them: on the terminal, in Markdown, in JUnit's messages."""

from __future__ import annotations

from audit.gate.record import DifferenceRow, GateCheck
from audit.gate.rules import DATA_MEASURES
from audit.results import Interval


def in_points(measure: str) -> bool:
    """Whether a measure is a fraction that is told in percent, and its differences in percentage points."""
    return measure != "robustness_score" and measure not in DATA_MEASURES


def many(number: int, noun: str) -> str:
    """'1 training', '2 trainings'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def titled(dataset: str, synthetic: bool) -> str:
    """The data by name; phantoms are called synthetic wherever they are named."""
    return f"{dataset} (synthetic)" if synthetic and "synthetic" not in dataset else dataset


def value(measure: str, number: float | None) -> str:
    """In the unit of the measure: '56.1 %', '0.98', '2'."""
    if number is None:
        return "–"
    if measure in DATA_MEASURES:
        return f"{number:.0f}"
    return f"{100 * number:.1f} %" if in_points(measure) else f"{number:.2f}"


def interval(measure: str, found: Interval | None) -> str:
    """'−3.0 (−8.1 to +2.2)': percentage points, or as the measure is."""
    if found is None:
        return "–"
    factor, digits = (100, 1) if in_points(measure) else (1, 2)
    parts = [
        f"{factor * number:+.{digits}f}".replace("-", "−")
        for number in (found.estimate, found.low, found.high)
    ]
    return f"{parts[0]} ({parts[1]} to {parts[2]})"


def limit(check: GateCheck) -> str:
    """'≥ −10.0': of the difference, or of the value."""
    sign = "≤" if check.lower_is_better else "≥"
    if check.measure in DATA_MEASURES:
        return f"{sign} {check.limit:.0f}"
    factor, digits = (100, 1) if in_points(check.measure) else (1, 2)
    return f"{sign} {factor * check.limit:+.{digits}f}".replace("-", "−").replace("+", "")


def numbers(check: GateCheck) -> str:
    """'this audit 51.0 %, baseline 56.1 %, judged −5.1 (−9.0 to −1.2), tolerated ≥ −10.0'."""
    parts = [f"this audit {value(check.measure, check.value)}"]
    if check.reference is not None:
        parts.append(f"baseline {value(check.measure, check.reference)}")
    if check.judged is not None:
        parts.append(f"judged {interval(check.measure, check.judged)} at {100 * check.judged.level:g} %")
        parts.append(f"n = {check.judged.n_images} test images, {check.judged.n_seeds} or more seeds")
    return ", ".join([*parts, f"tolerated {limit(check)}"])


def condition(one: DifferenceRow) -> str:
    """'resnet50, adam, none; evoshift, 1 px'."""
    return f"{', '.join(one.pair)}; {measured(one)}"


def measured(one: DifferenceRow) -> str:
    """'robustness score'; 'evoshift, 1 px'; 'clean'."""
    if one.measure == "robustness_score":
        return "robustness score"
    return one.attack + (f", {one.severity} px" if one.severity else "")
