"""Pixels that give the class away: the scan for shortcuts, as one of the checks."""

from __future__ import annotations

from audit.checks.inputs import CheckInput
from audit.checks.record import CheckResult

TITLE = "Shortcut pixels"
REMEDY = (
    "look at the flagged places with: audit scan; have them taken out in a copy with: audit repair; find out "
    "where they come from"
)
HEADER = ["class", "kind", "row", "column", "pixels", "value", "share", "others", "strength"]


def shortcuts(data: CheckInput) -> CheckResult:
    """What the scan of the training and validation images says."""
    scan = data.scan
    if scan is None:
        return CheckResult(
            name="shortcuts", title=TITLE, status="not run", sentence="not scanned for shortcuts"
        )
    names = data.dataset.class_names
    return CheckResult(
        name="shortcuts",
        title=TITLE,
        status=scan.status,
        sentence=scan.sentence,
        remedy=REMEDY if scan.findings else "",
        header=HEADER if scan.findings else [],
        details=[finding.cells(names) for finding in scan.findings],
        affected=sum(finding.images or 0 for finding in scan.findings),
    )
