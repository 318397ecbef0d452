"""One cell end to end: what the pixel does to a real network, and what never touches what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audit.attack.perturbation import make_perturbation
from audit.cells import CellContext, nuisance_sensitivity, run_cell
from audit.data.dataset import Images, Split
from audit.plan import CLEAN_SPEC, AttackSpec, Cell
from audit.results import CellResult, Recipe
from audit.settings import AuditConfig
from tests.planted import balanced_labels, noise_images

PIXELS = make_perturbation([(0, 3, 3, [1.0]), (1, 8, 8, [1.0])], (12, 12), 1, 2)


def halves(n: int, seed: int) -> Split:
    """Class 0 is bright on the left, class 1 on the right: a little, in noise."""
    labels = balanced_labels(n, 2)
    images = noise_images(n, 12, 1, seed).astype(int)
    images[labels == 0, :, :, :6] += 40
    images[labels == 1, :, :, 6:] += 40
    return Split(images.astype(np.uint8), labels)


def run(perturbed: bool, test: Split, learning_rate: float = 1e-3) -> CellResult:
    torch.set_num_threads(1)
    recipe = Recipe(
        model="small-cnn", stem="published", optimizer="adam", learning_rate=learning_rate, schedule="constant",
        normalization="none", epochs=4, batch_size=16, seed=0,
    )  # fmt: skip
    attack = AttackSpec(attack="shortcut", severity=1, draw=0, seed=0) if perturbed else CLEAN_SPEC
    context = CellContext(halves(160, 1), test, ("left", "right"), AuditConfig(), "cpu")
    cell = Cell(id="c", recipe=recipe, attack=attack, role="grid")
    return run_cell(cell, PIXELS if perturbed else None, context, lambda reading: None, lambda: None)


def test_measures_agree_with_the_predictions() -> None:
    test = halves(80, 2)
    before = test.images.copy()
    found = run(True, test)
    assert found.measures is not None and found.status == "done"
    predicted = np.array(found.predictions)
    assert found.measures.accuracy == np.mean(predicted == test.labels)
    assert found.measures.confusion[0][1] == np.sum((test.labels == 0) & (predicted == 1))
    assert len(found.measures.epochs) == 4 and found.measures.epochs[-1].epoch == 4
    assert found.measures.peak_accuracy == max(e.test_accuracy for e in found.measures.epochs)
    assert (test.images == before).all(), "test images are never changed"


def test_what_stands_in_the_test_split_does_not_reach_the_training() -> None:
    """A poisoned test split: same weights, seen by equal losses and fits after every epoch."""
    honest, poisoned = (
        run(True, halves(80, 2)),
        run(True, Split(noise_images(80, 12, 1, 9), balanced_labels(80, 2))),
    )
    assert honest.measures is not None and poisoned.measures is not None
    assert [(e.train_loss, e.train_accuracy) for e in honest.measures.epochs] == [
        (e.train_loss, e.train_accuracy) for e in poisoned.measures.epochs
    ]
    assert honest.predictions != poisoned.predictions


def test_divergence_fails_the_cell_with_its_reason() -> None:
    failed = run(False, halves(20, 2), learning_rate=1e30)
    assert (failed.status, failed.measures) == ("failed", None)
    assert failed.failure is not None and failed.failure.startswith("training loss is not finite in epoch ")


def pixel_reader(images: Images) -> torch.Tensor:
    """Reads only the planted pixels: class 0 where (3, 3) is white, else class 1."""
    white = torch.from_numpy((images[:, 0, 3, 3] == 255).astype(np.float32))
    return torch.stack([white, 1 - white], 1)


def test_alpha_n_of_a_classifier_that_reads_only_the_pixel_is_one() -> None:
    assert nuisance_sensitivity(PIXELS, noise_images(50, 12, 1, 3), 2, pixel_reader) == 1.0


def test_alpha_n_of_a_classifier_that_ignores_the_pixel_is_zero() -> None:
    def by_left_half(images: Images) -> torch.Tensor:
        bright = torch.from_numpy((np.arange(len(images)) % 2 == 0).astype(np.float32))
        return torch.stack([bright, 1 - bright], 1)

    assert nuisance_sensitivity(PIXELS, noise_images(50, 12, 1, 3), 2, by_left_half) == pytest.approx(0.0)
