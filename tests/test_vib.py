"""The loss vibCE (2.10, 2.11): each term against its closed form, mean code in testing, equal bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audit.results import Recipe, Vib
from audit.training.augmentation import augmentation
from audit.training.losses import LOSSES, LossRequest, build_network
from audit.training.models import build_model
from audit.training.reading import predict, recalibrate_batch_norm, scaled
from audit.training.trainer import AfterEpoch, TrainingImages, accumulate_gradients, train_network
from audit.training.vib import (
    VariationalClassifier,
    extra_loss,
    kl_from_standard_normal,
    reconstruction_loss,
)
from tests.planted import noise_split

SHAPE = (1, 28, 28)


def fresh(
    loss: str = "vibce",
    shape: tuple[int, int, int] = SHAPE,
    beta: float = 1.0,
    seed: int = 3,
    reconstruction_weight: float = 1.0,
) -> nn.Module:
    """A small CNN for two classes under a loss, as a training would start."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    request = LossRequest(
        2, shape, seed, Vib(beta=beta, latent=4, reconstruction_weight=reconstruction_weight)
    )
    return build_network(
        loss, lambda outputs: build_model("small-cnn", outputs, shape[0], "published"), request
    )


def variational(**wanted: object) -> VariationalClassifier:
    network = fresh(**wanted)  # type: ignore[arg-type]
    assert isinstance(network, VariationalClassifier)
    return network


def batch(shape: tuple[int, int, int] = SHAPE, n: int = 16) -> tuple[Tensor, Tensor]:
    channels, height, _ = shape
    split = noise_split(n, height, channels)
    return torch.from_numpy(split.images), torch.from_numpy(split.labels)


# ---- the terms of (2.11)


@pytest.mark.parametrize(
    ("mean", "variance", "nats"),
    [
        ([0.0, 0.0], [1.0, 1.0], 0.0),  # the prior itself
        ([1.0, 0.0], [1.0, 1.0], 0.5),  # a shifted mean: mean^2 / 2
        ([3.0, -4.0], [1.0, 1.0], 12.5),
        ([0.0, 0.0], [math.e, 1.0], (math.e - 2) / 2),  # (variance - 1 - log variance) / 2
        ([0.0, 0.0], [0.25, 4.0], (0.25 - 1 - math.log(0.25) + 4 - 1 - math.log(4)) / 2),
        ([2.0, 1.0], [0.5, 2.0], (4 + 0.5 - 1 + math.log(2) + 1 + 2 - 1 - math.log(2)) / 2),
    ],
)
def test_divergence_has_its_analytic_value(mean: list[float], variance: list[float], nats: float) -> None:
    found = kl_from_standard_normal(torch.tensor([mean]), torch.tensor([variance]).log())
    assert found.shape == (1,)
    assert found.item() == pytest.approx(nats, abs=1e-6)


def test_divergence_is_that_of_torch_distributions() -> None:
    draws = Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 50, 8, generator=draws, dtype=torch.float64)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mean, (log_variance / 2).exp()), normal(torch.zeros_like(mean), torch.ones_like(mean))
    ).sum(1)
    torch.testing.assert_close(kl_from_standard_normal(mean, log_variance), expected)


def test_reconstruction_is_the_negative_log_likelihood_summed_over_pixels() -> None:
    """Odds of 3 to 1 for white: a white pixel costs log(4/3), a black one log(4), one of 0.25 the mixture."""
    log_odds = torch.full((2, 1, 1, 2), math.log(3))
    images = torch.tensor([[[[1.0, 0.0]]], [[[0.25, 1.0]]]])
    white, black = math.log(4 / 3), math.log(4)
    expected = [white + black, 0.25 * white + 0.75 * black + white]
    assert reconstruction_loss(log_odds, images).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("beta", "weight"), [(0.0, 1.0), (0.5, 1.0), (0.5, 0.1), (0.0, 0.0)])
@pytest.mark.parametrize("name", ["none", "mixup"])
def test_training_loss_is_cross_entropy_plus_reconstruction_plus_beta_times_divergence(
    beta: float, weight: float, name: str
) -> None:
    images, labels = batch()
    network = variational(beta=beta, reconstruction_weight=weight).train()
    augmented = augmentation(name)(images, Generator().manual_seed(1))
    loss = accumulate_gradients(network, augmented, labels, len(labels), "float32")
    again = variational(beta=beta).train()
    inputs = scaled(augmented.images)
    logits = again(inputs)
    last = again.last_pass
    assert last is not None and torch.equal(last.images, inputs)
    targets = functional.one_hot(labels, 2).float()
    if augmented.share is not None:
        share = augmented.share.float()[:, None]
        targets = share * targets + (1 - share) * targets[augmented.partner]
    expected = functional.cross_entropy(logits, targets)
    expected = expected + weight * reconstruction_loss(last.reconstruction, inputs).mean()
    expected = expected + beta * kl_from_standard_normal(last.mean, last.log_variance).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_in_parts_weighs_every_image_alike() -> None:
    """Without batch norm and with the variance at zero, parts of 5, 5, 2 have the gradient of the whole."""
    images, labels = batch(n=12)
    gradients = []
    for part in (12, 5):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 8))
        with torch.no_grad():
            encoder[1].weight[4:] = 0
            encoder[1].bias[4:] = -100  # log variance
        network = VariationalClassifier(encoder, 2, SHAPE, 4, 1.0, 0).train()
        accumulate_gradients(network, augmentation("none")(images, Generator()), labels, part, "float32")
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


