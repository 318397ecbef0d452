"""Surrogate networks: trained from scratch on each candidate perturbation, only to score it (method §3).

Everything here sees training images only: one part trains the surrogates, the other is held out for
the fitness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.attack.fitness import semantic_mismatch
from audit.attack.perturbation import Perturbation
from audit.config import SearchSettings
from audit.data.dataset import Images, Labels, Split

FIT_WINDOW = 16  # steps over which training accuracy is averaged before a surrogate counts as fitted


@dataclass(frozen=True)
class SurrogateTask:
    """Images for the search: `train_*` for the surrogates, `held_*` for the fitness."""

    train_images: Images
    train_labels: Labels
    held_images: Images
    held_labels: Labels
    n_classes: int


@dataclass(frozen=True)
class Reading:
    """One surrogate training: fitness in nats, whether it fitted, what it cost."""

    fitness: float
    fitted: bool
    steps: int


def surrogate_task(train: Split, n_classes: int, settings: SearchSettings) -> SurrogateTask:
    """A class-balanced draw of `settings.images` training images, a quarter of each class held out."""
    generator = np.random.default_rng(settings.seed)
    per_class = max(settings.images // n_classes, 4)
    fitting, held = [], []
    for label in range(n_classes):
        members = generator.permutation(np.flatnonzero(train.labels == label))[:per_class]
        n_held = max(len(members) // 4, 1)
        held.append(members[:n_held])
        fitting.append(members[n_held:] if len(members) > 1 else members)
    fit_index, held_index = np.concatenate(fitting), np.concatenate(held)
    return SurrogateTask(
        train.images[fit_index],
        train.labels[fit_index],
        train.images[held_index],
        train.labels[held_index],
        n_classes,
    )


def strided_cnn(channels: int, n_classes: int) -> nn.Module:
    """Three strided convolutions with batch norm, global average pooling, one linear layer.

    Pooling because the victims pool: ranked against a small CNN's test accuracy, fitness from this net
    reached a Spearman correlation of -0.95, the same net with a flattened output -0.51 (docs/log.md).
    """
    return nn.Sequential(
        nn.Conv2d(channels, 24, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        nn.Conv2d(24, 48, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(inplace=True),
        nn.Conv2d(48, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, n_classes),
    )


SURROGATE_NAME = "strided-cnn 24-48-64, global average pooling"


def score(
    task: SurrogateTask, perturbation: Perturbation, seed: int, settings: SearchSettings, device: str
) -> Reading:
    """Train one surrogate on the perturbed images and read F_m (2.6) on the held-out ones."""
    images = on_device(perturbation.apply(task.train_images, task.train_labels), device)
    labels = torch.from_numpy(task.train_labels).to(device)
    model, fitted, steps = fit_surrogate(images, labels, task.n_classes, seed, settings)
    model.eval()
    held_labels = torch.from_numpy(task.held_labels).to(device)
    with torch.no_grad():
        clean = model(scaled(on_device(task.held_images, device)))
        perturbed = model(scaled(on_device(perturbation.apply(task.held_images, task.held_labels), device)))
    return Reading(semantic_mismatch(clean, perturbed, held_labels), fitted, steps)


def fit_surrogate(
    images: Tensor, labels: Tensor, n_classes: int, seed: int, settings: SearchSettings
) -> tuple[nn.Module, bool, int]:
    """Train until the accuracy over the last steps reaches `fit_accuracy`, or to the step cap.

    Returns (model, fitted, steps). Starved surrogates all score alike: 80 steps gave fitness 0.006-0.010.
    """
    torch.manual_seed(seed)
    model = strided_cnn(images.shape[1], n_classes)
    model = model.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    model.train()
    correct: list[float] = []
    for step in range(1, settings.max_steps + 1):
        batch = torch.randint(len(labels), (settings.batch_size,)).to(images.device)
        logits = model(scaled(images[batch]))
        loss = functional.cross_entropy(logits, labels[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        correct.append(float((logits.detach().argmax(1) == labels[batch]).float().mean()))
        if step >= settings.min_steps and np.mean(correct[-FIT_WINDOW:]) >= settings.fit_accuracy:
            return model, True, step
    return model, False, settings.max_steps


def on_device(images: Images, device: str) -> Tensor:
    """uint8 numpy images as a tensor on the device."""
    return torch.from_numpy(images).to(device)


def scaled(images: Tensor) -> Tensor:
    """uint8 -> floats in [0, 1], channels last in memory."""
    return images.float().div_(255).contiguous(memory_format=torch.channels_last)
