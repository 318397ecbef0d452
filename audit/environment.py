"""Where the numbers come from: versions, hardware, and a hash of the program itself."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path

from audit import __version__
from audit.results import Environment

RECORDED = ("torch", "torchvision", "monai", "numpy", "scikit-learn", "cma", "pytorch-optimizer", "pillow")


def describe_environment(device: str, workers: int) -> Environment:
    """Versions of what computes, the processor or GPU, and the fingerprint of this package."""
    return Environment(
        audit_version=__version__,
        versions={name: metadata.version(name) for name in RECORDED},
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        cores=len(os.sched_getaffinity(0)),
        device=device_name(device),
        workers=workers,
        code_fingerprint=code_fingerprint(),
    )


def processor_name() -> str:
    """The model of the CPU, as the kernel names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def device_name(device: str) -> str:
    """`cpu`, or the name of the GPU."""
    if device == "cpu":
        return device
    import torch

    return f"cuda: {torch.cuda.get_device_name()}"


@functools.cache
def code_fingerprint() -> str:
    """SHA-256 over the source files of `audit`, in order of their paths."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()
