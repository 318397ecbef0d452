"""How a drawing becomes an SVG file: size in millimetres, equal bytes for equal input, alternative text."""

from __future__ import annotations

import itertools
import re
import textwrap
import unicodedata
import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from audit.results import AuditResult
from reports.document import Figure
from reports.language import say
from reports.style import ALERT, INCH, METHODS, MUTED, TEXT_WIDTH
from reports.words import attack_order, banner, capital, caption_limits

CAPTION_SIGNS = 130  # that fit on a line as wide as the text
CAPTION_LINE = 3.4  # mm
HEAD, LEGEND_ROW = 7.0, 4.6  # mm
LEGEND_COLUMNS = 4

Legend = dict[str, Line2D]


def new_drawing(height: float, width: float = TEXT_WIDTH) -> Drawing:
    """An empty drawing, width and height in mm."""
    drawing = Drawing(figsize=(width / INCH, height / INCH), layout="constrained")
    FigureCanvasSVG(drawing)
    return drawing


def save(drawing: Drawing, result: AuditResult, folder: Path, figure: Figure) -> Figure:
    """Write the SVG and complete the caption with what limits all numbers (synthetic data, quick profile)."""
    if result.dataset.synthetic:  # in the picture itself: files travel without their captions
        drawing.suptitle("synthetic phantoms", x=0.005, ha="left", fontsize=6.5, color=MUTED)
    return write(drawing, result, folder, figure)


def save_alone(
    drawing: Drawing, result: AuditResult, folder: Path, figure: Figure, legend: Legend | None = None
) -> Figure:
    """The same for an SVG that has no page around it: title and legend above, caption below, in colour what
    limits the numbers."""
    width, height = (float(size) * INCH for size in drawing.get_size_inches())  # mm
    lines = textwrap.wrap(figure.caption, CAPTION_SIGNS)
    foot = CAPTION_LINE * len(lines) + 3
    head = HEAD + (LEGEND_ROW * -(-len(legend) // LEGEND_COLUMNS) + 2 if legend else 0)
    total = head + height + foot
    drawing.set_size_inches(width / INCH, total / INCH)
    drawing.set_layout_engine(ConstrainedLayoutEngine(rect=(0, foot / total, 1, height / total)))
    left, top, bottom = 2 / width, 1 - 2 / total, 2 / total
    drawing.text(left, top, figure.title, va="top", ha="left", fontsize=9, fontweight="bold")
    drawing.text(1 - left, top, capital(banner(result)), va="top", ha="right", fontsize=8, color=ALERT)
    drawing.text(left, bottom, "\n".join(lines), va="bottom", ha="left", fontsize=7, color=MUTED)
    if legend:
        drawing.legend(
            list(legend.values()),
            list(legend),
            loc="upper left",
            bbox_to_anchor=(0, 1 - HEAD / total),
            borderaxespad=0.3,
            ncols=LEGEND_COLUMNS,
        )
    return write(drawing, result, folder, figure)


def write(drawing: Drawing, result: AuditResult, folder: Path, figure: Figure) -> Figure:
    """The file, and its figure with the whole caption. Words in the picture are in the language of the report."""
    translate(drawing)
    metadata = {"Date": None, "Creator": "audit", "Title": figure.title, "Description": figure.alternative}
    with (
        warnings.catch_warnings()
    ):  # a sign that no font has is a box here; in the text it is written as its number
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        drawing.savefig(folder / figure.file, format="svg", metadata=metadata)
    caption = figure.caption + caption_limits(result)
    return Figure(figure.file, figure.kind, figure.title, caption, figure.alternative)


def translate(drawing: Drawing) -> None:
    """Words in the picture in the language of the report, line by line; those at ticks are made when it is drawn."""
    for text in drawing.findobj(Text):
        if isinstance(text, Text):
            text.set_text("\n".join(map(say, text.get_text().split("\n"))))
    for axis in (axis for axes in drawing.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_majorticklabels()]
        said = [say(label) for label in labels]
        if said != labels and isinstance(axis.get_major_locator(), FixedLocator):
            axis.set_ticklabels(said)


def method_look(attack: str) -> tuple[str, str]:
    """Colour and mark of a method, the same in every figure and every audit."""
    return METHODS[(attack_order(attack)[0] - 1) % len(METHODS)]


def slug(text: str) -> str:
    """A name for a file: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "figure"


def shorten(text: str, length: int) -> str:
    """A name that fits on an axis; a sign of Chinese, Japanese or Korean takes the room of two."""
    rooms = itertools.accumulate(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
    fitting = [room <= length for room in rooms]
    return text if all(fitting) else f"{text[: max(sum(fitting) - 1, 1)]}…"


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
