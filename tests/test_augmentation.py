"""Augmentations that move or erase pixels, names of combinations, and that equal draws move alike."""

from __future__ import annotations

import pytest
import torch

from audit.training.augmentation import (
    AUGMENTATIONS,
    CUTOUT_FRACTION,
    SHIFT,
    augmentation,
    crop_flip,
    cutmix,
    cutout,
    mixup,
)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_bright_pixel(n: int, row: int, col: int, size: int = 16) -> torch.Tensor:
    images = torch.zeros(n, 1, size, size, dtype=torch.uint8)
    images[:, :, row, col] = 200
    return images


def test_crop_flip_moves_a_pixel_by_at_most_four_and_mirrors_half() -> None:
    moved = crop_flip(one_bright_pixel(400, 8, 4), draws()).images
    places = torch.nonzero(moved[:, 0])
    assert len(places) == 400, "from (8, 4) no shift leaves the image, mirrored or not"
    rows, columns = places[:, 1], places[:, 2]
    assert set(rows.tolist()) == set(range(8 - SHIFT, 8 + SHIFT + 1))
    assert set(columns.tolist()) == set(range(4 - SHIFT, 4 + SHIFT + 1)) | set(
        range(11 - SHIFT, 11 + SHIFT + 1)
    )
    assert 150 < int((columns < 8).sum()) < 250


def test_crop_flip_brings_in_zeros() -> None:
    moved = crop_flip(torch.full((200, 1, 8, 8), 255, dtype=torch.uint8), draws()).images
    zeros = (moved == 0).sum(dim=(1, 2, 3))
    # Shifted by (a, b), an 8 x 8 image keeps (8 - |a|) (8 - |b|) of its pixels.
    possible = {64 - (8 - a) * (8 - b) for a in range(5) for b in range(5)}
    assert set(zeros.tolist()) <= possible
    assert set(moved.unique().tolist()) == {0, 255}


def test_cutout_zeroes_one_square_of_half_the_side_and_less_at_the_border() -> None:
    cut = cutout(torch.ones(300, 3, 16, 16), draws()).images
    zeros = (cut[:, 0] == 0).sum(dim=(1, 2))
    side = round(CUTOUT_FRACTION * 16)
    assert int(zeros.max()) == side**2
    assert int(zeros.min()) >= (side // 2) ** 2
    assert torch.equal(cut[:, 0], cut[:, 2])


COMBINED = ["crop-flip+cutout", "crop-flip+cutmix", "mixup+cutout", "cutout+crop-flip+mixup"]


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *COMBINED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_candidates_side_by_side_are_treated_alike_and_the_input_stays(name: str, dtype: torch.dtype) -> None:
    images = (torch.rand(6, 3, 12, 10, generator=draws(9)) * 255).to(dtype)
    before = images.clone()
    augment = augmentation(name)
    alone = augment(images, draws())
    beside = augment(images[:, None].repeat(1, 4, 1, 1, 1), draws())
    for p in range(4):
        assert torch.equal(beside.images[:, p], alone.images)
    assert torch.equal(images, before)
    again = augment(images, draws())
    for field in ("images", "partner", "share"):
        one, two, three = (getattr(found, field) for found in (alone, again, beside))
        assert one is two is None or torch.equal(one, two)
        assert field == "images" or one is three is None or torch.equal(one, three)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *COMBINED])
def test_random_numbers_come_from_the_generator_alone(name: str) -> None:
    images = torch.rand(6, 1, 12, 12, generator=draws(9))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = augmentation(name)(images, draws(1)).images
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(augmentation(name)(images, draws(1)).images, first)
    assert name == "none" or not torch.equal(augmentation(name)(images, draws(2)).images, first)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *COMBINED])
def test_bytes_stay_bytes_except_where_they_are_averaged(name: str) -> None:
    images = (torch.rand(6, 1, 12, 12, generator=draws(9)) * 255).to(torch.uint8)
    expected = torch.float32 if "mixup" in name else torch.uint8
    assert augmentation(name)(images, draws()).images.dtype == expected


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *COMBINED])
def test_labels_are_mixed_where_the_table_says_so(name: str) -> None:
    found = augmentation(name)(torch.rand(6, 1, 12, 12), draws())
    mixes = any(AUGMENTATIONS[part].mixes for part in name.split("+"))
    assert mixes == (found.partner is not None) == (found.share is not None)


def test_parts_apply_in_the_order_written() -> None:
    images = torch.rand(8, 1, 12, 12, generator=draws(9))
    for name, first, second in (
        ("crop-flip+cutout", crop_flip, cutout),
        ("cutout+crop-flip", cutout, crop_flip),
        ("crop-flip+cutmix", crop_flip, cutmix),
        ("mixup+crop-flip", mixup, crop_flip),
    ):
        generator = draws(3)
        expected = second(first(images, generator).images, generator).images
        assert torch.equal(augmentation(name)(images, draws(3)).images, expected), name


def test_the_partner_of_an_earlier_part_is_kept() -> None:
    images = torch.rand(8, 1, 12, 12, generator=draws(9))
    alone, followed = (augmentation(name)(images, draws()) for name in ("cutmix", "cutmix+cutout"))
    assert alone.partner is not None and followed.partner is not None
    assert alone.share is not None and followed.share is not None
    assert torch.equal(alone.partner, followed.partner) and torch.equal(alone.share, followed.share)


def test_without_mixing_only_the_parts_that_move_pixels_are_left() -> None:
    images = torch.rand(8, 1, 12, 12, generator=draws(9))
    for name in ("crop-flip+cutmix", "mixup+crop-flip"):
        found = augmentation(name, mixing=False)(images, draws())
        assert torch.equal(found.images, crop_flip(images, draws()).images) and found.partner is None
    assert torch.equal(augmentation("cutmix", mixing=False)(images, draws()).images, images)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cutou", "unknown augmentation 'cutou'; did you mean 'cutout'?"),
        ("crop-flip+cutou",
         "unknown augmentation 'cutou' in 'crop-flip+cutou'; did you mean 'cutout'?"),
        ("cutout+", "unknown augmentation '' in 'cutout+'; choose from none, crop-flip, cutout, cutmix, mixup"),
        ("cutout+cutout", "augmentation 'cutout+cutout' names 'cutout' twice; name it once"),
        ("none+cutout", "augmentation 'none+cutout': 'none' stands alone"),
        ("cutmix+mixup", "augmentation 'cutmix+mixup' mixes labels twice; keep cutmix or mixup"),
    ],
)  # fmt: skip
def test_names_that_make_no_sense_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        augmentation(name)
    assert str(refused.value) == message


def test_every_row_says_what_it_does() -> None:
    assert all(row.description for row in AUGMENTATIONS.values())
