"""A surrogate without training: ridge regression on random features, solved in closed form.

It ranks candidates as trained surrogates do, roughly (docs/log.md), in about a millisecond: the features of class k's
images depend on the edits of class k alone, so they are computed once per block of edits, and any combination of
blocks is one linear system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from audit.attack.edits import Block
from audit.attack.perturbation import to_levels
from audit.attack.population_images import FIT_SEED, scaled
from audit.attack.question import Question
from audit.attack.random_features import RandomFeatures
from audit.data.dataset import Images
from audit.training.augmentation import augmentation
from audit.training.preprocessing import preprocessing

RIDGE = 0.03  # times the features' mean variance
SHARPNESS = 12.0  # of the softmax over the regression's outputs, which lie between 0 and 1
FIT_WEIGHT = (
    0.5  # of the training error, which is subtracted: what is learned slowly leaves time for the images
)
SPREAD_FLOOR = 1e-2  # of a feature between images
FARTHEST = 10.0  # standard deviations; more is of images that hardly vary, and costs digits
SMALLEST_RIDGE = 1e-3

Blocks = Mapping[int, Block]
"""Edits by class."""


@dataclass(frozen=True)
class Moments:
    """What the regression needs of one class's images under one block of edits. D features, M held-out images."""

    count: int
    total: Tensor  # (D,) sum of the training images' features
    second: Tensor  # (D, D) sum of their outer products
    held: Tensor  # (M, D) held-out images, every one with the edits


class ClosedForm:
    """Scores combinations of blocks for one question. Looks at the images of its task only."""

    def __init__(self, question: Question, seed: int, device: str) -> None:
        task = question.task
        self.question, self.device = question, device
        self.preprocess = preprocessing(task.preprocessing).fit(
            task.train_images, task.train_labels, FIT_SEED
        )
        self.augment = augmentation(task.augmentation, mixing=False)
        self.train = {k: task.train_images[task.train_labels == k] for k in range(task.n_classes)}
        self.held = {k: task.held_images[task.held_labels == k] for k in range(task.n_classes)}
        self.features = RandomFeatures(self.seen(task.train_images), seed)
        usual = self.features(self.augmented(task.train_images))
        spread, self.mean = torch.std_mean(usual, 0)
        self.spread = spread.clamp_min(SPREAD_FLOOR)
        self.clean = {k: self.standardized(self.features(self.seen(held))) for k, held in self.held.items()}
        self.known: dict[tuple[int, Block], Moments] = {}
        self.scored = 0  # combinations

    def seen(self, images: Images) -> Tensor:
        """Floats in [0, 1] as a network sees them, on the device."""
        return scaled(self.preprocess(images), self.device, torch.float32)

    def augmented(self, images: Images) -> Tensor:
        """The same, one draw of the augmentation each: equal draws for all blocks."""
        return self.augment(self.seen(images), Generator().manual_seed(self.question.seed)).images

    def standardized(self, features: Tensor) -> Tensor:
        """In standard deviations from the mean of the clean training images."""
        return ((features - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST)

    def moments(self, label: int, block: Block) -> Moments:
        """Of one class under its edits, kept."""
        known = self.known.get((label, block))
        if known is None:
            carriers = max(round(self.question.fraction * len(self.train[label])), 1)
            perturbed = self.train[label].copy()
            perturbed[:carriers] = edited(perturbed[:carriers], block)
            train = self.standardized(self.features(self.augmented(perturbed)))
            held = self.standardized(self.features(self.seen(edited(self.held[label], block))))
            known = self.known[label, block] = Moments(len(train), train.sum(0), train.T @ train, held)
        return known

    def fitness(self, blocks: Blocks) -> float:
        """Of one combination; classes without a block are clean."""
        label = next(iter(blocks))
        return float(self.fitness_of(blocks, label, [blocks[label]])[0])

    def fitness_of(self, blocks: Blocks, label: int, choices: Sequence[Block]) -> Tensor:
        """(choices,): the fitness of `blocks` with each of the choices as the block of class `label`.

        Probability of the true class on held-out images with their edits, minus that without, mean over classes, minus
        the weighed training error.
        """
        self.scored += len(choices)
        classes = range(len(self.train))
        fixed = {k: self.moments(k, blocks.get(k, ())) for k in classes if k != label}
        own = [self.moments(label, choice) for choice in choices]
        n = own[0].count + sum(m.count for m in fixed.values())
        total = torch.stack([m.total for m in own])
        second = torch.stack([m.second for m in own])
        mean = (total + sum(m.total for m in fixed.values())) / n  # (choices, D)
        covariance = (second + sum(m.second for m in fixed.values())) / n - mean[:, :, None] * mean[
            :, None, :
        ]
        towards = torch.stack(  # (choices, D, K): covariance of features and labels
            [((total if k == label else fixed[k].total) - (own[0] if k == label else fixed[k]).count * mean) / n
             for k in classes], 2
        )  # fmt: skip
        weights = solve(covariance, towards)
        residual = (covariance @ weights * weights).sum((1, 2)) - 2 * (weights * towards).sum((1, 2))
        gained = torch.zeros(len(choices), device=self.device)
        for k in classes:
            perturbed = torch.stack([m.held for m in own]) if k == label else fixed[k].held
            gained += probability(perturbed, mean, weights, k) - probability(self.clean[k], mean, weights, k)
        return gained / len(self.train) - FIT_WEIGHT * residual


def solve(covariance: Tensor, towards: Tensor) -> Tensor:
    """Weights (choices, D, K) of the ridge regressions."""
    size = covariance.shape[-1]
    ridge = RIDGE * covariance.diagonal(dim1=1, dim2=2).mean(1) + SMALLEST_RIDGE
    regular = covariance + ridge[:, None, None] * torch.eye(size, device=covariance.device)
    return torch.cholesky_solve(towards, torch.linalg.cholesky(regular))


def probability(features: Tensor, mean: Tensor, weights: Tensor, label: int) -> Tensor:
    """(choices,): mean probability of `label` for features (M, D) or (choices, M, D)."""
    outputs = (features - mean[:, None, :]) @ weights
    return (SHARPNESS * outputs).softmax(2)[:, :, label].mean(1)


def edited(images: Images, block: Block) -> Images:
    """A copy of uint8 (N, C, H, W) with the edits of their class."""
    changed = images.copy()
    for _, row, col, value in block:
        changed[:, :, int(row), int(col)] = to_levels(value)
    return changed
