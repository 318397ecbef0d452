"""What an epoch is made of: oversampling to the image, batches without a remainder."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.training.sampling import epoch_batches, epoch_indices, epoch_steps, evaluation_batches


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels_of(counts: list[int]) -> torch.Tensor:
    """`counts[k]` images of class k, the classes in turn mixed by a fixed shuffle."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=generator(1))]


def test_oversampling_is_exact() -> None:
    labels = torch.tensor([0] * 10 + [1] * 4 + [2] * 10)
    indices = epoch_indices(labels, 3, True, generator())
    times = torch.bincount(indices, minlength=24)
    assert times[:10].tolist() == [1] * 10 and times[14:].tolist() == [1] * 10
    assert sorted(times[10:14].tolist()) == [2, 2, 3, 3], "10 = 2 x 4 + 2"
    assert epoch_steps(labels, 3, 7, True) == 5 and epoch_steps(labels, 3, 7, False) == 4


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any), st.integers(0, 2**32))
def test_every_class_counts_as_many_as_the_largest_and_every_image_nearly_equally(
    counts: list[int], seed: int
) -> None:
    labels = labels_of(counts)
    indices = epoch_indices(labels, len(counts), True, generator(seed))
    drawn = torch.bincount(labels[indices], minlength=len(counts)).tolist()
    assert drawn == [max(counts) if count else 0 for count in counts], "an empty class stays empty"
    times = torch.bincount(indices, minlength=len(labels))
    for label, count in enumerate(counts):
        if count:
            low, more = divmod(max(counts), count)
            of_class = times[labels == label]
            assert int((of_class == low + 1).sum()) == more and int((of_class == low).sum()) == count - more


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any),
    st.integers(1, 30),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_batches_are_the_epoch_in_nearly_equal_parts(
    counts: list[int], batch_size: int, oversample: bool, seed: int
) -> None:
    labels, n_classes = labels_of(counts), len(counts)
    batches = list(epoch_batches(labels, n_classes, batch_size, oversample, generator(seed)))
    assert torch.equal(torch.cat(batches), epoch_indices(labels, n_classes, oversample, generator(seed)))
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == epoch_steps(labels, n_classes, batch_size, oversample)
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_without_oversampling_every_image_stands_once(n: int, seed: int) -> None:
    indices = epoch_indices(torch.arange(n) % 3, 3, False, generator(seed))
    assert sorted(indices.tolist()) == list(range(n))


def test_images_drawn_once_more_are_others_in_the_next_epoch() -> None:
    labels, order = labels_of([100, 51]), generator()
    first, second = (torch.bincount(epoch_indices(labels, 2, True, order)) for _ in range(2))
    assert not torch.equal(first, second)


def test_batches_hold_every_image_once_and_none_is_a_remainder_of_one() -> None:
    batches = list(epoch_batches(torch.zeros(33, dtype=torch.int64), 1, 32, False, generator()))
    assert sorted(torch.cat(batches).tolist()) == list(range(33))
    assert [len(batch) for batch in batches] == [17, 16]


def test_evaluation_batches_are_fixed() -> None:
    fixed = evaluation_batches(250, 100)
    assert [len(batch) for batch in fixed] == [84, 83, 83]
    assert len(evaluation_batches(250, 83)) == math.ceil(250 / 83)
    assert sorted(torch.cat(fixed).tolist()) == list(range(250))
    assert all(torch.equal(a, b) for a, b in zip(fixed, evaluation_batches(250, 100), strict=True))
