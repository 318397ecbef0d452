"""What the report asks an `AuditResult` for. Selections, sums of counts and plain means, nothing more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from audit.results import (
    CLEAN,
    EVOSHIFT,
    AuditResult,
    CellMeasures,
    CellResult,
    ConditionSummary,
    Pair,
    PerturbationRecord,
    SearchRecord,
)
from reports.words import NOT_RUN, attack_order, dagger, percent_interval

REASON = 160  # signs of a failure in a table cell; the limitations give it in full
LARGE_GRID = 12  # pairs; above, figures with one panel per pair show a selection


def pairs(result: AuditResult) -> list[Pair]:
    """All (model, optimizer, defence) of the audit, finished or failed, in the order of the cells."""
    return list(dict.fromkeys(cell.pair for cell in result.cells))


def models(result: AuditResult) -> list[str]:
    """All models, in the order of the cells."""
    return list(dict.fromkeys(cell.model for cell in result.cells))


def attacks(result: AuditResult) -> list[str]:
    """All methods that were trained on, finished or failed, in the order of `words.ATTACKS`."""
    return sorted({cell.attack for cell in result.cells} - {CLEAN}, key=attack_order)


def main_attack(result: AuditResult) -> str:
    """The method that figures by severity follow: EvoShift; where it was not run, the next of
    `words.ATTACKS` that was."""
    return next(iter(attacks(result)), EVOSHIFT)


def severities(result: AuditResult) -> list[int]:
    """Severities at which the main method was trained on, finished or failed."""
    wanted = main_attack(result)
    return sorted({cell.severity for cell in result.cells if cell.attack == wanted})


def condition(result: AuditResult, pair: Pair, attack: str, severity: int) -> ConditionSummary | None:
    """The summary of one condition; None where no training of it finished."""
    wanted = (pair, attack, severity)
    return next((c for c in result.conditions if (c.pair, c.attack, c.severity) == wanted), None)


def cells(result: AuditResult, pair: Pair, attack: str, severity: int) -> list[CellResult]:
    """All cells of one condition."""
    wanted = (pair, attack, severity)
    return [c for c in result.cells if (c.pair, c.attack, c.severity) == wanted]


def measures(result: AuditResult, pair: Pair, attack: str, severity: int) -> list[CellMeasures]:
    """Measures of the finished cells of one condition."""
    found = [c.measures for c in cells(result, pair, attack, severity) if c.status == "done"]
    return [m for m in found if m is not None]


def ordered_conditions(result: AuditResult) -> list[tuple[Pair, str, int]]:
    """All conditions, finished or failed: by pair; in it clean, the main method by severity, the controls."""
    keys = dict.fromkeys((cell.pair, cell.attack, cell.severity) for cell in result.cells)
    place = {pair: index for index, pair in enumerate(pairs(result))}
    rank = {CLEAN: 0, main_attack(result): 1}
    return sorted(keys, key=lambda key: (place[key[0]], rank.get(key[1], 2), key[2], attack_order(key[1])))


def failed_cells(result: AuditResult) -> list[CellResult]:
    """Cells that failed."""
    return [cell for cell in result.cells if cell.status == "failed"]


def failure(found: Sequence[CellResult]) -> str:
    """'failed: reason' of the first failed cell; 'not run' where there is none."""
    reasons = [cell.failure or "no reason recorded" for cell in found if cell.status == "failed"]
    if not reasons:
        return NOT_RUN
    return f"failed: {reasons[0][:REASON]}" + ("…" if len(reasons[0]) > REASON else "")


def accuracy_text(result: AuditResult, pair: Pair, attack: str, severity: int) -> str:
    """Accuracy with interval and the mark of under-fitting; else why there is none."""
    found = condition(result, pair, attack, severity)
    if found is None:
        return failure(cells(result, pair, attack, severity))
    return percent_interval(found.accuracy) + dagger(found)


def accuracy_estimate(result: AuditResult, pair: Pair, attack: str, severity: int) -> float:
    """For choosing among pairs; -1 where no training finished."""
    found = condition(result, pair, attack, severity)
    return -1.0 if found is None else found.accuracy.estimate


def baseline_pair(result: AuditResult) -> Pair | None:
    """The pair that scores are divided by; None where it was not trained."""
    return next((pair for pair in pairs(result) if pair == result.baseline_pair), None)


def reference_optimizer(result: AuditResult) -> str:
    """The optimizer of Fig. 4-2a and Table 4.1: Adam where it was run, else the baseline's or the first."""
    names = list(dict.fromkeys(cell.optimizer for cell in result.cells))
    baseline = baseline_pair(result)
    if "adam" in names:
        return "adam"
    if baseline is not None:
        return baseline[1]
    return names[0] if names else ""


