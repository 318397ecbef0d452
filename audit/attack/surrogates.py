"""Surrogate networks: trained from scratch on each candidate perturbation, only to score it (method §3).

Everything here sees training images only: one part trains the surrogates, the other is held out for
the fitness. All candidates of a call train together, as one program, with equal initial weights, equal
batches and equal augmentation: they differ by the perturbation alone. On a CPU a call holds one candidate
and there is one process per core; on a GPU it holds them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audit.attack.edit_table import EditTable, carriers
from audit.attack.fitness import FITNESS, domain_divergence
from audit.attack.networks import SURROGATES, member_states, population_of
from audit.attack.perturbation import Perturbation
from audit.config import SearchSettings
from audit.data.dataset import Images, Labels, Split
from audit.training.augmentation import AUGMENTATIONS
from audit.training.optimizers import OPTIMIZERS, build_optimizer
from audit.training.precision import autocast

FIT_WINDOW = 16  # steps over which training accuracy is averaged before a surrogate counts as fitted
FASTER = 2.0  # surrogates train for a hundred steps or two: twice the victims' learning rate
FIT_CHECK = 4  # steps between two looks at it: each look waits for a GPU


@dataclass(frozen=True)
class SurrogateTask:
    """Images for the search: `train_*` for the surrogates, `held_*` for the fitness."""

    train_images: Images
    train_labels: Labels
    held_images: Images
    held_labels: Labels
    n_classes: int
    augmentation: str = "none"  # the victims' own


@dataclass(frozen=True)
class Reading:
    """One surrogate training: fitness, whether it fitted, what it cost."""

    fitness: float
    fitted: bool
    steps: int


def surrogate_task(
    train: Split, n_classes: int, settings: SearchSettings, augmentation: str = "none"
) -> SurrogateTask:
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
        augmentation,
    )


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
        self.images = self.scaled(task.train_images)
        self.labels = torch.from_numpy(task.train_labels).to(device)
        self.held_labels = torch.from_numpy(task.held_labels).to(device)

    def scaled(self, images: Images) -> Tensor:
        """uint8 -> floats in [0, 1] on the device."""
        return torch.from_numpy(images).to(self.device).to(self.dtype).div_(255)

    def score(self, perturbations: Sequence[Perturbation], seed: int) -> list[Reading]:
        """Train one surrogate per perturbation, all with this seed, and read their fitness on the held-out
        images."""
        network, steps = self.train(perturbations, seed)
        network.eval()
        whole = [p.on_all_images for p in perturbations]
        held = self.scaled(self.task.held_images)
        everywhere = torch.ones(len(held), len(whole), dtype=torch.bool, device=self.device)
        table = EditTable.of(whole, self.device, self.dtype)
        with torch.no_grad():
            clean = network(in_groups(held[:, None].expand(-1, len(whole), -1, -1, -1)))
            perturbed = network(in_groups(table.apply(held, self.held_labels, everywhere)))
        return [
            Reading(self.fitness(p, clean[:, i], perturbed[:, i]), taken > 0, abs(taken))
            for i, (p, taken) in enumerate(zip(whole, steps, strict=True))
        ]

    def fitness(self, perturbation: Perturbation, clean: Tensor, perturbed: Tensor) -> float:
        """F = F_m + w F_d (4.2 with Algorithm 3)."""
        value = FITNESS[self.settings.fitness](clean, perturbed, self.held_labels)
        if self.settings.domain_weight > 0:
            changed = perturbation.apply(self.task.held_images, self.task.held_labels)
            value += self.settings.domain_weight * domain_divergence(self.task.held_images, changed)
        return value

    def train(self, perturbations: Sequence[Perturbation], seed: int) -> tuple[nn.Module, list[int]]:
        """Train each member until the accuracy over its last steps reaches `fit_accuracy`, or to the step cap.

        Returns the population with each member's weights as they were when it fitted, and its steps,
        negative where it never fitted. Starved surrogates all score alike: 80 steps gave 0.006-0.010.
        """
        settings, members = self.settings, len(perturbations)
        network = self.fresh_population(members, seed)
        rate = settings.learning_rate or FASTER * OPTIMIZERS[settings.optimizer].learning_rate
        optimizer = build_optimizer(settings.optimizer, network.parameters(), rate)
        augment = AUGMENTATIONS[self.task.augmentation]
        table = EditTable.of(perturbations, self.device, self.dtype)
        carry = carriers(perturbations, self.task.train_labels).to(self.device)
        draws = Generator().manual_seed(seed)
        fits = FitWatch(network, members, settings)
        network.train()
        for step in range(1, settings.max_steps + 1):
            batch = torch.randint(len(self.labels), (settings.batch_size,), generator=draws).to(self.device)
            labels = self.labels[batch]
            inputs = augment(table.apply(self.images[batch], labels, carry[batch]), draws)
            with autocast(self.device, self.precision):
                logits = network(in_groups(inputs))
            # Summed over members, so that each member's gradient is that of its own mean loss.
            loss = functional.cross_entropy(
                logits.flatten(0, 1).to(self.dtype), labels.repeat_interleave(members), reduction="sum"
            )
            optimizer.zero_grad()
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if fits.all_done(step, (logits.detach().argmax(2) == labels[:, None]).float().mean(0)):
                break
        fits.restore()
        return network, fits.steps

    def fresh_population(self, members: int, seed: int) -> nn.Module:
        """Equal copies of one freshly drawn surrogate."""
        torch.manual_seed(seed)
        _, channels, height, width = self.task.train_images.shape
        single = SURROGATES[self.settings.surrogate].build(channels, self.task.n_classes, (height, width))
        population = population_of(single.to(self.dtype), members)
        population.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return population


class FitWatch:
    """Decides when a member has fitted and keeps its weights of that moment."""

    def __init__(self, network: nn.Module, members: int, settings: SearchSettings) -> None:
        self.network, self.members, self.settings = network, members, settings
        self.window: list[Tensor] = []
        self.steps = [-settings.max_steps] * members
        self.kept: dict[int, dict[str, Tensor]] = {}

    def all_done(self, step: int, accuracy: Tensor) -> bool:
        """Take the members' batch accuracies (P,) of this step; True once all have fitted."""
        self.window = [*self.window[1 - FIT_WINDOW :], accuracy]
        if step < self.settings.min_steps or (step - self.settings.min_steps) % FIT_CHECK:
            return False
        recent = torch.stack(self.window).mean(0).tolist()
        enough = self.settings.fit_accuracy - 1e-6  # the mean of a window is rounded
        newly = [p for p in range(self.members) if p not in self.kept and recent[p] >= enough]
        states = member_states(self.network, self.members) if newly else {}
        for p in newly:
            self.steps[p] = step
            self.kept[p] = {name: value[p].clone() for name, value in states.items()}
        return len(self.kept) == self.members

    def restore(self) -> None:
        """Put the kept weights back: a member that fitted early must not be judged by later steps."""
        state = self.network.state_dict()
        for name, value in member_states(self.network, self.members).items():
            restored = value.clone()
            for p, kept in self.kept.items():
                restored[p] = kept[name]
            state[name].copy_(restored.view(state[name].shape))


def in_groups(images: Tensor) -> Tensor:
    """(B, P, C, H, W) -> (B, P * C, H, W), channels last in memory."""
    return images.flatten(1, 2).contiguous(memory_format=torch.channels_last)
