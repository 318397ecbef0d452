"""The perturbation is in the images before they are augmented, for victims and for surrogates: it stands for what
was done to the data set, and augmentation belongs to the training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audit.attack.perturbation import make_perturbation
from audit.attack.surrogate_task import surrogate_task
from audit.attack.surrogates import SurrogateTrainer
from audit.cells import CellContext, run_cell
from audit.plan import AttackSpec, Cell
from audit.results import Recipe
from audit.settings import AuditConfig
from audit.training.augmentation import AUGMENTATIONS, AugmentationRow, Augmented
from tests.planted import noise_split, quick

PIXELS = make_perturbation([(0, 3, 3, [1.0]), (1, 8, 8, [0.0])], (12, 12), 1, 2)
OTHER = make_perturbation([(0, 1, 2, [0.0]), (1, 9, 4, [1.0])], (12, 12), 1, 2)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What an augmentation called `recorder` is handed, batch by batch."""
    batches: list[torch.Tensor] = []

    def record(images: torch.Tensor, draws: torch.Generator) -> Augmented:
        batches.append(images.clone())
        return Augmented(images)

    monkeypatch.setitem(AUGMENTATIONS, "recorder", AugmentationRow(record, "records"))
    torch.set_num_threads(1)
    return batches


def test_victims_augment_images_that_carry_the_perturbation(seen: list[torch.Tensor]) -> None:
    split = noise_split(32, 12)
    recipe = Recipe(
        model="small-cnn", stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
        normalization="none", augmentation="recorder", epochs=1, batch_size=16, seed=0,
    )  # fmt: skip
    attack = AttackSpec(attack="shortcut", severity=1, draw=0, seed=0)
    cell = Cell(id="c", recipe=recipe, attack=attack, role="grid")
    context = CellContext(split, noise_split(8, 12, seed=1), ("a", "b"), AuditConfig(), "cpu")
    run_cell(cell, PIXELS, context, lambda reading: None)
    handed = {image.numpy().tobytes() for image in torch.cat(seen)}
    assert handed == {image.tobytes() for image in PIXELS.apply(split.images, split.labels)}
    assert not handed & {image.tobytes() for image in split.images}


def test_surrogates_augment_images_that_carry_the_perturbation(seen: list[torch.Tensor]) -> None:
    settings = quick(steps=3)
    task = surrogate_task(noise_split(80, 12), 2, settings, "recorder")
    trainer = SurrogateTrainer(task, settings, "cpu")
    trainer.train(trainer.population([PIXELS, OTHER]), 4, settings.steps)
    draws = torch.Generator().manual_seed(4)
    assert len(seen) == 3
    for images in seen:
        batch = torch.randint(len(task.train_labels), (settings.batch_size,), generator=draws).numpy()
        for p, perturbation in enumerate((PIXELS, OTHER)):
            expected = perturbation.apply(task.train_images, task.train_labels)[batch]
            np.testing.assert_array_equal(images[:, p].numpy(), np.float32(expected) / np.float32(255))
