"""The section on what defences recover and cost, and on pairs against the baseline."""

from __future__ import annotations

from audit.results import AuditResult, Interval, PairComparison
from reports import words
from reports.document import Block, Bullets, Column, RowMark, Section, Table, Text

ROWS = 40  # of a table; the rest stands in results.json
REASONS = 12


def comparison_section(result: AuditResult) -> list[Section]:
    """Nothing where there was nothing to compare."""
    if not result.comparisons:
        return []
    defences = [one for one in result.comparisons if one.is_defence]
    others = [one for one in result.comparisons if not one.is_defence]
    blocks: list[Block] = [
        Text(
            "Two pairs are compared under the same attack on the same seeds and test images. A reading is given at a "
            f"level that is corrected for all {words.count(len(result.comparisons), 'comparison')} of this audit "
            "(Bonferroni), and withheld where a training did not fit or where the clean accuracies differ by more "
            "than 5 points: then it would not be robustness that is compared."
        )
    ]
    if defences:
        blocks.append(defence_table(result, defences))
    if others:
        blocks.append(baseline_table(result, others))
    reasons = dict.fromkeys(f"{one.reason}." for one in result.comparisons if one.reading == "withheld")
    if reasons:
        blocks += [Text("Why readings are withheld:"), Bullets(list(reasons)[:REASONS])]
        if len(reasons) > REASONS:
            blocks.append(Text(f"{len(reasons) - REASONS} more reasons stand in results.json."))
    return [Section("Defences and pairs compared", blocks)]


def defence_table(result: AuditResult, found: list[PairComparison]) -> Table:
    """Each defence against none, of the same model and optimizer: best recovery first."""
    ordered = sorted(found, key=lambda one: -(one.attacked.estimate if one.attacked else -1.0))[:ROWS]
    rows = [
        [
            f"{one.first[0]} · {one.first[1]}",
            words.defence_cell(one.first[2]),
            words.attack_cell(one.attack, one.severity),
            points(one.recovery),
            points(one.cost),
            one.reading,
        ]
        for one in ordered
    ]
    return Table(
        "What each defence recovers of the attacked accuracy, and costs in clean accuracy, in percentage points."
        + words.caption_limits(result),
        [
            Column("Model · optimizer", 0.21),
            Column("Defence", 0.16),
            Column("Trained on", 0.14),
            Column("Recovery", 0.19, "right"),
            Column("Cost", 0.17, "right"),
            Column("Reading", 0.13),
        ],
        rows,
        note(found, len(ordered))
        + " Recovery: attacked accuracy with the defence minus without. Cost: clean accuracy "
        f"without it minus with it. {words.px_note(result)}",
        marks(ordered),
    )


def baseline_table(result: AuditResult, found: list[PairComparison]) -> Table:
    """Pairs against the baseline: largest difference first."""
    ordered = sorted(found, key=lambda one: -(one.attacked.estimate if one.attacked else -1.0))[:ROWS]
    rows = [
        [
            words.pair_cell(one.first),
            words.attack_cell(one.attack, one.severity),
            points(one.attacked),
            points(one.clean),
            one.reading,
        ]
        for one in ordered
    ]
    return Table(
        f"Difference from the baseline ({result.baseline}), in percentage "
        f"points.{words.caption_limits(result)}",
        [
            Column(words.PAIR_HEAD, 0.33),
            Column("Trained on", 0.15),
            Column("Attacked accuracy", 0.20, "right"),
            Column("Clean accuracy", 0.19, "right"),
            Column("Reading", 0.13),
        ],
        rows,
        note(found, len(ordered)),
        marks(ordered),
    )


def points(interval: Interval | None) -> str:
    """'12.0 (8.1 to 15.9)'; 'not run'."""
    if interval is None:
        return words.NOT_RUN
    return words.points_interval(interval).replace(" points", "")


def note(found: list[PairComparison], shown: int) -> str:
    """What the intervals rest on."""
    intervals = [one.attacked for one in found if one.attacked is not None]
    left_out = f" {len(found) - shown} more stand in results.json." if len(found) > shown else ""
    return (
        f"{words.sample_statement(intervals)} Readings rest on the corrected level, printed intervals do not."
        f"{left_out}"
    )


def marks(found: list[PairComparison]) -> dict[int, RowMark]:
    """What is said stands out from what is withheld."""
    return {i: "muted" for i, one in enumerate(found) if one.reading == "withheld"}
