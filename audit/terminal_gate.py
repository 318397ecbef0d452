"""What a person sees of `audit gate` and `audit compare`."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.gate.record import Comparison, DifferenceRow, GateCheck, GateResult
from audit.gate.words import condition, interval, limit, numbers, titled, value

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "error": "bold red"}
LOG_WIDTH = 150
NARROW = 110  # characters; names and numbers do not fit side by side
BAR = 21  # characters; odd: zero stands in the middle


def wide(console: Console) -> Console:
    """A log of CI has no width of its own: lines are not broken at 80 signs there."""
    return console if console.is_terminal else Console(width=LOG_WIDTH)


def show_gate(console: Console, result: GateResult) -> None:
    """Rules, a row for each check below, reasons of those that did not pass, and the notes."""
    console = wide(console)
    if console.width < NARROW:
        list_checks(console, result)
    elif result.checks:
        table = headed(result.dataset, result.synthetic)
        table.add_column("")
        table.add_column("check", overflow="fold")
        for column in ("this audit", "baseline", f"judged ({100 * result.confidence:g} %)", "tolerated"):
            table.add_column(column, justify="right", no_wrap=True)
        for rule in dict.fromkeys(check.rule for check in result.checks):
            table.add_row("", Text(rule, "bold"))
            for check in (check for check in result.checks if check.rule == rule):
                table.add_row(*row(check))
        console.print(table)
    for check in result.checks:
        if check.status != "pass":
            line = f"{check.status}: {check.rule} ({check.subject}): {check.reason}"
            console.print(Text(line, STYLES[check.status]), soft_wrap=True)
    for note in result.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)


def list_checks(console: Console, result: GateResult) -> None:
    """The same where a table would not fit: two lines each."""
    if result.checks:
        console.print(Text(titled(result.dataset, result.synthetic), "bold"))
    for check in result.checks:
        console.print(
            Text(check.status, STYLES[check.status]), Text(f"{check.rule}; {check.subject}"), soft_wrap=True
        )
        console.print(Text(f"  {numbers(check)}"), soft_wrap=True)


def headed(dataset: str, synthetic: bool) -> Table:
    """A table that says what it is about."""
    return Table(box=box.SIMPLE_HEAD, title=Text(titled(dataset, synthetic), "bold"), title_justify="left")


def row(check: GateCheck) -> list[Text]:
    """Cells of one check."""
    cells = [
        check.subject,
        value(check.measure, check.value),
        value(check.measure, check.reference),
        interval(check.measure, check.judged),
        limit(check),
    ]
    return [Text(check.status, STYLES[check.status]), *map(Text, cells)]


def show_comparison(console: Console, found: Comparison) -> None:
    """Values, differences with a bar, readings."""
    console = wide(console)
    if console.width < NARROW:
        list_differences(console, found)
    else:
        tabulate_differences(console, found)
    withheld: dict[str, list[str]] = {}
    for one in found.rows:
        if one.reason:
            withheld.setdefault(one.reason, []).append(condition(one))
    notes = [f"Withheld: {reason} ({'; '.join(which)})." for reason, which in withheld.items()]
    for name, left in (("first", found.only_first), ("second", found.only_second)):
        if left:
            notes.append(f"Only in the {name} audit: {'; '.join(left)}.")
    notes += [*found.notes, "Readings are corrected for all rows (Bonferroni); intervals are not."]
    for note in notes:
        console.print(Text(note, style="dim"), soft_wrap=True)


def list_differences(console: Console, found: Comparison) -> None:
    """Two lines each."""
    console.print(Text(titled(found.dataset, found.synthetic), "bold"))
    for one in found.rows:
        console.print(Text(condition(one)), soft_wrap=True)
        first, second = value(one.measure, one.first), value(one.measure, one.second)
        told = f"  first {first}, second {second}, difference {interval(one.measure, one.difference)}: {one.reading}"
        console.print(Text(told), soft_wrap=True)


def tabulate_differences(console: Console, found: Comparison) -> None:
    """One row each, with a bar."""
    table = headed(found.dataset, found.synthetic)
    table.add_column("condition", overflow="fold")
    for column in ("first", "second", "first − second (95 %)"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("lower ← 0 → higher", no_wrap=True)
    table.add_column("reading", overflow="fold")
    for one in found.rows:
        cells = [
            condition(one),
            value(one.measure, one.first),
            value(one.measure, one.second),
            interval(one.measure, one.difference),
            bar(one, widest(found, one.measure)),
            one.reading,
        ]
        table.add_row(*map(Text, cells))
    console.print(table)


def widest(found: Comparison, measure: str) -> float:
    """The largest end of an interval of this measure: the scale of its bars."""
    reached = [abs(end) for one in found.rows if one.measure == measure for end in ends(one)]
    return max(reached, default=0) or 1.0


def ends(one: DifferenceRow) -> tuple[float, float]:
    """Of the interval."""
    return (one.difference.low, one.difference.high) if one.difference else (0.0, 0.0)


def bar(one: DifferenceRow, scale: float) -> str:
    """The interval as a line with its estimate, zero in the middle."""
    if one.difference is None:
        return ""
    half = BAR // 2
    low, high, at = (half + round(half * end / scale) for end in (*ends(one), one.difference.estimate))
    line = [" "] * BAR
    line[half] = "│"
    for place in range(max(low, 0), min(high, BAR - 1) + 1):
        line[place] = "─" if place != half else "┼"
    line[max(min(at, BAR - 1), 0)] = "●"
    return "".join(line)
