"""What benchmarks ask of the machine: its matrix-multiply rate, and what a piece of work spends its time on."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

KINDS = {
    "convolution": ("convolution", "conv2d"),
    "batch norm": ("batch_norm",),
    "pooling": ("pool", "maximum", "minimum"),
    "ReLU": ("threshold", "relu", "clamp_min"),
    "optimizer": ("optimizer", "adam"),
    "adding and joining": ("aten::add_", "aten::add", "aten::cat"),
    "batches, perturbation": ("index", "gather", "scatter", "where", "copy_", "randint", "aten::div"),
}


def peak(dtype: torch.dtype, device: str = "cpu") -> float:
    """Measured matrix-multiply rate, operations per second: of one thread on a CPU."""
    size = 1024 if device == "cpu" else 8192
    a = torch.rand(size, size, device=device).to(dtype)
    a @ a
    seconds = []
    for _ in range(5):
        wait(device)
        started = time.perf_counter()
        a @ a
        wait(device)
        seconds.append(time.perf_counter() - started)
    return float(2 * size**3 / min(seconds))


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def time_by_kind(work: Callable[[], object]) -> dict[str, float]:
    """Share of the time by kind of operation, of one call on a CPU."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    spent = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in profiler.key_averages():
        name = event.key.lower()
        kind = next((k for k, words in KINDS.items() if any(word in name for word in words)), "other")
        spent[kind] += event.self_cpu_time_total
    whole = sum(spent.values())
    return {kind: value / whole for kind, value in spent.items()}
