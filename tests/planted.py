"""Data sets whose classes differ by one planted pixel each, for tests of search and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from audit.attack.baselines import random_control
from audit.attack.perturbation import Perturbation
from audit.attack.search import KeptReadings, ScoreAll, SearchRequest
from audit.attack.search_desk import SearchDesk
from audit.attack.surrogate_task import SurrogateTask, surrogate_task
from audit.attack.surrogates import Reading, SurrogateTrainer
from audit.data.dataset import Images, Labels, Split
from audit.settings import SearchSettings


def noise_images(n: int, size: int, channels: int, seed: int) -> Images:
    """Images that say nothing about any class: grey noise."""
    generator = np.random.default_rng(seed)
    return generator.integers(90, 166, size=(n, channels, size, size)).astype(np.uint8)


def textured(n: int, size: int = 32, channels: int = 1, seed: int = 0) -> Images:
    """Smooth structures with a little noise, no two alike: pictures without a mark."""
    draws = np.random.default_rng(seed)
    coarse = draws.integers(40, 200, (n, channels, size // 8, size // 8)).astype(float)
    large = np.repeat(np.repeat(coarse, 8, axis=2), 8, axis=3)
    for axis in (2, 3):
        large = (np.roll(large, 1, axis) + large + np.roll(large, -1, axis)) / 3
    return (large + draws.normal(0, 4, large.shape)).clip(0, 255).astype(np.uint8)


def balanced_labels(n: int, n_classes: int) -> Labels:
    """0, 1, .., K-1, 0, 1, .."""
    return (np.arange(n) % n_classes).astype(np.int64)


def noise_split(n: int, size: int = 16, channels: int = 1, n_classes: int = 2, seed: int = 0) -> Split:
    """Noise with labels that mean nothing."""
    return Split(noise_images(n, size, channels, seed), balanced_labels(n, n_classes))


PLANTED = {0: (2, 9), 1: (8, 3)}


def planted_split() -> Split:
    """Noise, but the planted pixel of each class is dark and steady in that class: nothing else differs."""
    labels = balanced_labels(160, 2)
    images = noise_images(160, 12, 1, seed=5)
    for label, (row, col) in PLANTED.items():
        images[labels == label, :, row, col] = 3
    return Split(images, labels)


def quick(**changes: object) -> SearchSettings:
    """Settings of a search of seconds."""
    return SearchSettings.model_validate(
        {
            "generations": 2,
            "images_per_class": 80,
            "steps": 100,
            "finalists": 2,
            "rescoring_seeds": 2,
            "surrogate": "strided",  # sees positions, and they are what is planted
            "batch_size": 16,
            "pilot_factor": 1,
            "closed_form": False,
            **changes,
        }
    )


def search_request(
    split: Split,
    settings: SearchSettings | None = None,
    score_all: ScoreAll | None = None,
    *,
    n_classes: int = 2,
    readings_file: Path | None = None,
    augmentation: str = "none",
    **changes: object,
) -> SearchRequest:
    """A search among the images of `split`, by default with real surrogates in this process."""
    settings = settings or quick()
    task = surrogate_task(split, n_classes, settings, augmentation)
    desk = SearchDesk(task, settings, "cpu")
    wanted: dict[str, Any] = {
        "train": split,
        "task": task,
        "severity": 1,
        "classes": tuple(range(n_classes)),
        "fraction": 1.0,
        "seed": settings.seed,
        "settings": settings,
        "readings": KeptReadings(
            score_all or real_surrogates(task, settings),
            readings_file,
            answer_all=lambda jobs: [desk.answer(job) for job in jobs],
        ),
        "on_generation": lambda generation: None,
        **changes,
    }
    return SearchRequest(**wanted)


def random_perturbation(
    image_size: tuple[int, int], channels: int, n_classes: int, severity: int, seed: int
) -> Perturbation:
    """A draw of the random control for images of that kind."""
    split = Split(
        np.zeros((n_classes * 4, channels, *image_size), np.uint8), balanced_labels(n_classes * 4, n_classes)
    )
    request = search_request(
        split, score_all=lambda jobs: [], n_classes=n_classes, severity=severity, seed=seed
    )
    return random_control(request)[0]


def reading(fitness: float, n_classes: int = 4, steps: int = 1) -> Reading:
    """A reading by hand: every class alike."""
    return Reading(fitness, True, steps, (fitness,) * n_classes)


def real_surrogates(task: SurrogateTask, settings: SearchSettings) -> ScoreAll:
    """One surrogate after the other, here."""
    torch.set_num_threads(1)
    trainer = SurrogateTrainer(task, settings, "cpu")
    return lambda jobs: [trainer.score([job.perturbation], job.seed, job.steps)[0] for job in jobs]
