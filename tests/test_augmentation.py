"""Augmentations: what moves, what stays, and that equal draws move alike."""

from __future__ import annotations

import pytest
import torch

from audit.training.augmentation import AUGMENTATIONS, CUTOUT_FRACTION, SHIFT, crop_flip, cutout


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_bright_pixel(n: int, row: int, col: int, size: int = 16) -> torch.Tensor:
    images = torch.zeros(n, 1, size, size, dtype=torch.uint8)
    images[:, :, row, col] = 200
    return images


def test_crop_flip_moves_a_pixel_by_at_most_four_and_mirrors_half() -> None:
    moved = crop_flip(one_bright_pixel(400, 8, 4), draws())
    places = torch.nonzero(moved[:, 0])
    assert len(places) == 400, "from (8, 4) no shift leaves the image, mirrored or not"
    rows, columns = places[:, 1], places[:, 2]
    assert set(rows.tolist()) == set(range(8 - SHIFT, 8 + SHIFT + 1))
    assert set(columns.tolist()) == set(range(4 - SHIFT, 4 + SHIFT + 1)) | set(
        range(11 - SHIFT, 11 + SHIFT + 1)
    )
    assert 150 < int((columns < 8).sum()) < 250


def test_crop_flip_brings_in_zeros() -> None:
    moved = crop_flip(torch.full((200, 1, 8, 8), 255, dtype=torch.uint8), draws())
    zeros = (moved == 0).sum(dim=(1, 2, 3))
    # Shifted by (a, b), an 8 x 8 image keeps (8 - |a|) (8 - |b|) of its pixels.
    possible = {64 - (8 - a) * (8 - b) for a in range(5) for b in range(5)}
    assert set(zeros.tolist()) <= possible
    assert set(moved.unique().tolist()) == {0, 255}


def test_cutout_zeroes_one_square_of_half_the_side_and_less_at_the_border() -> None:
    cut = cutout(torch.ones(300, 3, 16, 16), draws())
    zeros = (cut[:, 0] == 0).sum(dim=(1, 2))
    side = round(CUTOUT_FRACTION * 16)
    assert int(zeros.max()) == side**2
    assert int(zeros.min()) >= (side // 2) ** 2
    assert torch.equal(cut[:, 0], cut[:, 2])


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_candidates_side_by_side_move_alike_and_the_input_stays(name: str) -> None:
    images = torch.rand(6, 3, 12, 12)
    before = images.clone()
    apply = AUGMENTATIONS[name]
    alone = apply(images, draws())
    beside = apply(images[:, None].repeat(1, 4, 1, 1, 1), draws())
    for p in range(4):
        assert torch.equal(beside[:, p], alone)
    assert torch.equal(images, before)
    assert torch.equal(apply(images, draws()), alone)
