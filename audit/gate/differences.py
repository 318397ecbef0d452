"""How much a measure differs between two audits, and how sure that is.

Test images are paired: both audits are read on the same ones, and patients are redrawn for both at once
(bootstrap). Trainings are paired by seed, as equal seeds make alike trainings even where settings differ (measured:
docs/ci.md); where seeds differ, they are two samples, as if independent, if that tells more. Few trainings show
little of how far trainings differ: an assumed spread is mixed in with the weight of some trainings (a moderated
variance: Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004) 3), which also stands where each audit has one training only.
Margins are added as in audit.evaluation.intervals (Howe 1974), degrees of freedom as by Welch and Satterthwaite.

Trainings that are the same (equal cell, equal answers) on both sides differ by nothing, whatever the spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from audit.evaluation.intervals import (
    Resampling,
    added_variance,
    make_resampling,
    patient_covariance,
    quantile,
    variance_components,
    with_added_patient,
)
from audit.gate.quantities import Floats, Quantity
from audit.gate.snapshot import Snapshot
from audit.gate.words import many
from audit.results import Interval

REPLICATES, SEED = 1000, 0
LEVEL = 0.95  # at which pairs of seeds and two samples are held against each other
MOST_SEEDS = 50  # more are not asked for
AT_LIMIT = 0.01


@dataclass(frozen=True)
class Draws:
    """Redrawn patients of one test set, shared by all checks."""

    resampling: Resampling
    weight: float  # of the assumed spread, in degrees of freedom

    @classmethod
    def of(cls, snapshot: Snapshot, weight: float) -> Draws:
        """Equal draws from equal test sets."""
        made = make_resampling(len(snapshot.labels), snapshot.groups, 1, REPLICATES, SEED)
        return cls(made, weight)


@dataclass(frozen=True)
class Part:
    """Trainings of one condition, on both sides: as two samples, and as pairs of equal seeds."""

    variance: float  # between trainings
    freedom: float  # degrees of freedom of it
    new: int
    base: int | None  # trainings; None: there is no such side
    pairs: int = 0  # seeds that both sides have
    pair_variance: float = 0.0  # between their differences
    pair_freedom: float = 0.0

    def of_mean(self, more: int = 0, unlimited: bool = False) -> tuple[float, float]:
        """Variance of (new minus base) and its degrees of freedom, with so many further new trainings; `unlimited`:
        as if the base had any number of trainings, of all these seeds."""
        if unlimited and self.pairs:
            return self.pair_variance / (self.new + more), self.pair_freedom + more
        below = 0.0 if self.base is None or unlimited else 1 / self.base
        as_samples = self.variance * (1 / (self.new + more) + below), self.freedom + more
        if not self.pairs:
            return as_samples
        return min(self.as_pairs, as_samples, key=squared_margin)

    @property
    def as_pairs(self) -> tuple[float, float]:
        """The same over the seeds that both have."""
        return self.pair_variance / self.pairs, self.pair_freedom

    @property
    def paired(self) -> bool:
        """Whether pairs tell more than all trainings do as two samples: then seeds of one side only are left out."""
        return self.pairs > 0 and self.of_mean() == self.as_pairs


def squared_margin(of_mean: tuple[float, float]) -> float:
    """t² times the variance, at the plain level."""
    variance, freedom = of_mean
    return quantile(LEVEL, freedom) ** 2 * variance


@dataclass(frozen=True)
class Difference:
    """An estimate, and what it is uncertain by: test patients, and trainings."""

    new: float  # mean over conditions
    base: float | None
    patients: float  # variance
    parts: tuple[Part, ...]  # of the conditions that differ
    conditions: int  # averaged over, all of them
    n_seeds: int  # fewest trainings of a condition on a side
    draws: Draws

    @property
    def estimate(self) -> float:
        """New minus base; where there is no base, the new by itself."""
        return self.new - (self.base or 0.0)

    def margin(self, level: float, more: int = 0, unlimited: bool = False) -> float:
        """Half the width of the interval of `level`; `more`: as with so many further new trainings of each condition,
        of the same spread; `unlimited`: as if the base had any number of trainings."""
        squared = quantile(level, self.draws.resampling.n_groups - 1) ** 2 * self.patients
        means = [part.of_mean(more, unlimited) for part in self.parts]
        total = sum(variance for variance, _ in means)
        if total > 0:
            freedom = total**2 / sum(variance**2 / own for variance, own in means)
            squared += quantile(level, freedom) ** 2 * total / self.conditions**2
        return float(np.sqrt(squared))

    def interval(self, level: float) -> Interval:
        """The record."""
        half = self.margin(level)
        return Interval(
            estimate=self.estimate,
            low=self.estimate - half,
            high=self.estimate + half,
            level=level,
            n_images=int(self.draws.resampling.weights.shape[1]),
            n_groups=self.draws.resampling.n_groups,
            n_seeds=self.n_seeds,
        )

    def seeds_to_decide(self, limit: float, level: float) -> int | None:
        """How many more new trainings of each condition would bring `limit` out of the interval, if the estimate
        stayed where it is; None where no number up to MOST_SEEDS does."""
        distance = abs(self.estimate - limit)
        enough = (more for more in range(1, MOST_SEEDS + 1) if distance > self.margin(level, more))
        return next(enough, None)

    def what_limits(self, limit: float, level: float) -> str:
        """Why no number of further trainings decides, and what would."""
        distance = abs(self.estimate - limit)
        fewest = min((part.base for part in self.parts if part.base is not None), default=None)
        if fewest is not None and distance > self.margin(level, MOST_SEEDS, unlimited=True):
            return f"the baseline holds {many(fewest, 'training')} of a condition only: accept one with more seeds"
        if distance < AT_LIMIT:
            return "it lies at the limit itself: no number of trainings decides"
        groups = self.draws.resampling.n_groups
        return f"the {groups} test patients or images are too few: more of them are needed"


def difference(new: Sequence[Quantity], base: Sequence[Quantity] | None, draws: Draws) -> Difference:
    """New minus base, mean over conditions in equal order; without a base, the mean of the new ones by itself."""
    others: Sequence[Quantity | None] = [None] * len(new) if base is None else base
    pairs = list(zip(new, others, strict=True))
    parts = [part_of(one, other, draws) for one, other in pairs]
    pairs = [
        of_shared_seeds(one, other) if other is not None and part.paired else (one, other)
        for (one, other), part in zip(pairs, parts, strict=True)
    ]
    differs = [other is None or one.cells != other.cells for one, other in pairs]
    different = [pair for pair, unlike in zip(pairs, differs, strict=True) if unlike]
    return Difference(
        new=float(np.mean([one.estimate for one, _ in pairs])),
        base=None
        if base is None
        else float(np.mean([other.estimate for _, other in pairs if other is not None])),
        patients=patient_variance(different, len(pairs), draws) if different else 0.0,
        parts=tuple(part for part, unlike in zip(parts, differs, strict=True) if unlike),
        conditions=len(pairs),
        n_seeds=min(len(side.points) for pair in pairs for side in pair if side is not None),
        draws=draws,
    )


def of_shared_seeds(one: Quantity, other: Quantity) -> tuple[Quantity, Quantity]:
    """Both, of the trainings whose seeds stand on both sides, in equal order."""
    shared = [seed for seed in one.seeds if seed in other.seeds]
    return one.of(shared), other.of(shared)


def part_of(one: Quantity, other: Quantity | None, draws: Draws) -> Part:
    """The spread between trainings of one condition: what both sides show, with the assumed one mixed in."""
    sides = [one] if other is None else [one, other]
    variance, freedom = moderated(sides, one.spread**2, draws)
    if other is None:
        return Part(variance, freedom, len(one.points), None)
    first, second = of_shared_seeds(one, other)
    pair_variance, pair_freedom = 0.0, 0.0
    if first.seeds:
        pair_variance, pair_freedom = moderated([first.minus(second)], 2 * one.spread**2, draws)
    return Part(
        variance, freedom, len(one.points), len(other.points), len(first.seeds), pair_variance, pair_freedom
    )


def moderated(samples: Sequence[Quantity], assumed: float, draws: Draws) -> tuple[float, float]:
    """Variance between trainings, pooled over samples and with the assumed one; its degrees of freedom."""
    measured, freedom = 0.0, 0
    for sample in samples:
        if len(sample.points) > 1:
            measured += (len(sample.points) - 1) * between(sample, draws)
            freedom += len(sample.points) - 1
    return (draws.weight * assumed + measured) / (draws.weight + freedom), draws.weight + freedom


def between(one: Quantity, draws: Draws) -> float:
    """Variance between trainings beyond what their errors on the test patients explain."""
    if one.rows is None:
        return float(one.points.var(ddof=1))
    resampling = replace(draws.resampling, n_seeds=len(one.rows))
    return len(one.rows) * variance_components(one.rows, resampling, 0.0)[1]


def patient_variance(
    pairs: Sequence[tuple[Quantity, Quantity | None]], conditions: int, draws: Draws
) -> float:
    """Variance of the mean over all `conditions` from the test patients, from those that differ."""
    if pairs[0][0].rows is None:
        # How far errors go together is not known: as if fully within an audit, and not at all between two.
        sides = zip(*(((mean_error(one), mean_error(other)) for one, other in pairs)), strict=True)
        return float(sum((sum(side) / conditions) ** 2 for side in sides))
    row = sum((net_row(one, other) for one, other in pairs), np.zeros(1)) / conditions
    groups = draws.resampling.n_groups
    found = float(patient_covariance(row[None], replace(draws.resampling, n_seeds=1))[0, 0])
    # One more patient, half right and half wrong, so that no agreement is perfect; as in audit.evaluation.intervals.
    low, width = (0.0, 1.0) if pairs[0][1] is None and row.min() >= 0 else (-1.0, 2.0)
    share = float(np.clip((row.mean() - low) / width, 0, 1))
    added = width**2 * added_variance(with_added_patient(share, groups), groups) * len(pairs) / conditions
    return max(found, 0.0) + added


def mean_error(one: Quantity | None) -> float:
    """Mean standard error over patients of the trainings; 0 where there is no such side."""
    return 0.0 if one is None or one.errors is None else float(one.errors.mean())


def net_row(one: Quantity, other: Quantity | None) -> Floats:
    """(N,): new minus base per image, mean over trainings."""
    if one.rows is None:
        raise ValueError("a measure with numbers per image is needed")
    mean: Floats = one.rows.mean(axis=0)
    return mean if other is None or other.rows is None else mean - other.rows.mean(axis=0)
