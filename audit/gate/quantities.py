"""A measure of one audit as numbers per training and test image, so that two audits can be held against each other.

What is no mean over images (a ratio, a recall) is written as one by its first-order expansion: numbers whose mean is
the measure, and whose spread over images is the measure's spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audit.gate.rules import Rule
from audit.gate.snapshot import SCALARS, Condition, Key, Snapshot
from audit.gate.words import many
from audit.results import CLEAN, EVOSHIFT

Floats = npt.NDArray[np.float64]


class NotMeasured(Exception):
    """Why a measure cannot be had from an audit, in words."""


@dataclass(frozen=True)
class Quantity:
    """One measure of one condition. Either `rows` (S, N), or `points` (S,) with `errors` (S,) over patients."""

    rows: Floats | None
    points: Floats  # (S,): the measure of each training
    errors: Floats | None
    spread: float  # assumed standard deviation between trainings, in the unit of the measure
    seeds: tuple[tuple[int, int], ...]  # and draw of each training, (S,)
    cells: tuple[str, ...]  # id and answers of what each was computed from, (S,)
    unfit: int  # trainings that did not learn their own images, where that spoils the measure

    @property
    def estimate(self) -> float:
        """Mean over trainings."""
        return float(self.points.mean())

    def of(self, seeds: Sequence[tuple[int, int]]) -> Quantity:
        """Of some trainings only, in this order."""
        places = [self.seeds.index(seed) for seed in seeds]
        return replace(
            self,
            rows=None if self.rows is None else self.rows[places],
            points=self.points[places],
            errors=None if self.errors is None else self.errors[places],
            seeds=tuple(seeds),
            cells=tuple(self.cells[place] for place in places),
        )

    def minus(self, other: Quantity) -> Quantity:
        """Differences, training by training."""
        rows = None if self.rows is None or other.rows is None else self.rows - other.rows
        return replace(self, rows=rows, points=self.points - other.points)


def quantity(snapshot: Snapshot, key: Key, rule: Rule, spreads: tuple[float, float]) -> Quantity:
    """The measure of a rule under one condition; `spreads` of clean and attacked accuracy. Raises NotMeasured."""
    if rule.measure == "robustness_score":
        return score(snapshot, key, spreads)
    condition = finished(snapshot, key)
    spread = spreads[0] if key[1] == CLEAN else spreads[1]
    if rule.measure in SCALARS:
        return scalar(condition, rule.measure, spread)
    right = answers(snapshot, condition)
    if rule.measure == "drop":
        clean = finished(snapshot, (key[0], CLEAN, 0))
        own = by_seed(condition, right)
        before = by_seed(clean, answers(snapshot, clean))
        shared = sorted(own.keys() & before.keys())
        if not shared:
            raise NotMeasured("no seed with a clean and an attacked training")
        rows = np.array([before[seed] - own[seed] for seed in shared])
        return image_quantity(rows, float(np.hypot(*spreads)), [condition, clean], shared)
    if rule.measure == "accuracy":
        return image_quantity(right, spread, [condition])
    recalls, expanded = expanded_recalls(right, snapshot.labels)
    if rule.measure == "balanced_accuracy":
        return image_quantity(expanded.mean(axis=0), spread, [condition])
    worst = int(recalls.mean(axis=1).argmin())
    classes = len(recalls)
    return image_quantity(expanded[worst], spread * np.sqrt(classes), [condition])


def finished(snapshot: Snapshot, key: Key) -> Condition:
    """A condition of which every training finished. Raises NotMeasured."""
    condition = snapshot.condition(key)
    if condition is None:
        raise NotMeasured("this condition is not in the audit")
    if condition.failures:
        raise NotMeasured(f"{many(len(condition.failures), 'training')} failed ({condition.failures[0]})")
    if not condition.trainings:
        raise NotMeasured("no training finished")
    return condition


def answers(snapshot: Snapshot, condition: Condition) -> Floats:
    """Right answers (S, N)."""
    return np.array([snapshot.right(one) for one in condition.trainings])


def by_seed(condition: Condition, right: Floats) -> dict[int, Floats]:
    """The same by seed, several draws averaged."""
    seeds = np.array([one.seed for one in condition.trainings])
    return {int(seed): right[seeds == seed].mean(axis=0) for seed in np.unique(seeds)}


def image_quantity(
    rows: Floats, spread: float, conditions: Sequence[Condition], shared: Sequence[int] | None = None
) -> Quantity:
    """From numbers per training and image (S, N): of the trainings of one condition, or of the `shared` seeds of
    several."""
    trainings = [one for condition in conditions for one in condition.trainings]
    attacked = [one for condition in conditions if condition.attack != CLEAN for one in condition.trainings]
    seeds = [(one.seed, one.draw) for one in trainings] if shared is None else [(seed, 0) for seed in shared]
    cells = [f"{one.cell} {one.answers}" for one in trainings]
    if shared is not None:
        cells = [
            " ".join(text for one, text in zip(trainings, cells, strict=True) if one.seed == s)
            for s in shared
        ]
    unfit = sum(one.under_fitted for one in attacked)
    return Quantity(rows, rows.mean(axis=1), None, spread, tuple(seeds), tuple(cells), unfit)


def expanded_recalls(right: Floats, labels: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Recall of each class and training (K, S), and the numbers per image whose mean it is (K, S, N)."""
    recalls, rows = [], []
    for label in np.unique(labels):
        own = labels == label
        recall = right[:, own].mean(axis=1)
        recalls.append(recall)
        rows.append(recall[:, None] + (right - recall[:, None]) * own * (len(labels) / own.sum()))
    return np.array(recalls), np.array(rows)


