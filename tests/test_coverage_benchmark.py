"""The simulated audits of `benchmarks/coverage.py` are what their settings say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import Setting, latent_correlation, layout, measure, simulate, threshold


def test_accuracy_and_spread_between_trainings_are_the_setting_s() -> None:
    groups, _ = layout(1000, 0, 200)
    setting = Setting("accuracy", 200, 1000, (0.9,), 0.03, 0.3)
    generator = np.random.default_rng(0)
    rates = np.array([simulate(setting, groups, generator)[0].mean(axis=1) for _ in range(20)])
    assert rates.mean() == pytest.approx(0.9, abs=0.006)
    noise = 0.09 * (1 - 0.7) / 1000  # roughly: what images add to the spread between trainings
    assert rates.std(axis=1).mean() == pytest.approx(np.sqrt(0.03**2 + noise), abs=0.003)


def test_correlation_within_patients_is_the_setting_s() -> None:
    """3,000 patients with two images, accuracy 0.7, ICC 0.5: P(both right) = 0.49 + 0.5 x 0.21."""
    groups = np.repeat(np.arange(3000), 2)
    setting = Setting("accuracy", 1, 6000, (0.7,), 0.0, 0.5)
    generator = np.random.default_rng(1)
    both = [simulate(setting, groups, generator)[0][0].reshape(-1, 2).all(axis=1).mean() for _ in range(10)]
    assert np.mean(both) == pytest.approx(0.49 + 0.5 * 0.21, abs=0.01)


def test_closed_forms() -> None:
    assert threshold(0.5, 0.0) == (pytest.approx(0), 0)
    assert latent_correlation(0.5, 1 / 3) == pytest.approx(0.5), "two signs agree: arcsin(1/2) = pi / 6"
    assert Setting("drop", 1, 280, (0.93, 0.5), 0.0, 0.3).truth == pytest.approx(0.43)
    assert Setting("score", 1, 280, (0.6, 0.3, 0.5, 0.4), 0.0, 0.3).truth == pytest.approx(1)


def test_the_real_oct_test_set() -> None:
    groups, resampling = layout(280, 3, 200)
    assert len(groups) == 280 and groups[-1] == 177 and resampling.n_groups == 178


def test_measuring_counts_misses_on_both_sides() -> None:
    (found,) = measure(Setting("accuracy", 3, 280, (0.9,), 0.01, 0.5), 60, 200, seed=0)
    assert 0.85 <= found.covered <= 1 and 0.03 < found.width < 0.2
    drops = measure(Setting("drop", 1, 280, (0.93, 0.5), 0.0, 0.3), 20, 200, seed=0)
    assert [one.setting.measure for one in drops] == ["drop", "drop at 99.58 %"]
    assert drops[0].width < drops[1].width