def reference_pairs(result: AuditResult) -> list[Pair]:
    """The pairs of Fig. 4-2a: every model with the reference optimizer."""
    return [pair for pair in pairs(result) if pair[1] == reference_optimizer(result)]


def shown_severity(result: AuditResult) -> int | None:
    """The severity of the one-page summary: that of the worst finding, else the largest."""
    if result.finding.worst is not None:
        return result.finding.worst.severity
    return max(severities(result), default=None)


def attacked_mean(result: AuditResult, pair: Pair) -> float | None:
    """Mean accuracy over the severities of the main method; None where none finished."""
    wanted = (pair, main_attack(result))
    found = [c.accuracy.estimate for c in result.conditions if (c.pair, c.attack) == wanted]
    return sum(found) / len(found) if found else None


def selected_pairs(result: AuditResult) -> list[Pair]:
    """All pairs; of a large grid the worst and the best under attack and the baseline."""
    everything = pairs(result)
    if len(everything) <= LARGE_GRID:
        return everything
    scored = [(mean, pair) for pair in everything if (mean := attacked_mean(result, pair)) is not None]
    wanted = {baseline_pair(result)}
    if scored:
        wanted |= {min(scored)[1], max(scored)[1]}
    return [pair for pair in everything if pair in wanted] or everything[:3]


def trained_on(result: AuditResult) -> list[tuple[str, int]]:
    """Clean, then the main method by severity: the columns of most figures."""
    clean = [(CLEAN, 0)] if any(cell.attack == CLEAN for cell in result.cells) else []
    return clean + [(main_attack(result), severity) for severity in severities(result)]


def controls(result: AuditResult) -> list[str]:
    """Methods beside the main one that were trained on."""
    return attacks(result)[1:]


def searches(result: AuditResult) -> list[tuple[PerturbationRecord, SearchRecord]]:
    """Perturbations that surrogates were trained for, with how: by severity, then method."""
    found = [(p, p.search) for p in result.perturbations if p.search is not None]
    return sorted(found, key=lambda pair: (pair[0].severity, attack_order(pair[0].attack)))


def perturbation(result: AuditResult, attack: str, severity: int) -> PerturbationRecord | None:
    """The first perturbation of that kind."""
    wanted = (attack, severity)
    return next((p for p in result.perturbations if (p.attack, p.severity) == wanted), None)


def fitness_unit(searches: Sequence[SearchRecord]) -> str:
    """Unit of the fitness: nats of cross-entropy (2.6), or probability (Algorithm 1); the weighed training loss
    and divergence (2.7) are named."""
    units = []
    for search in searches:
        unit = "probability" if search.settings.get("fitness") == "probability" else "nats"
        for sign, setting, what in (
            ("−", "loss_weight", "training loss"),
            ("+", "domain_weight", "domain divergence"),
        ):
            weight = search.settings.get(setting)
            if isinstance(weight, int | float) and weight > 0:
                unit += f" {sign} {weight:g} × {what}"
        units.append(unit)
    return " / ".join(dict.fromkeys(units)) or "nats"


def fitness_label(searches: Sequence[SearchRecord]) -> str:
    """Label of an axis: a line for each part of the fitness."""
    return f"fitness, {fitness_unit(searches)}".replace(" − ", "\n− ").replace(" + ", "\n+ ")


def confusion_sum(found: Sequence[CellMeasures]) -> list[list[int]]:
    """Counts [true][predicted], summed over trainings."""
    tables = [m.confusion for m in found]
    size = range(len(tables[0]))
    return [[sum(table[row][col] for table in tables) for col in size] for row in size]


def setting(result: AuditResult, path: str) -> object | None:
    """One value of the configuration by its dotted name; None where it is not recorded."""
    value: object = result.config
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def config_fingerprint(result: AuditResult) -> str:
    """SHA-256 of the configuration in results.json, as JSON with sorted keys."""
    text = json.dumps(result.config, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def setting_text(result: AuditResult, path: str) -> str:
    """The same as text."""
    value = setting(result, path)
    if value is None:
        return "not recorded"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
