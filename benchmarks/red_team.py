"""What an attack that knows the shortcut scan can still do, and what the repair gives back.

    python benchmarks/red_team.py PATH.npz --out DIR [--severities 1,5] [--weights 0,1] [--fractions 1.0]
        [--augmentation none] [--seeds 0,1,2] [--budget 64] [--set training.stem=published ..]

Searches with `search.scan_weight` as the price of a class that the scan would flag, trains the small CNN on what was
found, as it is and with the scan's repair before it (`scan-repair`), and scans the perturbed training images once more.
Prints one table in Markdown. The same command again resumes.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from audit.attack.perturbation import Artefact, Perturbation
from audit.data.npz import read_npz
from audit.results import CLEAN, AuditResult
from audit.scan.scan import scan_images
from benchmarks.strength import decoded, in_words

DEFENCES = ("none", "scan-repair")


def search(options: argparse.Namespace, weight: float, fraction: float) -> tuple[AuditResult, Path]:
    """One comparison through the command line."""
    out = options.out / f"{options.augmentation}-w{weight:g}-f{fraction:g}"
    command = [sys.executable, "-m", "audit", "search", str(options.data), "--out", str(out)]
    for option in ("severity", "seeds", "budget", "augmentation"):
        command += [f"--{option}", str(getattr(options, option))]
    settings = [
        f"preprocessings=[{','.join(DEFENCES)}]",
        f"search.scan_weight={weight}",
        f"perturbed.fraction={fraction}",
        *options.set,
    ]
    command += ["--method", "evoshift", "--models", "small-cnn"]
    subprocess.run([*command, *(p for s in settings for p in ("--set", s))], check=True)
    return AuditResult.load(out / "results.json"), out


def flagged(perturbation: Perturbation, path: Path) -> str:
    """Classes for which the scan of the perturbed training images reports an edit."""
    train = read_npz(path, None).train
    changed = perturbation.apply(train.images, train.labels)
    groups = scan_images(changed, train.labels, train.groups, perturbation.n_classes).groups
    edited = {edit.label for edit in perturbation.edits}
    return f"{len({one.label for one in groups} & edited)} of {len(edited)}"


def rows(result: AuditResult, folder: Path, weight: float, fraction: float, path: Path) -> list[str]:
    """Clean trainings, then one row per severity."""
    found = []
    for severity, attack in sorted({(c.severity, c.attack) for c in result.conditions}):
        own = {c.defence: c for c in result.conditions if (c.severity, c.attack) == (severity, attack)}
        seen = "-"
        if attack != CLEAN:
            made = next(p for p in result.perturbations if (p.severity, p.attack) == (severity, attack))
            seen = flagged(Artefact.load(folder / made.file).perturbation, path)
        cells = " | ".join(
            next((in_words(c, result) for name, c in own.items() if name.endswith(defence)), "-")
            for defence in DEFENCES
        )
        found.append(f"| {weight:g} | {100 * fraction:.0f} % | {severity} | {attack} | {seen} | {cells} |")
    return found


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--severities", dest="severity", default="1,5")
    parser.add_argument("--weights", default="0,1")
    parser.add_argument("--fractions", default="1.0")
    parser.add_argument("--augmentation", default="none")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    options.data = decoded(options.data, options.out)
    print("| scan_weight | images of a class | N_p | attack | classes that the scan flags | ", end="")
    print(" | ".join(DEFENCES) + " |\n" + "|---" * (5 + len(DEFENCES)) + "|")
    for weight, fraction in itertools.product(
        map(float, options.weights.split(",")), map(float, options.fractions.split(","))
    ):
        result, folder = search(options, weight, fraction)
        print("\n".join(rows(result, folder, weight, fraction, options.data)), flush=True)
    first = result.conditions[0].accuracy
    print(
        f"\nSmall CNN; {first.n_images} test images in {first.n_groups} groups, {first.n_seeds} seeds; accuracy %, "
        f"95 % interval, each seed. {result.environment.device}, torch {result.environment.versions['torch']}."
    )


if __name__ == "__main__":
    main()
