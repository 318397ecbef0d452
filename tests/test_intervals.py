"""Intervals against cases that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from audit.evaluation.intervals import (
    difference_interval,
    make_resampling,
    mean_interval,
    patient_covariance,
    quantile,
    ratio_interval,
    variance_components,
)
from audit.results import Interval

Z = 1.959964


def wilson(share: float, squared: float) -> tuple[float, float]:
    """Wilson's interval, written with squared = t^2 / n."""
    half = np.sqrt(squared * share * (1 - share) + squared**2 / 4)
    return (share + squared / 2 - half) / (1 + squared), (share + squared / 2 + half) / (1 + squared)


def coin(n: int, right: int) -> np.ndarray:
    return (np.arange(n) < right).astype(float)[None, :]


def test_independent_images_give_the_binomial_interval() -> None:
    """320 of 400: Wilson's 0.758 to 0.836."""
    found = mean_interval(coin(400, 320), make_resampling(400, None, 1, 20000, 0))
    assert found.estimate == 0.8 and (found.n_images, found.n_groups, found.n_seeds) == (400, 400, 1)
    assert wilson(0.8, Z**2 / 400) == pytest.approx((0.758, 0.836), abs=5e-4)
    assert (found.low, found.high) == pytest.approx(wilson(0.8, Z**2 / 400), abs=0.002)
    assert 0.8 - found.low > found.high - 0.8, "the longer arm points away from the near bound"


def test_images_of_one_patient_count_once() -> None:
    """100 patients with 4 equal images each: the standard error is that of n = 100, twice as wide."""
    groups = np.repeat(np.arange(100), 4)
    correct = np.repeat(coin(100, 80), 4, axis=1)
    found = mean_interval(correct, make_resampling(400, groups, 1, 20000, 0))
    assert found.n_groups == 100 and found.n_images == 400
    assert found.high - found.low == pytest.approx(2 * Z * 0.04, abs=0.012)


def test_redrawing_two_patients_by_enumeration() -> None:
    """Patient A: 1 image, right. Patient B: 3 images, one right. Draws AA, AB, BA, BB have means 1, 1/2, 1/2
    and 1/3; their variance times G / (G - 1) = 2."""
    groups = np.array([0, 1, 1, 1])
    means = [
        np.average([1.0, 1 / 3], weights=[(a == 0) + (b == 0), 3 * ((a == 1) + (b == 1))])
        for a, b in product((0, 1), repeat=2)
    ]
    assert means == pytest.approx([1, 1 / 2, 1 / 2, 1 / 3])
    found = patient_covariance(np.array([[1.0, 1.0, 0.0, 0.0]]), make_resampling(4, groups, 1, 200_000, 0))
    assert found[0, 0] == pytest.approx(2 * np.var(means), rel=0.01)


def test_spread_between_trainings_is_the_sample_variance() -> None:
    """0.2, 0.5 and 0.8 on all images alike: s^2 = 0.09, so 0.03 for the mean of three."""
    correct = np.repeat(np.array([[0.2], [0.5], [0.8]]), 50, axis=1)
    found = variance_components(correct, make_resampling(50, None, 3, 2000, 1), added=0.0)
    assert found == pytest.approx((0.0, 0.03), abs=1e-9)


def test_what_trainings_and_images_share_is_counted_once() -> None:
    """Two trainings, each right on its own half of 4 images, as (1, 1, 0, 0) and (0, 0, 1, 1): their mean is
    1/2 on every image (variance 0), the variance of one is 1/4 / 3 (s^2 / n), so the interaction is 1/12."""
    correct = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    resampling = make_resampling(4, None, 2, 100_000, 0)
    covariance = patient_covariance(correct, resampling)
    assert covariance == pytest.approx(np.array([[1, -1], [-1, 1]]) / 12, rel=0.02)
    assert variance_components(correct, resampling, added=0.0) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_margins_of_patients_and_trainings_are_squared_and_added() -> None:
    """Accuracies 0.6, 0.7, 0.8 of 100 images, nested: variances by hand, then t with 99 and 2."""
    correct = np.concatenate([coin(100, right) for right in (60, 70, 80)])
    found = mean_interval(correct, make_resampling(100, None, 3, 50_000, 0))
    one = np.mean([p * (1 - p) / 99 for p in (0.6, 0.7, 0.8)])
    mean = correct.mean(axis=0).var(ddof=1) / 100
    centre = (100 * 0.7 + 0.5) / 101
    added = ((1 - centre) ** 2 + centre**2) / 2 / 101**2
    patients = mean * (one + added) / one
    trainings = 0.01 / 3 - ((one + added) - patients) / 2
    margin = np.sqrt(student.ppf(0.975, 99) ** 2 * patients + student.ppf(0.975, 2) ** 2 * trainings)
    squared = margin**2 / (centre * (1 - centre))
    assert (found.low, found.high) == pytest.approx(
        (wilson(centre, squared)[0], wilson(0.7, squared)[1]), abs=0.002
    ), "the outer of both ends: above one half the added patient lowers"


@pytest.mark.parametrize(("freedom", "value"), [(1, 12.706), (2, 4.303), (4, 2.776), (177, 1.973)])
def test_quantiles_are_student_s(freedom: int, value: float) -> None:
    assert quantile(0.95, freedom) == pytest.approx(value, abs=5e-4)


def test_one_seed_says_so_and_holds_no_spread_between_trainings() -> None:
    found = mean_interval(coin(100, 50), make_resampling(100, None, 1, 2000, 0))
    assert found.n_seeds == 1


