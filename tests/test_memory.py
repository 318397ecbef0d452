"""Batches that do not fit into memory go through the network in parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audit.training.augmentation import augmentation
from audit.training.memory import in_parts_where_memory_is_short
from audit.training.trainer import accumulate_gradients

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried"
    ),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_the_work_begins_again_with_half_as_many_until_it_fits(error: Exception) -> None:
    tried: list[int] = []

    def attempt(images_at_a_time: int) -> str:
        tried.append(images_at_a_time)
        if images_at_a_time > 5:
            raise error
        return "done"

    assert in_parts_where_memory_is_short(attempt, 30) == "done"
    assert tried == [30, 15, 8, 4]


def test_what_fails_with_two_images_fails() -> None:
    tried: list[int] = []

    def attempt(images_at_a_time: int) -> None:
        tried.append(images_at_a_time)
        raise MemoryError

    with pytest.raises(MemoryError):
        in_parts_where_memory_is_short(attempt, 8)
    assert tried == [8, 4, 2]


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def attempt(images_at_a_time: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        in_parts_where_memory_is_short(attempt, 8)


@pytest.mark.parametrize("name", ["none", "crop-flip", "cutmix", "mixup"])
@pytest.mark.parametrize("micro_batch", [1, 3, 7])
def test_gradients_of_the_parts_add_up_to_the_whole(name: str, micro_batch: int) -> None:
    """A network without batch norm: parts of 3 of 7 images are 3, 3 and 1."""
    images = torch.randint(0, 256, (7, 1, 8, 8), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
    batch = augmentation(name)(images, torch.Generator().manual_seed(5))
    whole_loss = accumulate_gradients(network, batch, labels, 7, "float32")
    whole = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    loss = accumulate_gradients(network, batch, labels, micro_batch, "float32")
    assert len(whole) == 4 and float(whole_loss) > 0
    torch.testing.assert_close(loss, whole_loss)
    for p, expected in zip(network.parameters(), whole, strict=True):
        torch.testing.assert_close(p.grad, expected)
