"""The main job on real OCT images: clean, random, shortcut and EvoShift accuracy beside method §7.

    python benchmarks/real_oct.py PATH/oct_kermany1000_64.npz --model resnet18 --out DIR [--json]

Runs `audit run oct --profile cpu` (two seeds, one pixel per class, Adam) and prints its table. The same
command again resumes, and a finished run prints at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from audit.results import AuditResult

# Method §7: a small batch-normalized CNN on the same images (720 train + val, 280 test), Adam, 15 epochs;
# ResNet-18, 8 epochs, one seed. No augmentation.
REFERENCE = {
    "clean": "0.93 / 0.94; ResNet-18 0.66",
    "random": "0.51 / 0.53; ResNet-18 0.46",
    "shortcut": "0.28 / 0.25; ResNet-18 0.33",
    "evoshift": "not measured without augmentation",
}


def run(data: Path, model: str, out: Path, workers: int | None) -> AuditResult:
    """The audit, through the command line as a user would."""
    command = [sys.executable, "-m", "audit", "run", "oct", "--data", str(data), "--models", model]
    command += ["--baseline", f"{model}:adam", "--profile", "cpu", "--out", str(out)]
    command += ["--workers", str(workers)] if workers else []
    subprocess.run(command, check=True)
    return AuditResult.load(out / "results.json")


def by_seed(result: AuditResult, attack: str) -> list[float]:
    """Final accuracy of each training."""
    return [c.measures.accuracy for c in result.cells if c.attack == attack and c.measures is not None]


def rows(result: AuditResult) -> list[dict[str, object]]:
    """Accuracy by attack: mean with interval, and each seed."""
    found = []
    for condition in result.conditions:
        a = condition.accuracy
        found.append(
            {
                "attack": condition.attack,
                "accuracy": a.estimate,
                "interval": [a.low, a.high],
                "by_seed": by_seed(result, condition.attack),
                "train_accuracy": condition.train_accuracy,
                "n_images": a.n_images,
                "n_groups": a.n_groups,
                "n_seeds": a.n_seeds,
                "reference": REFERENCE[condition.attack],
            }
        )
    return found


def main() -> None:
    """Run, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.data, options.model, options.out, options.workers)
    table = rows(result)
    where = f"{result.environment.processor}, {result.environment.cores} cores, {result.environment.device}"
    print(f"{result.dataset.name}, {options.model}, {result.seconds / 60:.0f} min on {where}")
    for condition, row in zip(result.conditions, table, strict=True):
        a = condition.accuracy
        seeds = " / ".join(f"{c:.3f}" for c in by_seed(result, condition.attack))
        print(f"{condition.attack:9} {a.estimate:.3f} ({a.low:.3f}-{a.high:.3f})  seeds {seeds}  ", end="")
        print(f"reference {row['reference']}")
    if options.json:
        print(json.dumps({"model": options.model, "seconds": result.seconds, "rows": table}))


if __name__ == "__main__":
    main()
