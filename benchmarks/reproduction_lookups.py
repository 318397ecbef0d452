"""Conditions and cells of an audit, and numbers in words, for the page of the reproduction."""

from __future__ import annotations

from audit.results import CLEAN, EVOSHIFT, AuditResult, CellMeasures, ConditionSummary, Interval

NO_DEFENCE = "none"
SEVERITIES = (1, 2, 5)


def condition(result: AuditResult, model: str, optimizer: str, severity: int) -> ConditionSummary | None:
    return find(result, (model, optimizer, NO_DEFENCE), severity)


def find(result: AuditResult, pair: tuple[str, str, str], severity: int) -> ConditionSummary | None:
    """EvoShift's condition of a pair, or the clean one for 0 pixels."""
    attack = EVOSHIFT if severity else CLEAN
    found = [c for c in result.conditions if (c.pair, c.attack, c.severity) == (pair, attack, severity)]
    return found[0] if found else None


def measures(result: AuditResult, model: str, optimizer: str, severity: int) -> list[CellMeasures]:
    """What was measured on the trainings without defence."""
    wanted = ((model, optimizer, NO_DEFENCE), EVOSHIFT if severity else CLEAN, severity)
    return [c.measures for c in result.cells if (c.pair, c.attack, c.severity) == wanted and c.measures]


def accuracy_text(accuracy: Interval) -> str:
    return f"{100 * accuracy.estimate:.0f} ({100 * accuracy.low:.0f}-{100 * accuracy.high:.0f})"


def signed(interval: Interval | None, sign: str = "+") -> str:
    """Points with interval."""
    if interval is None:
        return "-"
    estimate, low, high = (f"{100 * v:{sign}.0f}" for v in (interval.estimate, interval.low, interval.high))
    return f"{estimate} ({low} to {high})"
