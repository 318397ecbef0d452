"""The checks of the data, in the order in which they are told. One row is enough to add another."""

from __future__ import annotations

from collections.abc import Callable

from audit.checks.cues import cues
from audit.checks.duplicates import exact_duplicates, leakage, near_duplicates, several_classes
from audit.checks.inputs import CheckInput
from audit.checks.inventory import counts, identity, licence, small_classes, synthetic, unreadable
from audit.checks.pictures import empty_images
from audit.checks.record import CheckResult
from audit.checks.shortcuts import shortcuts

CHECKS: tuple[Callable[[CheckInput], CheckResult], ...] = (
    unreadable,
    counts,
    small_classes,
    leakage,
    several_classes,
    exact_duplicates,
    near_duplicates,
    empty_images,
    cues,
    shortcuts,
    identity,
    licence,
    synthetic,
)


def run_checks(data: CheckInput, progress: Callable[[int, int], None] | None = None) -> list[CheckResult]:
    """Every check once. `progress(done, total)` counts checks."""
    found = []
    for number, check in enumerate(CHECKS, start=1):
        found.append(check(data))
        if progress is not None:
            progress(number, len(CHECKS))
    return found
