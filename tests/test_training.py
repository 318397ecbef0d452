"""Training: normalization against closed forms, determinism, what the trainer hands on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from audit.results import Recipe
from audit.training.augmentation import augmentation
from audit.training.models import MODELS, build_model
from audit.training.reading import predict, recalibrate_batch_norm, scaled
from audit.training.sampling import epoch_batches
from audit.training.trainer import TrainingDiverged, TrainingImages, train
from tests.planted import noise_split

RECIPE = Recipe(
    model="small-cnn",
    stem="published",
    optimizer="adam",
    learning_rate=1e-3,
    schedule="constant",
    normalization="none",
    epochs=2,
    batch_size=16,
    seed=3,
)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize(
    ("channels", "size", "stem"), [(1, 28, "published"), (3, 32, "half"), (3, 16, "full")]
)
def test_models_give_logits_and_gradients(name: str, channels: int, size: int, stem: str) -> None:
    model = build_model(name, 4, channels, stem, (size, size))
    logits = model(torch.rand(2, channels, size, size))
    assert logits.shape == (2, 4)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def trained(recipe: Recipe) -> tuple[torch.nn.Module, list[float]]:
    torch.set_num_threads(1)
    split = noise_split(48, 16)
    data = TrainingImages(torch.from_numpy(split.images), torch.from_numpy(split.labels), 2)
    losses: list[float] = []
    found = train(recipe, data, lambda network, epoch, loss: losses.append(loss))
    assert found.micro_batch is None, "memory was not short"
    return found.network, losses


def test_equal_recipes_give_equal_bits_and_another_seed_does_not() -> None:
    (first, losses), (same, again), (other, _) = (
        trained(RECIPE),
        trained(RECIPE),
        trained(RECIPE.model_copy(update={"seed": 4})),
    )
    assert losses == again and len(losses) == 2
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_cosine_schedule_ends_near_zero() -> None:
    constant, cosine = trained(RECIPE)[1], trained(RECIPE.model_copy(update={"schedule": "cosine"}))[1]
    assert constant[0] != cosine[0]


@pytest.mark.parametrize("name", ["cutmix", "mixup", "crop-flip+mixup"])
def test_the_training_loss_is_that_of_mixed_images_and_labels(name: str) -> None:
    """One step over all images; the loss by soft targets, from images mixed as floats in [0, 1]."""
    recipe = RECIPE.model_copy(update={"augmentation": name, "epochs": 1, "batch_size": 48})
    (loss,) = trained(recipe)[1]
    split = noise_split(48, 16)
    labels, order, draws = torch.from_numpy(split.labels), *(torch.Generator().manual_seed(3) for _ in "12")
    (batch,) = epoch_batches(labels, 2, 48, True, order)
    mixed = augmentation(name)(torch.from_numpy(split.images)[batch] / 255, draws)
    targets = functional.one_hot(labels[batch], 2).float()
    assert mixed.share is not None
    share = mixed.share.float()[:, None]
    targets = share * targets + (1 - share) * targets[mixed.partner]
    torch.manual_seed(3)
    model = build_model("small-cnn", 2, 1, "published")
    expected = functional.cross_entropy(model(mixed.images), targets).item()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert trained(recipe)[1] == [loss] != trained(RECIPE)[1][:1]


def test_preparing_takes_bytes_and_floats_and_changes_neither() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    floats = levels.float()
    assert torch.equal(scaled(levels), scaled(floats))
    assert torch.equal(floats, levels.float())
    assert scaled(levels).flatten()[[0, 51, 255]].tolist() == pytest.approx([0, 0.2, 1])


def test_a_loss_that_is_not_finite_is_named() -> None:
    with pytest.raises(TrainingDiverged) as stopped:
        trained(RECIPE.model_copy(update={"optimizer": "sgd", "learning_rate": 1e30}))
    assert str(stopped.value) == "training loss is not finite in epoch 1; lower the learning rate"


def test_prediction_returns_the_order_of_the_images() -> None:
    """A network that outputs the mean grey value must give it back image by image."""

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean = x.mean(dim=(1, 2, 3))
            return torch.stack([mean.log(), (1 - mean).log()], 1)

    grey = np.arange(1, 201, dtype=np.uint8)
    images = torch.from_numpy(np.broadcast_to(grey[:, None, None, None], (200, 1, 2, 2)).copy())
    probabilities = predict(Mean(), images, 64)
    np.testing.assert_allclose(probabilities[:, 0].numpy(), grey / 255, rtol=1e-5)


def test_recalibration_gives_the_mean_and_variance_of_the_training_images() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(8).reshape(4, 1, 2, 2)
    recalibrate_batch_norm(model, images, 4)
    norm = model[0]
    assert (
        isinstance(norm, torch.nn.BatchNorm2d)
        and norm.running_mean is not None
        and norm.running_var is not None
    )
    assert float(norm.running_mean) == pytest.approx(0.5)
    assert float(norm.running_var) == pytest.approx(0.25 * 16 / 15)
