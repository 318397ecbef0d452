"""What makes a perturbation good: how far its surrogate's errors on clean images exceed those on
perturbed images (2.6, 3.13, 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CLIP = 10.0  # nats: one image that is wrong with certainty must not outweigh the rest


def class_balanced_cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean over classes of the class's mean cross-entropy, each image's clipped at 10 nats."""
    losses = functional.cross_entropy(logits, labels, reduction="none").clamp_max(CLIP)
    return float(torch.stack([losses[labels == k].mean() for k in torch.unique(labels)]).mean())


def semantic_mismatch(clean_logits: Tensor, perturbed_logits: Tensor, labels: Tensor) -> float:
    """F_m = mean CE(x, y; theta) - mean CE(x + delta, y; theta), class-balanced; higher is a stronger
    attack. Logits (N, K) of the same images without and with the perturbation. Range [-10, 10]."""
    clean = class_balanced_cross_entropy(clean_logits, labels)
    return clean - class_balanced_cross_entropy(perturbed_logits, labels)
