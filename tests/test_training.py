"""Training: normalization against closed forms, optimizers against their published updates, determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from audit.results import Recipe
from audit.training.models import MODELS, build_model
from audit.training.normalization import NORMALIZATIONS, covariate_shift_normalization
from audit.training.optimizers import OPTIMIZERS, build_optimizer
from audit.training.trainer import (
    TrainingDiverged,
    epoch_batches,
    epoch_indices,
    epoch_steps,
    evaluation_batches,
    predict,
    recalibrate_batch_norm,
    train,
)
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


def test_csn_gives_zero_mean_and_unit_deviation_per_channel() -> None:
    images = torch.tensor([1.0, 3.0]).repeat_interleave(8).reshape(2, 2, 2, 2)
    images[:, 1] *= 10
    normalized = covariate_shift_normalization(images)
    assert normalized[0].unique().tolist() == pytest.approx([-1.0]) and normalized[
        1
    ].unique().tolist() == pytest.approx([1.0])


def test_csn_of_a_constant_batch_is_zero() -> None:
    assert covariate_shift_normalization(torch.full((3, 1, 2, 2), 0.7)).abs().max() < 1e-3


def test_csn_of_an_image_depends_on_its_batch() -> None:
    image, dark, bright = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    beside_dark = covariate_shift_normalization(torch.cat([image, dark]))[0]
    beside_bright = covariate_shift_normalization(torch.cat([image, bright]))[0]
    assert beside_dark.mean() == pytest.approx(1.0) and beside_bright.mean() == pytest.approx(-1.0)
    assert NORMALIZATIONS["csn"].uses_batch and not NORMALIZATIONS["none"].uses_batch


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_first_steps_follow_the_published_update(name: str) -> None:
    """Loss x^2 / 2 from x = 1: the gradient is x. Two steps by hand."""
    lr = OPTIMIZERS[name].learning_rate
    x = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer(name, [x], lr)
    expected, m, v, velocity = 1.0, 0.0, 0.0, 0.0
    for step in (1, 2):
        gradient = expected
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        m_hat, v_hat = m / (1 - 0.9**step), v / (1 - 0.999**step)
        velocity = 0.9 * velocity + gradient
        # AdaBound: Adam's rate per coordinate, clipped between bounds that close in on final_lr = 0.1
        low, high = 0.1 * (1 - 1 / (1e-3 * step + 1)), 0.1 * (1 + 1 / (1e-3 * step))
        rate = lr * math.sqrt(1 - 0.999**step) / (1 - 0.9**step) / (math.sqrt(v) + 1e-8)
        update = {
            "adam": lr * m_hat / (math.sqrt(v_hat) + 1e-8),
            "adabound": min(max(rate, low), high) * m,
            "sgd": lr * gradient,
            "sgd-m": lr * velocity,
        }[name]
        expected -= update
        optimizer.zero_grad()
        (x**2 / 2).sum().backward()
        optimizer.step()
        assert float(x.detach()) == pytest.approx(expected, abs=1e-6), step


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


def test_oversampling_is_exact() -> None:
    labels = torch.tensor([0] * 10 + [1] * 4 + [2] * 10)
    indices = epoch_indices(labels, 3, True, torch.Generator().manual_seed(0))
    times = torch.bincount(indices, minlength=24)
    assert times[:10].tolist() == [1] * 10 and times[14:].tolist() == [1] * 10
    assert sorted(times[10:14].tolist()) == [2, 2, 3, 3], "10 = 2 x 4 + 2"
    plain = epoch_indices(labels, 3, False, torch.Generator().manual_seed(0))
    assert sorted(plain.tolist()) == list(range(24))
    assert epoch_steps(labels, 3, 7, True) == 5 and epoch_steps(labels, 3, 7, False) == 4


def test_batches_hold_every_image_once_and_none_is_a_remainder_of_one() -> None:
    batches = list(epoch_batches(torch.zeros(33, dtype=torch.int64), 1, 32, False, torch.Generator()))
    assert sorted(torch.cat(batches).tolist()) == list(range(33))
    assert [len(batch) for batch in batches] == [17, 16]
    fixed = evaluation_batches(250, 100)
    assert [len(b) for b in fixed] == [84, 83, 83] and torch.equal(fixed[0], evaluation_batches(250, 100)[0])


def trained(recipe: Recipe) -> tuple[torch.nn.Module, list[float]]:
    torch.set_num_threads(1)
    split = noise_split(48, 16)
    losses: list[float] = []
    model = train(
        recipe,
        torch.from_numpy(split.images),
        torch.from_numpy(split.labels),
        2,
        True,
        lambda model, epoch, loss: losses.append(loss),
        lambda: None,
    )
    return model, losses


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
    probabilities = predict(Mean(), images, "none", 64)
    np.testing.assert_allclose(probabilities[:, 0].numpy(), grey / 255, rtol=1e-5)


def test_recalibration_gives_the_mean_and_variance_of_the_training_images() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(8).reshape(4, 1, 2, 2)
    recalibrate_batch_norm(model, images, "none", 4)
    norm = model[0]
    assert (
        isinstance(norm, torch.nn.BatchNorm2d)
        and norm.running_mean is not None
        and norm.running_var is not None
    )
    assert float(norm.running_mean) == pytest.approx(0.5)
    assert float(norm.running_var) == pytest.approx(0.25 * 16 / 15)
