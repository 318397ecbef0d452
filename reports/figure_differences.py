"""Two audits side by side: differences with their intervals, a forest plot."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes

from audit.errors import ConfigError
from audit.gate.record import Comparison, DifferenceRow
from audit.gate.words import condition, in_points, interval, titled
from reports.canvas import new_drawing, shorten
from reports.style import ALERT, INK, MUTED, figure_settings

FORMATS = (".svg", ".pdf", ".png")
ROW, HEAD, FOOT = 5.5, 14.0, 22.0  # mm
LOOK = {"lower": ALERT, "higher": "#00664b"}


def draw_differences(found: Comparison, path: Path) -> None:
    """Write the figure; its kind by the name of the file. Raises ConfigError."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"--out: {path.name}: unknown kind of figure; write a name that ends in {', '.join(FORMATS)}"
        )
    rows = [one for one in found.rows if one.difference is not None and in_points(one.measure)]
    if not rows:
        raise ConfigError("--out: the two audits share no condition that could be drawn; leave --out out")
    with matplotlib.rc_context(figure_settings([found.dataset])):  # type: ignore[arg-type]
        drawing = new_drawing(ROW * len(rows) + HEAD + FOOT)
        axes = drawing.subplots()
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for place, one in enumerate(rows):
            draw_row(axes, place, one)
        axes.set_yticks(range(len(rows)), [shorten(condition(one), 48) for one in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g}".replace("-", "−"))
        axes.set_xlabel("accuracy on unchanged test images, first audit − second audit, percentage points")
        data = shorten(titled(found.dataset, found.synthetic), 60)
        axes.set_title(f"Differences on {data}", loc="left", fontsize=9, fontweight="bold")
        first = rows[0].difference
        images = first.n_images if first else 0
        drawing.supxlabel(
            f"95 % intervals; n = {images} test images. Coloured where, corrected for all rows, zero is left out.",
            x=0.01, ha="left", fontsize=7, color=MUTED,
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, format=path.suffix[1:].lower(), dpi=200)


def draw_row(axes: Axes, place: int, one: DifferenceRow) -> None:
    """One interval, its numbers at the right end."""
    if one.difference is None:
        return
    colour = LOOK.get(one.reading, INK)
    axes.plot([one.difference.low, one.difference.high], [place, place], color=colour, linewidth=1.2)
    axes.plot([one.difference.estimate], [place], marker="o", color=colour, markersize=4.5)
    text = interval(one.measure, one.difference)
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7)
