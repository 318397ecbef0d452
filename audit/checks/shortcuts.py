"""Pixels that give the class away: the scan for shortcuts, as one of the checks."""

from __future__ import annotations

from audit.checks.inputs import CheckInput
from audit.checks.record import CheckResult
from audit.scan.record import ShortcutFinding

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
        details=[row(finding, names) for finding in scan.findings],
        affected=sum(finding.images or 0 for finding in scan.findings),
    )


def row(finding: ShortcutFinding, class_names: tuple[str, ...]) -> list[str]:
    """One finding in the words of `HEADER`."""

    def percent(share: float | None) -> str:
        return "not known" if share is None else f"{100 * share:.3g} %"

    return [
        class_names[finding.label],
        finding.kind,
        str(finding.row),
        str(finding.col),
        str(finding.pixels),
        ", ".join(f"{255 * level:.0f}" for level in finding.value),
        percent(finding.share),
        percent(finding.others),
        "too few images" if finding.strength is None else f"{100 * finding.strength:.0f} %",
    ]
