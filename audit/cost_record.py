"""What was predicted before the first training, and what it then was."""

from __future__ import annotations

from audit.recipe import Record


class Cost(Record):
    """Time, memory and energy of trainings and searches. Memory is of the process that took most; on a GPU, of it."""

    predicted_seconds: float  # on the clock
    measured_seconds: float  # summed over the sessions, work that an interruption lost included
    time_error: float  # measured over predicted, minus 1
    predicted_bytes: int | None
    measured_bytes: int | None  # None where the system does not tell
    predicted_watt_hours: float
    measured_watt_hours: float | None  # None without a meter
    power_basis: str  # where the predicted power is from
    workers: int
    sessions: int
