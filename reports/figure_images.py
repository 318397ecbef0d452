"""Figures made of tables and pictures: confusion matrices (Fig. 4-5), perturbed examples (Fig. 4-6)."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.markers import MarkerStyle
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.transforms import Affine2D
from PIL import Image

from audit.results import AuditResult, CellMeasures, Edit, ExampleImage, Pair
from reports import lookups, words
from reports.canvas import new_drawing, save, shorten, slug
from reports.document import Figure
from reports.language import say
from reports.style import ALERT, INK, MUTED, RULE, TINT

SHADES = LinearSegmentedColormap.from_list("rows", ["#ffffff", "#9db9d3", "#1f4e79"])
ROWS_PER_FIGURE = 4
COLUMNS_PER_FIGURE = 4
EXAMPLE_COLUMNS = 5
COUNTS_UP_TO = 6  # classes; above, there is no room for counts under the percentages
DIFFERENCE = 10  # times: how far the difference is enlarged in brightness
SIDE = 320  # pixels of an enlarged picture, about


def confusion_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """Fig. 4-5: for each model, optimizer and defence down, severity across."""
    chosen = lookups.selected_pairs(result)
    figures: list[Figure] = []
    for model in lookups.models(result):
        own = [pair for pair in chosen if pair[0] == model and finished(result, pair)]
        parts = [own[i : i + ROWS_PER_FIGURE] for i in range(0, len(own), ROWS_PER_FIGURE)]
        for number, part in enumerate(parts, start=1):
            suffix = f", part {number} of {len(parts)}" if len(parts) > 1 else ""
            file = f"confusion-{slug(model)}-{number}.svg"
            figures.append(confusion_figure(result, part, f"{model}{suffix}", folder, file))
    return figures


def finished(result: AuditResult, pair: Pair) -> bool:
    """Whether any training of the pair has a confusion matrix."""
    return any(lookups.measures(result, pair, *place) for place in lookups.trained_on(result))


def confusion_figure(result: AuditResult, rows: list[Pair], title: str, folder: Path, file: str) -> Figure:
    """One page of matrices, the severities of a pair side by side."""
    places = lookups.trained_on(result)[:COLUMNS_PER_FIGURE]
    panels = [(pair, place) for pair in rows for place in places]
    columns = 4 if len(places) in (1, 2, 4) else len(places)
    lines = -(-len(panels) // columns)
    drawing = new_drawing(4 + 47 * lines)
    grid = drawing.subplots(lines, columns, squeeze=False).ravel()
    seeds = []
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for index, (axes, (pair, place)) in enumerate(zip(grid, panels, strict=False)):
        found = lookups.measures(result, pair, *place)
        if found:
            seeds.append(len(found))
            draw_matrix(axes, found, result.dataset.class_names, named=index % columns == 0)
        else:
            draw_nothing(axes, lookups.failure(lookups.cells(result, pair, *place)))
        method = shorten(" · ".join(words.pair_cell(pair).split(" · ")[-2:]), 24)
        axes.set_title(f"{method}\n{words.attack_label(*place)}", loc="left", fontsize=7)
    n_images = len(result.dataset.test_labels)
    few = len(result.dataset.class_names) <= COUNTS_UP_TO
    cells = "large: percent of the row; small: images" if few else "shade (and number): percent of the row"
    return save(
        drawing,
        result,
        folder,
        Figure(
            file,
            "confusion",
            f"Confusion matrices, {title}",
            f"Rows: true class; columns: predicted class; {cells}, mean over {words.spread(seeds)} seeds. Right "
            "answers lie on the diagonal; a dark column off it is a class that the model now names for other diseases "
            f"too. n = {n_images} test images. {selection_note(result)}none: without a defence. No intervals: see the "
            "table of all conditions.",
            "; ".join(describe_matrix(result, pair, places) for pair in rows),
        ),
    )


def selection_note(result: AuditResult) -> str:
    """That a large grid is not shown whole."""
    total = len(lookups.pairs(result))
    if total <= lookups.LARGE_GRID:
        return ""
    return f"Of {total} pairs only the worst and the best under attack and the baseline are shown. "


def draw_matrix(axes: Axes, found: list[CellMeasures], names: list[str], named: bool) -> None:
    """Row percentages as shades and text, mean counts below them. `named`: many classes stand with their names, else
    with their numbers alone."""
    counts = np.array(lookups.confusion_sum(found), dtype=float) / len(found)
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    size = len(names)
    for row in range(size):
        for col in range(size):
            value = share[row, col]
            axes.add_patch(
                Rectangle((col, row), 1, 1, facecolor=SHADES(value), edgecolor=RULE, linewidth=0.4)
            )
            ink = "white" if value > 0.6 else INK
            scale = min(1.0, 4.5 / size)
            text = f"{100 * value:.0f}"
            if size <= COUNTS_UP_TO:
                axes.text(
                    col + 0.5, row + 0.40, text, ha="center", va="center", color=ink, fontsize=7 * scale
                )
                below = f"{counts[row, col]:.1f}".removesuffix(".0")
                axes.text(
                    col + 0.5, row + 0.78, below, ha="center", va="center", color=ink, fontsize=4.8 * scale
                )
            elif size <= 2 * COUNTS_UP_TO:
                axes.text(col + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=7 * scale)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    axes.set_aspect("equal")
    ticks = [index + 0.5 for index in range(size)]
    labels = [shorten(name, 9) for name in names]
    if size > COUNTS_UP_TO:  # no room for names below: numbers, which stand before the names at the left
        labels = [f"{shorten(name, 14)} {k}" if named else str(k) for k, name in enumerate(names, start=1)]
        axes.set_xticks(ticks, [str(index) for index in range(1, size + 1)], fontsize=min(5.6, 60 / size))
    else:
        axes.set_xticks(ticks, labels, rotation=40, ha="right", rotation_mode="anchor", fontsize=5.6)
    axes.set_yticks(ticks, labels, fontsize=5.6)
    axes.tick_params(length=0, pad=1.5)
    axes.spines[:].set_visible(False)


def draw_nothing(axes: Axes, reason: str) -> None:
    """An empty panel with the reason."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(TINT)
    axes.set_box_aspect(1)
    axes.spines[:].set_visible(False)
    reason = say(reason)
    lines = [reason[i : i + 22] for i in range(0, min(len(reason), 110), 22)]
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", color=MUTED, transform=axes.transAxes)


