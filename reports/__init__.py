"""Reports: from an `AuditResult` to figures and a PDF. No torch, no computation of new results."""

from __future__ import annotations

from pathlib import Path

from audit.results import AuditResult

__all__ = ["write_report", "write_search_figures"]

FIGURES = "figures"
REPORT = "report.pdf"


def write_search_figures(result: AuditResult, run_dir: Path) -> list[Path]:
    """Write the figures that compare search methods; returns their paths."""
    from reports.search_figures import write_search_figures as write

    return write(result, run_dir / FIGURES)


def write_report(result: AuditResult, run_dir: Path) -> Path:
    """Write `figures/*.svg` and `report.pdf` into the run directory; returns the path of the PDF."""
    from reports.figures import write_figures
    from reports.pdf import write_pdf

    folder = run_dir / FIGURES
    figures = write_figures(result, folder)
    path = run_dir / REPORT
    write_pdf(result, path, figures, folder)
    return path
