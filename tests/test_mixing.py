"""CutMix and mixup: boxes to the pixel, shares, and the loss of mixed labels by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from audit.training.augmentation import Augmented, cutmix, main_labels, mixed_loss, mixup


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, height: int, width: int) -> torch.Tensor:
    """Image i is i everywhere, so that each pixel tells where it comes from. uint8 (N, 2, H, W)."""
    return torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1).repeat(1, 2, height, width)


def mixing(found: Augmented) -> tuple[torch.Tensor, torch.Tensor]:
    assert found.partner is not None and found.share is not None
    assert found.partner.dtype == torch.int64 and found.share.dtype == torch.float64
    assert found.partner.shape == found.share.shape == (len(found.images),)
    return found.partner, found.share


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32))
def test_cutmix_pastes_one_box_and_its_share_is_the_count_of_pixels(
    n: int, height: int, width: int, seed: int
) -> None:
    images = numbered(n, height, width)
    found = cutmix(images, draws(seed))
    partner, share = mixing(found)
    assert sorted(partner.tolist()) == list(range(n)), "every image is once a partner"
    for i in range(n):
        own, pasted = found.images[i] == i, found.images[i] == partner[i]
        assert bool((own | pasted).all()) and torch.equal(own[0], own[1])
        if partner[i] != i:
            assert float(share[i]) == pytest.approx(int(own[0].sum()) / (height * width), abs=1e-12)
            rows, columns = pasted[0].any(1), pasted[0].any(0)
            assert torch.equal(pasted[0], rows[:, None] & columns[None, :]), "a rectangle"
            assert is_one_run(rows) and is_one_run(columns)


def is_one_run(flags: torch.Tensor) -> bool:
    return int(flags.int().diff(prepend=torch.zeros(1), append=torch.zeros(1)).abs().sum()) <= 2


def test_cutmix_boxes_have_the_published_distribution() -> None:
    """Mean share against all centres and a fine grid of areas: lambda is uniform, the border clips."""
    height, width = 12, 8
    found = [float(mixing(cutmix(numbered(2, height, width), draws(seed)))[1][0]) for seed in range(3000)]
    sides = np.sqrt((np.arange(4000) + 0.5) / 4000)
    covered = [mean_side(length, sides) for length in (height, width)]
    expected = 1 - (covered[0] * covered[1]).mean() / (height * width)
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(len(found)))


def mean_side(length: int, fractions: np.ndarray) -> np.ndarray:
    """Mean over all centres of the clipped length of a side, for each fraction."""
    half = (fractions * length).astype(int)[:, None] // 2
    centres = np.arange(length)[None, :]
    return (np.minimum(centres + half, length) - np.maximum(centres - half, 0)).mean(1)


def test_mixup_is_the_weighted_mean_of_two_images_by_hand() -> None:
    images = torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    seed = next(s for s in range(9) if mixing(mixup(images, draws(s)))[0].tolist() == [1, 0])
    found = mixup(images, draws(seed))
    share = float(mixing(found)[1][0])
    assert 0 < share < 1
    assert found.images.flatten().tolist() == pytest.approx([1 - share, share])


def test_mixup_averages_bytes_without_rounding() -> None:
    images = torch.randint(256, (5, 3, 6, 6), dtype=torch.uint8, generator=draws(9))
    bytes_mixed, floats_mixed = mixup(images, draws()), mixup(images.double(), draws())
    assert bytes_mixed.images.dtype == torch.float32
    torch.testing.assert_close(bytes_mixed.images.double(), floats_mixed.images, rtol=1e-6, atol=1e-4)


def test_the_share_of_mixup_is_uniform() -> None:
    shares = np.array([float(mixing(mixup(numbered(1, 1, 1), draws(s)))[1][0]) for s in range(3000)])
    empirical = (np.arange(3000) + 0.5) / 3000
    assert np.abs(np.sort(shares) - empirical).max() < 1.63 / math.sqrt(3000), "Kolmogorov-Smirnov at 1 %"


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize("seed", range(5))
def test_mixing_keeps_the_mean_of_the_batch(mix, seed: int) -> None:
    images = torch.rand(7, 2, 3, 9, 9, dtype=torch.float64, generator=draws(9))
    torch.testing.assert_close(mix(images, draws(seed)).images.mean(0), images.mean(0))


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_one_share_holds_for_the_whole_batch(mix) -> None:
    assert len(mixing(mix(torch.rand(7, 1, 9, 9), draws()))[1].unique()) == 1


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_a_batch_of_one_image_is_mixed_with_itself(mix) -> None:
    image = torch.rand(1, 1, 9, 9)
    torch.testing.assert_close(mix(image, draws()).images, image)


PAIR = Augmented(
    torch.zeros(2, 1, 1, 1), torch.tensor([1, 0]), torch.tensor([0.25, 0.75], dtype=torch.float64)
)


def test_the_loss_of_a_mixed_pair_by_hand() -> None:
    """p = (1/4, 3/4) for the first image, (1/2, 1/2) for the second; labels 0 and 1, the first with 1/4 of its own."""
    logits = torch.tensor([[0.0, math.log(3)], [5.0, 5.0]])
    loss = mixed_loss(logits, torch.tensor([0, 1]), PAIR)
    first = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert loss.tolist() == pytest.approx([first, math.log(2)])
    mean = mixed_loss(logits, torch.tensor([0, 1]), PAIR, "mean")
    assert float(mean) == pytest.approx((first + math.log(2)) / 2)


def test_a_population_has_the_loss_of_each_of_its_members() -> None:
    logits = torch.randn(2, 3, 4, generator=draws(), dtype=torch.float64)
    labels = torch.tensor([3, 1])
    loss = mixed_loss(logits, labels, PAIR)
    assert loss.shape == (2, 3)
    for p in range(3):
        torch.testing.assert_close(loss[:, p], mixed_loss(logits[:, p], labels, PAIR))


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**32))
def test_the_mixed_loss_is_cross_entropy_with_soft_targets(n: int, n_classes: int, seed: int) -> None:
    generator = draws(seed)
    logits = torch.randn(n, n_classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(n_classes, (n,), generator=generator)
    augmented = Augmented(
        torch.zeros(n, 1, 1, 1),
        torch.randperm(n, generator=generator),
        torch.rand(n, generator=generator, dtype=torch.float64),
    )
    partner, share = mixing(augmented)
    one_hot = functional.one_hot(labels, n_classes).double()
    soft = share[:, None] * one_hot + (1 - share[:, None]) * one_hot[partner]
    torch.testing.assert_close(
        mixed_loss(logits, labels, augmented), functional.cross_entropy(logits, soft, reduction="none")
    )


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_the_loss_of_an_unmixed_batch_is_plain_cross_entropy_to_the_bit(reduction) -> None:
    logits, labels = torch.randn(33, 5, generator=draws()), torch.arange(33) % 5
    plain = functional.cross_entropy(logits, labels, reduction=reduction)
    assert torch.equal(mixed_loss(logits, labels, Augmented(logits), reduction), plain)
    population = torch.randn(33, 3, 5, generator=draws())
    flat = functional.cross_entropy(
        population.flatten(0, 1), labels.repeat_interleave(3), reduction=reduction
    )
    found = mixed_loss(population, labels, Augmented(logits), reduction)
    assert torch.equal(found, flat if reduction == "mean" else flat.view(33, 3))


def test_the_main_label_has_the_larger_share() -> None:
    assert main_labels(torch.tensor([7, 4]), PAIR).tolist() == [4, 4]
    half = Augmented(PAIR.images, PAIR.partner, torch.full((2,), 0.5, dtype=torch.float64))
    assert main_labels(torch.tensor([7, 4]), half).tolist() == [7, 4], "its own at a half"
    assert main_labels(torch.tensor([7, 4]), Augmented(PAIR.images)).tolist() == [7, 4]
