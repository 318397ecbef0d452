"""Learning curves of the searches (Fig. 4-2b): one row of panels per search, equal axes for all."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from audit.results import AuditResult, SearchRecord
from reports import lookups, words
from reports.canvas import new_drawing, save, shorten
from reports.document import Figure
from reports.style import ACCENT, ALERT, RULE

Searches = dict[str, SearchRecord]
"""Method, or its title -> how it searched."""


def searches_by_severity(result: AuditResult) -> dict[int, Searches]:
    """All searches that recorded their generations."""
    found: dict[int, Searches] = {}
    for record, search in lookups.searches(result):
        if search.curve:
            found.setdefault(record.severity, {})[record.attack] = search
    return found


def search_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """One figure per severity."""
    return [
        search_figure(result, searches, severity, folder)
        for severity, searches in searches_by_severity(result).items()
    ]


def search_figure(result: AuditResult, searches: Searches, severity: int, folder: Path) -> Figure:
    """Fitness by surrogate trainings at the left, the finalists scored again at the right."""
    drawing = new_drawing(14 + 46 * len(searches))
    label = lookups.fitness_label(list(searches.values()))
    for (left, right), (attack, search) in zip(panels(drawing, len(searches)), searches.items(), strict=True):
        draw_generations(left, search)
        draw_finalists(right, search)
        left.set_ylabel(label)
        left.set_title(f"{words.attack_title(attack)}: one reading per candidate", loc="left")
        right.set_title("finalists, scored again with fresh seeds", loc="left")
    left.set_xlabel("surrogate trainings spent")
    by_title = {words.attack_title(attack): search for attack, search in searches.items()}
    figure = Figure(
        f"search-curve-{severity}px.svg",
        "search",
        f"Learning curves of {words.listed(list(by_title))}, {words.pixels(severity)} per class",
        "Higher fitness: training on the candidate leaves a larger gap between unchanged and perturbed "
        f"images, or is learned sooner. {medians(by_title)} The band is the middle half of each generation. "
        "The best single reading is partly luck: the choice rests on the finalists at the right (diamond: mean; "
        f"dots: single readings; a dot alone was out after the first). {spent(by_title)} Fitness of surrogates "
        "on training images, not accuracy of the audited models; no interval is drawn.",
        "; ".join(f"{title}: {describe(search)}" for title, search in by_title.items()),
    )
    return save(drawing, result, folder, figure)


def panels(drawing: Drawing, rows: int) -> list[tuple[Axes, Axes]]:
    """(curve, finalists) for each search; one scale of fitness for all, one of trainings for the curves."""
    grid = drawing.subplots(rows, 2, sharey=True, squeeze=False, width_ratios=[3, 2])
    for left, _ in grid[:-1]:
        left.sharex(grid[-1][0])
        left.tick_params(labelbottom=False)
    return [(left, right) for left, right in grid]


def draw_generations(axes: Axes, search: SearchRecord) -> None:
    """Best, median and middle half of each generation."""
    spent = [g.trainings for g in search.curve]
    low, high = [g.low for g in search.curve], [g.high for g in search.curve]
    axes.fill_between(spent, low, high, color="#d3e0ec", linewidth=0)
    axes.plot(spent, [g.best for g in search.curve], color=ALERT, marker="^", markersize=3, label="best")
    axes.plot(spent, [g.median for g in search.curve], color=ACCENT, marker="o", markersize=3, label="median")
    axes.legend(loc="best")


def draw_finalists(axes: Axes, search: SearchRecord) -> None:
    """Single readings of each finalist, and the mean of those that were read to the end; the chosen one is
    filled."""
    most = max((len(finalist.readings) for finalist in search.finalists), default=0)
    for x, finalist in enumerate(search.finalists):
        face = ACCENT if finalist.chosen else "white"
        axes.plot([x] * len(finalist.readings), finalist.readings, "o", color=RULE, markersize=3)
        if len(finalist.readings) == most:
            axes.plot([x], [finalist.fitness], "D", color=ACCENT, markerfacecolor=face, markersize=5)
    names = [shorten(f.name, 18) + (" (chosen)" if f.chosen else "") for f in search.finalists]
    axes.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, max(len(names), 1) - 0.4)


def medians(searches: Searches) -> str:
    """'The median went from 0.20 to 1.20 (EvoShift) and from 0.10 to 0.15 (random search).'"""
    parts = [
        f"from {words.number(s.curve[0].median, 2)} to {words.number(s.curve[-1].median, 2)} ({title})"
        for title, s in searches.items()
    ]
    return f"The median went {words.listed(parts)}."


def spent(searches: Searches) -> str:
    """What each search was allowed, and how many of its candidates never fitted."""
    parts = [
        f"{title}: {search.trainings} ({sum(g.unfit for g in search.curve)})"
        for title, search in searches.items()
    ]
    return (
        "Surrogate trainings, those of the finalists included (in brackets: candidates that never fitted): "
        f"{'; '.join(parts)}."
    )


def describe(search: SearchRecord) -> str:
    """The numbers of one search, for those who do not see the figure."""
    by_generation = ", ".join(words.number(g.median, 2) for g in search.curve)
    again = ", ".join(
        f"{f.name} {words.number(f.fitness, 2)} (n={len(f.readings)})" for f in search.finalists
    )
    return f"median fitness by generation {by_generation}; scored again {again or 'none'}"
