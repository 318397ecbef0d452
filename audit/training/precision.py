"""Which floating-point precision training runs in. torch is imported when it is asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def fast_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices faster than float32 ones."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def resolved(device: str, precision: str) -> str:
    """`float32` or `bfloat16`: what `auto` means on this device."""
    if precision == "auto":
        return "bfloat16" if fast_bfloat16(device) else "float32"
    return precision


def autocast(device: str, precision: str) -> AbstractContextManager[object]:
    """The context of forward passes: `float32`, `bfloat16`, or `auto`: bfloat16 where it is fast."""
    import torch

    if resolved(device, precision) == "bfloat16":
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()
