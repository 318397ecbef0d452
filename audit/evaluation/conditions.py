"""From cells to conditions: accuracy and drop of each (pair, attack, severity) with intervals, and the
robustness scores (4.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Labels
from audit.evaluation.intervals import (
    LEVEL,
    Resampling,
    difference_interval,
    make_resampling,
    mean_interval,
    measure_interval,
    ratio_interval,
)
from audit.evaluation.verdict import points, read_condition
from audit.results import (
    CLEAN,
    EVOSHIFT,
    CellMeasures,
    CellResult,
    ConditionSummary,
    Interval,
    Pair,
    ScoreRow,
)
from audit.settings import AuditConfig

Floats = npt.NDArray[np.float64]
Key = tuple[Pair, str, int]  # (pair, attack, severity)


@dataclass
class Evidence:
    """Right and wrong answers of all finished cells, and the draws that all intervals share."""

    cells: list[CellResult]
    test_labels: Labels
    test_groups: Labels | None
    config: AuditConfig
    baseline: Pair

    @cached_property
    def by_condition(self) -> dict[Key, list[CellResult]]:
        """Finished cells of each condition."""
        found: dict[Key, list[CellResult]] = defaultdict(list)
        for cell in self.cells:
            if cell.status == "done":
                found[(cell.pair, cell.attack, cell.severity)].append(cell)
        return dict(found)

    @cached_property
    def _patients(self) -> Resampling:
        settings = self.config.evaluation
        return make_resampling(len(self.test_labels), self.test_groups, 1, settings.bootstrap, settings.seed)

    def resampling(self, n_seeds: int) -> Resampling:
        """Equal draws of test images whatever the number of seeds."""
        return replace(self._patients, n_seeds=n_seeds)

    def seeds(self, key: Key) -> set[int]:
        """Seeds with a finished training under this condition."""
        return {cell.seed for cell in self.by_condition.get(key, [])}

    def correct(self, key: Key, seeds: Iterable[int]) -> Floats:
        """Right answers (S, N) in [0, 1]; several draws of one seed are averaged."""
        rows = []
        for seed in sorted(seeds):
            draws = [cell.predictions for cell in self.by_condition[key] if cell.seed == seed]
            rows.append((np.asarray(draws) == self.test_labels).mean(axis=0))
        return np.asarray(rows, dtype=np.float64)

    def measures(self, key: Key) -> list[CellMeasures]:
        """Measures of the finished cells of a condition."""
        return [cell.measures for cell in self.by_condition[key] if cell.measures is not None]


def summarize_conditions(evidence: Evidence) -> list[ConditionSummary]:
    """One row per condition with at least one finished cell, in the order of the cells."""
    judged = [key for key in evidence.by_condition if key[1] != CLEAN]
    # Many pairs are read at once: the level at which each is called vulnerable is Bonferroni's.
    corrected = 1 - (1 - LEVEL) / max(len(judged), 1)
    return [summarize(key, evidence, corrected) for key in evidence.by_condition]


def summarize(key: Key, evidence: Evidence, corrected_level: float) -> ConditionSummary:
    """Accuracy, drop and reading of one condition."""
    (model, optimizer, defence), attack, severity = key
    measures = evidence.measures(key)
    seeds = evidence.seeds(key)
    accuracy = mean_interval(evidence.correct(key, seeds), evidence.resampling(len(seeds)))
    drop, reading, reason = None, None, ""
    if attack != CLEAN:
        clean_key: Key = (key[0], CLEAN, 0)
        drop = paired_drop(clean_key, key, evidence, LEVEL)
        reading, reason = read_condition(
            clean=clean_accuracy(clean_key, evidence),
            drop=paired_drop(clean_key, key, evidence, corrected_level),
            measures=measures,
            n_classes=len(np.unique(evidence.test_labels)),
            settings=evidence.config.evaluation,
        )
    overlays = [m.nuisance_sensitivity for m in measures if m.nuisance_sensitivity is not None]
    return ConditionSummary(
        model=model,
        optimizer=optimizer,
        defence=defence,
        attack=attack,
        severity=severity,
        accuracy=accuracy,
        measures=other_measures(evidence, key),
        drop=drop,
        train_accuracy=float(np.mean([m.train_accuracy for m in measures])),
        under_fitted_seeds=sum(m.under_fitted for m in measures),
        nuisance_sensitivity=float(np.mean(overlays)) if overlays else None,
        reading=reading,
        reason=reason,
    )


def other_measures(evidence: Evidence, key: Key) -> dict[str, Interval]:
    """Intervals of the measures beside accuracy; those that some training lacks are left out."""
    by_seed: dict[int, list[CellMeasures]] = defaultdict(list)
    for cell in evidence.by_condition[key]:
        if cell.measures is not None:
            by_seed[cell.seed].append(cell.measures)
    found = {}
    for name in dict.fromkeys(n for m in evidence.measures(key) for n in m.standard_errors):
        values = [[getattr(m, name) for m in draws] for draws in by_seed.values()]
        errors = [[m.standard_errors.get(name, np.nan) for m in draws] for draws in by_seed.values()]
        lacking = any(value is None for draws in values for value in draws)
        if lacking or any(not np.isfinite(draws).all() for draws in errors):
            continue
        found[name] = measure_interval(
            np.array([np.mean(draws) for draws in values]),
            np.array([np.mean(draws) for draws in errors]),
            evidence.resampling(len(by_seed)),
        )
    return found


def clean_accuracy(key: Key, evidence: Evidence) -> Interval | None:
    """Clean accuracy of a pair, None where no clean cell finished."""
    seeds = evidence.seeds(key)
    if not seeds:
        return None
    return mean_interval(evidence.correct(key, seeds), evidence.resampling(len(seeds)))


def paired_drop(clean_key: Key, key: Key, evidence: Evidence, level: float) -> Interval | None:
    """Clean minus attacked accuracy over the seeds that both have; None where there is none."""
    seeds = evidence.seeds(clean_key) & evidence.seeds(key)
    if not seeds:
        return None
    clean, attacked = evidence.correct(clean_key, seeds), evidence.correct(key, seeds)
    return difference_interval(clean, attacked, evidence.resampling(len(seeds)), level)


def robustness_scores(evidence: Evidence) -> list[ScoreRow]:
    """R = sum of attacked accuracies over the severities / the same sum of the baseline pair (4.3).

    Only seeds that all cells of both pairs have count; a pair without any gets no row.
    """
    severities = sorted({key[2] for key in evidence.by_condition if key[1] == EVOSHIFT})
    pairs = list(dict.fromkeys(key[0] for key in evidence.by_condition if key[1] == EVOSHIFT))
    rows = [score_row(pair, evidence.baseline, severities, evidence) for pair in pairs]
    return [row for row in rows if row is not None]


def score_row(pair: Pair, baseline: Pair, severities: list[int], evidence: Evidence) -> ScoreRow | None:
    """The score of one pair, with a note where fit or clean accuracy is not comparable."""
    keys: list[Key] = [(pair, EVOSHIFT, severity) for severity in severities]
    base_keys: list[Key] = [(baseline, EVOSHIFT, severity) for severity in severities]
    seeds = set.intersection(*(evidence.seeds(key) for key in keys + base_keys))
    if not seeds:
        return None
    resampling = evidence.resampling(len(seeds))
    own = [evidence.correct(key, seeds) for key in keys]
    score = ratio_interval(own, [evidence.correct(key, seeds) for key in base_keys], resampling)
    if pair == baseline:
        score = score.model_copy(update={"estimate": 1.0, "low": 1.0, "high": 1.0})
    return ScoreRow(
        model=pair[0],
        optimizer=pair[1],
        defence=pair[2],
        score=score,
        severities=severities,
        is_baseline=pair == baseline,
        note=comparability_note(pair, baseline, keys, evidence),
    )


def comparability_note(pair: Pair, baseline: Pair, keys: list[Key], evidence: Evidence) -> str:
    """Why a score may not mean robustness: under-fitting, or another clean accuracy."""
    notes = []
    unfit = sum(m.under_fitted for key in keys for m in evidence.measures(key))
    if unfit:
        total = sum(len(evidence.measures(key)) for key in keys)
        notes.append(f"under-fitted in {unfit} of {total} trainings: part of the score is lack of fit")
    clean: Key = (pair, CLEAN, 0)
    base_clean: Key = (baseline, CLEAN, 0)
    seeds = evidence.seeds(clean) & evidence.seeds(base_clean)
    if seeds and pair != baseline:
        difference = difference_interval(
            evidence.correct(base_clean, seeds),
            evidence.correct(clean, seeds),
            evidence.resampling(len(seeds)),
        )
        if difference.low > 0 or difference.high < 0:
            than = "lower" if difference.low > 0 else "higher"
            notes.append(f"clean accuracy {than} than the baseline's by {points(abs(difference.estimate))}")
    return "; ".join(notes)
