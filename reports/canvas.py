"""How a drawing becomes an SVG file: size in millimetres, equal bytes for equal input, alternative text."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing

from audit.results import AuditResult
from reports.document import Figure
from reports.style import INCH, TEXT_WIDTH
from reports.words import caption_limits


def new_drawing(height: float, width: float = TEXT_WIDTH) -> Drawing:
    """An empty drawing, width and height in mm."""
    drawing = Drawing(figsize=(width / INCH, height / INCH), layout="constrained")
    FigureCanvasSVG(drawing)
    return drawing


def save(drawing: Drawing, result: AuditResult, folder: Path, figure: Figure) -> Figure:
    """Write the SVG and complete the caption with what limits all numbers (synthetic data, quick profile)."""
    metadata = {"Date": None, "Creator": "audit", "Title": figure.title, "Description": figure.alternative}
    drawing.savefig(folder / figure.file, format="svg", metadata=metadata)
    caption = figure.caption + caption_limits(result)
    return Figure(figure.file, figure.kind, figure.title, caption, figure.alternative)


def slug(text: str) -> str:
    """A name for a file: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "figure"


def shorten(text: str, length: int) -> str:
    """A name that fits on an axis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def percent_axis(axes: Axes, along: str = "y", top: float = 1.0) -> None:
    """Fractions 0 to 1 labelled as 0 to 100."""
    ticks = [tick / 4 for tick in range(5)]
    labels = [f"{100 * tick:g}" for tick in ticks]
    if along == "y":
        axes.set_ylim(0, top * 1.02)
        axes.set_yticks(ticks, labels)
    else:
        axes.set_xlim(0, top * 1.02)
        axes.set_xticks(ticks, labels)
