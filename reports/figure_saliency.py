"""Grad-CAM of clean and of attacked networks side by side, from the maps in the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from audit.results import CLEAN, AuditResult, CellResult, Edit, Pair
from reports import lookups, words
from reports.canvas import new_drawing, save, shorten
from reports.document import Figure
from reports.figure_images import decode, draw_ring
from reports.style import ALERT, MUTED

PAIRS = 2  # with figures: the baseline, and the worst finding where it is another
CLASSES = 6  # columns
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#c9d8e8", "#1f4e79"])


def saliency_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """The baseline pair and the pair of the worst finding, each clean above attacked."""
    worst = result.finding.worst
    wanted = [result.baseline_pair, *([worst.pair] if worst else [])]
    figures = []
    for number, pair in enumerate(list(dict.fromkeys(wanted))[:PAIRS], start=1):
        rows = explained(result, pair)
        if rows:
            figures.append(saliency_figure(result, pair, rows, folder, f"saliency-{number}.svg"))
    return figures


def explained(result: AuditResult, pair: Pair) -> list[CellResult]:
    """Cells of the pair that have maps: clean, then by severity."""
    found = [c for c in result.cells if c.pair == pair and c.explanation is not None and c.explanation.maps]
    return sorted(found, key=lambda cell: (cell.attack != CLEAN, cell.severity))


def saliency_figure(
    result: AuditResult, pair: Pair, rows: list[CellResult], folder: Path, file: str
) -> Figure:
    """One row per training, one column per class."""
    names = result.dataset.class_names[:CLASSES]
    panel = min(140 / len(names), 34)
    drawing = new_drawing(len(rows) * (panel + 5) + 8)
    grid = drawing.subplots(len(rows), len(names), squeeze=False)
    for line, cell in zip(grid, rows, strict=True):
        used = lookups.perturbation(result, cell.attack, cell.severity)
        for label, axes in enumerate(line[: len(names)]):
            edits = [edit for edit in used.edits if edit.label == label] if used else []
            draw_map(axes, cell, label, edits)
            if cell is rows[0]:
                axes.set_title(shorten(names[label], 18))
        line[0].set_ylabel(words.attack_label(cell.attack, cell.severity))
    more = len(result.dataset.class_names) - len(names)
    found = rows[-1].explanation
    images = f"{sum(found.images)} training images" if found else "training images"
    return save(
        drawing,
        result,
        folder,
        Figure(
            file,
            "saliency",
            f"Where the network looks, {words.pair_label(pair)}",
            "Mean Grad-CAM maps per class, dark: what speaks for the class; rings: the changed pixels. Above, "
            "trained on clean images; below, on changed ones. A network that reads the changed pixels has its "
            f"dark places around the rings. Each map is the mean over {images} as trained, all classes together, one "
            f"training, scaled to its own maximum{f'; {more} more classes are not drawn' if more > 0 else ''}. No "
            "intervals.",
            "; ".join(f"{words.attack_label(c.attack, c.severity)}: {share_words(result, c)}" for c in rows),
        ),
    )


def draw_map(axes: Axes, cell: CellResult, label: int, edits: list[Edit]) -> None:
    """One map in pixel coordinates, with rings; 'no map' where no image of the class has one."""
    axes.set_xticks([])
    axes.set_yticks([])
    found = cell.explanation
    if found is None or not found.images[label]:
        axes.text(0.5, 0.5, "no map", ha="center", va="center", color=MUTED, transform=axes.transAxes)
        axes.set_box_aspect(1)
        return
    levels = decode(found.maps[label])[:, :, 0]
    height, width = levels.shape
    axes.imshow(
        levels.astype(np.float32) / 255,
        extent=(0, width, height, 0),
        cmap=HEAT,
        vmin=0,
        vmax=1,
        interpolation="none",
    )
    for edit in edits:
        draw_ring(axes, edit, max(height, width) / 18, ALERT)


def share_words(result: AuditResult, cell: CellResult) -> str:
    """'CNV 41 % on the changed pixels (a uniform map: 3 %)'."""
    found = cell.explanation
    if found is None or not found.train_shares:
        return "no changed pixels"
    parts = [
        f"{name} {words.percent(share)} around the changed pixels (a uniform map: {words.percent(uniform)})"
        for name, share, uniform in zip(
            result.dataset.class_names, found.train_shares, found.uniform_shares, strict=True
        )
        if share is not None and uniform is not None
    ]
    return ", ".join(parts) or "no map"
