"""Surrogate networks: trained from scratch on each candidate perturbation, only to score it (method §3).

Everything here sees training images only: one part trains the surrogates, the other is held out for
the fitness. All candidates of a call train together, as one program, with equal initial weights, equal
batches and equal augmentation: they differ by the perturbation alone. On a CPU a call holds one candidate
and there is one process per core; on a GPU it holds them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from audit.attack.fitness import FITNESS, domain_divergence
from audit.attack.networks import SURROGATES, population_of
from audit.attack.perturbation import Perturbation
from audit.attack.population_images import PopulationImages, population_images
from audit.attack.surrogate_task import SurrogateTask
from audit.attack.training_pass import training_pass
from audit.scan.penalty import flagged_share
from audit.settings import SearchSettings
from audit.training.augmentation import augmentation, main_labels, mixed_loss
from audit.training.optimizers import OPTIMIZERS, build_optimizer
from audit.training.schedules import learning_rate_schedule

WORST_LOSS = 10.0  # nats: what a surrogate that diverged counts as
FIT_WINDOW = 16  # last steps over which training accuracy is averaged to tell whether a surrogate has fitted


@dataclass(frozen=True)
class Trained:
    """A population of P surrogates, and how each of them learned."""

    network: nn.Module
    accuracy: list[float]  # (P,) on the perturbed training images, over the last steps; mixed: main label
    loss: list[float]  # (P,) mean over all steps, nats


@dataclass(frozen=True)
class Reading:
    """One surrogate training: fitness, whether it fitted, what it cost, and F_m class by class."""

    fitness: float
    fitted: bool
    steps: int
    by_class: tuple[float, ...]


class Job(NamedTuple):
    """One surrogate to train."""

    perturbation: Perturbation
    seed: int
    steps: int


class SurrogateTrainer:
    """Holds the images of a task on one device and scores perturbations there."""

    def __init__(
        self,
        task: SurrogateTask,
        settings: SearchSettings,
        device: str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.task, self.settings, self.device, self.dtype = task, settings, device, dtype
        self.precision = settings.precision if dtype == torch.float32 else "float32"
        self.labels = torch.from_numpy(task.train_labels).to(device)
        self.held_labels = torch.from_numpy(task.held_labels).to(device)

    def score(self, perturbations: Sequence[Perturbation], seed: int, steps: int) -> list[Reading]:
        """Train one surrogate per perturbation, all with this seed and so many steps, and read their fitness on
        the held-out images."""
        images = self.population(perturbations)
        trained = self.train(images, seed, steps)
        network = trained.network.eval()
        with torch.no_grad():
            clean = network(in_groups(images.held))
            perturbed = network(in_groups(images.held_perturbed))
        return [
            self.reading(
                p.on_all_images, clean[:, i], perturbed[:, i], trained.accuracy[i], trained.loss[i], steps
            )
            for i, p in enumerate(perturbations)
        ]

    def population(self, perturbations: Sequence[Perturbation]) -> PopulationImages:
        """The images of the task as these candidates change them."""
        return population_images(self.task, perturbations, self.device, self.dtype)

    def reading(
        self,
        perturbation: Perturbation,
        clean: Tensor,
        perturbed: Tensor,
        accuracy: float,
        loss: float,
        steps: int,
    ) -> Reading:
        """F = F_m + w F_d (4.2 with Algorithm 3), from the logits of the held-out images, minus the weighed
        mean training loss: while a perturbation is not learned yet, a victim learns the images (docs/log.md)."""
        by_class = FITNESS[self.settings.fitness](clean, perturbed, self.held_labels)
        by_class = by_class.nan_to_num(nan=0.0)  # of a surrogate whose loss left the finite numbers
        loss = loss if loss < WORST_LOSS else WORST_LOSS  # nan too
        value = float(by_class.mean()) - self.settings.loss_weight * loss
        if self.settings.domain_weight > 0:
            changed = perturbation.apply(self.task.held_images, self.task.held_labels)
            value += self.settings.domain_weight * domain_divergence(self.task.held_images, changed)
        if self.settings.scan_weight > 0:
            value -= self.settings.scan_weight * flagged_share(perturbation, *self.task.all_images)
        # The mean of a window is rounded.
        fitted = accuracy >= self.settings.fit_accuracy - 1e-6
        return Reading(value, fitted, steps, tuple(by_class.tolist()))

    def train(self, images: PopulationImages, seed: int, steps: int) -> Trained:
        """A population, trained from equal weights on equal batches.

        The learning rate falls to zero: with a constant one two seeds agreed on the order of candidates with a
        rank correlation of 0.35, so with 0.89 (docs/log.md).
        """
        settings, members = self.settings, images.members
        network = self.fresh_population(members, seed)
        faster = SURROGATES[settings.surrogate].faster
        rate = settings.learning_rate or faster * OPTIMIZERS[settings.optimizer].learning_rate
        optimizer = build_optimizer(settings.optimizer, network.parameters(), rate)
        schedule = learning_rate_schedule(optimizer, "cosine", steps)
        augment = augmentation(self.task.augmentation)
        draws = Generator().manual_seed(seed)
        right: list[Tensor] = []
        losses: list[Tensor] = []
        network.train()
        first = torch.zeros(settings.batch_size, dtype=torch.int64, device=self.device)
        example = in_groups(images.train(first))
        with training_pass(network, self.device, self.precision, example) as forward:
            for _ in range(steps):
                batch = torch.randint(len(self.labels), (settings.batch_size,), generator=draws)
                batch = batch.to(self.device)
                labels = self.labels[batch]
                augmented = augment(images.train(batch), draws)
                logits = forward(in_groups(augmented.images))
                loss = mixed_loss(logits.to(self.dtype), labels, augmented).mean(0)
                optimizer.zero_grad()
                # Summed over members, so that each member's gradient is that of its own mean loss.
                loss.sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                losses.append(loss.detach())
                main = main_labels(labels, augmented)
                right.append((logits.detach().argmax(2) == main[:, None]).float().mean(0))
        accuracy = torch.stack(right[-FIT_WINDOW:]).mean(0)
        return Trained(network, accuracy.tolist(), torch.stack(losses).mean(0).tolist())

    def fresh_population(self, members: int, seed: int) -> nn.Module:
        """Equal copies of one freshly drawn surrogate."""
        torch.manual_seed(seed)
        _, channels, height, width = self.task.train_images.shape
        single = SURROGATES[self.settings.surrogate].build(channels, self.task.n_classes, (height, width))
        population = population_of(single.to(self.dtype), members)
        population.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return population


def in_groups(images: Tensor) -> Tensor:
    """(B, P, C, H, W) -> (B, P * C, H, W), channels last in memory."""
    return images.flatten(1, 2).contiguous(memory_format=torch.channels_last)
