"""Figures of `audit search`, which compares methods: learning curves, edited pixels, victims.

They stand alone, without a page around them: title, legend, caption and the word "synthetic" are drawn.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from audit.results import AuditResult, SearchRecord
from reports import lookups, words
from reports.canvas import Legend, method_look, new_drawing, save_alone
from reports.document import Figure
from reports.figure_overlay import overlay_figure
from reports.figure_search import describe, searches_by_severity, spent
from reports.figure_victims import victims_figure
from reports.style import figure_settings

CURVE_COLUMNS = 3


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
