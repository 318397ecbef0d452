"""What makes a perturbation good: its surrogate errs on clean images and not on perturbed ones (2.6, 3.13,
4.2), and the two can be told apart (2.7)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audit.data.dataset import Images

CLIP = (
    3.0  # nats: images that are wrong with certainty must not outweigh the rest (docs/log.md: 3 against 10)
)
RIDGE = 1.0  # of the linear discriminator, in units of squared pixels


def by_class(per_image: Tensor, labels: Tensor) -> Tensor:
    """Mean of each class's images, (K,)."""
    return torch.stack([per_image[labels == k].mean() for k in torch.unique(labels)])


def semantic_mismatch(clean_logits: Tensor, perturbed_logits: Tensor, labels: Tensor) -> Tensor:
    """F_m = mean CE(x, y; theta) - mean CE(x + delta, y; theta) (2.6) of each class, each image's clipped at
    3 nats; the mean over classes is the fitness, and higher is a stronger attack. Logits (N, K) of the same
    images without and with the perturbation. (K,), range [-3, 3]."""

    def loss(logits: Tensor) -> Tensor:
        return by_class(functional.cross_entropy(logits, labels, reduction="none").clamp_max(CLIP), labels)

    return loss(clean_logits) - loss(perturbed_logits)


def probability_mismatch(clean_logits: Tensor, perturbed_logits: Tensor, labels: Tensor) -> Tensor:
    """Algorithm 1's form: S(x) = p_y + sum over j != y of (1 - p_j) = 2 p_y + K - 2, low on clean images.

    Algorithm 1 looks at clean images alone; a surrogate that never learned would then look like a strong
    attack, so S of the perturbed images stands against it, as in (2.6): S(x + delta) - S(x), of each class.
    (K,), range [-2, 2].
    """

    def score(logits: Tensor) -> Tensor:
        right = logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
        return by_class(2 * right, labels)

    return score(perturbed_logits) - score(clean_logits)


FITNESS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross-entropy": semantic_mismatch,
    "probability": probability_mismatch,
}
"""(clean logits, perturbed logits, labels) -> fitness of each class."""


def domain_divergence(clean: Images, perturbed: Images) -> float:
    """F_d = 2 (1 - 2 eps) (2.7), eps the error of a linear discriminator between clean and perturbed images.

    uint8 (N, C, H, W), the same images in both. Ridge least squares on pixels, fitted on every other image
    and read on the rest. Range [-2, 2]; 2: told apart without error, 0: guessing.
    """

    def pixels(part: slice) -> tuple[np.ndarray, np.ndarray]:
        pair = np.concatenate([clean[part], perturbed[part]]).reshape(-1, clean[0].size) / 255.0
        side = np.repeat([-1.0, 1.0], len(pair) // 2)
        return pair, side

    fit_x, fit_y = pixels(slice(0, None, 2))
    read_x, read_y = pixels(slice(1, None, 2))
    centre = fit_x.mean(axis=0)
    fit_x, read_x = fit_x - centre, read_x - centre
    # The dual form: as many unknowns as images, not as many as pixels.
    dual = np.linalg.solve(fit_x @ fit_x.T + RIDGE * np.eye(len(fit_x)), fit_y)
    told = read_x @ (fit_x.T @ dual)
    error = np.where(told == 0, 0.5, told * read_y < 0).mean()
    return float(2 * (1 - 2 * error))
