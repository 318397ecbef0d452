"""When a batch does not fit into memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
SMALLEST = 2  # images: batch norm needs two
CPU_MESSAGE = "can't allocate memory"  # of torch's allocator for the CPU, which raises a plain RuntimeError


def in_parts_where_memory_is_short(attempt: Callable[[int], Result], batch_size: int) -> Result:
    """`attempt(images at a time)`, begun again with half as many whenever memory runs out.

    From the start, so that a result follows from the number it ran with alone, and not from when memory ran
    out. What fails with two images at a time fails.
    """
    micro_batch = batch_size
    while True:
        try:
            return attempt(micro_batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or micro_batch <= SMALLEST:
                raise
        # Outside of the handler: the error holds the frames, and they hold the tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        micro_batch = max((micro_batch + 1) // 2, SMALLEST)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_MESSAGE in str(error)
