"""The thesis's results once more, on real OCT and dermatology images with recipes that fit a CPU.

    python benchmarks/reproduction.py DATA --out DIR [--page docs/reproduction.md] [--only oct-thesis,..]

DATA holds oct-kermany1000/, derm-isic7/ and mnist-subset/. Runs the audits of AUDITS through the command line, each
in its folder under DIR (the same command again resumes), and writes the page with its figures.
Hours on two cores; `--only` runs some audits, and the page says which are missing.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import reproduction_page
import table_2_4

from audit.results import AuditResult

OCT, DERM, MNIST = (
    "oct-kermany1000/oct_kermany1000_64.npz",
    "derm-isic7/derm_isic7_64.npz",
    "mnist-subset/mnist_28.npz",
)
COMMON = (
    "--profile cpu --seeds 0,1,2 --set training.stem=published --set search.budget=64 "
    "--set evaluation.explained_images=0 --set controls.scope=all --set 'controls.methods=[]'"
)
THESIS_MODELS = "--models resnet50,densenet121 --baseline resnet50:adam"
DENSENET = "--models densenet121 --baseline densenet121:adam"  # what fits the CPU on dermatology
PLAIN = "--optimizers adam --normalizations none --severities 0,1,2,5"
OPTIMIZERS = (
    "--models small-cnn --baseline small-cnn:adam --normalizations none,csn --severities 0,1,2,5 "
    "--set training.epochs=15"
)
RATES = "--set 'training.learning_rates={sgd: [0.01, 0.1]}'"
DEFENCES = (
    "--models small-cnn --baseline small-cnn:adam --optimizers adam --normalizations none,csn,csn-image,csn-running "
    "--augmentations none,crop-flip,cutout,cutmix,mixup --preprocessings none,median-3,average-3,noise-1,noise-2,"
    "noise-3,noise-4,noise-5,jpeg-10,jpeg-50,projection --set 'stoppings=[none, early-stopping]' --losses ce,vibce "
    "--severities 0,1"
)


@dataclass(frozen=True)
class Audit:
    """One audit of the page."""

    preset: str
    data: str  # below DATA
    options: str


AUDITS = {
    "oct-thesis": Audit("oct", OCT, f"{THESIS_MODELS} {PLAIN}"),
    "derm-thesis": Audit("derma", DERM, f"{DENSENET} {PLAIN}"),
    "oct-optimizers": Audit("oct", OCT, f"{OPTIMIZERS} {RATES} --optimizers adam,adabound,sgd,sgd-m"),
    "oct-defences": Audit("oct", OCT, DEFENCES),
}
NATIVE = ["--set", "data.image_size=28"]
LOSSES = {  # Table 2.4, by `table_2_4.run`: data, further options
    "mnist-losses": (MNIST, [*NATIVE, "--set", "training.epochs=6"]),
    "oct-losses": ("oct-kermany1000/oct_kermany1000_28.npz", [*NATIVE, "--set", "training.epochs=40"]),
}


def run(name: str, root: Path, out: Path, more: list[str]) -> AuditResult:
    """One audit of AUDITS through the command line; a finished one is read again."""
    audit = AUDITS[name]
    options = [*shlex.split(f"{COMMON} {audit.options}"), *more]
    command = ["run", audit.preset, "--data", str(root / audit.data), "--out", str(out / name), *options]
    subprocess.run([sys.executable, "-m", "audit", *command], check=True)
    return AuditResult.load(out / name / "results.json")


def collect(options: argparse.Namespace) -> dict[str, AuditResult]:
    """Run what was asked for, and read what lies there from before."""
    wanted = options.only.split(",") if options.only is not None else [*AUDITS, *LOSSES]
    found = {}
    for name in (*AUDITS, *LOSSES):
        results = options.out / name / "results.json"
        if name in AUDITS and name in wanted:
            found[name] = run(name, options.data, options.out, options.more)
        elif name in wanted:
            data, more = LOSSES[name]
            found[name] = table_2_4.run(options.data / data, options.out / name, more=[*more, *options.more])
        elif results.exists():
            found[name] = AuditResult.load(results)
    return found


def main() -> None:
    """Run what is missing, write the page and its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, default=Path("docs/reproduction.md"))
    parser.add_argument("--only", help="names of audits, separated by commas; empty: only write the page")
    parser.add_argument("--options", default="", help="further options of `audit run`, as one text")
    options = parser.parse_args()
    options.more = shlex.split(options.options)
    found = collect(options)
    pictures = options.page.parent / "images" / "reproduction"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, files in reproduction_page.FIGURES.items():
        for file in files if name in found else ():
            shutil.copyfile(options.out / name / "figures" / file, pictures / f"{name}-{file}")
    commands = {
        name: f"audit run {audit.preset} --data DATA/{audit.data} {audit.options}"
        for name, audit in AUDITS.items()
    }
    commands |= {
        name: f"python benchmarks/table_2_4.py DATA/{data} --out DIR {shlex.join(more)}"
        for name, (data, more) in LOSSES.items()
    }
    missing = [name for name in (*AUDITS, *LOSSES) if name not in found]
    options.page.write_text(reproduction_page.page(found, missing, commands, COMMON), encoding="utf-8")
    print(f"{options.page}: {len(found)} audits" + (f", missing: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main()