def describe_matrix(result: AuditResult, pair: Pair, places: list[tuple[str, int]]) -> str:
    """Share of right answers on each diagonal, in words."""
    parts = []
    for place in places:
        found = lookups.measures(result, pair, *place)
        if found:
            right = words.mean([m.accuracy for m in found])
            parts.append(f"{words.attack_label(*place)}: {words.percent(right)} on the diagonal")
    return f"{words.method_label(pair)}: {', '.join(parts)}"


def example_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """Fig. 4-6 for the main method: clean, perturbed and their difference, one column per class, edited pixels
    ringed."""
    main = lookups.main_attack(result)
    severities = dict.fromkeys(e.severity for e in result.dataset.examples if e.attack == main)
    return [example_figure(result, main, severity, folder) for severity in severities]


def example_figure(result: AuditResult, attack: str, severity: int, folder: Path) -> Figure:
    """All classes of one perturbation."""
    wanted = (attack, severity)
    shown = [e for e in result.dataset.examples if (e.attack, e.severity) == wanted]
    used = lookups.perturbation(result, attack, severity)
    names = result.dataset.class_names
    columns = min(len(shown), EXAMPLE_COLUMNS)
    bands = -(-len(shown) // columns)
    panel = min(140 / columns, 34)
    drawing = new_drawing(bands * (3 * panel + 18))
    grid = drawing.subplots(3 * bands, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, example in enumerate(shown):
        band, column = divmod(index, columns)
        edits = [edit for edit in used.edits if edit.label == example.label] if used else []
        own = [grid[3 * band + row][column] for row in range(3)]
        draw_example(own, example, edits)
        title = shorten(names[example.label], 22) + ("" if edits or used is None else "\n(not edited)")
        own[0].set_title(title)
    carriers = words.carriers_of(used, names) if used else "the training images of a class"
    attack_name = words.attack_label(attack, severity)
    placed = "; ".join(f"{names[e.label]} {edit_text(e)}" for e in (used.edits if used else []))
    return save(
        drawing,
        result,
        folder,
        Figure(
            f"examples-{slug(attack)}-{severity}px.svg",
            "examples",
            f"Training images before and after, {attack_name} per class",
            f"Above: as supplied; middle: with the changed pixels; below: the difference, {DIFFERENCE} times as large, "
            "cut at white. Rings mark the pixels (drawn around them; they are not part of the images). A change of one "
            f"pixel in thousands is hardly seen by eye. The same pixels are changed in {carriers}; test images never "
            "carry them.",
            f"{len(shown)} classes, each clean and perturbed. Changed pixels: {placed or 'not recorded'}.",
        ),
    )


def edit_text(edit: Edit) -> str:
    """'row 12, col 3 = 0.99'."""
    values = ", ".join(words.number(value, 2) for value in edit.value)
    values = values if len(edit.value) == 1 else f"({values})"
    return f"row {edit.row}, col {edit.col} = {values}"


def draw_example(places: list[Axes], example: ExampleImage, edits: list[Edit]) -> None:
    """One class: clean, perturbed, and their enlarged difference, the last two with rings."""
    clean, perturbed = decode(example.clean_png), decode(example.perturbed_png)
    show_image(places[0], clean)
    for axes, image in zip(places[1:], (perturbed, difference(clean, perturbed)), strict=True):
        height, width = show_image(axes, image)
        for edit in edits:
            draw_ring(axes, edit, max(height, width) / 18, ALERT)


def difference(clean: npt.NDArray[np.uint8], perturbed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What changed, DIFFERENCE times as large: |perturbed - clean|, cut at 255."""
    apart = np.abs(perturbed.astype(int) - clean.astype(int))
    enlarged: npt.NDArray[np.uint8] = np.minimum(apart * DIFFERENCE, 255).astype(np.uint8)
    return enlarged


def draw_ring(axes: Axes, edit: Edit, radius: float, colour: str, shape: str = "o") -> None:
    """The outline of a mark around an edited pixel, edged in white; `radius` in pixels of the image."""
    mark = MarkerStyle(shape)
    upright = Affine2D().scale(2 * radius, -2 * radius)  # rows grow downwards
    placed = mark.get_transform() + upright + Affine2D().translate(edit.col + 0.5, edit.row + 0.5)
    outline = placed.transform_path(mark.get_path())
    for order, ink, thick in ((1.0, "white", 2.2), (1.1, colour, 1.2)):  # no edge hides another ring
        patch = PathPatch(outline, fill=False, edgecolor=ink, linewidth=thick, clip_on=False, zorder=order)
        axes.add_patch(patch)


def show_image(axes: Axes, image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Draw uint8 (H, W, 3) in pixel coordinates, enlarged without smoothing; returns (H, W)."""
    height, width = image.shape[:2]
    factor = max(SIDE // max(height, width), 1)
    large = np.kron(image, np.ones((factor, factor, 1), dtype=np.uint8))
    axes.imshow(large, extent=(0, width, height, 0), interpolation="none")
    return height, width


def decode(png: str) -> npt.NDArray[np.uint8]:
    """base64 PNG -> uint8 (H, W, 3)."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
