"""What the search achieves beside the controls: a random pixel, closed forms, and random search at the same
budget."""

from __future__ import annotations

from collections.abc import Sequence

from audit.results import EVOSHIFT, AuditResult, ConditionSummary, Pair
from reports import lookups, words
from reports.condition_sections import DAGGER_NOTE
from reports.document import Block, Bullets, Column, Table, Text

DESCRIPTIONS = {
    words.RANDOM: "Random pixels have uniform position and value.",
    "shortcut": "Shortcut pixels come from a closed form without a search.",
    "heuristic": (
        "The heuristic writes white pixels whose place encodes the label: the column is the number of the class."
    ),
    "transfer": "Transferred pixels were found on other images and carried over to these.",
    words.RANDOM_SEARCH: (
        "Random search takes the best of as many random draws as EvoShift may train surrogates, and scores its "
        "finalists again as EvoShift does."
    ),
}
WANTED = {
    EVOSHIFT: "EvoShift",
    words.RANDOM: "Random pixels",
    "shortcut": "Shortcut pixels",
    "heuristic": "Pixels whose place encodes the label",
    words.RANDOM_SEARCH: "Random search at the budget of EvoShift",
}
"""Methods that a full comparison holds."""

ONE_SEARCH_EACH = (
    "Each search was run once: the intervals hold the spread of the trainings on what it found, not the spread "
    "between searches."
)


def control_blocks(result: AuditResult) -> list[Block]:
    """Does the search do more harm than a random pixel, a closed form and a random search?"""
    names, main = lookups.controls(result), lookups.main_attack(result)
    if not names:
        return [
            Text(
                f"Controls beside {words.attack_title(main)} were {words.NOT_RUN}: the configuration of this "
                "audit leaves them out. Whether the search does more harm than a random pixel is not shown."
            )
        ]
    methods = [*names[::-1], main]
    described = " ".join(DESCRIPTIONS[name] for name in methods if name in DESCRIPTIONS)
    blocks: list[Block] = [
        Text(
            f"A control shows how much of the damage any changed pixel does. {described} The lower the "
            "accuracy, the more harm."
        ),
        control_table(result, methods),
    ]
    return [*blocks, Bullets(comparisons(result, methods) + missing_methods([*names, main]))]


def control_table(result: AuditResult, methods: Sequence[str]) -> Table:
    """One row per pair and severity, one column per method, the main one last."""
    rows, used = [], []
    for pair, severity in compared(result):
        found = [lookups.condition(result, pair, method, severity) for method in methods]
        used += [c.accuracy for c in found if c is not None]
        accuracies = [lookups.accuracy_text(result, pair, method, severity) for method in methods]
        rows.append([words.pair_cell(pair), str(severity), *accuracies])
    share = 0.74 / len(methods) if len(methods) > 3 else 0.62 / len(methods)
    return Table(
        f"Accuracy on unchanged test images under controls and under {words.attack_title(methods[-1])}."
        + words.caption_limits(result),
        [
            Column(words.PAIR_HEAD, 0.18 if len(methods) > 3 else 0.30),
            Column("px", 0.08, "right"),
            *[Column(column_title(result, method), share, "right") for method in methods],
        ],
        rows,
        f"{words.px_note(result)} {words.sample_statement(used)} {DAGGER_NOTE}",
    )


def compared(result: AuditResult) -> list[tuple[Pair, int]]:
    """Pairs and severities at which at least one control was trained on."""
    places = {(c.pair, c.severity) for c in result.cells if c.attack in lookups.controls(result)}
    severities = sorted({severity for _, severity in places})
    return [
        (pair, severity)
        for pair in lookups.pairs(result)
        for severity in severities
        if (pair, severity) in places
    ]


def column_title(result: AuditResult, attack: str) -> str:
    """'Random (2 draws)'."""
    title = words.capital(words.attack_title(attack))
    draws = len({cell.draw for cell in result.cells if cell.attack == attack})
    return f"{title} ({words.count(draws, 'draw')})" if attack == words.RANDOM else title


