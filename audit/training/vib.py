"""The loss vibCE (thesis 2.7.1): a convolutional variational autoencoder (Kingma & Welling 2014) whose latent
code is classified, so that the code keeps what describes the image and not only what predicts the label.

The thesis names a convolutional encoder E, a decoder q and a classifier D on the code, and no layers. Here
the audited network is the encoder, with twice as many outputs as the code has dimensions in place of its
logits: cross-entropy and vibCE are compared on one architecture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

CLASSIFIER_WIDTH = 256  # GrayNet's hidden units (2.8)
DECODER_WIDTHS = (64, 32)  # channels at a quarter and at half of the image's side


@dataclass(frozen=True)
class VariationalPass:
    """What the encoder and the decoder said of a batch, float32."""

    images: Tensor  # (N, C, H, W) in [0, 1]
    mean: Tensor  # (N, latent)
    log_variance: Tensor  # (N, latent)
    reconstruction: Tensor  # (N, C, H, W), log-odds of a white pixel


class VariationalClassifier(nn.Module):
    """(N, C, H, W) in [0, 1] -> logits (N, K).

    In training, of a code drawn from N(mean, diag(exp(log variance))); otherwise, of its mean (2.7.1). Noise
    comes from the network's own generator on the CPU, so equal seeds give equal bits. It is drawn only where
    gradients are recorded: a pass that merely reads, such as the recalibration of batch norm between two
    epochs, neither moves the noise nor runs the decoder.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_classes: int,
        image_shape: tuple[int, int, int],
        latent: int,
        beta: float,
        seed: int,
        reconstruction_weight: float = 1.0,
    ) -> None:
        """`encoder`: images -> (N, 2 * latent), the means before the log variances; an input normalization
        belongs to it. `image_shape`: (C, H, W). `beta`: weight of the KL divergence. Initial weights come from
        torch's global generator, `seed` is that of the noise. `reconstruction_weight` is 1 in (2.11)."""
        super().__init__()
        self.encoder, self.beta, self.reconstruction_weight = encoder, beta, reconstruction_weight
        self.classifier = nn.Sequential(
            nn.Linear(latent, CLASSIFIER_WIDTH), nn.ReLU(inplace=True), nn.Linear(CLASSIFIER_WIDTH, n_classes)
        )
        self.decoder = decoder(latent, image_shape)
        self.noise = Generator().manual_seed(seed)
        self.last_pass: VariationalPass | None = None

    def forward(self, images: Tensor) -> Tensor:
        mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
        code = mean
        if self.training and torch.is_grad_enabled():
            noise = torch.randn(mean.shape, generator=self.noise).to(mean.device)
            code = mean + (log_variance / 2).exp() * noise
            height, width = images.shape[2:]
            reconstruction = self.decoder(code).float()[:, :, :height, :width]
            self.last_pass = VariationalPass(images, mean, log_variance, reconstruction)
        logits: Tensor = self.classifier(code)
        return logits

    def extra_loss(self) -> Tensor:
        """What (2.11) adds to the cross-entropy, mean over the last training pass, in nats: weighed
        reconstruction + beta * KL. A pass is accounted for once. Raises RuntimeError where there was none."""
        last, self.last_pass = self.last_pass, None  # it holds the graph
        if last is None:
            raise RuntimeError("no forward pass in training mode since the last call")
        divergence = kl_from_standard_normal(last.mean, last.log_variance)
        reconstruction = reconstruction_loss(last.reconstruction, last.images)
        return (self.reconstruction_weight * reconstruction + self.beta * divergence).mean()


def decoder(latent: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """q of (2.11): code (N, latent) -> log-odds (N, C, at least H, at least W), by two transposed convolutions.

    Without batch norm, whose statistics a pass that only reads would have to renew.
    """
    channels, height, width = image_shape
    first, second = DECODER_WIDTHS
    rows, columns = math.ceil(height / 4), math.ceil(width / 4)
    return nn.Sequential(
        nn.Linear(latent, first * rows * columns),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (first, rows, columns)),
        nn.ConvTranspose2d(first, second, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(second, channels, 4, stride=2, padding=1),
    )


def kl_from_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL[N(mean, diag(exp(log_variance))) || N(0, I)], the last term of (2.11) with r(z) = N(0, I).

    (N, latent) each -> (N,), in nats: 1/2 sum(mean^2 + variance - 1 - log variance).
    """
    return (mean.square() + log_variance.expm1() - log_variance).sum(1) / 2


def reconstruction_loss(log_odds: Tensor, images: Tensor) -> Tensor:
    """-log q(x|z) of (2.11), each pixel Bernoulli as in Kingma & Welling: (N, C, H, W) -> (N,), in nats.

    Summed over the pixels, as a likelihood is: a mean over them would leave it no weight against the
    cross-entropy. Of grey pixels the least possible value is their entropy, above 0.
    """
    each = functional.binary_cross_entropy_with_logits(log_odds, images, reduction="none")
    return each.flatten(1).sum(1)


def extra_loss(network: nn.Module) -> Tensor | float:
    """What a network adds to the cross-entropy of its last training pass, nats: 0 for all but vibCE's."""
    return network.extra_loss() if isinstance(network, VariationalClassifier) else 0.0