def scalar(condition: Condition, measure: str, spread: float) -> Quantity:
    """A measure that was computed with the training. Raises NotMeasured where one lacks it."""
    trainings = condition.trainings
    if any(measure not in one.values for one in trainings):
        raise NotMeasured(f"{measure} is not defined for every training")
    if any(measure not in one.errors for one in trainings):
        raise NotMeasured(f"{measure}: its standard error over patients is not known")
    seeds = tuple((one.seed, one.draw) for one in trainings)
    cells = tuple(f"{one.cell} {one.answers}" for one in trainings)
    unfit = sum(one.under_fitted for one in trainings) if condition.attack != CLEAN else 0
    points = np.array([one.values[measure] for one in trainings])
    errors = np.array([one.errors[measure] for one in trainings])
    return Quantity(None, points, errors, spread, seeds, cells, unfit)


def require_same_score(rule: Rule, new: Snapshot, base: Snapshot) -> None:
    """Scores are ratios to one pair over some severities. Raises NotMeasured where these differ."""
    if rule.measure != "robustness_score":
        return
    if new.baseline_pair != base.baseline_pair:
        raise NotMeasured(f"its scores are relative to {', '.join(base.baseline_pair)}")
    if scored_severities(new) != scored_severities(base):
        raise NotMeasured(f"its scores are of severities {', '.join(map(str, scored_severities(base)))}")


def scored_severities(snapshot: Snapshot) -> list[int]:
    """Over which a score is averaged: those of the baseline pair."""
    own = (one for one in snapshot.conditions if one.key[0] == snapshot.baseline_pair)
    return sorted({one.severity for one in own if one.attack == EVOSHIFT})


def score(snapshot: Snapshot, key: Key, spreads: tuple[float, float]) -> Quantity:
    """Robustness score (4.3): attacked accuracies of a pair over those of the baseline pair, all severities, on the
    seeds that all of them have. Raises NotMeasured."""
    pair, base = key[0], snapshot.baseline_pair
    severities = scored_severities(snapshot)
    if not severities:
        raise NotMeasured("the baseline pair was not attacked: no robustness score")
    own = [finished(snapshot, (pair, EVOSHIFT, severity)) for severity in severities]
    below = [finished(snapshot, (base, EVOSHIFT, severity)) for severity in severities]
    parts = [by_seed(one, answers(snapshot, one)) for one in own + below]
    shared = sorted(set.intersection(*(set(part) for part in parts)))
    if not shared:
        raise NotMeasured("no seed that all trainings of the score have")
    stacked = np.array([[part[seed] for seed in shared] for part in parts])
    above_rows, below_rows = stacked[: len(own)].mean(axis=0), stacked[len(own) :].mean(axis=0)
    divisor = float(below_rows.mean())
    if divisor == 0:
        raise NotMeasured("the baseline pair was never right: no robustness score")
    ratio = float(above_rows.mean()) / divisor
    rows = ratio + (above_rows - ratio * below_rows) / divisor
    spread = spreads[1] / np.sqrt(len(severities)) / divisor * np.hypot(1, ratio)
    return image_quantity(rows, float(spread), [*own, *below], shared)
