"""Table 2.4 of the thesis: semantic and nuisance sensitivity, cross-entropy against vibCE, random pixels against
EvoShift, by number of changed pixels.

    python benchmarks/table_2_4.py PATH.npz --out DIR [--model graynet] [--seeds 0,1,2] [--severities 0,1,2,5]
        [--set training.epochs=20 ..]

Runs one audit through the command line (the same command again resumes) and prints the table in Markdown:
mean over seeds (lowest to highest), alpha_S (2.12) and alpha_N (2.13) in [0, 1] above guessing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.results import CLEAN, AuditResult, CellMeasures

LOSSES = ("ce", "vibce")


def run(
    data: Path,
    out: Path,
    model: str = "graynet",
    seeds: str = "0,1,2",
    severities: str = "0,1,2,5",
    more: Sequence[str] = (),
) -> AuditResult:
    """One audit: both losses on clean, random and EvoShift training images. `more` options of `audit run`."""
    command = [sys.executable, "-m", "audit", "run", "oct", "--data", str(data), "--profile", "cpu"]
    command += ["--models", model, "--baseline", f"{model}:adam", "--out", str(out)]
    command += ["--severities", severities, "--seeds", seeds, "--losses", ",".join(LOSSES)]
    settings = ["controls.methods=[random]", "controls.scope=all", "training.stem=published"]
    settings += ["search.budget=64", "evaluation.explained_images=0"]
    command += [part for setting in settings for part in ("--set", setting)]
    subprocess.run([*command, *more], check=True)
    return AuditResult.load(out / "results.json")


def values(measured: list[CellMeasures], name: str) -> str:
    """Mean (lowest to highest) of one sensitivity."""
    found = [value for m in measured if (value := getattr(m, name)) is not None]
    if not found:
        return "-"
    mean = sum(found) / len(found)
    return f"{mean:.2f} ({min(found):.2f}-{max(found):.2f})" if len(found) > 1 else f"{mean:.2f}"


def table(result: AuditResult) -> list[str]:
    """One row per method and severity, the two sensitivities of each loss side by side."""
    rows = ["| trained on | N_p | CE α_S | CE α_N | vibCE α_S | vibCE α_N |", "|---|---|---|---|---|---|"]
    places = sorted({(cell.attack, cell.severity) for cell in result.cells}, key=lambda p: (p[0] != CLEAN, p))
    for attack, severity in places:
        shown = []
        for loss in LOSSES:
            measured = [
                cell.measures
                for cell in result.cells
                if (cell.attack, cell.severity, cell.recipe.loss) == (attack, severity, loss)
                and cell.measures
            ]
            shown += [values(measured, "semantic_sensitivity"), values(measured, "nuisance_sensitivity")]
        rows.append(f"| {attack} | {severity} | {' | '.join(shown)} |")
    return rows


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="graynet")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--severities", default="0,1,2,5")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    more = [part for setting in options.set for part in ("--set", setting)]
    result = run(options.data, options.out, options.model, options.seeds, options.severities, more)
    print("\n".join(table(result)))
    data = result.dataset
    print(
        f"\n{data.name}: {sum(data.counts['train'])} training images, {len(data.test_labels)} test images; "
        f"{options.model}, seeds {options.seeds}; {result.environment.device}, torch "
        f"{result.environment.versions['torch']}."
    )


if __name__ == "__main__":
    main()
