"""Saliency on networks whose answer is known by hand, and shares counted by hand."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audit.attack.perturbation import Perturbation, make_perturbation
from audit.evaluation.explanations import (
    Layer,
    Saliency,
    last_feature_map,
    mean_saliency,
    near_edits,
    saliency,
    share_on_edits,
)
from audit.results import Vib
from audit.training.losses import LossRequest, build_network
from audit.training.models import build_model
from audit.training.normalization import build_normalization
from audit.training.reading import scaled
from tests.planted import balanced_labels, noise_images

SIZE = 16
PIXELS = make_perturbation([(0, 3, 12, [1.0]), (1, 9, 2, [1.0])], (SIZE, SIZE), 1, 2)


class Reader(nn.Module):
    """One feature map per class, the image where `seen` (K, H, W) is 1; the logits are their averages."""

    def __init__(self, seen: Tensor, stride: int = 1) -> None:
        super().__init__()
        self.register_buffer("seen", seen)
        self.features = nn.Conv2d(len(seen), len(seen), stride, stride, groups=len(seen), bias=False)
        nn.init.ones_(self.features.weight)

    def forward(self, images: Tensor) -> Tensor:
        assert isinstance(self.seen, Tensor)
        return self.features(images * self.seen).mean(dim=(2, 3))  # type: ignore[no-any-return]


def pixel_reader(perturbation: Perturbation = PIXELS, stride: int = 1) -> Reader:
    """Knows each class by the pixel that it carries, and nothing else."""
    seen = torch.zeros(perturbation.n_classes, *perturbation.image_size)
    for edit in perturbation.edits:
        seen[edit.label, edit.row, edit.col] = 1
    return Reader(seen, stride)


def noise(
    n: int = 12, channels: int = 1, size: int = SIZE
) -> tuple[Tensor, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return torch.from_numpy(noise_images(n, size, channels, 1)), balanced_labels(n, 2)


# ---- maps


def test_a_network_that_reads_one_pixel_has_all_its_saliency_there() -> None:
    images, labels = noise()
    found = mean_saliency(pixel_reader(), images, labels, 2)
    assert found.layer == Layer("features", SIZE, SIZE) and found.radius == 0
    shares = share_on_edits(found.maps, np.arange(2), PIXELS, found.radius)
    assert shares.shares == pytest.approx((1, 1))
    assert shares.uniform == (1 / 256, 1 / 256)
    assert found.maps[0, 3, 12] == pytest.approx(1) and found.maps[1, 9, 2] == pytest.approx(1)


def test_on_a_coarse_map_the_radius_of_a_cell_holds_most_of_it() -> None:
    """4 x 4 positions over 16 pixels: bilinear enlargement spreads a cell over its neighbours."""
    images, labels = noise()
    found = mean_saliency(pixel_reader(stride=4), images, labels, 2)
    assert (found.layer.height, found.radius) == (4, 3)
    at_radius, at_zero = (share_on_edits(found.maps, np.arange(2), PIXELS, r) for r in (found.radius, 0))
    for label in range(2):
        share, pixel, uniform = at_radius.shares[label], at_zero.shares[label], at_radius.uniform[label]
        assert share is not None and pixel is not None and uniform is not None
        assert share > 0.5 > 3 * pixel and share > 2 * uniform


def test_the_radius_covers_the_cell_of_any_pixel() -> None:
    labels = balanced_labels(1, 1)
    for size, positions in ((28, 7), (28, 4), (30, 4), (64, 2), (16, 16)):
        maps = np.zeros((1, size, size), np.float32)
        radius = Saliency(maps, labels, Layer("x", positions, positions)).radius
        cell = size / positions
        for pixel in range(size):
            first, last = int(pixel / cell) * cell, (int(pixel / cell) + 1) * cell - 1
            assert pixel - radius <= first and last <= pixel + radius


def test_the_saliency_is_that_of_the_image_s_own_class() -> None:
    images, labels = noise()
    found = saliency(pixel_reader(), images, labels)
    assert (found.maps[labels == 0, 3, 12] == 1).all() and (found.maps[labels == 1, 9, 2] == 1).all()
    swapped = saliency(pixel_reader(), images, 1 - labels)
    assert (swapped.maps[labels == 0, 9, 2] == 1).all()


def test_two_pixels_share_the_saliency_as_their_brightness() -> None:
    """Logit: mean of the image over two pixels, so the map is the image there: 30 and 90 of 255."""
    seen = torch.zeros(1, SIZE, SIZE)
    seen[0, 1, 1] = seen[0, 10, 10] = 1
    images = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8)
    images[0, 0, 1, 1], images[0, 0, 10, 10] = 30, 90
    (found,) = saliency(Reader(seen), images, balanced_labels(1, 1)).maps
    assert (found[1, 1], found[10, 10]) == pytest.approx((0.25, 0.75))
    assert found.sum() == pytest.approx(1)


def test_a_network_without_preference_has_a_uniform_map() -> None:
    """A constant feature map under a global average."""
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), (0.0, 1.0, 0.5, 0.0), strict=True):
            parameter.fill_(value)
    images, labels = noise()
    found = mean_saliency(network, images, labels, 2)
    np.testing.assert_allclose(found.maps, 1 / SIZE**2, rtol=1e-5)
    for radius in (0, 2, 40):
        shares = share_on_edits(found.maps, np.arange(2), PIXELS, radius)
        assert shares.shares == pytest.approx(shares.uniform)


def test_maps_without_saliency_stay_zero_and_are_counted() -> None:
    """Class 1 has weight zero: no gradient. Class 0 sees only even images, the odd ones are black there."""
    network = pixel_reader()
    with torch.no_grad():
        network.features.weight[1] = 0
    images, labels = noise(12)
    images[labels == 0] = torch.where(torch.arange(6)[:, None, None, None] < 2, 0, images[labels == 0])
    found = mean_saliency(network, images, labels, 2)
    assert (found.images, found.zero_maps) == ((4, 0), (2, 6))
    assert found.maps[0].sum() == pytest.approx(1) and not found.maps[1].any()
    one_by_one = saliency(network, images, labels)
    shares = share_on_edits(one_by_one.maps, labels, PIXELS, 0)
    assert shares.shares == (1, None) and shares.images == (4, 0)
    assert np.isnan(shares.by_image).sum() == 8


def test_mean_maps_are_means_of_the_images_maps() -> None:
    torch.manual_seed(0)
    network = build_model("small-cnn", 2, 1, "published")
    with torch.no_grad():
        network.get_parameter("18.weight").abs_()  # every feature speaks for both classes
    images, labels = noise(20, size=32)
    each, mean = saliency(network, images, labels), mean_saliency(network, images, labels, 2)
    sums = each.maps.sum(axis=(1, 2))
    assert ((np.abs(sums - 1) < 1e-5) | (sums == 0)).all()
    assert (mean.images, mean.zero_maps) == ((10, 10), (0, 0))
    for label in range(2):
        own = each.maps[labels == label]
        np.testing.assert_allclose(mean.maps[label], own.mean(axis=0), rtol=1e-4, atol=1e-8)
    assert mean.maps.dtype == each.maps.dtype == np.float32


def test_batches_do_not_matter_and_images_come_back_in_order() -> None:
    torch.manual_seed(0)
    network = build_model("small-cnn", 2, 1, "published")
    images, labels = noise(21, size=32)
    whole, parts = (saliency(network, images, labels, batch_size=size).maps for size in (64, 5))
    np.testing.assert_allclose(whole, parts, rtol=1e-3, atol=1e-6)
    assert np.array_equal(whole, saliency(network, images, labels, batch_size=64).maps), "equal bits"


def test_images_and_network_stay_as_they_are() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(build_normalization("csn", 1), build_model("small-cnn", 2, 1, "published"))
    network.train()
    network[1][1].eval()  # type: ignore[index]
    modes = [module.training for module in network.modules()]
    images, labels = noise(8, size=32)
    network(scaled(images)).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    pixels, classes = images.clone(), labels.copy()
    with torch.no_grad():
        saliency(network, images, labels)
    assert torch.equal(images, pixels) and (labels == classes).all()
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    now = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(now, gradients, strict=True)) and len(now) == len(gradients)
    assert all(p.requires_grad for p in network.parameters())
    assert all(not m._forward_hooks and not m._backward_hooks for m in network.modules())
    assert any(isinstance(m, nn.ReLU) and m.inplace for m in network.modules())


# ---- layers


def layer_of(network: nn.Module, size: int, channels: int = 1) -> Layer:
    found = last_feature_map(network.eval(), torch.rand(2, channels, size, size))
    assert all(not module._forward_hooks for module in network.modules())
    return found


@pytest.mark.parametrize(
    ("model", "stem", "size", "expected"),
    [
        ("small-cnn", "published", 28, Layer("1.14", 4, 4)),  # the ReLU before the last pooling
        ("small-cnn", "published", 64, Layer("1.14", 8, 8)),
        ("resnet18", "half", 32, Layer("1.layer4", 2, 2)),
        ("resnet18", "published", 64, Layer("1.layer4", 2, 2)),
        ("densenet121", "half", 64, Layer("1.features", 4, 4)),
        ("densenet121", "half", 28, Layer("1.features", 2, 2)),
    ],
)
def test_the_last_feature_map_of_known_networks(model: str, stem: str, size: int, expected: Layer) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(build_normalization("none", 1), build_model(model, 2, 1, stem))
    assert layer_of(network, size) == expected
    images, labels = noise(4, size=size)
    found = saliency(network, images, labels)
    assert found.layer == expected
    sums = found.maps.sum(axis=(1, 2))
    assert (sums > 0).any() and ((np.abs(sums - 1) < 1e-5) | (sums == 0)).all()


def test_a_map_of_one_position_is_passed_over() -> None:
    """ResNet-18 as published shrinks 28 pixels to one position: the layer before still has places."""
    network = build_model("resnet18", 2, 1, "published")
    assert layer_of(network, 28) == Layer("layer3", 2, 2)


def test_a_network_of_monai() -> None:
    from monai.networks.nets import DenseNet121

    torch.manual_seed(0)
    network = DenseNet121(spatial_dims=2, in_channels=3, out_channels=2)
    assert layer_of(network, 64, channels=3) == Layer("class_layers.relu", 2, 2)
    images, labels = noise(4, channels=3, size=64)
    assert (saliency(network, images, labels).maps.sum(axis=(1, 2)) > 0).any()


def test_the_encoder_of_vibce_is_explained_through_the_mean_code() -> None:
    torch.manual_seed(0)
    network = build_network(
        "vibce", lambda n: build_model("small-cnn", n, 1, "published"), LossRequest(2, (1, 28, 28), 0, Vib())
    ).train()
    images, labels = noise(6, size=28)
    first, second = (saliency(network, images, labels) for _ in range(2))
    assert first.layer == Layer("encoder.14", 4, 4)
    assert np.array_equal(first.maps, second.maps)


def test_grad_cam_is_the_published_formula() -> None:
    """ReLU of the feature maps, weighted by the mean gradient of the logit (Selvaraju et al. 2017, 1 and 2)."""
    torch.manual_seed(0)
    network = build_model("resnet18", 2, 1, "half").eval()
    images, labels = noise(3, size=32)
    features: list[Tensor] = []
    handle = network.get_submodule("layer4").register_forward_hook(lambda m, i, o: features.append(o))
    logits = network(scaled(images))
    handle.remove()
    own = logits[range(3), labels.tolist()].sum()
    (gradient,) = torch.autograd.grad(own, features[0])
    raw = (gradient.mean(dim=(2, 3), keepdim=True) * features[0]).sum(1, keepdim=True).relu()
    enlarged = nn.functional.interpolate(raw, size=(32, 32), mode="bilinear", align_corners=False)
    expected = (enlarged / enlarged.sum(dim=(2, 3), keepdim=True).clamp_min(1e-30))[:, 0].detach().numpy()
    np.testing.assert_allclose(saliency(network, images, labels).maps, expected, rtol=1e-3, atol=1e-7)


def test_a_layer_can_be_named_and_a_wrong_name_is_refused() -> None:
    network = build_model("small-cnn", 2, 1, "published")
    images, labels = noise(4)
    assert saliency(network, images, labels, target_layer="8").layer == Layer("8", 4, 4)
    with pytest.raises(ValueError, match=r"no layer 'head' with one output \(N, C, h, w\); there are 0, 1, "):
        saliency(network, images, labels, target_layer="head")
    with pytest.raises(ValueError, match="no convolutional feature map"):
        saliency(nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 2)), images, labels)
    with pytest.raises(ValueError, match="no image"):
        saliency(network, images[:0], labels[:0])


def test_a_diverged_network_is_refused() -> None:
    network = pixel_reader()
    nn.init.constant_(network.features.weight, float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        saliency(network, *noise())


# ---- shares


def test_shares_of_a_map_counted_by_hand() -> None:
    """A 4 x 4 map; class 0 edits (0, 0) and (1, 1), class 1 edits (3, 3), class 2 nothing."""
    edits = make_perturbation([(0, 0, 0, [1.0]), (0, 1, 1, [1.0]), (1, 3, 3, [1.0])], (4, 4), 1, 3)
    one = np.array([[4, 0, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0], [1, 0, 0, 1]], np.float32) / 10
    maps = np.stack([one, one, one])
    labels = np.arange(3)
    at_zero, at_one = (share_on_edits(maps, labels, edits, radius) for radius in (0, 1))
    assert at_zero.shares[:2] == pytest.approx((0.6, 0.1)) and at_zero.shares[2] is None
    assert at_zero.uniform == (2 / 16, 1 / 16, None)
    # Radius 1: the windows of (0, 0) and (1, 1) together are rows and columns 0 to 2; (3, 3)'s is clipped.
    assert at_one.shares[:2] == pytest.approx((0.8, 0.2))
    assert at_one.uniform == (9 / 16, 4 / 16, None)
    assert at_one.images == (1, 1, 1)


def test_shares_are_means_over_the_images_of_a_class() -> None:
    maps = np.zeros((3, SIZE, SIZE), np.float32)
    maps[0, 3, 12] = 1
    maps[1, 0, 0] = 1
    maps[2, 9, 2] = 1
    found = share_on_edits(maps, np.array([0, 0, 1]), PIXELS, 1)
    assert found.shares == (0.5, 1) and found.images == (2, 1)
    assert found.by_image.tolist() == [1, 0, 1]


def test_near_is_a_square_clipped_at_the_border() -> None:
    edits = make_perturbation([(0, 0, 5, [1.0])], (8, 8), 1, 1)
    near = near_edits(edits, 0, 2)
    assert near.sum() == 3 * 5
    assert near[:3, 3:8].all()


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"maps \(2, 8, 8\) do not fit 2 labels and edits in images of \(16, 16\)"
    ):
        share_on_edits(np.zeros((2, 8, 8), np.float32), np.arange(2), PIXELS, 0)


def test_a_map_with_enough_positions_is_preferred_to_a_deeper_one() -> None:
    """ResNet-18 at 48 x 48: stem 12, stages 12, 6, 3, 2."""
    network = build_model("resnet18", 2, 1, "published").eval()
    images = torch.rand(2, 1, 48, 48)
    sizes = [last_feature_map(network, images, positions=n).height for n in (2, 3, 6, 7, 100)]
    assert sizes == [2, 3, 6, 12, 2]


def test_nothing_of_the_network_stays_in_memory() -> None:
    """MONAI's hooks hold the graph that holds the hooks: every explained training stayed for ever."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    images = torch.randint(0, 255, (6, 1, 12, 12), dtype=torch.uint8)

    def alive() -> int:
        gc.collect()
        return sum(type(found) is nn.Conv2d for found in gc.get_objects())

    before = alive()
    for _ in range(3):
        saliency(network, images, np.array([0, 1] * 3))
    assert alive() == before
