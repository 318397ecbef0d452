"""The sections with the measurements: tables 4-2a and 4.1, scores, all conditions, controls, the search."""

from __future__ import annotations

from audit.results import CLEAN, AuditResult, CellMeasures, ConditionSummary, Pair
from reports import lookups, words
from reports.comparison_section import comparison_section
from reports.condition_sections import (
    DAGGER_NOTE,
    conditions_section,
    shown,
)
from reports.control_sections import control_blocks
from reports.document import Block, Column, Figure, RowMark, Section, Table, Text
from reports.saliency_section import saliency_section
from reports.search_sections import search_blocks

CLASS_TABLES = 4  # models for which Table 4.1 is printed


def results_sections(result: AuditResult, figures: list[Figure]) -> list[Section]:
    """All measurements, from the overview to the single pixel."""
    return [
        Section("Results", [*error_blocks(result, figures), *class_blocks(result)]),
        Section("Robustness scores", score_blocks(result, figures)),
        *comparison_section(result),
        conditions_section(result),
        Section("Controls", control_blocks(result)),
        Section(
            "Confusion matrices", shown(figures, "confusion", "No training finished: there is none to show.")
        ),
        Section("Accuracy by epoch", shown(figures, "epochs", "No readings by epoch were recorded.")),
        *saliency_section(result, figures),
        Section("Search and perturbations", search_blocks(result, figures)),
    ]


def error_blocks(result: AuditResult, figures: list[Figure]) -> list[Block]:
    """Fig. 4-2a: the table of test errors, and its drawing."""
    places = lookups.trained_on(result)
    rows, used = [], []
    for pair in lookups.reference_pairs(result):
        found = [lookups.condition(result, pair, *place) for place in places]
        rows.append(
            [
                f"{pair[0]}, {words.defence_label(pair[2])}",
                *[
                    error_text(result, pair, place, summary)
                    for place, summary in zip(places, found, strict=True)
                ],
            ]
        )
        used += [summary.accuracy for summary in found if summary is not None]
    if not rows or not places:
        return [Text("No clean and no EvoShift training was planned: there is no test error by severity.")]
    optimizer = lookups.reference_optimizer(result)
    method = words.attack_title(lookups.main_attack(result))
    share = 0.74 / len(places)
    titles = ["Clean" if attack == CLEAN else words.pixels(severity) for attack, severity in places]
    table = Table(
        f"Test error on unchanged images with {optimizer}, by number of pixels changed per class "
        f"({method}).{words.caption_limits(result)}",
        [Column("Model", 0.26), *[Column(title, share, "right") for title in titles]],
        rows,
        f"{words.sample_statement(used)} {DAGGER_NOTE}" + missing_severities(places),
    )
    return [
        table,
        *shown(figures, "test-error", "The figure of test errors is left out: no training finished."),
    ]


def missing_severities(places: list[tuple[str, int]]) -> str:
    """Which severities of the method were not run."""
    run = {severity for _, severity in places}
    absent = [str(severity) for severity in (1, 2, 5) if severity not in run]
    return (
        f" Not run in this audit: {', '.join(absent)} pixels per class (outside its configuration)."
        if absent
        else ""
    )


def error_text(
    result: AuditResult, pair: Pair, place: tuple[str, int], summary: ConditionSummary | None
) -> str:
    """Test error with interval, else why there is none."""
    if summary is None:
        return lookups.failure(lookups.cells(result, pair, *place))
    return words.percent_interval(words.error_of(summary.accuracy)) + words.dagger(summary)


def class_blocks(result: AuditResult) -> list[Block]:
    """Table 4.1 for each model with the reference optimizer, as the baseline where that was run."""
    chosen: dict[str, Pair] = {}
    for pair in lookups.reference_pairs(result):
        if pair[0] not in chosen or pair[2] == result.baseline_pair[2]:
            chosen[pair[0]] = pair
    tables: list[Block] = [class_table(result, pair) for pair in list(chosen.values())[:CLASS_TABLES]]
    if len(chosen) > CLASS_TABLES:
        tables.append(
            Text(f"Tables of {len(chosen) - CLASS_TABLES} more models are left out here; see results.json.")
        )
    return tables


