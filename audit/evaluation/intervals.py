"""Intervals for accuracies, differences and ratios over test patients and over trainings.

In two sentences: the margin is the root of the summed squares of two margins, one for the test patients
(their bootstrap variance, t quantile with G - 1 degrees of freedom) and one for the trainings (the variance
between them, t quantile with S - 1). It is bent as in Wilson's score interval, so that it stays within the
bounds (ratios: taken on the logarithm), with and without one more patient who is half right and half wrong.

Why not a percentile bootstrap over seeds and patients: three draws from three seeds cannot show the tails. Its
95 % intervals held the accuracy in 71 to 97 % where three trainings differ by 3 points or more, in 96 to 99 %
where they do not (docs/benchmarks.md, measured by `benchmarks/coverage.py`).

Sources: adding squared margins: Howe, JASA 69 (1974) 789; Zou & Donner, Stat. Med. 27 (2008) 1693 (MOVER).
Variances of crossed factors (patients, trainings) with their interaction taken off once: Cameron, Gelbach &
Miller, J. Bus. Econ. Stat. 29 (2011) 238. Score interval: Wilson, JASA 22 (1927) 209, its n being what the
measured variance amounts to. The added patient: Haldane's and Anscombe's half counts.

All conditions of an audit share the drawn patients, so that differences and ratios are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from audit.data.dataset import Labels
from audit.results import Interval

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
LOG_LIMIT = 100.0  # margins of a logarithm beyond this are no information, and their exp would overflow


@dataclass(frozen=True)
class Resampling:
    """Shared draws: `weights` (B, N) how often replicate b holds test image i; `n_groups` patients (or
    images, where no ids exist) were drawn; `n_seeds` trainings stand in each condition."""

    weights: npt.NDArray[np.float32]
    n_groups: int
    n_seeds: int


def make_resampling(
    n_images: int, groups: Labels | None, n_seeds: int, replicates: int, seed: int
) -> Resampling:
    """Draw whole groups with replacement; equal draws whatever the number of seeds."""
    generator = np.random.default_rng(seed)
    member = np.arange(n_images) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = int(member.max()) + 1
    drawn = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=replicates)
    return Resampling(drawn[:, member].astype(np.float32), n_groups, n_seeds)


def patient_covariance(values: Floats, resampling: Resampling) -> Floats:
    """Covariance (S, S) between the means of S trainings over redrawn patients; `values` (S, N).

    Times G / (G - 1): redrawing G patients understates their variance by (G - 1) / G.
    """
    total = resampling.weights.sum(axis=1)
    by_seed = (resampling.weights @ values.T.astype(np.float32)).astype(np.float64) / total[:, None]
    groups = resampling.n_groups
    covariance: Floats = np.atleast_2d(np.cov(by_seed, rowvar=False)) * groups / max(groups - 1, 1)
    return covariance


def variance_components(values: Floats, resampling: Resampling, added: float) -> tuple[float, float]:
    """Variance of the mean of `values` (S, N) from patients, and from trainings beyond that.

    `added`: what one more patient adds to the variance of one training. It shrinks in the mean over
    trainings as the other patients' variance does. The spread between the S means holds the interaction of
    trainings with patients, which the patients' variance holds already: it is taken off once, down to 0.
    With one training the second part is unknown, and 0 here.
    """
    covariance, n_seeds = patient_covariance(values, resampling), len(values)
    one, mean = float(covariance.trace() / n_seeds), float(covariance.mean())
    if one < 1e-12:  # no patient differs from another: only the added one is left
        one, mean = added, added
    else:
        one, mean = one + added, mean * (one + added) / one
    if n_seeds == 1:
        return mean, 0.0
    interaction = (one - mean) / (n_seeds - 1)
    between = float(values.mean(axis=1).var(ddof=1)) / n_seeds
    return mean, max(between - interaction, 0.0)


def margin(values: Floats, resampling: Resampling, level: float, added: float) -> float:
    """Half the width of the interval of `level` for the mean of `values` (S, N), in their unit."""
    if len(values) != resampling.n_seeds:
        raise ValueError(f"answers of {len(values)} trainings, resampling of {resampling.n_seeds}")
    patients, trainings = variance_components(values, resampling, added)
    squared = quantile(level, resampling.n_groups - 1) ** 2 * patients
    if resampling.n_seeds > 1:
        squared += quantile(level, resampling.n_seeds - 1) ** 2 * trainings
    return float(np.sqrt(squared))


def quantile(level: float, degrees_of_freedom: float) -> float:
    """t of a two-sided interval: 1.96 for 0.95 and many degrees of freedom, 4.30 for two."""
    return float(stdtrit(max(degrees_of_freedom, 1), (1 + level) / 2))


def with_added_patient(mean: float, n_groups: int) -> float:
    """`mean` in [0, 1] of G patients, once one more is half right and half wrong: never 0 or 1."""
    return (n_groups * mean + 0.5) / (n_groups + 1)


def mean_interval(correct: Floats, resampling: Resampling, level: float = LEVEL) -> Interval:
    """Accuracy of one condition; `correct` (S, N) in [0, 1]."""
    return score_interval(correct, resampling, level, (0.0, 1.0))


def difference_interval(
    first: Floats, second: Floats, resampling: Resampling, level: float = LEVEL
) -> Interval:
    """first - second, paired by seed and image; both (S, N) in [0, 1]."""
    return score_interval(first - second, resampling, level, (-1.0, 1.0))


def score_interval(
    values: Floats, resampling: Resampling, level: float, bounds: tuple[float, float]
) -> Interval:
    """Mean of `values` (S, N), which lie between the bounds.

    The squared margin m^2 at share p amounts to n = t^2 p (1 - p) / m^2 independent answers, for which Wilson's
    interval is taken: at the share itself and with the added patient, and the outer ends are kept.
    """
    low, width = bounds[0], bounds[1] - bounds[0]
    share = (values - low) / width
    shrunk = with_added_patient(float(share.mean()), resampling.n_groups)
    half = margin(share, resampling, level, added_variance(shrunk, resampling.n_groups))
    ends = bent(float(share.mean()), shrunk, half)
    return make_interval(float(values.mean()), low + width * ends, resampling, level)


def measure_interval(
    values: Floats, errors: Floats, resampling: Resampling, level: float = LEVEL
) -> Interval:
    """Mean over trainings of a measure in [0, 1] that is no mean over images, such as an AUC: `values` (S,) and
    their standard errors over patients (S,).

    How far the trainings err on the same patients is not known here: as if on all of them, which is the widest.
    """
    mean = float(np.clip(values.mean(), 0.0, 1.0))
    shrunk = with_added_patient(mean, resampling.n_groups)
    patients = float(np.mean(errors**2)) + added_variance(shrunk, resampling.n_groups)
    squared = quantile(level, resampling.n_groups - 1) ** 2 * patients
    if len(values) > 1:
        squared += quantile(level, len(values) - 1) ** 2 * float(values.var(ddof=1)) / len(values)
    return make_interval(float(values.mean()), bent(mean, shrunk, float(np.sqrt(squared))), resampling, level)


def added_variance(shrunk: float, n_groups: int) -> float:
    """What one more patient, half right and half wrong, adds to the variance of a share."""
    return ((1 - shrunk) ** 2 + shrunk**2) / 2 / (n_groups + 1) ** 2


def bent(share: float, shrunk: float, half: float) -> Floats:
    """Ends of Wilson's interval where the margin at `shrunk` is `half`: the outer ones of those around the share
    itself and around `shrunk`."""
    centres = np.array([share, shrunk])
    inverse_n = half**2 / (shrunk * (1 - shrunk))  # t^2 / n
    middle = (centres + inverse_n / 2) / (1 + inverse_n)
    bow = np.sqrt(inverse_n * centres * (1 - centres) + inverse_n**2 / 4) / (1 + inverse_n)
    ends: Floats = np.clip([(middle - bow).min(), (middle + bow).max()], 0.0, 1.0)
    return ends


def ratio_interval(
    numerators: list[Floats], denominators: list[Floats], resampling: Resampling, level: float = LEVEL
) -> Interval:
    """Sum of accuracies over sum of accuracies (4.3), paired by seed and image; as many (S, N) in [0, 1] above
    as below. The margin is taken on the logarithm, by its first-order (delta) form. Where the denominator is
    never right the ratio is not defined: the one with the added patient stands in its place."""
    above, below = np.mean(numerators, axis=0), np.mean(denominators, axis=0)
    groups = resampling.n_groups
    up, down = (with_added_patient(float(part.mean()), groups) for part in (above, below))
    added = (1 / up**2 + 1 / down**2) / 2 / (groups + 1) ** 2
    half = min(margin(above / up - below / down, resampling, level, added), LOG_LIMIT)
    estimate = float(above.mean() / below.mean()) if below.any() else up / down
    return make_interval(estimate, up / down * np.exp(np.array([-half, half])), resampling, level)


def make_interval(estimate: float, ends: Floats, resampling: Resampling, level: float) -> Interval:
    """The record. Rounding, and in ratios the added patient, may move an end past the estimate: kept inside."""
    return Interval(
        estimate=estimate,
        low=min(float(ends[0]), estimate),
        high=max(float(ends[1]), estimate),
        level=level,
        n_images=int(resampling.weights.shape[1]),
        n_groups=resampling.n_groups,
        n_seeds=resampling.n_seeds,
    )
