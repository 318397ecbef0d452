"""Bootstrap against exact cases."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evaluation.intervals import (
    Z,
    difference_interval,
    make_resampling,
    mean_interval,
    ratio_interval,
    replicate_means,
)


def coin(n: int, right: int) -> np.ndarray:
    return (np.arange(n) < right).astype(float)[None, :]


def test_independent_images_give_the_binomial_interval() -> None:
    """p = 0.8, n = 400: standard error 0.02, so 0.8 +- 1.96 x 0.02."""
    found = mean_interval(coin(400, 320), make_resampling(400, None, 1, 20000, 0))
    assert found.estimate == 0.8 and (found.n_images, found.n_groups, found.n_seeds) == (400, 400, 1)
    assert found.low == pytest.approx(0.8 - Z * 0.02, abs=0.004)
    assert found.high == pytest.approx(0.8 + Z * 0.02, abs=0.004)


def test_images_of_one_patient_count_once() -> None:
    """100 patients with 4 equal images each: the standard error is that of n = 100, twice as wide."""
    groups = np.repeat(np.arange(100), 4)
    correct = np.repeat(coin(100, 80), 4, axis=1)
    found = mean_interval(correct, make_resampling(400, groups, 1, 20000, 0))
    assert found.n_groups == 100 and found.n_images == 400
    assert found.high - found.low == pytest.approx(2 * Z * 0.04, abs=0.012)


def test_spread_between_seeds_is_the_sample_variance() -> None:
    """Seeds at 0.2, 0.5, 0.8 on all images alike: variance of the mean = s^2 / 3 with s^2 = 0.09."""
    correct = np.repeat(np.array([[0.2], [0.5], [0.8]]), 50, axis=1)
    replicates = replicate_means(correct, make_resampling(50, None, 3, 40000, 1))
    assert replicates.var() == pytest.approx(0.09 / 3, rel=0.03)


def test_one_seed_says_so_and_holds_no_spread_between_trainings() -> None:
    found = mean_interval(coin(100, 50), make_resampling(100, None, 1, 2000, 0))
    assert found.n_seeds == 1


@pytest.mark.parametrize(
    ("right", "low", "high"), [(100, 1 - Z**2 / (100 + Z**2), 1.0), (0, 0.0, Z**2 / (100 + Z**2))]
)
def test_all_right_or_all_wrong_is_not_certainty(right: int, low: float, high: float) -> None:
    found = mean_interval(coin(100, right), make_resampling(100, None, 1, 500, 0))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_differences_are_paired() -> None:
    """The same images wrong in both: the difference is exactly the one image that changed, so its
    interval is far narrower than that of two independent accuracies."""
    first, second = coin(200, 150), coin(200, 140)
    resampling = make_resampling(200, None, 1, 20000, 0)
    found = difference_interval(first, second, resampling)
    assert found.estimate == pytest.approx(0.05)
    assert found.high - found.low == pytest.approx(2 * Z * np.sqrt(0.05 * 0.95 / 200), abs=0.006)


def test_equal_trainings_differ_by_zero_within_the_wilson_bound() -> None:
    found = difference_interval(coin(100, 90), coin(100, 90), make_resampling(100, None, 1, 500, 0))
    margin = Z**2 / (100 + Z**2)
    assert (found.low, found.estimate, found.high) == pytest.approx((-margin, 0, margin))


def test_ratio_is_a_ratio_of_means() -> None:
    """(0.5 + 0.3) / (0.8 + 0.8)."""
    resampling = make_resampling(100, None, 1, 4000, 0)
    found = ratio_interval([coin(100, 50), coin(100, 30)], [coin(100, 80), coin(100, 80)], resampling)
    assert found.estimate == pytest.approx(0.5)
    assert found.low < 0.5 < found.high


def test_draws_of_images_do_not_depend_on_the_number_of_seeds() -> None:
    one, three = (make_resampling(30, None, seeds, 50, 4) for seeds in (1, 3))
    assert (one.weights == three.weights).all() and one.weights.sum(axis=1).tolist() == [30] * 50
