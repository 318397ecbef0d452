"""Colours, type and page measures that figures and pages share.

All fonts are DejaVu Sans from matplotlib's own data folder, embedded: reportlab's default (Helvetica, not
embedded) must appear nowhere. Colours are Okabe and Ito's, which stay apart for colour-blind readers; in
grey print marks, dashes and labels carry the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from reportlab.graphics import shapes
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from svglib import fonts as svg_fonts

FAMILY = "DejaVu Sans"
REGULAR, BOLD = "Report", "Report-Bold"
FALLBACK = "Fallback"  # with a number: for signs that DejaVu lacks

INK = "#1b1f24"
MUTED = "#5a6470"
RULE = "#c9d0d8"
TINT = "#f1f4f7"
ACCENT = "#1f4e79"
ALERT = "#a33b00"
BASELINE = "#5a6470"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
METHODS = tuple(zip(CYCLE, MARKERS, strict=True))  # looks of the methods, in the order of `words.ATTACKS`
VERDICTS = {
    "vulnerable": "#a33b00",
    "within tolerance": "#00664b",
    "inconclusive": "#5a6470",
    "incomplete": "#5a6470",
}

TEXT_WIDTH = 170.0  # mm
INCH = 25.4  # mm
FALLBACK_FONTS = ("DroidSansFallback*.ttf", "ipag.ttf", "ipagp.ttf", "NotoSansCJK*.ttf", "wqy*.ttf", "uming*")
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "C:/Windows/Fonts")


def font_file(name: str) -> Path:
    """A font that matplotlib ships."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


@cache
def glyphs() -> frozenset[int]:
    """Code points of DejaVu Sans."""
    return frozenset(FT2Font(str(font_file("DejaVuSans"))).get_charmap())


def missing(texts: Iterable[str]) -> set[str]:
    """Signs that DejaVu Sans lacks."""
    return {sign for text in texts for sign in text if ord(sign) not in glyphs() and not sign.isspace()}


@cache
def fallback_fonts(signs: frozenset[str]) -> tuple[tuple[Path, frozenset[str]], ...]:
    """Fonts that have the signs between them, each with those it is for; what none has is in none. First the one that
    comes with the program (IPAex Gothic: Japanese, Greek, Cyrillic), then those of this machine."""
    found = []
    left = set(signs)
    for file in candidates():
        if not left:
            break
        own = left & {chr(code) for code in FT2Font(str(file)).get_charmap()}
        if own and usable(file):
            found.append((file, frozenset(own)))
            left -= own
    return tuple(found)


def candidates() -> Iterator[Path]:
    """Font files that may have signs which DejaVu lacks."""
    package = find_spec("matplotlib_fontja")  # found, not imported: its import changes matplotlib's settings
    for folder in (package.submodule_search_locations if package else None) or []:
        yield from sorted(Path(folder).rglob("*.ttf"))
    for pattern in FALLBACK_FONTS:
        for place in FONT_FOLDERS:
            yield from sorted(Path(place).rglob(pattern))


def usable(file: Path) -> bool:
    """Whether reportlab can embed it (it refuses PostScript outlines)."""
    try:
        TTFont(FALLBACK, str(file))
    except (TTFError, OSError):
        return False
    return True


@cache
def register_fonts() -> None:
    """Make the fonts known to reportlab and to svglib, and take Helvetica out of reportlab's drawings."""
    for name, file in ((REGULAR, "DejaVuSans"), (BOLD, "DejaVuSans-Bold")):
        pdfmetrics.registerFont(TTFont(name, str(font_file(file))))
    svg_fonts.register_font(FAMILY, str(font_file("DejaVuSans")), rlgFontName=REGULAR)
    shapes.STATE_DEFAULTS["fontName"] = REGULAR  # each drawing begins by naming its default font


def register_fallback(texts: Iterable[str]) -> dict[str, str]:
    """Register fonts for the signs that DejaVu lacks; returns the name of the font for each sign, "" for none."""
    signs = frozenset(missing(texts))
    names = dict.fromkeys(signs, "")
    for number, (file, own) in enumerate(fallback_fonts(signs), start=1):
        name = f"{FALLBACK}-{number}-{file.stem}"
        pdfmetrics.registerFont(TTFont(name, str(file)))
        names |= dict.fromkeys(own, name)
    return names


def figure_settings(texts: Sequence[str]) -> dict[str, object]:
    """matplotlib settings of figures that hold these texts beside our own: text stays text, equal input gives equal
    bytes."""
    settings: dict[str, object] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "audit",
        "text.parse_math": False,  # a class may be called "$"
        "font.family": [FAMILY],
        "font.size": 7.5,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7.5,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "xtick.color": INK,
        "ytick.color": INK,
        "text.color": INK,
        "lines.linewidth": 1.2,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
    }
    files = [file for file, _ in fallback_fonts(frozenset(missing(texts)))]
    if files:  # svglib knows one font per text: let matplotlib draw the outlines instead
        from matplotlib import font_manager

        for file in files:
            font_manager.fontManager.addfont(str(file))
        names = [font_manager.FontProperties(fname=str(file)).get_name() for file in files]
        settings |= {"svg.fonttype": "path", "font.family": [FAMILY, *names]}
    return settings
