"""Reports: from an `AuditResult` to figures and a PDF. No torch, no computation of new results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from audit.errors import RunDirectoryError
from audit.results import AuditResult
from reports.attachments import Attachment, attachments
from reports.document import Figure
from reports.language import LANGUAGES, Language, speaking

__all__ = [
    "KINDS",
    "LANGUAGES",
    "Kind",
    "Language",
    "write_report",
    "write_report_as",
    "write_search_figures",
]

FIGURES = "figures"
Kind = Literal["pdf", "html", "md"]
KINDS: tuple[Kind, ...] = ("pdf", "html", "md")


def write_search_figures(result: AuditResult, run_dir: Path) -> list[Path]:
    """Write the figures that compare search methods; returns their paths."""
    from reports.search_figures import write_search_figures as write

    return write(result, run_dir / FIGURES)


def write_report(result: AuditResult, run_dir: Path) -> Path:
    """Write `figures/*.svg` and `report.pdf` into the run directory; returns the path of the PDF."""
    return write_report_as("pdf", result, run_dir)


def write_report_as(
    kind: Kind, result: AuditResult, run_dir: Path, path: Path | None = None, language: Language = "en"
) -> Path:
    """The same content as PDF, as one HTML file, or as Markdown beside its figures. `path`: where to, else
    `report.<kind>` in the run directory, `report-ja.<kind>` in Japanese; its folder must exist. Returns the path."""
    from reports.figures import write_figures

    mark = "" if language == "en" else f"-{language}"
    path = path or run_dir / f"report{mark}.{kind}"
    if not path.parent.is_dir():
        raise RunDirectoryError(f"{path}: its folder does not exist; make it first, or choose another --out")
    folder = (path.parent if kind == "md" else run_dir) / (FIGURES + mark)
    with speaking(language, result.dataset.class_names):
        writer(kind)(result, path, write_figures(result, folder), folder, attachments(result, run_dir))
    return path


Writer = Callable[[AuditResult, Path, list[Figure], Path, Sequence[Attachment]], None]


def writer(kind: Kind) -> Writer:
    """Of one format; the others' libraries are not imported."""
    if kind == "html":
        from reports.html_report import write_html

        return write_html
    if kind == "md":
        from reports.markdown_report import write_markdown

        return write_markdown
    from reports.pdf import write_pdf

    return write_pdf
