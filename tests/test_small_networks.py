"""The thesis's networks layer by layer, and the CIFAR networks against their published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audit.training.models import build_model
from audit.training.small_networks import ResidualBlock, densenet40, mnist_cnn


def shapes(network: nn.Module, channels: int, size: int) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and output shape of each layer with a row in the thesis's tables, of one image."""
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((type(layer).__name__, tuple(output.shape)))

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.Linear):
            layer.register_forward_hook(note)
    network(torch.zeros(1, channels, size, size))
    return seen


def test_table_3_2_layer_by_layer() -> None:
    network = build_model("mnist-cnn", 10, 1, "published", (28, 28))
    assert shapes(network, 1, 28) == [
        ("Conv2d", (1, 32, 26, 26)),
        ("Conv2d", (1, 64, 24, 24)),
        ("MaxPool2d", (1, 64, 12, 12)),
        ("Linear", (1, 128)),
        ("Linear", (1, 10)),
    ]


@pytest.mark.parametrize("name", ["cifar-cnn", "colornet"])
def test_table_3_3_layer_by_layer(name: str) -> None:
    """ColorNet 32C3-32C3-P-64C3-64C3-P-128C3-128C3-P-512FC-10S is the same network."""
    network = build_model(name, 10, 3, "published", (32, 32))
    assert shapes(network, 3, 32) == [
        ("Conv2d", (1, 32, 32, 32)),
        ("Conv2d", (1, 32, 32, 32)),
        ("MaxPool2d", (1, 32, 16, 16)),
        ("Conv2d", (1, 64, 16, 16)),
        ("Conv2d", (1, 64, 16, 16)),
        ("MaxPool2d", (1, 64, 8, 8)),
        ("Conv2d", (1, 128, 8, 8)),
        ("Conv2d", (1, 128, 8, 8)),
        ("MaxPool2d", (1, 128, 4, 4)),
        ("Linear", (1, 512)),
        ("Linear", (1, 10)),
    ]


def test_graynet_layer_by_layer() -> None:
    network = build_model("graynet", 10, 1, "published", (28, 28))
    assert shapes(network, 1, 28) == [
        ("Conv2d", (1, 24, 28, 28)),
        ("MaxPool2d", (1, 24, 14, 14)),
        ("Conv2d", (1, 48, 14, 14)),
        ("MaxPool2d", (1, 48, 7, 7)),
        ("Linear", (1, 256)),
        ("Linear", (1, 10)),
    ]


@pytest.mark.parametrize(
    ("name", "channels", "size", "parameters"),
    [
        # 32 (9 + 1) + 64 (9 * 32 + 1) + 128 (64 * 144 + 1) + 10 (128 + 1)
        ("mnist-cnn", 1, 28, 320 + 18_496 + 1_179_776 + 1_290),
        # 24 (9 + 1) + 48 (9 * 24 + 1) + 256 (48 * 49 + 1) + 10 (256 + 1)
        ("graynet", 1, 28, 240 + 10_416 + 602_368 + 2_570),
        ("resnet20", 3, 32, 269_722),  # 0.27 M (He et al. 2016, Table 6)
        ("resnet32", 3, 32, 464_154),  # 0.46 M
        ("densenet40", 3, 32, 1_019_722),  # 1.0 M (Huang et al. 2017, Table 2)
    ],
)
def test_parameters(name: str, channels: int, size: int, parameters: int) -> None:
    network = build_model(name, 10, channels, "published", (size, size))
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(("name", "depth"), [("resnet20", 20), ("resnet32", 32), ("densenet40", 40)])
def test_depth_counts_convolutions_and_the_linear_layer(name: str, depth: int) -> None:
    network = build_model(name, 10, 3, "published", (32, 32))
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules()) == depth


def test_densenet40_grows_by_twelve() -> None:
    widths = [
        layer.num_features
        for layer in densenet40(10, 3, (32, 32)).modules()
        if isinstance(layer, nn.BatchNorm2d)
    ]
    assert widths[0] == 16 and widths[12] == 16 + 12 * 12 and widths[-1] == 16 + 36 * 12 == 448


def test_the_shortcut_takes_every_other_pixel_and_adds_zero_channels() -> None:
    block = ResidualBlock(2, 4, stride=2)
    nn.init.zeros_(block.bn2.weight)  # the residual branch gives zero: only the shortcut is left
    image = torch.arange(32.0).reshape(1, 2, 4, 4)
    out = block(image).detach()
    assert out.shape == (1, 4, 2, 2)
    assert torch.equal(out[:, 1:3], image[:, :, ::2, ::2])
    assert float(out[:, 0].abs().max()) == float(out[:, 3].abs().max()) == 0


def test_logits_are_not_softmaxed() -> None:
    assert isinstance(list(mnist_cnn(10, 1, (28, 28)).modules())[-1], nn.Linear)
