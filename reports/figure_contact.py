"""The contact sheet: some training images of each class, as the networks get them before any change."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure as Drawing

from audit.results import AuditResult, DatasetRecord
from reports import words
from reports.canvas import new_drawing, save, shorten
from reports.document import Figure
from reports.figure_images import decode, show_image
from reports.style import MUTED, figure_settings

ROW = 21.0  # mm, one class
PICTURE_DPI = 160
TITLE = "Training images of each class"


def contact_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """The sheet of an audit."""
    if not result.dataset.strips:
        return []
    return [save(draw_sheet(result.dataset), result, folder, describe(result.dataset))]


def describe(data: DatasetRecord) -> Figure:
    """File, title, caption."""
    shown = sum(strip.images for strip in data.strips)
    return Figure(
        "contact-sheet.svg",
        "contact",
        TITLE,
        f"{shown} of {words.count(sum(data.counts['train']), 'training image')}, evenly spaced through each class, "
        "unchanged. Look for what the classes should not differ in: borders, marks, colour, zoom.",
        f"{len(data.strips)} rows of images: {', '.join(data.class_names)}.",
    )


def draw_sheet(data: DatasetRecord) -> Drawing:
    """One row for each class."""
    drawing = new_drawing(ROW * len(data.strips) + 4)
    grid = drawing.subplots(len(data.strips), 1, squeeze=False)
    for axes, strip in zip(grid[:, 0], data.strips, strict=True):
        axes.set_axis_off()
        show_image(axes, decode(strip.png))
        axes.set_anchor("W")
        axes.set_title(shorten(data.class_names[strip.label], 80), loc="left", fontsize=8, pad=2)
    return drawing


def write_contact_sheet(data: DatasetRecord, path: Path) -> None:
    """The sheet as a PNG by itself, "synthetic" in the picture where it is."""
    with matplotlib.rc_context(figure_settings(data.class_names)):  # type: ignore[arg-type]
        drawing = draw_sheet(data)
        kind = "synthetic phantoms" if data.synthetic else data.name
        drawing.suptitle(f"{TITLE}: {kind}", x=0.01, ha="left", fontsize=8, color=MUTED)
        drawing.savefig(path, format="png", dpi=PICTURE_DPI, metadata={"Software": "audit"})
