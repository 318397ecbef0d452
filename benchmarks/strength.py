"""Strength of the search methods: accuracy of victims on clean test images, with and without augmentation.

    python benchmarks/strength.py PATH.npz --out DIR [--models small-cnn] [--augmentations none,crop-flip]
        [--severities 1] [--budgets 64] [--seeds 0,1,2] [--methods evoshift,random-search,shortcut,random,heuristic]
        [--set training.stem=published ..]

Runs `audit search` once per augmentation and budget, as a user would, each in its folder under DIR, and prints
one table in Markdown. Several budgets give the budget curve. The same command again resumes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from audit.results import CLEAN, AuditResult, ConditionSummary

METHODS = "evoshift,random-search,shortcut,random,heuristic"


def search(options: argparse.Namespace, augmentation: str, budget: int) -> AuditResult:
    """One comparison through the command line."""
    out = options.out / f"{augmentation}-{budget}"
    command = [sys.executable, "-m", "audit", "search", str(options.data), "--out", str(out)]
    for option in ("method", "severity", "models", "seeds"):
        command += [f"--{option}", getattr(options, option)]
    command += ["--augmentation", augmentation, "--budget", str(budget)]
    command += [part for setting in options.set for part in ("--set", setting)]
    subprocess.run(command, check=True)
    return AuditResult.load(out / "results.json")


def rows(result: AuditResult, augmentation: str, budget: int) -> list[str]:
    """One row per method and severity, one column per victim."""
    found = []
    for severity, method in sorted({(c.severity, c.attack) for c in result.conditions}):
        of_row = [c for c in result.conditions if (c.severity, c.attack) == (severity, method)]
        spent = [
            p.search
            for p in result.perturbations
            if (p.severity, p.attack) == (severity, method) and p.search
        ]
        cost = f"{spent[0].trainings} in {spent[0].seconds:.0f} s" if spent else "-"
        cells = " | ".join(in_words(c, result) for c in sorted(of_row, key=lambda c: c.model))
        shown = "-" if method == CLEAN else str(severity)
        found.append(f"| {augmentation} | {budget} | {shown} | {method} | {cost} | {cells} |")
    return found


def in_words(condition: ConditionSummary, result: AuditResult) -> str:
    """Mean, interval, and every training."""
    a = condition.accuracy
    each = [
        f"{100 * cell.measures.accuracy:.1f}"
        for cell in result.cells
        if cell.measures is not None
        and (cell.model, cell.attack, cell.severity)
        == (condition.model, condition.attack, condition.severity)
    ]
    return f"{100 * a.estimate:.1f} ({100 * a.low:.1f}-{100 * a.high:.1f}): {' '.join(each)}"


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", default="small-cnn")
    parser.add_argument("--augmentations", default="none,crop-flip")
    parser.add_argument("--severities", dest="severity", default="1")
    parser.add_argument("--budgets", default="64")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", dest="method", default=METHODS)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    table: list[str] = []
    models: list[str] = []
    for augmentation in options.augmentations.split(","):
        for budget in map(int, options.budgets.split(",")):
            result = search(options, augmentation, budget)
            models = sorted({condition.model for condition in result.conditions})
            table += rows(result, augmentation, budget)
    head = ["augmentation", "budget", "N_p", "method", "surrogate trainings", *models]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    print("\n".join(table))
    first = result.conditions[0].accuracy
    print(
        f"\n{first.n_images} test images in {first.n_groups} groups, {first.n_seeds} seeds; accuracy %, 95 % "
        f"interval, each seed. {result.environment.device}, torch {result.environment.versions['torch']}."
    )


if __name__ == "__main__":
    main()
