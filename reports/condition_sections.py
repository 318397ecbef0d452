"""Every condition by number: accuracies, readings, fits."""

from __future__ import annotations

from collections.abc import Sequence

from audit.results import CLEAN, AuditResult, CellMeasures, ConditionSummary, Interval, Pair
from reports import lookups, words
from reports.document import Block, Column, Figure, RowMark, Section, Shown, Table, Text

DAGGER_NOTE = (
    f"{words.UNDER_FITTED} under-fitted: at least one training never reached 95 % on its own training images."
)

APPENDIX = "Appendix: all conditions"
APPENDIX_ROWS = 800  # conditions; what is more stands in results.json alone

Keys = Sequence[tuple[Pair, str, int]]


def shown(figures: list[Figure], kind: str, otherwise: str) -> list[Block]:
    """All figures of one kind, else a sentence."""
    found: list[Block] = [Shown(figure) for figure in figures if figure.kind == kind]
    return found or [Text(otherwise)]


def conditions_section(result: AuditResult) -> Section:
    """All conditions of a small grid; of a large one those of the worst, the best and the baseline pair."""
    keys = lookups.ordered_conditions(result)
    if not large(result):
        return Section("All conditions", condition_blocks(result, keys))
    named = lookups.selected_pairs(result)
    shown_keys = [key for key in keys if key[0] in named]
    text = (
        f"Of {len(lookups.pairs(result))} pairs only the worst and the best under attack and the baseline are shown "
        f"here: {len(shown_keys)} of {len(keys)} conditions. All stand in the section {APPENDIX}."
    )
    return Section("All conditions", [Text(text), *condition_blocks(result, shown_keys)])


def appendix(result: AuditResult) -> list[Section]:
    """All conditions of a large grid."""
    if not large(result):
        return []
    keys = lookups.ordered_conditions(result)
    blocks = condition_blocks(result, keys[:APPENDIX_ROWS])
    if len(keys) > APPENDIX_ROWS:
        blocks.insert(
            0, Text(f"{APPENDIX_ROWS} of {len(keys)} conditions; the others stand in results.json.")
        )
    return [Section(APPENDIX, blocks, new_page=True)]


def large(result: AuditResult) -> bool:
    """Whether the grid has more pairs than a reader follows in the text."""
    return len(lookups.pairs(result)) > lookups.LARGE_GRID


def condition_blocks(result: AuditResult, keys: Keys) -> list[Block]:
    """Accuracies, readings, fits of these conditions."""
    return [condition_table(result, keys), *reading_blocks(result, keys), *fit_blocks(result, keys)]


def condition_table(result: AuditResult, keys: Keys) -> Block:
    """Every pair x attack x severity: finished, failed, nothing dropped."""
    if not keys:
        return Text("No training was planned or none is recorded.")
    rows: list[list[str]] = []
    marks: dict[int, RowMark] = {}
    for pair, attack, severity in keys:
        found = lookups.condition(result, pair, attack, severity)
        if found is None:
            marks[len(rows)] = "muted"
            reason = lookups.failure(lookups.cells(result, pair, attack, severity))
            rows.append(
                [words.pair_cell(pair), words.attack_cell(attack, severity), reason, "–", "–", "–", "–"]
            )
            continue
        if found.reading == "vulnerable":
            marks[len(rows)] = "alert"
        rows.append(condition_row(result, found))
    draws = "Random: mean over draws. " if words.RANDOM in lookups.attacks(result) else ""
    return Table(
        "Conditions: accuracy on unchanged test images." + words.caption_limits(result),
        [
            Column(words.PAIR_HEAD, 0.205),
            Column("Trained on", 0.13),
            Column("Accuracy", 0.19, "right"),
            Column("Drop from clean", 0.2, "right"),
            Column("Train fit", 0.085, "right"),
            Column("α_N", 0.065, "right"),
            Column("Reading", 0.125),
        ],
        rows,
        f"{words.sample_statement([c.accuracy for c in result.conditions])} Drop: percentage points, paired "
        "by image and seed. Train fit: accuracy on the training images as trained, mean over trainings, no "
        f"interval. {draws}α_N: nuisance sensitivity, 0 = the changed pixels do not steer "
        f"the prediction, 1 = they decide it. {DAGGER_NOTE} {words.px_note(result)} "
        "Tinted: vulnerable; grey: failed.",
        marks,
    )


def condition_row(result: AuditResult, found: ConditionSummary) -> list[str]:
    """One finished condition; failed trainings of it are counted beside the accuracy."""
    cells = lookups.cells(result, found.pair, found.attack, found.severity)
    failed = sum(cell.status == "failed" for cell in cells)
    accuracy = words.percent_interval(found.accuracy) + words.dagger(found)
    if failed:
        accuracy += f"; {failed} of {len(cells)} failed"
    return [
        words.pair_cell(found.pair),
        words.attack_cell(found.attack, found.severity),
        accuracy,
        "–" if found.drop is None else words.points_interval(found.drop).replace(" points", ""),
        words.percent(found.train_accuracy),
        words.decimal(found.nuisance_sensitivity, missing="–"),
        found.reading or ("clean" if found.attack == CLEAN else "control"),
    ]


