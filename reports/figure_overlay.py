"""Changed pixels of every method on one picture per class: an example image, or the mean of the class."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from audit.results import AuditResult, Edit, PerturbationRecord
from reports import words
from reports.canvas import Legend, method_look, new_drawing, save, save_alone, shorten
from reports.document import Figure
from reports.figure_images import EXAMPLE_COLUMNS, decode, draw_ring, edit_text, show_image
from reports.style import TEXT_WIDTH

SIGN = 1.6  # mm, width of a sign in a title
LEGEND_COLUMNS = 4

Images = dict[int, str]  # class -> PNG in base64


def overlay_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """One clean training image per class, with the edits of every method; stands alone."""
    images: Images = {}
    for example in sorted(result.dataset.examples, key=lambda example: example.label):
        images.setdefault(example.label, example.clean_png)
    records = shown_records(result)
    if not images or not records:
        return []
    figure = Figure(
        "overlay.svg",
        "overlay",
        "Changed pixels by method",
        "One training image per class as supplied; marks stand around the pixels that each method changes in "
        f"{words.carriers(result)} (they are not part of the images; marks around one pixel stand in each "
        "other). Test images are never changed.",
        "; ".join(describe_edits(result, record) for record in records),
    )
    drawing = draw_bands(result, images, records)
    return [save_alone(drawing, result, folder, figure, legend_of(result, records))]


def map_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """The same over the mean training image of each class, for the report."""
    images = {strip.label: strip.png for strip in result.dataset.means}
    records = shown_records(result)
    if not images or not records:
        return []
    drawing = draw_bands(result, images, records)
    legend = legend_of(result, records)
    drawing.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=LEGEND_COLUMNS)
    counts = words.spread(strip.images for strip in result.dataset.means)
    figure = Figure(
        "perturbation-map.svg",
        "map",
        "Where the changed pixels lie",
        f"Mean of the unchanged training images of each class (n = {counts}), with marks around the changed pixels "
        "(they are not part of the images; marks around one pixel stand in each other). Where a mark lies outside the "
        "anatomy, a network that reads it reads nothing of a disease.",
        "; ".join(describe_edits(result, record) for record in records),
    )
    return [save(drawing, result, folder, figure)]


def shown_records(result: AuditResult) -> list[PerturbationRecord]:
    """The first draw of each perturbation, by severity."""
    records = [record for record in result.perturbations if record.draw == 0]
    return sorted(records, key=lambda record: (record.severity, words.attack_order(record.attack)))


def draw_bands(result: AuditResult, images: Images, records: list[PerturbationRecord]) -> Drawing:
    """One band per severity, one picture per class, the edits of every method in marks of its own."""
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
    return drawing


def legend_of(result: AuditResult, records: list[PerturbationRecord]) -> Legend:
    """A mark for each method."""
    attacks = sorted({record.attack for record in records}, key=words.attack_order)
    return {legend_name(result, attack): legend_mark(attack) for attack in attacks}


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
