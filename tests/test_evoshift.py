"""The search must find what was planted, with the real surrogates and with a fitness known by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from audit.attack.evoshift import SearchSpace, best_seen, evoshift, make_strategy
from audit.attack.fitness import class_balanced_cross_entropy, semantic_mismatch
from audit.attack.perturbation import Perturbation, make_perturbation
from audit.attack.shortcut import shortcut
from audit.attack.surrogates import Reading, SurrogateTask, score, surrogate_task
from audit.config import SearchSettings
from audit.data.dataset import Split
from audit.results import Generation
from tests.planted import balanced_labels, noise_images, noise_split

PLANTED = {0: (2, 9), 1: (8, 3)}


def planted_split() -> Split:
    """Noise, but the planted pixel of each class is dark and steady in that class: nothing else differs."""
    labels = balanced_labels(160, 2)
    images = noise_images(160, 12, 1, seed=5)
    for label, (row, col) in PLANTED.items():
        images[labels == label, :, row, col] = 3
    return Split(images, labels)


def quick(**changes: object) -> SearchSettings:
    settings = SearchSettings(
        generations=2, images=160, min_steps=100, max_steps=200, finalists=2, rescoring_seeds=2, batch_size=16
    )
    return settings.model_copy(update=changes)


def start(task: SurrogateTask) -> Perturbation:
    return shortcut(task.train_images, task.train_labels, task.n_classes, 1, seed=0)


def run(task: SurrogateTask, settings: SearchSettings) -> tuple[Perturbation, list[Generation], Perturbation]:
    torch.set_num_threads(1)
    seen: list[Generation] = []

    def score_all(jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]:
        return [score(task, candidate, seed, settings, "cpu") for candidate, seed in jobs]

    first, record = evoshift(task, 1, settings, start(task), score_all, seen.append)
    assert record.curve == seen
    again, _ = evoshift(task, 1, settings, start(task), score_all, lambda generation: None)
    return first, seen, again


def test_recovers_the_planted_pixels_with_real_surrogates_and_repeats_itself() -> None:
    task = surrogate_task(planted_split(), 2, quick())
    found, curve, again = run(task, quick())
    assert {e.label: (e.row, e.col) for e in found.edits} == PLANTED
    assert found == again
    assert [g.trainings for g in curve] == [16, 32]


def test_finds_a_planted_optimum_that_no_start_is_near() -> None:
    """Fitness by hand: minus the distance to planted edits. 40 generations must land on the pixel."""
    goal = make_perturbation([(0, 2.0, 17.0, [1.0]), (1, 15.0, 4.0, [0.0])], (20, 20), 1, 2)

    def score_all(jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]:
        return [Reading(-distance(candidate, goal), True, 1) for candidate, _ in jobs]

    task = surrogate_task(noise_split(80, 20), 2, quick())
    found, record = evoshift(task, 1, quick(generations=60), start(task), score_all, lambda generation: None)
    assert [(e.row, e.col) for e in found.edits] == [(2, 17), (15, 4)]
    assert max(abs(a.value[0] - b.value[0]) for a, b in zip(found.edits, goal.edits, strict=True)) < 0.05
    assert record.trainings == 60 * 16 + (2 + 2) * 2


def distance(first: Perturbation, second: Perturbation) -> float:
    return sum(
        abs(a.row - b.row) / 20 + abs(a.col - b.col) / 20 + abs(a.value[0] - b.value[0])
        for a, b in zip(first.edits, second.edits, strict=True)
    )


def test_a_lucky_reading_is_not_returned() -> None:
    """Every candidate is worthless but reads high once in a while; only the shortcut is truly good."""
    task = surrogate_task(planted_split(), 2, quick())
    good = {tuple(sorted((k, r, c) for k, (r, c) in PLANTED.items()))}

    def score_all(jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]:
        rescoring = all(500 <= seed < 1000 for _, seed in jobs)
        luck = np.random.default_rng(len(jobs)).random(len(jobs)) * (0.0 if rescoring else 9.0)
        truth = [tuple(sorted((e.label, e.row, e.col) for e in p.edits)) in good for p, _ in jobs]
        return [Reading(float(t) + float(x), True, 1) for t, x in zip(truth, luck, strict=True)]

    found, record = evoshift(task, 1, quick(), start(task), score_all, lambda generation: None)
    assert {e.label: (e.row, e.col) for e in found.edits} == PLANTED
    assert sum(f.chosen for f in record.finalists) == 1
    assert next(f for f in record.finalists if f.chosen).fitness == 1.0


def test_candidates_of_a_generation_share_a_seed_and_generations_do_not() -> None:
    task = surrogate_task(noise_split(80, 12), 2, quick())
    seeds: list[set[int]] = []

    def score_all(jobs: Sequence[tuple[Perturbation, int]]) -> list[Reading]:
        seeds.append({seed for _, seed in jobs})
        return [Reading(0.01 * i, True, 1) for i in range(len(jobs))]

    evoshift(task, 1, quick(generations=3), start(task), score_all, lambda generation: None)
    assert [len(s) for s in seeds] == [1, 1, 1, 2], "three generations, then the re-scoring with two seeds"
    assert len(set.union(*seeds)) == 5


@pytest.mark.parametrize(
    ("channels", "n_classes", "severity"), [(1, 4, 1), (3, 4, 2), (1, 10, 5), (3, 2, 10)]
)
def test_space_round_trip_bounds_and_diagonal(channels: int, n_classes: int, severity: int) -> None:
    task = surrogate_task(noise_split(120, 16, channels, n_classes), n_classes, quick(images=120))
    space = SearchSpace(task, severity)
    assert space.dimensions == (2 + channels) * n_classes * severity
    strategy = make_strategy(space, quick(generations=100))
    vectors = strategy.ask()
    for vector in vectors:
        candidate = space.decode(vector)
        assert candidate.severity == severity
        assert space.decode(space.encode(candidate)) == candidate
        assert all((vector[space.integers] >= -0.5) & (vector[space.integers] <= 15.5))
    assert bool(strategy.opts["CMA_diagonal"]) == (
        space.dimensions > 100 or 100 * strategy.popsize < 10 * space.dimensions
    )


def test_the_task_holds_out_a_quarter_of_each_class_and_shares_no_image() -> None:
    split = noise_split(80, 12, n_classes=4)
    task = surrogate_task(split, 4, quick(images=64))
    assert np.bincount(task.held_labels).tolist() == [4] * 4
    assert np.bincount(task.train_labels).tolist() == [12] * 4
    fitting = {image.tobytes() for image in task.train_images}
    assert not fitting & {image.tobytes() for image in task.held_images}


def test_best_seen_names_different_candidates_best_first() -> None:
    a, b = (make_perturbation([(0, r, 0, [1.0])], (4, 4), 1, 2) for r in (0, 1))
    assert list(best_seen([(1.0, a), (3.0, b), (2.0, b)], 2).values()) == [b, a]


def test_fitness_by_hand() -> None:
    """Two classes, right with certainty when perturbed (CE 0), uniform when clean (CE ln 2)."""
    labels = torch.tensor([0, 0, 0, 1])
    sure = torch.tensor([[50.0, 0.0], [50.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    assert semantic_mismatch(torch.zeros(4, 2), sure, labels) == pytest.approx(np.log(2), abs=1e-6)


def test_fitness_is_class_balanced_and_clipped_at_ten_nats() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    logits = torch.tensor([[50.0, 0.0], [50.0, 0.0], [50.0, 0.0], [50.0, 0.0]])  # class 1: 50 nats, clipped
    assert class_balanced_cross_entropy(logits, labels) == pytest.approx(5.0)
