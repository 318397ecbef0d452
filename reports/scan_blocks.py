"""The shortcut scan in the report: findings, their map, what was repaired before, and what the scan can not see."""

from __future__ import annotations

from audit.results import AuditResult, ScanRecord, ShortcutFinding
from reports import words
from reports.document import Block, Bullets, Column, Figure, Heading, Shown, Table, Text

SHOWN = 12  # findings in a table; all of them are in results.json
STRENGTH = (
    "Value: grey level of 255, or red, green, blue. Share: of the class's images that carry the "
    "mark; others: of the class "
    "that has it most beside. Strength: balanced accuracy of a classifier that sees these pixels "
    "only, this class against "
    "all others, on images that it was not fitted to; 50 % is guessing."
)
EXPLAINED = (
    "The scan looks for pixels that images of one class share and others do not: a dead sensor "
    "pixel, a burned-in mark, "
    "a border, an attack. It trains nothing."
)


def scan_blocks(result: AuditResult, figures: list[Figure]) -> list[Block]:
    """Everything about the scan; one sentence where it was not run."""
    scan = result.scan
    if scan is None:
        return [Heading("Shortcut scan"), Text(f"The scan for shortcuts was {words.NOT_RUN}.")]
    blocks: list[Block] = [Heading("Shortcut scan")]
    if result.repair is not None:
        blocks += repair_blocks(result)
    blocks += [Text(f"{EXPLAINED} Result: {scan.sentence}.")]
    if scan.status == "not run":
        return blocks
    if scan.findings:
        blocks.append(findings_table("What the scan found.", scan.findings, result))
        if scan.strength is not None:
            chance = 100 / len(result.dataset.class_names)
            blocks.append(
                Text(
                    f"All flagged pixels together tell the class in {100 * scan.strength:.0f} % of "
                    "the images (balanced "
                    f"accuracy, guessing {chance:.0f} %): a network can do at least that without "
                    "looking at anything else.",
                    kind="note",
                )
            )
        blocks += [Shown(figure) for figure in figures if figure.kind == "scan"]
    return [*blocks, *limit_blocks(scan, result)]


def repair_blocks(result: AuditResult) -> list[Block]:
    """What stood in the data before they were repaired."""
    repair = result.repair
    assert repair is not None
    blocks: list[Block] = [
        Text(
            f"{words.capital(repair.note)}. Before the repair: {repair.sentence}. After the repair: see below.",
            "Repaired copy",
        )
    ]
    if repair.findings:
        blocks.append(findings_table("What the scan had found before the repair.", repair.findings, result))
    return blocks


def findings_table(caption: str, findings: list[ShortcutFinding], result: AuditResult) -> Table:
    """One row for each finding, the most widespread first."""
    names = result.dataset.class_names
    more = len(findings) - SHOWN
    note = STRENGTH + (f" {words.count(more, 'further finding')} in results.json." if more > 0 else "")
    return Table(
        caption + words.caption_limits(result),
        [
            Column("Class", 0.2),
            Column("Kind", 0.14),
            Column("Row", 0.07, "right"),
            Column("Column", 0.09, "right"),
            Column("Pixels", 0.08, "right"),
            Column("Value", 0.12, "right"),
            Column("Share", 0.1, "right"),
            Column("Others", 0.09, "right"),
            Column("Strength", 0.11, "right"),
        ],
        [one.cells(names) for one in findings[:SHOWN]],
        note,
    )


def limit_blocks(scan: ScanRecord, result: AuditResult) -> list[Block]:
    """What the scan can not see: measured, and in words."""
    blocks: list[Block] = []
    if scan.detection:
        classes = words.count(scan.detection[0].planted, "class", "classes")
        blocks.append(
            Table(
                "What the scan can see in these images, measured: marks planted into every class of a copy, "
                "and in how many classes they were found." + words.caption_limits(result),
                [
                    Column("Mark", 0.5),
                    Column("Share of a class's images", 0.28, "right"),
                    Column("Found", 0.22, "right"),
                ],
                [list(one.words) for one in scan.detection],
                f"One draw of places; n = {classes} each, no interval. In clean data edits are reported at a "
                f"stated rate of {100 * scan.false_alarm_rate:.0f} % of data sets.",
            )
        )
    return [*blocks, Text("What the scan can not see:"), Bullets(scan.limits)]
