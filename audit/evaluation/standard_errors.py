"""How far the measures of one training would move with other test patients: bootstrap of whole patients.

Equal draws for all measures of a cell. Replicates in which a class is missing leave it out; of two classes, the AUC of
such a replicate is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Labels
from audit.evaluation.intervals import make_resampling
from audit.evaluation.metrics import CALIBRATION_BINS

Floats = npt.NDArray[np.floating]
Weights = npt.NDArray[np.float64]
"""(B, N): how often replicate b holds test image i."""

REPLICATES = 400
SEED = 17


def standard_errors(
    labels: Labels, groups: Labels | None, probabilities: Floats, overlay: npt.NDArray[np.bool_] | None
) -> dict[str, float]:
    """Standard error of each measure by its name in `CellMeasures`; a measure that no two replicates have is left out.

    `labels` (N,), `groups` (N,) or None, `probabilities` (N, K), `overlay` (K, N): whether the image under the
    edits of class k is called k; None for clean cells.
    """
    resampling = make_resampling(len(labels), groups, 1, REPLICATES, SEED)
    weights = resampling.weights.astype(np.float64)
    n_classes = probabilities.shape[1]
    right = probabilities.argmax(axis=1) == labels
    above_chance = 1 - 1 / n_classes
    replicates = {
        "balanced_accuracy": balanced_accuracies(labels, right, weights),
        "auc": aucs(labels, probabilities, weights),
        "ece": calibration_errors(right, probabilities.max(axis=1), weights),
        "semantic_sensitivity": weighted_means(right, weights) / above_chance,
    }
    if overlay is not None:
        replicates["nuisance_sensitivity"] = weighted_means(overlay.mean(axis=0), weights) / above_chance
    few = np.sqrt(resampling.n_groups / max(resampling.n_groups - 1, 1))  # redrawing G understates the spread
    found = {name: values[np.isfinite(values)] for name, values in replicates.items()}
    return {name: float(np.std(values, ddof=1) * few) for name, values in found.items() if len(values) > 1}


def weighted_means(values: npt.NDArray[np.generic], weights: Weights) -> Weights:
    """(N,) -> (B,)."""
    means: Weights = weights @ values.astype(np.float64) / weights.sum(axis=1)
    return means


def balanced_accuracies(labels: Labels, right: npt.NDArray[np.bool_], weights: Weights) -> Weights:
    """Mean recall over the classes present in a replicate, (B,)."""
    recalls = []
    for label in np.unique(labels):
        own = labels == label
        total = weights[:, own].sum(axis=1)
        missing = np.full(len(weights), np.nan)
        recalls.append(np.divide(weights[:, own] @ right[own], total, out=missing, where=total > 0))
    means: Weights = np.nanmean(recalls, axis=0)
    return means


def calibration_errors(right: npt.NDArray[np.bool_], confidence: Floats, weights: Weights) -> Weights:
    """Expected calibration error, (B,)."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gap = right.astype(np.float64) - confidence
    total = sum(
        (np.abs(weights[:, bins == b] @ gap[bins == b]) for b in np.unique(bins)), np.zeros(len(weights))
    )
    errors: Weights = total / weights.sum(axis=1)
    return errors


def aucs(labels: Labels, probabilities: Floats, weights: Weights) -> Weights:
    """One class against the rest, mean over the classes present, (B,)."""
    found = [one_auc(labels == k, probabilities[:, k], weights) for k in range(probabilities.shape[1])]
    means: Weights = np.nanmean(found, axis=0) if len(found) > 2 else found[1]
    return means


def one_auc(positive: npt.NDArray[np.bool_], scores: Floats, weights: Weights) -> Weights:
    """Weighted share of pairs in which the positive image scores higher, ties half, (B,); nan without pairs."""
    place = np.unique(scores, return_inverse=True)[1]
    levels = int(place.max()) + 1
    at_level = np.zeros((levels, len(scores)))
    at_level[place, np.arange(len(scores))] = 1
    negative_at = (weights * ~positive) @ at_level.T  # (B, levels)
    positive_at = (weights * positive) @ at_level.T
    below = np.cumsum(negative_at, axis=1) - negative_at / 2
    pairs = negative_at.sum(axis=1) * positive_at.sum(axis=1)
    won = (positive_at * below).sum(axis=1)
    shares: Weights = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return shares