# ---- the network


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 30, 64])
def test_logits_and_reconstruction_have_their_shapes_and_all_weights_a_gradient(
    channels: int, size: int
) -> None:
    shape = (channels, size, size)
    network = variational(shape=shape).train()
    inputs = scaled(batch(shape, 4)[0])
    logits = network(inputs)
    assert logits.shape == (4, 2)
    assert network.last_pass is not None
    assert network.last_pass.reconstruction.shape == inputs.shape
    (logits.sum() + network.extra_loss()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(float(p.grad.abs().sum()) > 0 for n, p in network.named_parameters() if "encoder" not in n)


def test_cross_entropy_alone_reaches_the_encoder_through_the_drawn_code() -> None:
    network = variational().train()
    images, labels = batch()
    functional.cross_entropy(network(scaled(images)), labels).backward()
    head = list(network.encoder.modules())[-1]
    assert isinstance(head, nn.Linear) and head.weight.grad is not None
    rows = head.weight.grad.abs().sum(1)  # four means, four log variances
    assert (rows > 0).all()


def test_testing_uses_the_mean_code_and_training_draws_one() -> None:
    network = variational()
    inputs = scaled(batch()[0])
    network.eval()
    first, second = network(inputs), network(inputs)
    mean = network.encoder(inputs)[:, :4]
    assert torch.equal(first, second)
    assert torch.equal(first, network.classifier(mean))
    assert network.last_pass is None
    network.train()
    assert not torch.equal(network(inputs), network(inputs))


def test_the_code_is_drawn_with_the_encoder_s_mean_and_variance() -> None:
    """The code itself as logits: mean and variance over 20,000 draws."""

    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([2.0, -1.0, math.log(4), math.log(0.25)]).expand(len(images), 4)

    network = VariationalClassifier(Fixed(), 2, (1, 4, 4), 2, 1.0, 0).train()
    network.classifier = nn.Identity()
    codes = network(torch.zeros(20_000, 1, 4, 4)).detach()
    assert codes.mean(0).tolist() == pytest.approx([2, -1], abs=0.05)
    assert codes.var(0).tolist() == pytest.approx([4, 0.25], rel=0.05)


def test_a_pass_is_accounted_for_once_and_only_after_training() -> None:
    network = variational().train()
    network(scaled(batch()[0]))
    assert network.extra_loss().isfinite()
    with pytest.raises(RuntimeError, match="no forward pass in training mode"):
        network.extra_loss()


def test_the_network_of_cross_entropy_is_the_recipe_s_own_and_adds_nothing() -> None:
    network = fresh("ce")
    torch.manual_seed(3)
    plain = build_model("small-cnn", 2, 1, "published")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), plain.parameters(), strict=True))
    assert extra_loss(network) == 0
    assert set(LOSSES) == {"ce", "vibce"}


# ---- determinism


RECIPE = Recipe(
    model="small-cnn", stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
    normalization="none", augmentation="crop-flip", epochs=2, batch_size=8, seed=3,
)  # fmt: skip


def trained(seed: int, after_epoch: AfterEpoch = lambda network, epoch, loss: None) -> Tensor:
    """All weights after two epochs of the trainer."""
    data, network = TrainingImages(*batch(), 2), variational(seed=seed)
    train_network(network, RECIPE, data, after_epoch, RECIPE.batch_size)
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def read(network: nn.Module, epoch: int, loss: float) -> None:
    """What an audit reads after each epoch: batch norm recalibrated, predictions."""
    images, _ = batch()
    recalibrate_batch_norm(network, images[:10], 4)
    predict(network, images, 8)


def test_equal_seeds_give_equal_bits_and_another_seed_does_not() -> None:
    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))


def test_reading_between_epochs_does_not_change_the_training() -> None:
    assert torch.equal(trained(3, read), trained(3))


def test_the_noise_is_the_seed_s_and_not_the_weights_alone() -> None:
    first, other = variational().train(), variational().train()
    other.noise.manual_seed(99)
    inputs = scaled(batch()[0])
    assert not torch.equal(first(inputs), other(inputs))


def test_predictions_are_probabilities_of_the_mean_code() -> None:
    images, _ = batch()
    probabilities = predict(variational(), images, 8)
    assert probabilities.shape == (16, 2)
    np.testing.assert_allclose(probabilities.sum(1).numpy(), 1, rtol=1e-5)
