"""What each method does to each victim: accuracy on clean test images, a forest plot with one group per
victim."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from audit.results import CLEAN, AuditResult, ConditionSummary, Pair
from reports import lookups, words
from reports.canvas import method_look, new_drawing, percent_axis, save_alone, shorten
from reports.document import Figure
from reports.style import BASELINE, INK, MUTED

MAX_VICTIMS = 12  # groups that a screen can hold
ROW, GAP = 4.2, 0.4  # mm; in rows, above the name of a victim


@dataclass(frozen=True)
class Row:
    """One condition of a group."""

    label: str
    attack: str
    summary: ConditionSummary | None
    failure: str  # why there is no summary


Groups = dict[Pair, list[Row]]


def victims_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """One group per victim: clean training, then every method by severity."""
    groups = {pair: rows_of(result, pair) for pair in lookups.pairs(result)[:MAX_VICTIMS]}
    drawn = [row.summary for rows in groups.values() for row in rows if row.summary is not None]
    if not drawn:
        return []
    n_rows = sum(len(rows) + 1 + GAP for rows in groups.values())
    drawing = new_drawing(ROW * n_rows + 17)
    axes = drawing.subplots()
    draw_groups(axes, groups)
    chance = 1 / len(result.dataset.class_names)
    axes.axvline(chance, color=BASELINE, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.text(chance, -0.9, "guessing", color=MUTED, ha="center", va="bottom")
    axes.set_ylim(n_rows - GAP, -0.8)
    percent_axis(axes, along="x")
    axes.set_xlabel("accuracy on unchanged test images, %")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    left_out = len(lookups.pairs(result)) - len(groups)
    more = f" {words.count(left_out, 'further victim')}: see results.json." if left_out else ""
    draws = " Random: mean over draws." if words.RANDOM in lookups.attacks(result) else ""
    figure = Figure(
        "victims.svg",
        "victims",
        "Accuracy of the victims by method",
        "The lower the accuracy after training on images changed by a method, the stronger the method. Upright "
        "line of a group: its training on clean images; dashed: guessing "
        f"({words.percent(chance)}). {words.sample_statement([c.accuracy for c in drawn])} Open marks "
        f"and †: under-fitted trainings. {words.px_note(result)}{draws}{more}",
        "; ".join(
            f"{words.pair_label(pair)}: " + ", ".join(f"{row.label} {value_text(row)}" for row in rows)
            for pair, rows in groups.items()
        ),
    )
    return [save_alone(drawing, result, folder, figure)]


def rows_of(result: AuditResult, pair: Pair) -> list[Row]:
    """What was trained on this victim: clean first, then by severity and method."""
    places = {(cell.attack, cell.severity) for cell in result.cells if cell.pair == pair}
    rows = []
    for attack, severity in sorted(places, key=lambda place: (place[1], words.attack_order(place[0]))):
        found = lookups.condition(result, pair, attack, severity)
        why = "" if found else lookups.failure(lookups.cells(result, pair, attack, severity))
        rows.append(Row(words.attack_cell(attack, severity), attack, found, why))
    return rows


def draw_groups(axes: Axes, groups: Groups) -> None:
    """Name of the victim, then its rows below each other; labels at the left, numbers at the right."""
    y = 0.0
    ticks: list[float] = []
    labels: list[str] = []
    for pair, rows in groups.items():
        name = axes.text(0, y, shorten(words.pair_label(pair), 60), fontweight="bold", va="center")
        name.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # over the line of guessing
        clean = next((row.summary for row in rows if row.attack == CLEAN), None)
        if clean is not None:
            at = clean.accuracy.estimate
            axes.plot([at, at], [y + 1, y + len(rows)], color=MUTED, linewidth=0.7)
        for offset, row in enumerate(rows, start=1):
            draw_row(axes, y + offset, row)
            ticks.append(y + offset)
            labels.append(row.label)
        y += len(rows) + 1 + GAP
    axes.set_yticks(ticks, labels)


def draw_row(axes: Axes, y: float, row: Row) -> None:
    """One accuracy with its interval, or why there is none."""
    axes.text(1.04, y, shorten(value_text(row), 40), va="center", ha="left")
    if row.summary is None:
        return
    accuracy = row.summary.accuracy
    colour, marker = (INK, "o") if row.attack == CLEAN else method_look(row.attack)
    face = "white" if row.summary.under_fitted_seeds else colour
    axes.plot([accuracy.low, accuracy.high], [y, y], color=colour, linewidth=1.2)
    axes.plot([accuracy.estimate], [y], marker=marker, color=colour, markerfacecolor=face, markersize=4.5)


def value_text(row: Row) -> str:
    """'33.0 % (26.4–39.6)'."""
    if row.summary is None:
        return row.failure
    return words.percent_interval(row.summary.accuracy) + words.dagger(row.summary)
