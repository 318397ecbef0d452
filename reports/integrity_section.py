"""Integrity of the data: what was checked before any training, and what was not."""

from __future__ import annotations

from audit.results import AuditResult, CheckResult
from reports import words
from reports.document import Block, Bullets, Column, Figure, RowMark, Section, Table, Text
from reports.scan_blocks import scan_blocks

ORDER = ("fail", "warn", "not run", "pass")
MARKS: dict[str, RowMark] = {"fail": "alert", "warn": "strong", "not run": "muted"}


def integrity_section(result: AuditResult, figures: list[Figure]) -> Section:
    """All checks in one table, failures first; remedies below; then the shortcut scan."""
    if not result.checks:
        return Section("Integrity of the data", [Text(f"Checks of the data: {words.NOT_RUN}.")])
    checks = sorted(result.checks, key=lambda check: ORDER.index(check.status))
    counts = [f"{sum(c.status == status for c in checks)} {status}" for status in ORDER]
    blocks: list[Block] = [
        Text(f"{words.count(len(checks), 'check')} before any training: {', '.join(counts)}. {MEANING}"),
        Table(
            "Checks of the data." + words.caption_limits(result),
            [Column("Check", 0.24), Column("Result", 0.1), Column("Finding", 0.66)],
            [[check.title, check.status, check.sentence] for check in checks],
            "Patients and lesions are known only as far as the data name them.",
            {row: MARKS[check.status] for row, check in enumerate(checks) if check.status in MARKS},
        ),
    ]
    remedies = [remedy(check) for check in checks if check.remedy and check.status in ("fail", "warn")]
    if remedies:
        blocks += [Text("What to do about them:", kind="body"), Bullets(remedies)]
    return Section("Integrity of the data", [*blocks, *scan_blocks(result, figures)])


MEANING = (
    "Fail: results on these data mislead. Warn: read the results with it in mind. A passed check did not find what "
    "it looks for; that is no proof that it is not there."
)


def remedy(check: CheckResult) -> str:
    """'Exact duplicates: remove them.'"""
    return f"{check.title}: {check.remedy}"
