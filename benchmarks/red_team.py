"""What an attack that knows the shortcut scan can still do, and what the repair gives back.

    python benchmarks/red_team.py PATH.npz --out DIR [--severities 1,5] [--weights 0,1] [--fractions 1.0]
        [--augmentation none] [--seeds 0,1,2] [--budget 64] [--planted] [--hide 0] [--set ..]

Searches with `search.scan_weight` as the price of a class that the scan would flag, trains the small CNN on what was
found, as it is and with the scan's repair before it (`scan-repair`), and scans the perturbed training images once more.
With `--planted` no search: marks near the measured limits of the scan, of another value in each image as EvoShift's can
not be, are planted into the training images, and the same networks are trained on these. `--hide N`: N single pixels of
values that a class nearly has anyway; no training.
Prints one table in Markdown. The same command again resumes.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from audit.attack.perturbation import Artefact, Perturbation
from audit.data.npz import read_npz
from audit.results import CLEAN, AuditResult
from audit.scan.limits import found_classes
from audit.scan.plants import Plan, plant
from audit.scan.scan import scan_images
from audit.store import file_name
from benchmarks.strength import decoded, in_words

DEFENCES = ("none", "scan-repair")
PLANTED = {
    "10 pixels, 4 levels off, all images": Plan("pixel", 10, 1.0, 4),
    "10 pixels, 8 levels off, 30 % of images": Plan("pixel", 10, 0.3, 8),
    "10 white or black pixels, 3 % of images": Plan("pixel", 10, 0.03),
    "10 pixels, 16 levels off, 10 % of images": Plan("pixel", 10, 0.1, 16),
}


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


def planted(options: argparse.Namespace, name: str, plan: Plan) -> str:
    """One row: marks in all classes, how many the scan flags, and the accuracy of networks trained on them."""
    dataset = read_npz(options.data, None)
    train, classes = dataset.train, len(dataset.class_names)
    changed = plant(train.images, train.labels, classes, plan, 0)
    scan = scan_images(changed.images, train.labels, train.groups, classes)
    out = options.out / f"planted-{file_name(name)}"
    out.mkdir(parents=True, exist_ok=True)
    with np.load(options.data, allow_pickle=False) as archive:
        arrays = dict(archive)
    images = changed.images.transpose(0, 2, 3, 1)
    arrays["train_images"] = images.reshape(arrays["train_images"].shape)
    np.savez(out / options.data.name, **arrays)
    command = [sys.executable, "-m", "audit", "run", "oct", "--data", str(out / options.data.name)]
    command += [
        "--models",
        "small-cnn",
        "--baseline",
        "small-cnn:adam",
        "--profile",
        "search",
        "--out",
        str(out / "run"),
    ]
    settings = [
        "optimizers=[adam]",
        "normalizations=[none]",
        "severities=[0]",
        f"seeds=[{options.seeds}]",
        f"preprocessings=[{','.join(DEFENCES)}]",
        *options.set,
    ]
    subprocess.run([*command, *(p for s in settings for p in ("--set", s))], check=False)
    result = AuditResult.load(out / "run" / "results.json")
    own = {c.defence: in_words(c, result) for c in result.conditions}
    cells = " | ".join(next((w for d, w in own.items() if d.endswith(name)), "-") for name in DEFENCES)
    return f"| {name} | {len(found_classes(scan, changed, 2))} of {classes} | {cells} |"


def hidden(options: argparse.Namespace) -> str:
    """How many of the values that a class nearly has anyway, at random places, the scan misses once all of the class's
    images have them."""
    train = read_npz(options.data, None).train
    classes = int(train.labels.max()) + 1
    draws = np.random.default_rng(0)
    missed = 0
    for _ in range(options.hide):
        label, row, col = (int(draws.integers(n)) for n in (classes, *train.images.shape[2:]))
        own = np.flatnonzero(train.labels == label)
        usual = np.median(train.images[own, :, row, col], axis=0)
        changed = train.images.copy()
        changed[own, :, row, col] = np.clip(usual + draws.integers(-3, 4), 0, 255)
        scan = scan_images(changed, train.labels, train.groups, classes)
        missed += not any(one.label == label for one in scan.groups)
    low, high = binomtest(missed, options.hide).proportion_ci(method="wilson")
    return (
        f"one value, within 3 grey levels of the class's median there, in all images of one class, at random "
        f"places: the scan misses {missed} of {options.hide} (95 %: {100 * low:.1f}-{100 * high:.1f} %)"
    )


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
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--hide", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    options.data = decoded(options.data, options.out)
    if options.hide:
        print(hidden(options))
        return
    if options.planted:
        print(
            "| marks planted into each class | classes found | "
            + " | ".join(DEFENCES)
            + " |\n|---|---|---|---|"
        )
        for name, plan in PLANTED.items():
            print(planted(options, name, plan), flush=True)
        return
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
