"""Measures of one training (method §6). Probabilities (N, K), labels int64 (N,)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from audit.data.dataset import Labels
from audit.results import ClassMeasures

Floats = npt.NDArray[np.floating]

CALIBRATION_BINS = 15


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Share of right predictions."""
    return float(np.mean(labels == predicted))


def confusion_matrix(labels: Labels, predicted: Labels, n_classes: int) -> list[list[int]]:
    """K x K counts, [true class][predicted class]."""
    counts = metrics.confusion_matrix(labels, predicted, labels=range(n_classes))
    return [[int(count) for count in row] for row in counts]


def balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    """Mean recall over the classes present."""
    return float(
        metrics.recall_score(labels, predicted, average="macro", labels=np.unique(labels), zero_division=0.0)
    )


def auc(labels: Labels, probabilities: Floats) -> float | None:
    """One-vs-rest macro area under the ROC curve; None where a class is missing."""
    n_classes = probabilities.shape[1]
    if len(np.unique(labels)) < n_classes or not np.isfinite(probabilities).all():
        return None
    if n_classes == 2:
        return float(metrics.roc_auc_score(labels, probabilities[:, 1]))
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # float32 rows miss 1 by more than sklearn accepts
    return float(metrics.roc_auc_score(labels, exact, multi_class="ovr", average="macro"))


def expected_calibration_error(labels: Labels, probabilities: Floats) -> float:
    """Mean gap between confidence and accuracy over 15 equal bins of confidence, weighted by images."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        np.sum(bins == b) * abs(right[bins == b].mean() - confidence[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps) / len(labels))


def per_class(labels: Labels, predicted: Labels, class_names: tuple[str, ...]) -> list[ClassMeasures]:
    """Precision, recall, F1 and support of every class (Table 4.1); 0 where undefined."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(len(class_names)), zero_division=0.0
    )
    return [
        ClassMeasures(name=name, precision=float(p), recall=float(r), f1=float(f), support=int(s))
        for name, p, r, f, s in zip(class_names, precision, recall, f1, support, strict=True)
    ]


def above_chance(rate: float, n_classes: int) -> float:
    """(rate - 1/K) / (1 - 1/K), floor 0: alpha_S for accuracy (2.12), alpha_N for overlay rate (2.13)."""
    chance = 1 / n_classes
    return max((rate - chance) / (1 - chance), 0.0)