@pytest.mark.parametrize("seeds", [1, 3])
def test_all_right_or_all_wrong_is_not_certainty(seeds: int) -> None:
    """The added patient's variance alone. Clopper and Pearson for 100 of 100: 0.964; Wilson: 0.963."""
    centre = 100.5 / 101
    variance = ((1 - centre) ** 2 + centre**2) / 2 / 101**2
    bound, _ = wilson(centre, student.ppf(0.975, 99) ** 2 * variance / (centre * (1 - centre)))
    right = mean_interval(np.ones((seeds, 100)), make_resampling(100, None, seeds, 500, 0))
    wrong = mean_interval(np.zeros((seeds, 100)), make_resampling(100, None, seeds, 500, 0))
    assert (right.low, right.estimate, right.high) == pytest.approx((bound, 1, 1))
    assert (wrong.low, wrong.estimate, wrong.high) == pytest.approx((0, 0, 1 - bound))
    assert bound == pytest.approx(0.954, abs=0.001)


def test_differences_are_paired() -> None:
    """The same images wrong in both: the difference is exactly the ten images that changed, so its
    interval is far narrower than that of two independent accuracies."""
    first, second = coin(200, 150), coin(200, 140)
    resampling = make_resampling(200, None, 1, 20000, 0)
    found = difference_interval(first, second, resampling)
    assert found.estimate == pytest.approx(0.05)
    assert found.high - found.low == pytest.approx(2 * Z * np.sqrt(0.05 * 0.95 / 200), abs=0.006)


def test_equal_trainings_differ_by_zero_but_not_with_certainty() -> None:
    """No image differs: one patient more or less in 101 is left."""
    found = difference_interval(coin(100, 90), coin(100, 90), make_resampling(100, None, 1, 500, 0))
    margin = 2 * wilson(0.5, (student.ppf(0.975, 99) / 101) ** 2)[1] - 1
    assert margin == pytest.approx(0.0196, abs=1e-4)
    assert (found.low, found.estimate, found.high) == pytest.approx((-margin, 0, margin))


def test_ratio_is_a_ratio_of_means() -> None:
    """(0.5 + 0.3) / (0.8 + 0.8)."""
    resampling = make_resampling(100, None, 1, 4000, 0)
    found = ratio_interval([coin(100, 50), coin(100, 30)], [coin(100, 80), coin(100, 80)], resampling)
    assert found.estimate == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert found.high / 0.5 == pytest.approx(0.5 / found.low, rel=0.02), "as far up as down, as a factor"


@pytest.mark.parametrize(("above", "below"), [(0, 0), (0, 50), (50, 0), (100, 100)])
def test_ratios_of_nothing_stay_finite(above: int, below: int) -> None:
    resampling = make_resampling(100, None, 1, 500, 0)
    found = ratio_interval([coin(100, above)], [coin(100, below)], resampling)
    assert 0 <= found.low <= found.estimate <= found.high < np.inf and found.low < found.high


def test_draws_of_images_do_not_depend_on_the_number_of_seeds() -> None:
    one, three = (make_resampling(30, None, seeds, 50, 4) for seeds in (1, 3))
    assert (one.weights == three.weights).all() and one.weights.sum(axis=1).tolist() == [30] * 50


def test_a_resampling_for_other_seeds_is_refused() -> None:
    with pytest.raises(ValueError, match="answers of 1 trainings, resampling of 3"):
        mean_interval(coin(30, 20), make_resampling(30, None, 3, 200, 0))


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_intervals_hold_their_estimate_within_bounds_and_widen_with_the_level(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    for number in range(60):
        n_images = int(generator.integers(2, 60))
        groups = generator.integers(max(n_images // 2, 1), size=n_images) if number % 2 else None
        resampling = make_resampling(n_images, groups, seeds, 200, number)
        first, second = (
            (generator.random((seeds, n_images)) < rate).astype(float)
            for rate in generator.choice([0.0, 0.02, 0.5, 0.97, 1.0], 2)
        )
        cases: tuple[tuple[Callable[..., Interval], Any, tuple[float, float]], ...] = (
            (mean_interval, (first,), (0, 1)),
            (difference_interval, (first, second), (-1, 1)),
            (ratio_interval, ([first], [second]), (0, np.inf)),
        )
        for function, parts, bounds in cases:
            narrow, usual, wide = (function(*parts, resampling, level) for level in (0.5, 0.95, 0.999))
            assert function(*parts, resampling, 0.95) == usual, "equal draws, equal interval"
            assert bounds[0] <= wide.low <= usual.low <= narrow.low <= usual.estimate
            assert usual.estimate <= narrow.high <= usual.high <= wide.high <= bounds[1]
            assert usual.low < usual.high and (usual.level, wide.level) == (0.95, 0.999)


def test_three_trainings_cover_what_they_promise() -> None:
    """600 simulated audits: accuracy 0.7, 4 points between trainings, 60 patients with 3 images that agree.
    Monte-Carlo error 0.9 points. The percentile bootstrap over three seeds, which stood here before, covered
    about 80 %."""
    generator, groups = np.random.default_rng(5), np.repeat(np.arange(60), 3)
    resampling = make_resampling(180, groups, 3, 400, 0)
    covered = 0
    for _ in range(600):
        rates = 0.7 + 0.04 * generator.standard_normal((3, 1))
        patient, own = generator.random((1, 60))[:, groups], generator.random((3, 180))
        shared = generator.random((1, 180)) < 0.5
        found = mean_interval((np.where(shared, patient, own) < rates).astype(float), resampling)
        covered += found.low <= 0.7 <= found.high
    assert 0.92 <= covered / 600 <= 0.985
