"""Input covariate shift normalization against closed forms (thesis 4.2.2)."""

from __future__ import annotations

import pytest
import torch

from audit.training.covariate_shift import SMALLEST_STD
from audit.training.normalization import NORMALIZATIONS, build_normalization
from audit.training.reading import recalibrate_batch_norm

IMAGE, DARK, BRIGHT = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)


@pytest.mark.parametrize("name", ["csn", "csn-running"])
def test_a_training_batch_gets_zero_mean_and_unit_deviation_per_channel(name: str) -> None:
    images = torch.tensor([1.0, 3.0]).repeat_interleave(8).reshape(2, 2, 2, 2)
    images[:, 1] *= 10
    normalized = build_normalization(name, 2)(images)
    torch.testing.assert_close(normalized[0], torch.full((2, 2, 2), -1.0))
    torch.testing.assert_close(normalized[1], torch.full((2, 2, 2), 1.0))


def test_csn_of_an_image_depends_on_its_batch_in_testing_too() -> None:
    csn = build_normalization("csn", 1).eval()
    beside_dark, beside_bright = csn(torch.cat([IMAGE, DARK]))[0], csn(torch.cat([IMAGE, BRIGHT]))[0]
    assert beside_dark.mean() == pytest.approx(1.0) and beside_bright.mean() == pytest.approx(-1.0)
    assert NORMALIZATIONS["csn"].uses_batch


@pytest.mark.parametrize("name", ["none", "csn-image", "csn-running"])
def test_what_can_be_deployed_reads_an_image_alike_beside_any_other(name: str) -> None:
    layer = build_normalization(name, 1).eval()
    image = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    others = [torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)]
    first, second = (layer(torch.cat([image, other]))[0] for other in others)
    assert torch.equal(first, second) and torch.equal(first, layer(image)[0])
    assert not NORMALIZATIONS[name].uses_batch


def test_csn_image_by_hand() -> None:
    """Two of four pixels at 0.2, two at 0.6: mean 0.4, standard deviation 0.2. The other channel is constant."""
    image = torch.stack([torch.tensor([[0.2, 0.6], [0.6, 0.2]]), torch.full((2, 2), 0.7)])[None]
    normalized = build_normalization("csn-image", 2)(image)[0]
    assert normalized[0].flatten().tolist() == pytest.approx([-1, 1, 1, -1], abs=1e-5)
    assert normalized[1].abs().max() < 1e-3


def test_csn_running_reads_with_the_statistics_of_the_training_images() -> None:
    """Half of the training pixels 0, half 1: mean 1/2, variance 1/4 (by n - 1: 16/60)."""
    network = torch.nn.Sequential(build_normalization("csn-running", 1))
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(8).reshape(4, 1, 2, 2)
    recalibrate_batch_norm(network, images, batch_size=4)
    read = network.eval()(torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)).flatten().tolist()
    assert read == pytest.approx([-((60 / 64) ** 0.5), 0.0, (60 / 64) ** 0.5], abs=1e-4)


@pytest.mark.parametrize("name", ["csn", "csn-image", "csn-running"])
def test_constant_images_become_zero_and_not_noise(name: str) -> None:
    constant = torch.full((3, 1, 4, 4), 0.7)
    constant[0, 0, 0, 0] += SMALLEST_STD / 100  # rounding, not content
    assert build_normalization(name, 1)(constant).abs().max() < 0.2


@pytest.mark.parametrize("name", list(NORMALIZATIONS))
def test_nothing_is_learned_and_the_input_stays(name: str) -> None:
    layer = build_normalization(name, 3)
    images = torch.rand(4, 3, 5, 6)
    before = images.clone()
    assert layer(images).shape == images.shape and torch.equal(images, before)
    assert list(layer.parameters()) == [] and NORMALIZATIONS[name].description
