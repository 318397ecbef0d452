"""The figures of chapter 4 as SVG files, from an `AuditResult` alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from audit.results import CLEAN, AuditResult, CellMeasures, Interval, Pair, ScoreRow
from reports import lookups, words
from reports.canvas import new_drawing, percent_axis, save, shorten, slug
from reports.document import Figure
from reports.figure_contact import contact_figures
from reports.figure_images import confusion_figures, example_figures
from reports.figure_overlay import map_figure
from reports.figure_saliency import saliency_figures
from reports.figure_scan import scan_figures
from reports.figure_search import search_figures
from reports.language import signs
from reports.recommendation import pareto_figure
from reports.style import ACCENT, BASELINE, CYCLE, INK, MARKERS, MUTED, figure_settings

SCORE_ROWS = 36  # bars that fit on one page
EPOCH_PANELS = 4


def write_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """Write all figures for which the result holds numbers; the others are simply not in the list."""
    folder.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    with matplotlib.rc_context(figure_settings([*result.dataset.class_names, *signs()])):  # type: ignore[arg-type]
        figures += contact_figures(result, folder)
        figures += scan_figures(result, folder)
        figures += test_error_figure(result, folder)
        figures += pareto_figure(result, folder)
        figures += score_figure(result, folder)
        figures += confusion_figures(result, folder)
        figures += epoch_figures(result, folder)
        figures += saliency_figures(result, folder)
        figures += search_figures(result, folder)
        figures += map_figure(result, folder)
        figures += example_figures(result, folder)
    return figures


def test_error_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """Fig. 4-2a: test error by severity, one line per model and normalization."""
    places = lookups.trained_on(result)
    optimizer = lookups.reference_optimizer(result)
    series = {pair: error_series(result, pair) for pair in lookups.reference_pairs(result)}
    series = {pair: points for pair, points in series.items() if points}
    if not series:
        return []
    drawing = new_drawing(68)
    axes = drawing.subplots()
    for index, (pair, points) in enumerate(series.items()):
        draw_errors(axes, index, len(series), pair, points)
    chance = 1 - 1 / len(result.dataset.class_names)
    axes.axhline(chance, color=BASELINE, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.text(-0.47, chance + 0.015, "guessing", color=MUTED, ha="left", va="bottom")
    labels = ["clean" if attack == CLEAN else words.pixels(severity) for attack, severity in places]
    axes.set_xticks(range(len(places)), labels)
    axes.set_xlim(-0.5, len(places) - 0.5)
    method = words.attack_title(lookups.main_attack(result))
    axes.set_xlabel(f"changed pixels per class in the training images ({method})")
    axes.set_ylabel("test error, %")
    percent_axis(axes)
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    shown = [interval for points in series.values() for _, interval, _ in points]
    figure = Figure(
        "test-error.svg",
        "test-error",
        f"Test error by severity, {optimizer}",
        "The higher a point, the more unchanged test images are classified wrongly; at the dashed line the "
        f"model does no better than guessing ({words.percent(chance)} wrong). "
        f"{words.sample_statement(shown)} Open marks: under-fitted trainings.",
        "; ".join(
            f"{words.pair_label(pair)}: "
            + ", ".join(f"{labels[x]} {words.percent_interval(interval)}" for x, interval, _ in points)
            for pair, points in series.items()
        ),
    )
    return [save(drawing, result, folder, figure)]


Points = list[tuple[int, Interval, bool]]  # (place on the axis, error, under-fitted)


def error_series(result: AuditResult, pair: Pair) -> Points:
    """Test error of one pair at each place of the axis where a training finished."""
    points: Points = []
    for x, (attack, severity) in enumerate(lookups.trained_on(result)):
        found = lookups.condition(result, pair, attack, severity)
        if found is not None:
            points.append((x, words.error_of(found.accuracy), found.under_fitted_seeds > 0))
    return points


def draw_errors(axes: Axes, index: int, total: int, pair: Pair, points: Points) -> None:
    """One line with intervals, shifted sideways so that intervals do not hide each other."""
    shift = (index - (total - 1) / 2) * min(0.6 / total, 0.12)
    colour, marker = CYCLE[index % len(CYCLE)], MARKERS[index % len(MARKERS)]
    xs = [x + shift for x, _, _ in points]
    label = f"{shorten(pair[0], 24)} · {words.defence_label(pair[2])}"
    axes.plot(xs, [i.estimate for _, i, _ in points], color=colour, linewidth=0.9)
    axes.plot([], [], color=colour, marker=marker, markersize=4, linewidth=0.9, label=label)
    for x, (_, interval, unfit) in zip(xs, points, strict=True):
        axes.plot([x, x], [interval.low, interval.high], color=colour, linewidth=1.1)
        face = "white" if unfit else colour
        axes.plot([x], [interval.estimate], marker=marker, markersize=4.5, color=colour, markerfacecolor=face)


def score_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """Fig. 4-4: robustness scores as bars with intervals; the baseline is the line at 1."""
    rows = sorted(result.scores, key=lambda row: -row.score.estimate)
    if not rows:
        return []
    left_out = max(len(rows) - SCORE_ROWS, 0)
    if left_out:
        rows = rows[: SCORE_ROWS // 2] + rows[-SCORE_ROWS // 2 :]
    drawing = new_drawing(18 + 5.6 * len(rows))
    axes = drawing.subplots()
    right = 1.12 * max([row.score.high for row in rows] + [1.05])
    for y, row in enumerate(rows):
        draw_score(axes, y, row, right)
    axes.axvline(1, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [score_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, right * 1.24)
    axes.set_xlabel("robustness score (ratio of mean attacked accuracies; dashed line: baseline = 1)")
    axes.tick_params(axis="y", length=0)
    note = (
        f" Of {len(result.scores)} pairs the best and the worst {SCORE_ROWS // 2} are drawn."
        if left_out
        else ""
    )
    figure = Figure(
        "robustness-scores.svg",
        "scores",
        "Robustness scores",
        "Pairs to the right of the dashed line kept more accuracy under attack than the baseline "
        f"({result.baseline}); an interval that crosses the line shows no difference. Light bars: at least "
        "one training was under-fitted or the clean accuracy differs, so that the score may reflect that "
        f"and not robustness.{note} {words.sample_statement([row.score for row in rows])}",
        "; ".join(f"{score_label(row)} {words.ratio_interval(row.score)}" for row in rows),
    )
    return [save(drawing, result, folder, figure)]


def score_label(row: ScoreRow) -> str:
    """The pair, shortened to fit beside its bar."""
    return shorten(words.pair_label(row.pair), 46)


def draw_score(axes: Axes, y: int, row: ScoreRow, right: float) -> None:
    """One bar with its interval and its number."""
    colour = BASELINE if row.is_baseline else ACCENT
    face = "#dbe3ec" if row.note else colour
    axes.barh(y, row.score.estimate, height=0.62, color=face, edgecolor=colour, linewidth=0.6)
    if not row.is_baseline:
        axes.plot([row.score.low, row.score.high], [y, y], color=INK, linewidth=1.0)
        for end in (row.score.low, row.score.high):
            axes.plot([end, end], [y - 0.16, y + 0.16], color=INK, linewidth=1.0)
    text = "1 (baseline)" if row.is_baseline else words.ratio_interval(row.score)
    axes.text(right * 1.01, y, text, va="center", ha="left")


def epoch_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """Fig. 4-3: accuracy by epoch, one figure per model, one panel per training set."""
    return [figure for model in lookups.models(result) for figure in epoch_figure(result, model, folder)]


def epoch_figure(result: AuditResult, model: str, folder: Path) -> list[Figure]:
    """Clean test accuracy solid, training accuracy dashed, mean over seeds."""
    chosen = [pair for pair in lookups.selected_pairs(result) if pair[0] == model]
    places = [
        place
        for place in lookups.trained_on(result)
        if any(lookups.measures(result, pair, *place) for pair in chosen)
    ][:EPOCH_PANELS]
    if not places:
        return []
    rows = 1 if len(places) < 3 else 2
    drawing = new_drawing(56 * rows + 12)
    grid = drawing.subplots(rows, -(-len(places) // rows), sharex=True, sharey=True, squeeze=False).flat
    panels = list(grid)
    for axes in panels[len(places) :]:
        axes.set_visible(False)
    endings = []
    for axes, place in zip(panels, places, strict=False):
        for index, pair in enumerate(chosen):
            found = lookups.measures(result, pair, *place)
            if found:
                test = draw_epochs(axes, index, pair, found)
                where = words.attack_label(*place)
                endings.append(f"{words.method_label(pair)}, {where}: {words.percent(test)}")
        axes.set_title(trained_title(*place), loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(1 / len(result.dataset.class_names), color=BASELINE, linestyle=":", linewidth=0.8)
        percent_axis(axes)
        axes.set_ylabel("accuracy, %")
        axes.label_outer()
    handles = {
        label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawing.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)
    finished = {(p, c): len(lookups.measures(result, p, *c)) for p in chosen for c in places}
    seeds = words.spread(n for n in finished.values() if n)
    absent = [f"{words.method_label(p)}, {words.attack_label(*c)}" for (p, c), n in finished.items() if not n]
    left_out = f" Without a finished training, and not drawn: {'; '.join(absent)}." if absent else ""
    partial = (
        " Of this large grid only the worst, the best and the baseline pair are drawn."
        if (len(lookups.pairs(result)) > lookups.LARGE_GRID)
        else ""
    )
    figure = Figure(
        f"accuracy-by-epoch-{slug(model)}.svg",
        "epochs",
        f"Accuracy by epoch, {model}",
        "Solid: unchanged test images; dashed: training images as trained. A dashed line near 100 % above "
        "a solid line near the dotted one (guessing) is a model that reads the changed pixels and not the "
        f"image.{partial}{left_out} Mean over {seeds} seeds; no interval is drawn (see the table of all "
        "conditions).",
        "Test accuracy after the last epoch. " + "; ".join(endings),
    )
    return [save(drawing, result, folder, figure)]


def trained_title(attack: str, severity: int) -> str:
    """Title of a panel."""
    return (
        "trained on clean images" if attack == CLEAN else f"trained on {words.attack_label(attack, severity)}"
    )


def draw_epochs(axes: Axes, index: int, pair: Pair, found: list[CellMeasures]) -> float:
    """Both lines of one pair; returns the last test accuracy."""
    length = min(len(m.epochs) for m in found)
    if not length:
        return words.mean([m.accuracy for m in found])
    colour, marker = CYCLE[index % len(CYCLE)], MARKERS[index % len(MARKERS)]
    epochs = [reading.epoch for reading in found[0].epochs[:length]]
    test = [words.mean([m.epochs[e].test_accuracy for m in found]) for e in range(length)]
    fit = [words.mean([m.epochs[e].train_accuracy for m in found]) for e in range(length)]
    every = max(length // 6, 1)
    axes.plot(epochs, fit, color=colour, linestyle=(0, (3, 2)), linewidth=0.8)
    label = words.method_label(pair)
    axes.plot(epochs, test, color=colour, marker=marker, markersize=3, markevery=every, label=label)
    return test[-1]
