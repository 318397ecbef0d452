"""Percentile-bootstrap intervals over test images (by patient where ids exist) and over seeds.

All conditions of an audit are resampled together: replicate b draws the same patients and the same seeds
for every pair, so that differences and ratios are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Labels
from audit.results import Interval

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
Z = 1.959964  # normal quantile of LEVEL


@dataclass(frozen=True)
class Resampling:
    """Shared draws: `weights` (B, N) how often replicate b holds test image i; `seed_draws` (B, S)."""

    weights: npt.NDArray[np.float32]
    seed_draws: npt.NDArray[np.int64]
    n_groups: int

    @property
    def n_seeds(self) -> int:
        """Trainings per condition."""
        return int(self.seed_draws.shape[1])


def make_resampling(
    n_images: int, groups: Labels | None, n_seeds: int, replicates: int, seed: int
) -> Resampling:
    """Draw whole groups with replacement, and seeds with replacement."""
    generator = np.random.default_rng(seed)
    member = np.arange(n_images) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = int(member.max()) + 1
    drawn = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=replicates)
    weights = drawn[:, member].astype(np.float32)
    return Resampling(weights, generator.integers(n_seeds, size=(replicates, n_seeds)), n_groups)


def replicate_means(correct: Floats, resampling: Resampling) -> Floats:
    """Bootstrap means (B,) of `correct` (S, N), values in [0, 1].

    Deviations between seeds are widened by sqrt(S / (S - 1)): resampling S seeds alone understates
    their variance by (S - 1) / S. With one seed the spread between trainings is not in the result.
    """
    total = resampling.weights.sum(axis=1)
    by_seed = (resampling.weights @ correct.T.astype(np.float32)) / total[:, None]  # (B, S)
    centre = by_seed.mean(axis=1)
    if resampling.n_seeds == 1:
        return np.asarray(centre, dtype=np.float64)
    drawn = np.take_along_axis(by_seed, resampling.seed_draws, axis=1).mean(axis=1)
    n = resampling.n_seeds
    return np.asarray(centre + (drawn - centre) * np.sqrt(n / (n - 1)), dtype=np.float64)


def percentile_interval(
    estimate: float,
    replicates: Floats,
    resampling: Resampling,
    level: float = LEVEL,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """The interval of `level`. Where no replicate differs (all right, all wrong, no image on which two
    trainings differ) the bootstrap would claim certainty: the Wilson bound for zero of n_groups events
    stands in its place."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    if high - low < 1e-9:
        margin = Z**2 / (resampling.n_groups + Z**2)
        low, high = estimate - margin, estimate + margin
    return Interval(
        estimate=estimate,
        low=float(np.clip(min(low, estimate), *bounds)),
        high=float(np.clip(max(high, estimate), *bounds)),
        level=level,
        n_images=int(resampling.weights.shape[1]),
        n_groups=resampling.n_groups,
        n_seeds=resampling.n_seeds,
    )


def mean_interval(correct: Floats, resampling: Resampling) -> Interval:
    """Accuracy of one condition; `correct` (S, N)."""
    return percentile_interval(
        float(correct.mean()), replicate_means(correct, resampling), resampling, bounds=(0.0, 1.0)
    )


def difference_interval(
    first: Floats, second: Floats, resampling: Resampling, level: float = LEVEL
) -> Interval:
    """first - second, paired by seed and image; both (S, N)."""
    replicates = replicate_means(first, resampling) - replicate_means(second, resampling)
    return percentile_interval(
        float(first.mean() - second.mean()), replicates, resampling, level, (-1.0, 1.0)
    )


def ratio_interval(numerators: list[Floats], denominators: list[Floats], resampling: Resampling) -> Interval:
    """sum of accuracies over sum of accuracies (4.3), paired by seed and image."""
    above = sum((replicate_means(part, resampling) for part in numerators), np.zeros(()))
    below = sum((replicate_means(part, resampling) for part in denominators), np.zeros(()))
    estimate = sum(part.mean() for part in numerators) / sum(part.mean() for part in denominators)
    replicates = above / np.maximum(below, 1e-12)
    return percentile_interval(float(estimate), replicates, resampling, bounds=(0.0, np.inf))