def reading_blocks(result: AuditResult, keys: Keys) -> list[Block]:
    """Why each attacked condition got its reading."""
    everything = [lookups.condition(result, *key) for key in keys]
    judged = [c for c in everything if c is not None and c.reading is not None]
    if not judged:
        return [Text("No reading was given: no attacked training finished.")]
    rows = [
        [
            words.pair_cell(c.pair),
            words.attack_cell(c.attack, c.severity),
            str(c.reading),
            c.reason or "no reason recorded",
        ]
        for c in judged
    ]
    marks: dict[int, RowMark] = {i: "alert" for i, c in enumerate(judged) if c.reading == "vulnerable"}
    return [
        Table(
            "Readings of the attacked conditions and their reasons." + words.caption_limits(result),
            [
                Column(words.PAIR_HEAD, 0.28),
                Column("Trained on", 0.15),
                Column("Reading", 0.14),
                Column("Reason", 0.43),
            ],
            rows,
            "The intervals in the reasons are at the level corrected for the number of attacked conditions "
            "and therefore wider than those of the table above. "
            f"{words.sample_statement([c.accuracy for c in judged])}",
            marks,
        )
    ]


def fit_blocks(result: AuditResult, keys: Keys) -> list[Block]:
    """Three readings of each training, and the measures beside accuracy."""
    fits, others = [], []
    for pair, attack, severity in keys:
        found = lookups.condition(result, pair, attack, severity)
        measures = lookups.measures(result, pair, attack, severity)
        if found is not None and measures:
            name = [words.pair_cell(pair), words.attack_cell(attack, severity)]
            fits.append(
                [*name, words.percent_interval(found.accuracy), matched_text(measures), peak_text(measures)]
            )
            others.append([*name, *other_texts(measures, found.measures)])
    if not fits:
        return []
    note = "In square brackets: lowest and highest training; these are not intervals."
    return [
        Table(
            "Three readings of each training: accuracy on unchanged test images."
            + words.caption_limits(result),
            [
                Column(words.PAIR_HEAD, 0.23),
                Column("Trained on", 0.13),
                Column("Final epoch", 0.20, "right"),
                Column("Matched fit", 0.22, "right"),
                Column("Peak (oracle)", 0.22, "right"),
            ],
            fits,
            "Peak is an oracle: the epoch can be picked only with the test answers; it is not a result. "
            f"{note} {words.px_note(result)} {words.sample_statement([c.accuracy for c in result.conditions])}",
        ),
        Table(
            "Other measures on unchanged test images, final epoch." + words.caption_limits(result),
            [
                Column(words.PAIR_HEAD, 0.20),
                Column("Trained on", 0.11),
                Column("Balanced accuracy", 0.19, "right"),
                Column("AUC", 0.165, "right"),
                Column("ECE", 0.165, "right"),
                Column("α_S", 0.17, "right"),
            ],
            others,
            f"{words.sample_statement([c.accuracy for c in result.conditions])} AUC: one class against the rest, "
            "averaged over classes. ECE: "
            "expected calibration error, 15 bins, 0 is best. α_S: semantic sensitivity, 0 = guessing, 1 = "
            f"always right. {words.px_note(result)}",
        ),
    ]


def matched_text(measures: list[CellMeasures]) -> str:
    """Accuracy at the first epoch with 95 % fit."""
    values = [m.matched_fit_accuracy for m in measures if m.matched_fit_accuracy is not None]
    if not values:
        return "under-fitted"
    epochs = words.spread(m.matched_fit_epoch for m in measures if m.matched_fit_epoch is not None)
    unfit = len(measures) - len(values)
    return f"{words.mean_range(values)}, epoch {epochs}" + (f"; {unfit} under-fitted" if unfit else "")


def peak_text(measures: list[CellMeasures]) -> str:
    """The best epoch by test accuracy, labelled as the oracle it is."""
    epochs = words.spread(m.peak_epoch for m in measures)
    return f"{words.mean_range([m.peak_accuracy for m in measures])}, epoch {epochs}"


def other_texts(measures: list[CellMeasures], intervals: dict[str, Interval]) -> list[str]:
    """Balanced accuracy, AUC, ECE, alpha_S, each with its interval; without one where there is none."""
    balanced = intervals.get("balanced_accuracy")
    percent = words.mean_range([m.balanced_accuracy for m in measures])
    return [
        percent if balanced is None else words.percent_interval(balanced),
        decimal_interval([m.auc for m in measures], intervals.get("auc")),
        decimal_interval([m.ece for m in measures], intervals.get("ece")),
        decimal_interval([m.semantic_sensitivity for m in measures], intervals.get("semantic_sensitivity")),
    ]


def decimal_interval(values: Sequence[float | None], interval: Interval | None) -> str:
    """'0.93 (0.91–0.95)'; 'undefined' where a training has no value."""
    if interval is not None:
        return words.ratio_interval(interval)
    known = [value for value in values if value is not None]
    return words.decimal(words.mean(known) if len(known) == len(values) else None)
