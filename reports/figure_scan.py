"""Maps of the shortcut scan: what was flagged, over the mean image of each class."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure as Drawing

from audit.results import AuditResult, ScanRecord
from reports import words
from reports.canvas import new_drawing, save, shorten
from reports.document import Figure
from reports.figure_images import decode, show_image

COLUMNS = 4
EDGE = 38.0  # mm, one map
NAME_SIGNS = 24


def scan_figures(result: AuditResult, folder: Path) -> list[Figure]:
    """One map for each class, where anything was found: maps of nothing say nothing."""
    scan = result.scan
    if scan is None or not scan.findings or not scan.maps:
        return []
    return [save(draw_maps(scan, result.dataset.class_names), result, folder, describe(result, scan))]


def describe(result: AuditResult, scan: ScanRecord) -> Figure:
    """File, title, caption."""
    flagged = sorted({finding.label for finding in scan.findings})
    names = ", ".join(result.dataset.class_names[label] for label in flagged)
    return Figure(
        "shortcut-map.svg",
        "scan",
        "Places that give a class away",
        f"Mean image of each class (n = {scan.images} training and validation images) with what the "
        "scan flagged: rings "
        "and boxes in orange for marks, blue for padding. Look there in single images: a mark that "
        "belongs to no tissue "
        "has to be explained before any training counts.",
        f"{words.count(len(scan.maps), 'mean image')}; flagged places in {names}.",
    )


def draw_maps(scan: ScanRecord, class_names: list[str]) -> Drawing:
    """A grid of maps."""
    rows = -(-len(scan.maps) // COLUMNS)
    drawing = new_drawing((EDGE + 6) * rows + 4)
    grid = drawing.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, png, name in zip(grid, scan.maps, class_names, strict=False):
        show_image(axes, decode(png))
        axes.set_title(shorten(name, NAME_SIGNS), fontsize=8, pad=2)
    return drawing
