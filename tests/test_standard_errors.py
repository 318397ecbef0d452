"""Standard errors of measures that are no means over images, against closed forms and the library's own values."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evaluation import metrics
from audit.evaluation.intervals import make_resampling, mean_interval, measure_interval
from audit.evaluation.standard_errors import (
    aucs,
    balanced_accuracies,
    calibration_errors,
    one_auc,
    standard_errors,
)

LABELS = np.repeat(np.arange(4), 50)
ONCE = np.ones((1, 200))


def probabilities(seed: int) -> np.ndarray:
    """Right in about three of four images; rounded, so that there are ties."""
    drawn = np.random.default_rng(seed).dirichlet(np.ones(4), 200)
    drawn[np.arange(200), LABELS] += 0.5
    return (drawn / drawn.sum(axis=1, keepdims=True)).round(2)


def test_with_every_image_once_they_are_the_measures_themselves() -> None:
    found = probabilities(1)
    predicted = found.argmax(axis=1)
    right, confidence = predicted == LABELS, found.max(axis=1)
    assert balanced_accuracies(LABELS, right, ONCE)[0] == pytest.approx(
        metrics.balanced_accuracy(LABELS, predicted)
    )
    assert aucs(LABELS, found, ONCE)[0] == pytest.approx(metrics.auc(LABELS, found), abs=1e-3)
    assert calibration_errors(right, confidence, ONCE)[0] == pytest.approx(
        metrics.expected_calibration_error(LABELS, found)
    )


def test_auc_by_hand_counts_ties_half_and_weights() -> None:
    """Positives 0.9, 0.5; negatives 0.5, 0.1: won 1 + 1 + half + 1 of 4. With the tied negative three times:
    (3 + 1 + 1.5 + 1) of 8."""
    positive = np.array([True, True, False, False])
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    weights = np.array([[1.0, 1, 1, 1], [1.0, 1, 3, 1], [0.0, 0, 1, 1]])
    found = one_auc(positive, scores, weights)
    assert found[:2].tolist() == pytest.approx([3.5 / 4, 6.5 / 8]) and np.isnan(found[2])


def test_the_standard_error_of_a_share_is_its_closed_form() -> None:
    """alpha_S is accuracy times K / (K - 1): sqrt(p (1 - p) / n) * 4 / 3, and patients of two images that agree
    have half as many independent answers."""
    found = probabilities(2)
    p = float((found.argmax(axis=1) == LABELS).mean())
    exact = (p * (1 - p) / 200) ** 0.5 * 4 / 3
    single = standard_errors(LABELS, None, found, None)
    assert single["semantic_sensitivity"] == pytest.approx(exact, rel=0.15)
    assert set(single) == {"balanced_accuracy", "auc", "ece", "semantic_sensitivity"}
    twice = np.repeat(found[::2], 2, axis=0)
    labels = np.repeat(LABELS[::2], 2)
    p = float((twice.argmax(axis=1) == labels).mean())
    paired = standard_errors(labels, np.repeat(np.arange(100), 2), twice, None)
    assert paired["semantic_sensitivity"] == pytest.approx((p * (1 - p) / 100) ** 0.5 * 4 / 3, rel=0.15)


def test_nuisance_sensitivity_of_a_model_that_reads_only_the_pixel_has_no_spread() -> None:
    found = standard_errors(LABELS, None, probabilities(3), np.ones((4, 200), dtype=bool))
    assert found["nuisance_sensitivity"] == pytest.approx(0.0)


def test_one_training_has_the_interval_of_a_mean_with_the_same_error() -> None:
    """80 of 200 images right: the bootstrap's standard error put in by hand."""
    correct = (np.arange(200) < 80).astype(float)[None]
    resampling = make_resampling(200, None, 1, 4000, 0)
    exact = mean_interval(correct, resampling)
    by_error = measure_interval(np.array([0.4]), np.array([(0.4 * 0.6 / 200) ** 0.5]), resampling)
    assert (by_error.low, by_error.high) == pytest.approx((exact.low, exact.high), abs=0.004)


def test_trainings_that_differ_widen_it_and_certainty_is_never_claimed() -> None:
    resampling = make_resampling(200, None, 3, 400, 0)
    alike = measure_interval(np.array([0.9, 0.9, 0.9]), np.full(3, 0.02), resampling)
    apart = measure_interval(np.array([0.8, 0.9, 1.0]), np.full(3, 0.02), resampling)
    assert apart.low < alike.low < 0.9 < alike.high < apart.high <= 1
    perfect = measure_interval(np.ones(3), np.zeros(3), resampling)
    assert perfect.estimate == perfect.high == 1.0 and perfect.low < 0.999


def test_of_two_classes_and_few_patients_the_auc_has_an_error_all_the_same() -> None:
    """Some replicates then hold one class alone: their AUC is no number, and stood as null in results.json, which
    could not be read again."""
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.6, 0.4]])
    errors = standard_errors(labels, None, probabilities, None)
    assert all(np.isfinite(value) for value in errors.values())
    assert errors["auc"] > 0
    alone = standard_errors(np.zeros(4, dtype=np.int64), None, probabilities, None)
    assert "auc" not in alone and all(np.isfinite(value) for value in alone.values())
