"""One cell end to end: what the pixel does to a real network, and what never touches what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.attack.perturbation import make_perturbation
from audit.cells import CellContext, nuisance_sensitivity, overlay_hits, run_cell, what_is_seen
from audit.data.dataset import Images, Split
from audit.errors import ConfigError
from audit.plan import CLEAN_SPEC, AttackSpec, Cell
from audit.results import CellResult, Recipe
from audit.settings import AuditConfig, BaselineSettings, TrainingSettings
from audit.training.model_row import ModelRow
from audit.training.models import MODELS, build_model
from audit.training.weights import fingerprint
from tests.planted import balanced_labels, noise_images

PIXELS = make_perturbation([(0, 3, 3, [1.0]), (1, 8, 8, [1.0])], (12, 12), 1, 2)


def halves(n: int, seed: int) -> Split:
    """Class 0 is bright on the left, class 1 on the right: a little, in noise."""
    labels = balanced_labels(n, 2)
    images = noise_images(n, 12, 1, seed).astype(int)
    images[labels == 0, :, :, :6] += 40
    images[labels == 1, :, :, 6:] += 40
    return Split(images.astype(np.uint8), labels)


RECIPE = Recipe(
    model="small-cnn", stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
    normalization="none", epochs=4, batch_size=16, seed=0,
)  # fmt: skip


def run(perturbed: bool, test: Split, config: AuditConfig | None = None, **changes: object) -> CellResult:
    torch.set_num_threads(1)
    config = config or AuditConfig()
    attack = AttackSpec(attack="shortcut", severity=1, draw=0, seed=0) if perturbed else CLEAN_SPEC
    context = CellContext(halves(160, 1), test, ("left", "right"), config, "cpu")
    cell = Cell(id="c", recipe=RECIPE.model_copy(update=changes), attack=attack, role="grid")
    return run_cell(cell, PIXELS if perturbed else None, context, lambda reading: None)


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


class EightAtMost(torch.nn.Sequential):
    """A small network for a device with memory for the gradients of 8 images."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(144, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > 8 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().forward(images)  # type: ignore[no-any-return]


def test_short_memory_halves_the_batch_and_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradients add up: the numbers are those of a network with memory for all 16."""
    monkeypatch.setitem(MODELS, "eight", ModelRow("eight at most", lambda *_: EightAtMost()))
    monkeypatch.setitem(
        MODELS, "all", ModelRow("as many", lambda *_: torch.nn.Sequential(*EightAtMost().children()))
    )
    short, enough = run(True, halves(80, 2), model="eight"), run(True, halves(80, 2), model="all")
    assert (short.status, short.micro_batch, enough.micro_batch) == ("done", 8, None)
    assert short.measures is not None and enough.measures is not None
    assert [e.epoch for e in short.measures.epochs] == [1, 2, 3, 4]
    assert [e.train_loss for e in short.measures.epochs] == pytest.approx(
        [e.train_loss for e in enough.measures.epochs], rel=1e-4
    )


def test_a_training_begins_with_the_weights_of_a_file(tmp_path: Path) -> None:
    """With a learning rate of 1e-12 nothing moves: the file's weights are what is measured."""
    file = tmp_path / "weights.safetensors"
    given = build_model("small-cnn", 2, 1, "published", (12, 12)).state_dict()
    del given["18.bias"]
    save_file(given, file)
    config = AuditConfig(
        models=["small-cnn"], baseline=BaselineSettings(model="small-cnn"),
        training=TrainingSettings(weights={"small-cnn": file}),
    )  # fmt: skip
    found = run(False, halves(80, 2), config, weights=fingerprint(file), learning_rate=1e-12)
    assert found.weights_note == "25 tensors from weights.safetensors; left fresh: 18.bias"
    fresh = run(False, halves(80, 2), learning_rate=1e-12)
    assert fresh.weights_note is None and fresh.measures is not None and found.measures is not None
    assert fresh.measures.epochs[0].train_loss != found.measures.epochs[0].train_loss
    with pytest.raises(ConfigError) as refused:
        run(False, halves(80, 2), config, weights="of another file")
    assert str(refused.value) == f"{file}: changed since the audit was planned; start the command again"


def test_preprocessing_comes_after_the_perturbation_and_reaches_the_test_images_too() -> None:
    """A flat image with one white pixel is flat again under a median filter."""
    flat = Split(np.full((6, 1, 12, 12), 90, dtype=np.uint8), balanced_labels(6, 2))
    context = CellContext(flat, halves(8, 2), ("left", "right"), AuditConfig(), "cpu")
    attack = AttackSpec(attack="shortcut", severity=1, draw=0, seed=0)
    cell = Cell(
        id="c", recipe=RECIPE.model_copy(update={"preprocessing": "median-3"}), attack=attack, role="grid"
    )
    before = context.test.images.copy()
    seen = what_is_seen(cell, PIXELS, context)
    assert (PIXELS.apply(flat.images, flat.labels) == 255).sum() == 6, "one white pixel in each image"
    assert seen.train.images.unique().tolist() == [90]
    assert torch.equal(seen.test, torch.from_numpy(seen.preprocess(before)))
    assert not torch.equal(seen.test, torch.from_numpy(before))
    assert (context.test.images == before).all(), "test images are never changed"


def pixel_reader(images: Images) -> torch.Tensor:
    """Reads only the planted pixels: class 0 where (3, 3) is white, else class 1."""
    white = torch.from_numpy((images[:, 0, 3, 3] == 255).astype(np.float32))
    return torch.stack([white, 1 - white], 1)


def test_alpha_n_of_a_classifier_that_reads_only_the_pixel_is_one() -> None:
    assert nuisance_sensitivity(overlay_hits(PIXELS, noise_images(50, 12, 1, 3), 2, pixel_reader)) == 1.0


def test_alpha_n_of_a_classifier_that_ignores_the_pixel_is_zero() -> None:
    def by_left_half(images: Images) -> torch.Tensor:
        bright = torch.from_numpy((np.arange(len(images)) % 2 == 0).astype(np.float32))
        return torch.stack([bright, 1 - bright], 1)

    assert nuisance_sensitivity(
        overlay_hits(PIXELS, noise_images(50, 12, 1, 3), 2, by_left_half)
    ) == pytest.approx(0.0)
