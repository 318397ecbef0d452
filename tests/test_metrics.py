"""Measures on cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evaluation import metrics

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 2, 2])


def test_accuracy_and_balanced_accuracy() -> None:
    assert metrics.accuracy(LABELS, PREDICTED) == 6 / 8
    assert metrics.balanced_accuracy(LABELS, PREDICTED) == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)


def test_confusion_rows_are_true_classes() -> None:
    assert metrics.confusion_matrix(LABELS, PREDICTED, 3) == [[3, 1, 0], [1, 1, 0], [0, 0, 2]]


def test_a_class_without_prediction_keeps_its_row_and_column() -> None:
    assert metrics.confusion_matrix(np.array([0, 1]), np.array([0, 0]), 3) == [
        [1, 0, 0],
        [1, 0, 0],
        [0, 0, 0],
    ]


def test_per_class_table() -> None:
    first, second, third = metrics.per_class(LABELS, PREDICTED, ("a", "b", "c"))
    assert (first.precision, first.recall, first.f1, first.support) == (3 / 4, 3 / 4, 3 / 4, 4)
    assert (second.precision, second.recall, second.f1, second.support) == (1 / 2, 1 / 2, 1 / 2, 2)
    assert (third.name, third.precision, third.recall, third.f1, third.support) == ("c", 1, 1, 1, 2)


def test_a_class_never_predicted_has_precision_zero_not_an_error() -> None:
    row = metrics.per_class(np.array([0, 1]), np.array([0, 0]), ("a", "b"))[1]
    assert (row.precision, row.recall, row.f1) == (0, 0, 0)


def test_auc_of_a_perfect_an_inverted_and_a_constant_ranking() -> None:
    labels = np.array([0, 0, 1, 1])
    score = np.array([0.1, 0.2, 0.8, 0.9])
    assert metrics.auc(labels, np.stack([1 - score, score], 1)) == 1
    assert metrics.auc(labels, np.stack([score, 1 - score], 1)) == 0
    assert metrics.auc(labels, np.full((4, 2), 0.5)) == 0.5


def test_auc_one_vs_rest_by_hand() -> None:
    """Three classes, one image each; class 2's score ranks its own image second of three: AUC 1/2."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.3, 0.5, 0.2]])
    labels = np.array([0, 1, 2])
    # class 0: right (1). class 1: its image ties with image 2 at 0.5: (1 + 1/2) / 2. class 2: 0.2 > 0.1, < 0.4
    assert metrics.auc(labels, probabilities) == pytest.approx((1 + 0.75 + 0.5) / 3)


def test_auc_is_none_where_a_class_is_missing() -> None:
    assert metrics.auc(np.array([0, 0, 1]), np.full((3, 3), 1 / 3)) is None


def test_ece_of_overconfidence() -> None:
    """Two images at confidence 0.9, one of them wrong: gap 0.4. Two at 0.6, both right: gap 0.4."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert metrics.expected_calibration_error(np.array([0, 1, 0, 0]), probabilities) == pytest.approx(0.4)


def test_ece_of_a_calibrated_classifier_is_zero() -> None:
    probabilities = np.array([[0.75, 0.25]] * 4)
    assert metrics.expected_calibration_error(np.array([0, 0, 0, 1]), probabilities) == pytest.approx(0)


@pytest.mark.parametrize(("rate", "expected"), [(1.0, 1.0), (0.25, 0.0), (0.1, 0.0), (0.625, 0.5)])
def test_above_chance_for_four_classes(rate: float, expected: float) -> None:
    assert metrics.above_chance(rate, 4) == pytest.approx(expected)
