"""Time and size of reports, and what qpdf and pdffonts say of them.

    python benchmarks/report.py [RUN_DIR ..]        (from the repository's folder; needs qpdf and poppler-utils)

Measures each finished run, then an invented audit of 600 trainings (48 pairs, 3 severities, 7 methods, 2 seeds), in
each format, then the PDF in Japanese. The last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from audit.results import AuditResult
from reports import KINDS, Kind, Language, write_report_as
from tests.results_factory import ALL_METHODS, example_result

MODELS = ("resnet18", "resnet34", "resnet50", "densenet121", "efficientnet_b0", "convnext_tiny")
OPTIMIZERS = ("adam", "adabound", "sgd", "sgd-m")


def large_grid() -> AuditResult:
    """600 trainings."""
    return example_result(
        models=MODELS, optimizers=OPTIMIZERS, severities=(1, 2, 5), seeds=(0, 1), methods=ALL_METHODS
    )


def measure(
    name: str, result: AuditResult, kind: Kind, language: Language, run_dir: Path
) -> dict[str, object]:
    """One report."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"report.{kind}"
        started = time.perf_counter()
        write_report_as(kind, result, run_dir, out, language)
        seconds = time.perf_counter() - started
        row: dict[str, object] = {
            "audit": name,
            "trainings": len(result.cells),
            "format": kind,
            "language": language,
            "seconds": round(seconds, 1),
            "megabytes": round(out.stat().st_size / 1e6, 2),
        }
        return {**row, **(looked_at(out) if kind == "pdf" else {})}


def looked_at(pdf: Path) -> dict[str, object]:
    """Pages, fonts that are not embedded, and whether qpdf has anything to say."""

    def said(*command: str) -> str:
        return subprocess.run([*command, str(pdf)], capture_output=True, text=True, check=False).stdout

    pages = next(line.split()[1] for line in said("pdfinfo").splitlines() if line.startswith("Pages"))
    fonts = [line[37:].split()[-5] for line in said("pdffonts").splitlines()[2:]]  # the column "emb"
    return {
        "pages": int(pages),
        "fonts": len(fonts),
        "fonts not embedded": fonts.count("no"),
        "qpdf": "clean" if "No syntax or stream encoding errors" in said("qpdf", "--check") else "complains",
    }


def main() -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as empty:
        audits = [(run.name, AuditResult.load(run / "results.json"), run) for run in options.runs]
        for name, result, run in [*audits, ("invented", large_grid(), Path(empty))]:
            rows += [measure(name, result, kind, "en", run) for kind in KINDS]
            rows.append(measure(name, result, "pdf", "ja", run))
            for row in rows[-len(KINDS) - 1 :]:
                print(" | ".join(str(value) for value in row.values()), flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
