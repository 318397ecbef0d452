"""The surrogate in closed form against a plain regression, and what it proposes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audit.attack.block_search import propose
from audit.attack.closed_form import FIT_WEIGHT, RIDGE, SHARPNESS, SMALLEST_RIDGE, ClosedForm, edited
from audit.attack.edits import Block, blocks_of
from audit.attack.question import Question
from audit.attack.random_features import WIDTHS, RandomFeatures
from audit.attack.search_desk import NETWORKS, Propose, Screen, SearchDesk
from audit.data.dataset import Split
from tests.planted import balanced_labels, noise_split, planted_split, random_perturbation, search_request


def question(split: Split, n_classes: int = 2, **changes: object) -> Question:
    return search_request(split, score_all=lambda jobs: [], n_classes=n_classes, **changes)  # type: ignore[arg-type]


def test_features_are_means_of_three_layers_and_each_image_s_own() -> None:
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    features = RandomFeatures(images, seed=1)
    found = features(images)
    assert found.shape == (6, sum(WIDTHS))
    torch.testing.assert_close(features(images[2:3]), found[2:3])
    torch.testing.assert_close(RandomFeatures(images, seed=1)(images), found)
    assert not torch.allclose(RandomFeatures(images, seed=2)(images), found)


def test_fitness_is_that_of_a_plain_ridge_regression_on_all_images() -> None:
    """Every image of the candidate in one matrix, float64, solved by numpy."""
    asked = question(noise_split(80, 12, n_classes=2))
    closed = ClosedForm(asked, seed=0, device="cpu")
    blocks: dict[int, Block] = {0: ((0, 3, 4, (1.0,)),), 1: ((1, 8, 2, (0.0,)),)}
    task = asked.task

    def features(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        changed = images.copy()
        for label, block in blocks.items():
            changed[labels == label] = edited(images[labels == label], block)
        return closed.standardized(closed.features(closed.seen(changed))).double().numpy()

    x, truth = features(task.train_images, task.train_labels), np.eye(2)[task.train_labels]
    centred = x - x.mean(0)
    covariance = centred.T @ centred / len(x)
    ridge = RIDGE * covariance.diagonal().mean() + SMALLEST_RIDGE
    weights = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), centred.T @ truth / len(x))
    variance = truth.var(axis=0).sum()
    error = ((centred @ weights - (truth - truth.mean(0))) ** 2).sum(1).mean() - variance

    def probability(images: np.ndarray) -> float:
        outputs = SHARPNESS * (images - x.mean(0)) @ weights
        softmax = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
        return float(np.mean([softmax[task.held_labels == k, k].mean() for k in (0, 1)]))

    held = features(task.held_images, task.held_labels)
    clean = closed.standardized(closed.features(closed.seen(task.held_images))).double().numpy()
    expected = probability(held) - probability(clean) - FIT_WEIGHT * error
    assert closed.fitness(blocks) == pytest.approx(expected, abs=2e-3)


def test_choices_are_scored_as_one_by_one_and_images_stay_as_they_are() -> None:
    split = noise_split(80, 12, 3, n_classes=4)
    asked = question(split, 4)
    before = asked.task.train_images.copy()
    closed = ClosedForm(asked, seed=3, device="cpu")
    blocks = dict(blocks_of(random_perturbation((12, 12), 3, 4, 2, 0)))
    choices = [blocks_of(random_perturbation((12, 12), 3, 4, 2, s))[1] for s in range(3)]
    together = closed.fitness_of(blocks, 1, choices)
    single = [closed.fitness({**blocks, 1: choice}) for choice in choices]
    assert together.tolist() == pytest.approx(single, abs=1e-4)
    assert (asked.task.train_images == before).all()


def test_a_pixel_that_tells_the_class_is_worth_more_than_none() -> None:
    asked = question(noise_split(200, 12))
    closed = ClosedForm(asked, seed=0, device="cpu")
    white: dict[int, Block] = {0: ((0, 5, 5, (1.0,)),), 1: ((1, 5, 5, (0.0,)),)}
    assert closed.fitness(white) > closed.fitness({0: (), 1: ()}) + 0.4


@pytest.mark.parametrize("severity", [1, 2])
def test_proposals_are_the_best_that_were_seen_differ_and_repeat(severity: int) -> None:
    asked = question(planted_split(), severity=severity)
    first, again = (propose(asked, ClosedForm(asked, 7, "cpu"), 4, seed=1) for _ in range(2))
    assert first == again
    closed = ClosedForm(asked, 7, "cpu")
    values = [closed.fitness(blocks) for blocks in first]
    assert values == sorted(values, reverse=True)
    assert all(
        {label: len(block) for label, block in one.items()} == {0: severity, 1: severity} for one in first
    )
    ids = {asked.perturbation([e for block in one.values() for e in block]).id for one in first}
    assert len(ids) == len(first)


def test_unedited_classes_and_partial_fractions() -> None:
    """With a fraction of one half, half of class 0's training images are edited, class 1's none."""
    asked = question(noise_split(80, 12), classes=(0,), fraction=0.5)
    closed = ClosedForm(asked, 0, "cpu")
    white = ((0, 5, 5, (1.0,)),)
    half, plain = closed.moments(0, white), closed.moments(0, ())
    whole = ClosedForm(question(noise_split(80, 12), classes=(0,)), 0, "cpu").moments(0, white)
    moved = float((half.total - plain.total).norm() / (whole.total - plain.total).norm())
    assert 0.4 < moved < 0.6
    assert torch.equal(half.held, whole.held), "held-out images all carry it"
    assert set(propose(asked, closed, 2, 0)[0]) == {0}


def test_the_desk_answers_alike_whatever_was_asked_before() -> None:
    asked = question(noise_split(80, 12, n_classes=4), 4)
    candidates = tuple(random_perturbation((12, 12), 1, 4, 1, s) for s in range(3))
    fresh, used = (SearchDesk(asked.task, asked.settings, "cpu") for _ in range(2))
    proposals = used.answer(Propose(asked.target, 0, 3))
    screen = Screen(asked.target, candidates)
    assert used.answer(screen) == fresh.answer(screen)
    assert fresh.answer(Propose(asked.target, 0, 3)) == proposals
    assert screen.key != Screen(asked.target, candidates[:2]).key
    assert used.answer(screen)["scored"] == NETWORKS * 3
    assert 0 < len(proposals["proposals"]) <= 3


def test_constant_images_are_scored() -> None:
    """No feature varies: nothing divides by zero."""
    split = Split(np.full((40, 1, 8, 8), 7, np.uint8), balanced_labels(40, 2))
    closed = ClosedForm(question(split), 0, "cpu")
    assert np.isfinite(closed.fitness({0: ((0, 2, 2, (1.0,)),), 1: ((1, 5, 5, (0.0,)),)}))