def comparisons(result: AuditResult, methods: Sequence[str]) -> list[str]:
    """What the table shows, pair by pair: the main method against each other one."""
    *others, main = methods
    found = []
    for pair, severity in compared(result):
        search = lookups.condition(result, pair, main, severity)
        if search is None:
            continue
        rivals = [lookups.condition(result, pair, name, severity) for name in others]
        finished = [rival for rival in rivals if rival is not None]
        found += compare_controls(search, [r for r in finished if r.attack != words.RANDOM_SEARCH])
        for rival in finished:
            if rival.attack == words.RANDOM_SEARCH:
                found.append(compare_searches(result, search, rival))
    ran = main == EVOSHIFT and words.RANDOM_SEARCH in others
    return [*found, ONE_SEARCH_EACH] if ran and found else found


def compare_controls(search: ConditionSummary, controls: Sequence[ConditionSummary]) -> list[str]:
    """One sentence: from which controls is the main method apart, and which did more harm?"""
    lower, higher, open_ = [], [], []
    for control in controls:
        title = words.attack_title(control.attack)
        if search.accuracy.high < control.accuracy.low:
            lower.append(title)
        elif search.accuracy.low > control.accuracy.high:
            higher.append(title)
        else:
            open_.append(title)
    parts = [f"a lower accuracy than {words.listed(lower)}"] if lower else []
    if open_:
        parts.append(f"an accuracy not separated from that of {words.listed(open_)} (intervals overlap)")
    if higher:
        parts.append(f"a higher accuracy than {words.listed(higher)}, which did more harm")
    if not parts:
        return []
    who = words.capital(words.attack_title(search.attack))
    return [
        f"{words.pair_label(search.pair)}, {words.pixels(search.severity)}: {who} left {'; '.join(parts)}."
    ]


def compare_searches(result: AuditResult, search: ConditionSummary, rival: ConditionSummary) -> str:
    """One sentence with both numbers: EvoShift against random search, and what each was allowed."""
    first, second = words.capital(words.attack_title(search.attack)), words.attack_title(rival.attack)
    if search.accuracy.high < rival.accuracy.low:
        outcome = f"{first} did more harm (intervals apart)"
    elif search.accuracy.low > rival.accuracy.high:
        outcome = f"{second} did more harm (intervals apart)"
    else:
        outcome = "not separated (intervals overlap)"
    return (
        f"{words.pair_label(search.pair)}, {words.pixels(search.severity)}, "
        f"{budget_text(result, search, rival)}: {first} left {words.percent_interval(search.accuracy)}"
        f"{words.dagger(search)}, {second} {words.percent_interval(rival.accuracy)}{words.dagger(rival)}; "
        f"{outcome}."
    )


def budget_text(result: AuditResult, search: ConditionSummary, rival: ConditionSummary) -> str:
    """'at equal budget (102 surrogate trainings each)', only where the records say so."""
    spent, ranked = [], 0
    for condition in (search, rival):
        record = lookups.perturbation(result, condition.attack, condition.severity)
        if record is None or record.search is None:
            return "budgets not recorded"
        spent.append(record.search.trainings)
        ranked += record.search.closed_form_readings
    if spent[0] == spent[1]:
        besides = (
            f"; {ranked:,} combinations ranked without a training besides".replace(",", " ") if ranked else ""
        )
        return f"at equal budget ({spent[0]} surrogate trainings each{besides})"
    return (
        f"not at equal budget ({words.attack_title(search.attack)} {spent[0]}, "
        f"{words.attack_title(rival.attack)} {spent[1]} surrogate trainings)"
    )


def missing_methods(run: Sequence[str]) -> list[str]:
    """Methods of a full comparison that this audit did not run."""
    return [
        f"{title}: {words.NOT_RUN}, not part of this audit's configuration."
        for name, title in WANTED.items()
        if name not in run
    ]
