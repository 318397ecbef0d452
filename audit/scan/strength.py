"""How well a few numbers of each image tell its class: what a network could take from them at least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from audit.data.dataset import Labels

FOLDS = 5
LEAF = 10  # images in a leaf at least


def balanced_accuracy(
    values: npt.NDArray[np.float64], labels: Labels, groups: Labels | None, classes: int
) -> tuple[float, float]:
    """Balanced accuracy of a shallow decision tree (scikit-learn) that sees `values` (N, numbers) only, on images,
    and where ids exist patients, that it was not fitted to; and its standard error."""
    tree = DecisionTreeClassifier(
        max_leaf_nodes=4 * classes, min_samples_leaf=LEAF, class_weight="balanced", random_state=0
    )
    folds = (
        StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        if groups is None
        else StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    )
    predicted = cross_val_predict(tree, values, labels, groups=groups, cv=folds)
    recall = np.array([(predicted[labels == k] == k).mean() for k in range(classes)])
    counts = np.bincount(labels, minlength=classes)
    error = float(np.sqrt((recall * (1 - recall) / counts).sum()) / classes)
    return float(recall.mean()), error


def enough_images(labels: Labels, classes: int) -> bool:
    """Whether every class has enough images for a cross-validated accuracy."""
    return int(np.bincount(labels, minlength=classes).min()) >= 2 * FOLDS
