"""Figures of `audit search`, which compares methods: learning curves, edited pixels, victims.

They stand alone, without a page around them: title, legend, caption and the word "synthetic" are drawn.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from audit.results import AuditResult, Edit, PerturbationRecord, SearchRecord
from reports import lookups, words
from reports.canvas import Legend, method_look, new_drawing, save_alone, shorten
from reports.document import Figure
from reports.figure_images import EXAMPLE_COLUMNS, decode, draw_ring, edit_text, show_image
from reports.figure_search import describe, searches_by_severity, spent
from reports.figure_victims import victims_figure
from reports.style import TEXT_WIDTH, figure_settings

CURVE_COLUMNS = 3
SIGN = 1.6  # mm, width of a sign in a title


def write_search_figures(result: AuditResult, folder: Path) -> list[Path]:
    """Write `learning-curve.svg`, `overlay.svg` and `victims.svg` into `folder`, those for which the result
    holds numbers; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(figure_settings(result.dataset.class_names)):  # type: ignore[arg-type]
        figures = [
            *curve_figure(result, folder),
            *overlay_figure(result, folder),
            *victims_figure(result, folder),
        ]
    return [folder / figure.file for figure in figures]


def curve_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """Fitness by surrogate trainings: one panel per severity, one line per search."""
    by_severity = searches_by_severity(result)
    if not by_severity:
        return []
    columns = min(len(by_severity), CURVE_COLUMNS)
    rows = -(-len(by_severity) // columns)
    drawing = new_drawing(58 * rows)
    panels = list(drawing.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for axes in panels[len(by_severity) :]:
        axes.set_visible(False)
    by_label = {
        words.attack_label(attack, severity): search
        for severity, searches in by_severity.items()
        for attack, search in searches.items()
    }
    label = lookups.fitness_label(list(by_label.values()))
    legend: Legend = {}
    for axes, (severity, searches) in zip(panels, by_severity.items(), strict=False):
        for place, (attack, search) in enumerate(searches.items()):
            legend[words.attack_title(attack)] = draw_search(axes, attack, search, place)
        axes.set_title(f"{words.pixels(severity)} per class", loc="left")
        axes.set_xlabel("surrogate trainings spent")
        axes.set_ylabel(label)
    for number, axes in enumerate(panels):
        if number % columns:
            axes.set_ylabel("")
    figure = Figure(
        "learning-curve.svg",
        "search",
        "Learning curves of the searches",
        "Line: median of each generation, one reading per candidate; band: its middle half. Large mark right of "
        "the curve: what the search chose, mean of readings with fresh seeds (small dots). "
        f"{spent(by_label)} Fitness of surrogates on training images, not accuracy of victims; no interval is "
        "drawn.",
        "; ".join(f"{label}: {describe(search)}" for label, search in by_label.items()),
    )
    return [save_alone(drawing, result, folder, figure, legend)]


def draw_search(axes: Axes, attack: str, search: SearchRecord, place: int) -> Line2D:
    """Median, band and the choice of one search; `place` keeps the choices of several searches apart."""
    colour, marker = method_look(attack)
    trainings = [g.trainings for g in search.curve]
    low, high = [g.low for g in search.curve], [g.high for g in search.curve]
    axes.fill_between(trainings, low, high, color=colour, alpha=0.18, linewidth=0)
    medians = [g.median for g in search.curve]
    (line,) = axes.plot(trainings, medians, color=colour, marker=marker, markersize=3)
    x = search.trainings * (1 + 0.05 * place)
    for finalist in search.finalists:
        if finalist.chosen:
            readings = finalist.readings
            axes.plot([x] * len(readings), readings, "o", color=colour, markersize=2, alpha=0.6)
            axes.plot([x], [finalist.fitness], marker, color=colour, markersize=7, markeredgecolor="white")
    return line


def overlay_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """One clean training image per class, with the edits of every method in marks of its own; one band per
    severity."""
    images: dict[int, str] = {}
    for example in sorted(result.dataset.examples, key=lambda example: example.label):
        images.setdefault(example.label, example.clean_png)
    records = [record for record in result.perturbations if record.draw == 0]
    records.sort(key=lambda record: (record.severity, words.attack_order(record.attack)))
    if not images or not records:
        return []
    severities = sorted({record.severity for record in records})
    columns = min(len(images), EXAMPLE_COLUMNS)
    bands = -(-len(images) // columns)
    side = min(TEXT_WIDTH / columns, 46)
    drawing = new_drawing(len(severities) * bands * (side + 8))
    grid = drawing.subplots(len(severities) * bands, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for (n, severity), (index, label) in itertools.product(enumerate(severities), enumerate(images)):
        axes = grid[n * bands + index // columns][index % columns]
        own = [record for record in records if record.severity == severity]
        draw_overlay(axes, images[label], label, own)
        name = shorten(result.dataset.class_names[label], int(side / SIGN))
        below = [words.pixels(severity)] if len(severities) > 1 else []
        if not any(edits_of(record, label) for record in own):
            below.append("(not edited)")
        axes.set_title("\n".join([name, " ".join(below)] if below else [name]), pad=7)
    attacks = sorted({record.attack for record in records}, key=words.attack_order)
    figure = Figure(
        "overlay.svg",
        "overlay",
        "Changed pixels by method",
        "One training image per class as supplied; marks stand around the pixels that each method changes in "
        f"{words.carriers(result)} (they are not part of the images; marks around one pixel stand in each "
        "other). Test images are never changed.",
        "; ".join(describe_edits(result, record) for record in records),
    )
    legend = {legend_name(result, attack): legend_mark(attack) for attack in attacks}
    return [save_alone(drawing, result, folder, figure, legend)]


def draw_overlay(axes: Axes, png: str, label: int, records: list[PerturbationRecord]) -> None:
    """One image and its marks; a pixel that several methods change gets wider and wider ones."""
    height, width = show_image(axes, decode(png))
    radius = max(height, width) / 22
    seen: Counter[tuple[int, int]] = Counter()
    for record in records:
        colour, shape = method_look(record.attack)
        for edit in edits_of(record, label):
            place = (edit.row, edit.col)
            draw_ring(axes, edit, radius * (1 + 0.6 * seen[place]), colour, shape)
            seen[place] += 1


def edits_of(record: PerturbationRecord, label: int) -> list[Edit]:
    """The edits of one class."""
    return [edit for edit in record.edits if edit.label == label]


def legend_mark(attack: str) -> Line2D:
    """An empty mark in the look of the method."""
    colour, shape = method_look(attack)
    return Line2D([], [], marker=shape, linestyle="", color=colour, markerfacecolor="none", markersize=6)


def legend_name(result: AuditResult, attack: str) -> str:
    """'random (first of 2 draws)'."""
    draws = len({p.draw for p in result.perturbations if p.attack == attack})
    return words.attack_title(attack) + (f" (first of {draws} draws)" if draws > 1 else "")


def describe_edits(result: AuditResult, record: PerturbationRecord) -> str:
    """'EvoShift, 1 pixel: NORMAL row 3, col 4 = 1.00, ...'."""
    names = result.dataset.class_names
    placed = ", ".join(f"{names[edit.label]} {edit_text(edit)}" for edit in record.edits)
    return f"{words.attack_label(record.attack, record.severity)}: {placed or 'no edits'}"