def class_table(result: AuditResult, pair: Pair) -> Block:
    """Precision / recall / F1 of each class, mean over seeds."""
    places = lookups.trained_on(result)
    found = {place: lookups.measures(result, pair, *place) for place in places}
    places = [place for place in places if found[place]]
    if not places:
        reason = lookups.failure(lookups.cells(result, pair, CLEAN, 0))
        return Text(f"Precision, recall and F1 of {words.pair_label(pair)}: {reason}.")
    share = 0.72 / len(places)
    method = words.attack_title(lookups.main_attack(result))
    titles = ["Clean" if attack == CLEAN else words.pixels(severity) for attack, severity in places]
    rows = []
    for k, name in enumerate(result.dataset.class_names):
        support = found[places[0]][0].per_class[k].support
        rows.append([name, str(support), *[class_text(found[place], k) for place in places]])
    seeds = words.spread(len(found[place]) for place in places)
    return Table(
        f"Precision / recall / F1 of each class on unchanged test images, {words.pair_label(pair)}, by "
        f"number of pixels changed per class ({method}).{words.caption_limits(result)}",
        [
            Column("Class", 0.18),
            Column("n", 0.10, "right"),
            *[Column(title, share, "right") for title in titles],
        ],
        rows,
        f"Means over {seeds} trainings (seeds), fractions of 1; n = test images of the class. No interval is "
        "computed for these; differences of a few hundredths are within chance.",
    )


def class_text(found: list[CellMeasures], k: int) -> str:
    """'0.98 / 1.00 / 0.99'."""
    rows = [measures.per_class[k] for measures in found]
    means = [words.mean([getattr(row, name) for row in rows]) for name in ("precision", "recall", "f1")]
    return " / ".join(words.number(value, 2) for value in means)


def score_blocks(result: AuditResult, figures: list[Figure]) -> list[Block]:
    """Definition, figure and table."""
    definition = Text(
        "The robustness score of a pair is its accuracy on unchanged test images after training on "
        "attacked images, summed over the severities, divided by the same sum of the baseline pair. "
        f"Baseline: {result.baseline}, score 1 by definition. A score compares robustness only where fit "
        "and clean accuracy are comparable; where they are not, the last column says so. No optimizer is "
        "recommended on the score alone.",
        "Definition.",
    )
    if not result.scores:
        return [
            definition,
            Text(
                "No score could be formed: it needs finished EvoShift trainings of a pair and of the "
                "baseline with the same seeds."
            ),
        ]
    rows: list[list[str]] = []
    marks: dict[int, RowMark] = {}
    for row in sorted(result.scores, key=lambda row: -row.score.estimate):
        if row.is_baseline:
            marks[len(rows)] = "muted"
        score = "1 (baseline)" if row.is_baseline else words.ratio_interval(row.score)
        severities = ", ".join(map(str, row.severities))
        rows.append([words.pair_cell(row.pair), score, severities, row.note or "comparable"])
    absent = [words.pair_label(p) for p in lookups.pairs(result) if p not in scored_pairs(result)]
    table = Table(
        "Robustness scores, highest first." + words.caption_limits(result),
        [
            Column(words.PAIR_HEAD, 0.34),
            Column("Score", 0.20, "right"),
            Column("Pixels", 0.10, "right"),
            Column("Fit and clean accuracy against the baseline", 0.36),
        ],
        rows,
        words.sample_statement([row.score for row in result.scores])
        + (f" No score, for lack of finished trainings: {'; '.join(absent)}." if absent else ""),
        marks,
    )
    return [definition, *shown(figures, "scores", "The figure of scores is left out."), table]


def scored_pairs(result: AuditResult) -> set[Pair]:
    """Pairs with a score."""
    return {row.pair for row in result.scores}
