"""Strength of the search methods: accuracy of victims on clean test images, with and without augmentation, and
under a preprocessing that the search knows of.

    python benchmarks/strength.py PATH.npz --out DIR [--models small-cnn] [--augmentations none,crop-flip]
        [--preprocessings none] [--severities 1] [--budgets 64] [--seeds 0,1,2]
        [--methods evoshift,random-search,shortcut,random,heuristic] [--set training.stem=published ..]

Runs `audit search` once per augmentation, preprocessing and budget, as a user would, each in its folder under DIR,
and prints one table in Markdown. Several budgets give the budget curve. The same command again resumes. A .npz that
holds JPEG bytes (`train_jpeg`, `train_offsets`) is decoded into DIR first.
"""

from __future__ import annotations

import argparse
import io
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from audit.results import CLEAN, NO_DEFENCE, AuditResult, ConditionSummary

METHODS = "evoshift,random-search,shortcut,random,heuristic"


def decoded(path: Path, folder: Path) -> Path:
    """The data set as arrays of pixels; JPEG bytes are decoded once."""
    with np.load(path) as archive:
        if "train_jpeg" not in archive:
            return path
        arrays = {}
        for split in ("train", "val", "test"):
            stream, offsets = archive[f"{split}_jpeg"], archive[f"{split}_offsets"]
            pictures = [
                np.asarray(Image.open(io.BytesIO(stream[a:b].tobytes())))
                for a, b in itertools.pairwise(offsets)
            ]
            arrays[f"{split}_images"] = np.stack(pictures)
            arrays[f"{split}_labels"] = archive[f"{split}_labels"]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}_decoded.npz"
    np.savez(target, **arrays)
    return target


def search(options: argparse.Namespace, augmentation: str, preprocessing: str, budget: int) -> AuditResult:
    """One comparison through the command line."""
    known = f"-{preprocessing}" if preprocessing != NO_DEFENCE else ""
    out = options.out / f"{augmentation}{known}-{budget}"
    command = [sys.executable, "-m", "audit", "search", str(options.data), "--out", str(out)]
    for option in ("method", "severity", "models", "seeds"):
        command += [f"--{option}", getattr(options, option)]
    command += ["--augmentation", augmentation, "--budget", str(budget)]
    settings = [*options.set]
    if preprocessing != NO_DEFENCE:
        settings += [f"preprocessings=[{preprocessing}]", f"search.preprocessing={preprocessing}"]
    command += [part for setting in settings for part in ("--set", setting)]
    subprocess.run(command, check=True)
    return AuditResult.load(out / "results.json")


def rows(result: AuditResult, augmentation: str, preprocessing: str, budget: int) -> list[str]:
    """One row per method and severity, one column per victim. Cells of the baseline beside it are left out."""
    found = []
    parts = [part for part in (augmentation, preprocessing) if part != NO_DEFENCE]
    known = [c for c in result.conditions if c.defence == (" + ".join(parts) or NO_DEFENCE)]
    for severity, method in sorted({(c.severity, c.attack) for c in known}):
        of_row = [c for c in known if (c.severity, c.attack) == (severity, method)]
        spent = [
            p.search
            for p in result.perturbations
            if (p.severity, p.attack) == (severity, method) and p.search
        ]
        cost = f"{spent[0].trainings} in {spent[0].seconds:.0f} s" if spent else "-"
        cells = " | ".join(in_words(c, result) for c in sorted(of_row, key=lambda c: c.model))
        shown = "-" if method == CLEAN else str(severity)
        defence = " + ".join(parts) or NO_DEFENCE
        found.append(f"| {defence} | {budget} | {shown} | {method} | {cost} | {cells} |")
    return found


def in_words(condition: ConditionSummary, result: AuditResult) -> str:
    """Mean, interval, and every training."""
    a = condition.accuracy
    each = [
        f"{100 * cell.measures.accuracy:.1f}"
        for cell in result.cells
        if cell.measures is not None
        and (cell.pair, cell.attack, cell.severity) == (condition.pair, condition.attack, condition.severity)
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
    parser.add_argument("--preprocessings", default="none")
    parser.add_argument("--severities", dest="severity", default="1")
    parser.add_argument("--budgets", default="64")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", dest="method", default=METHODS)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    options.data = decoded(options.data, options.out)
    table: list[str] = []
    models: list[str] = []
    for augmentation, preprocessing, budget in itertools.product(
        options.augmentations.split(","),
        options.preprocessings.split(","),
        map(int, options.budgets.split(",")),
    ):
        result = search(options, augmentation, preprocessing, budget)
        models = sorted({condition.model for condition in result.conditions})
        table += rows(result, augmentation, preprocessing, budget)
    head = ["defence that the search knows", "budget", "N_p", "method", "surrogate trainings", *models]
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
