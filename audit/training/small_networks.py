"""Networks written for small images, each `(n_classes, channels, (height, width)) -> nn.Module`.

The thesis's own ones, and the CIFAR networks that it carries perturbations over to (Table 2.2). None has
a stem that throws positions away, so `training.stem` does not change them. All give logits: the softmax of
the published tables is in the loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.attack import networks
from audit.training.model_row import ImageSize


def small_cnn(n_classes: int, channels: int, image_size: ImageSize) -> nn.Module:
    """Four convolutions with batch norm, each pooled by maximum, and a global average."""
    layers: list[nn.Module] = []
    width_in = channels
    for width in (32, 64, 128, 128):
        layers += [
            nn.Conv2d(width_in, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
        width_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width_in, n_classes))


def graynet(n_classes: int, channels: int, image_size: ImageSize) -> nn.Module:
    """GrayNet 24C3-P-48C3-P-256FC-K (2.8), the network that is also a surrogate."""
    return networks.graynet(channels, n_classes, image_size)


def colornet(n_classes: int, channels: int, image_size: ImageSize) -> nn.Module:
    """ColorNet 32C3-32C3-P-64C3-64C3-P-128C3-128C3-P-512FC-K (2.8), which is Table 3.3 as well."""
    return networks.colornet(channels, n_classes, image_size)


def mnist_cnn(n_classes: int, channels: int, image_size: ImageSize) -> nn.Module:
    """Table 3.2: two 3 x 3 convolutions without padding, one pooling, 128 units."""
    height, width = image_size
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * ((height - 4) // 2) * ((width - 4) // 2), 128),
        nn.ReLU(inplace=True),
        nn.Linear(128, n_classes),
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters (He et al. 2016, option A): every other
    pixel, and zeros for the channels that are new."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.missing = stride, width - width_in

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        half = self.missing // 2
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return functional.relu(out + functional.pad(shortcut, (0, 0, 0, 0, half, self.missing - half)))


def cifar_resnet(depth: int, n_classes: int, channels: int, image_size: ImageSize) -> nn.Module:
    """ResNet-`depth` for 32 x 32 images, depth = 6 n + 2 (He et al. 2016, 4.2): n blocks each of 16, 32 and
    64 channels."""
    layers = [nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    width_in = 16
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            layers.append(ResidualBlock(width_in, width, width // width_in))
            width_in = width
    return he_initialized(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, n_classes))
    )


class DenseLayer(nn.Module):
    """`growth` new channels, appended to those that it read (Huang et al. 2017)."""

    def __init__(self, width_in: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width_in)
        self.conv = nn.Conv2d(width_in, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(functional.relu(self.norm(x)))], 1)


def densenet40(n_classes: int, channels: int, image_size: ImageSize, growth: int = 12) -> nn.Module:
    """DenseNet-40, k = 12, without bottleneck and compression (Huang et al. 2017): three blocks of twelve."""
    width = 16
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
    for block in range(3):
        for _ in range(12):
            layers.append(DenseLayer(width, growth))
            width += growth
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        if block < 2:
            layers += [nn.Conv2d(width, width, 1, bias=False), nn.AvgPool2d(2)]
    return he_initialized(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes))
    )


def he_initialized(network: nn.Module) -> nn.Module:
    """Convolutions as both papers draw them (He et al. 2015)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network
