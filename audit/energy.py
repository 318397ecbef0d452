"""Electric energy: measured where the machine has a meter that can be read, else from an assumption that is said."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

RAPL = Path("/sys/class/powercap")
ASSUMED_WATTS_PER_CORE = 10.0  # a server core under load, its share of the package; not measured here
JOULES_PER_WATT_HOUR = 3600.0


@dataclass(frozen=True)
class Power:
    """Watts while an audit computes, and where the number is from."""

    watts: float
    basis: str


@dataclass
class Meter:
    """Counts joules of all processor packages (RAPL), or samples the draw of the GPU. `joules` is None where neither
    can be read."""

    device: str
    packages: Sequence[Path] = field(default_factory=lambda: sorted(RAPL.glob("intel-rapl:[0-9]")))

    def joules(self) -> float | None:
        """A counter that rises; it begins again at its range now and then."""
        try:
            return sum(float((package / "energy_uj").read_text()) for package in self.packages) / 1e6 or None
        except (OSError, ValueError):
            return None

    def since(self, before: float | None) -> float | None:
        """Joules since an earlier reading. None where nothing was read, or the counter began again."""
        now = self.joules()
        return None if before is None or now is None or now < before else now - before

    def power_of(self, joules: float | None, seconds: float, workers: int) -> Power:
        """From what was measured over a while under load, else by assumption."""
        if self.device == "cuda":
            watts = gpu_watts()
            if watts is not None:
                return Power(watts, "draw of the GPU, measured")
        if joules is not None and seconds > 0:
            return Power(joules / seconds, "processor packages (RAPL), measured")
        return Power(
            ASSUMED_WATTS_PER_CORE * workers,
            f"assumed {ASSUMED_WATTS_PER_CORE:g} W per worker, as no power meter can be read here",
        )


def gpu_watts() -> float | None:
    """The draw of the GPU now. None without NVIDIA's management library."""
    import torch

    try:
        return torch.cuda.power_draw() / 1000
    except (RuntimeError, ModuleNotFoundError, AssertionError):
        return None


class Stopwatch:
    """Joules and seconds since it was started."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.joules, self.started = meter, meter.joules(), time.monotonic()

    def read(self) -> tuple[float | None, float]:
        """(joules or None, seconds)."""
        return self.meter.since(self.joules), time.monotonic() - self.started
