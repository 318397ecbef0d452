"""The most memory that this process held, or that it took on the GPU."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5)


def forget_peak(device: str) -> None:
    """Begin to measure anew. Does nothing where the system cannot."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        CLEAR.write_text(RESET_PEAK)


def peak_bytes(device: str) -> int | None:
    """Since `forget_peak`. None where the system does not tell."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return status_bytes("VmHWM")


def held_bytes() -> int | None:
    """Resident memory of this process now. None where the system does not tell."""
    return status_bytes("VmRSS")


def status_bytes(field: str) -> int | None:
    """A field of /proc/self/status in bytes."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None
