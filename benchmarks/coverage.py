"""Coverage of the intervals: how often they hold the truth in simulated audits.

    python benchmarks/coverage.py [--quick] [--replications 2000] [--seeds 1,2,3,5] [--measures accuracy,drop,score]
        [--bootstrap 1000] [--out settings.csv]

Simulated answers. Training s is right on image i of patient g where z < a + t b_s: b_s is standard normal, so
that t is the spread between trainings; z is standard normal and the same in all trainings in part (AGREEMENT,
the difficulty of the image), in part drawn anew by each; images of one patient share part of both. A probit
model rather than a logistic one: the truth is then known in closed form. a, t and the patients' part are
solved for, so that accuracy, its standard deviation between trainings, and the intraclass correlation of the
0/1 answers within a patient are exactly those that a setting names. Difficulty does not depend on how many
images a patient has.

What an interval should hold: the mean accuracy over trainings AND over the population of patients; for one
training, the accuracy of this training over the population. Drops: attacked from clean, by the same seeds and
images. Scores: mean over three severities, by the mean of the baseline's.

The intervals are the product's own. --bootstrap: draws of patients for each interval (an audit has 4,000).
Monte-Carlo error: sqrt(0.95 x 0.05 / replications), 0.5 points for 2,000; 0.02 to 0.05 for means over settings.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t

from audit.evaluation.intervals import (
    Resampling,
    difference_interval,
    make_resampling,
    mean_interval,
    ratio_interval,
)
from audit.results import Interval

Floats = npt.NDArray[np.float64]

AGREEMENT = 0.7  # share of a latent answer that all trainings have in common
COMMON = 0.6  # share of an image's difficulty that all conditions have in common
PAIRED = 0.5  # correlation of the seed's effect between two conditions
LAYOUTS = 10  # draws of patients' sizes and of the bootstrap per number of images
CORRECTED = 1 - 0.05 / 12  # Bonferroni's level for 12 conditions
# The real OCT test set: how many of its 178 patients have how many images.
OCT_PATIENTS = {1: 129, 2: 27, 3: 10, 4: 5, 5: 3, 6: 1, 7: 1, 8: 1, 11: 1}

IMAGES = (200, 280, 500, 1000)
ACCURACIES = (0.3, 0.6, 0.9, 0.95)
SPREADS = (0.0, 0.01, 0.03, 0.06)
DROPS = ((0.95, 0.95), (0.93, 0.85), (0.93, 0.5), (0.93, 0.25))
SCORES = (
    ((0.5, 0.4, 0.3), (0.5, 0.4, 0.3)),
    ((0.9, 0.85, 0.8), (0.4, 0.3, 0.25)),
    ((0.3, 0.25, 0.25), (0.6, 0.5, 0.4)),
)


@dataclass(frozen=True)
class Setting:
    """One simulated kind of audit. `conditions`: true accuracy of each; `spread`: sd between trainings."""

    measure: str  # accuracy, drop, score
    seeds: int
    images: int
    conditions: tuple[float, ...]
    spread: float
    icc: float  # within patients

    @property
    def truth(self) -> float:
        """What the interval should hold."""
        if self.measure == "accuracy":
            return self.conditions[0]
        if self.measure.startswith("drop"):
            return self.conditions[0] - self.conditions[1]
        half = len(self.conditions) // 2
        return sum(self.conditions[:half]) / sum(self.conditions[half:])


@dataclass(frozen=True)
class Outcome:
    """What the replications of a setting gave; shares in [0, 1]. Below: the interval ends below the truth."""

    setting: Setting
    below: float
    above: float
    width: float

    @property
    def covered(self) -> float:
        """Share of intervals that hold the truth."""
        return 1 - self.below - self.above


def settings(measures: list[str], seeds: list[int], quick: bool) -> Iterator[Setting]:
    """The grid. One training has no spread: its own accuracy is the truth."""
    for n_seeds, spread in itertools.product(seeds, SPREADS):
        if n_seeds == 1 and spread:
            continue
        images = (280,) if quick else IMAGES
        if "accuracy" in measures:
            accuracies = ACCURACIES if spread else (*ACCURACIES, 0.99)
            for n, p, icc in itertools.product(images, accuracies, (0.0, 0.5)):
                yield Setting("accuracy", n_seeds, n, (p,), spread, icc)
        for n in images:
            if "drop" in measures:
                yield from (Setting("drop", n_seeds, n, pair, spread, 0.3) for pair in DROPS)
            if "score" in measures:
                yield from (Setting("score", n_seeds, n, a + b, spread, 0.3) for a, b in SCORES)


@cache
def layout(images: int, draw: int, bootstrap: int) -> tuple[npt.NDArray[np.int64], Resampling]:
    """Patient of each image (N,), and the bootstrap's draws. 280 images: the patients of the real OCT set;
    else geometric numbers of images with the same mean, 1.57."""
    if images == 280:
        sizes = np.repeat(list(OCT_PATIENTS), list(OCT_PATIENTS.values()))
    else:
        sizes = np.random.default_rng(draw).geometric(178 / 280, size=images)
    groups = np.repeat(np.arange(len(sizes)), sizes)[:images]
    return groups, make_resampling(images, groups, 1, bootstrap, draw)


@cache
def threshold(accuracy: float, spread: float) -> tuple[float, float]:
    """(a, t) such that Phi(a + t b), b standard normal, has this mean and standard deviation."""
    if spread == 0:
        return float(ndtri(accuracy)), 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def excess(t: float) -> float:
        rates = ndtr(ndtri(accuracy) * np.sqrt(1 + t**2) + t * nodes)
        return float(np.sqrt(weights @ (rates - accuracy) ** 2) - spread)

    t = brentq(excess, 1e-9, 5.0)
    return float(ndtri(accuracy) * np.sqrt(1 + t**2)), float(t)


@cache
def latent_correlation(accuracy: float, icc: float) -> float:
    """Correlation of two normal variables whose signs, at this accuracy, correlate with `icc`."""
    if icc == 0:
        return 0.0
    variance = accuracy * (1 - accuracy)

    def excess(r: float) -> float:  # Owen 1956: both below the threshold
        both = accuracy - 2 * owens_t(ndtri(accuracy), np.sqrt((1 - r) / (1 + r)))
        return float((both - accuracy**2) / variance - icc)

    return float(brentq(excess, 0.0, 1 - 1e-9))


def simulate(setting: Setting, groups: npt.NDArray[np.int64], generator: np.random.Generator) -> list[Floats]:
    """Right answers (S, N) of every condition."""
    n_groups, n_images = int(groups[-1]) + 1, len(groups)

    def latent(correlation: float, rows: int) -> Floats:
        patient = generator.standard_normal((rows, n_groups))[:, groups]
        image = generator.standard_normal((rows, n_images))
        return np.sqrt(correlation) * patient + np.sqrt(1 - correlation) * image

    # Clean accuracy varies less than an attacked one. A spread that the setting names belongs to attacked rows.
    spreads = [setting.spread] * len(setting.conditions)
    if setting.measure == "drop":
        spreads[0] = min(setting.spread, 0.01)
    common = latent(latent_correlation(setting.conditions[0], setting.icc), 1)
    seed_effect = generator.standard_normal((setting.seeds, 1))
    answers = []
    for accuracy, spread in zip(setting.conditions, spreads, strict=True):
        correlation = latent_correlation(accuracy, setting.icc)
        difficulty = common
        if len(setting.conditions) > 1:
            difficulty = np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * latent(correlation, 1)
        noise = latent(correlation, setting.seeds)
        own = generator.standard_normal((setting.seeds, 1))
        effect = np.sqrt(PAIRED) * seed_effect + np.sqrt(1 - PAIRED) * own
        a, t = threshold(accuracy, spread)
        answers.append(np.sqrt(AGREEMENT) * difficulty + np.sqrt(1 - AGREEMENT) * noise < a + t * effect)
    return [answer.astype(np.float64) for answer in answers]


def intervals(setting: Setting, answers: list[Floats], resampling: Resampling) -> dict[str, Interval]:
    """The product's interval for this measure; drops also at the corrected level."""
    if setting.measure == "accuracy":
        return {"accuracy": mean_interval(answers[0], resampling)}
    if setting.measure == "drop":
        corrected = difference_interval(answers[0], answers[1], resampling, CORRECTED)
        return {
            "drop": difference_interval(answers[0], answers[1], resampling),
            "drop at 99.58 %": corrected,
        }
    half = len(answers) // 2
    return {"score": ratio_interval(answers[:half], answers[half:], resampling)}


def measure(setting: Setting, replications: int, bootstrap: int, seed: int) -> list[Outcome]:
    """Coverage of one setting."""
    generator = np.random.default_rng(seed)
    found: dict[str, list[Interval]] = {}
    for number in range(replications):
        groups, one_seed = layout(setting.images, number % LAYOUTS, bootstrap)
        answers = simulate(setting, groups, generator)
        resampling = replace(one_seed, n_seeds=setting.seeds)
        for name, interval in intervals(setting, answers, resampling).items():
            found.setdefault(name, []).append(interval)
    return [
        Outcome(
            replace(setting, measure=name),
            float(np.mean([i.high < setting.truth for i in rows])),
            float(np.mean([i.low > setting.truth for i in rows])),
            float(np.median([i.high - i.low for i in rows])),
        )
        for name, rows in found.items()
    ]


def table(outcomes: list[Outcome]) -> str:
    """Markdown: one row per measure, trainings and spread; means over its settings, lowest and highest."""
    lines = [
        "| measure | trainings | sd between them | settings | coverage, % (lowest to highest setting) "
        "| ends below / above the truth, % | width |",
        "|---|---|---|---|---|---|---|",
    ]
    rows: dict[tuple[str, int, float], list[Outcome]] = {}
    for one in outcomes:
        rows.setdefault((one.setting.measure, one.setting.seeds, one.setting.spread), []).append(one)
    for (name, seeds, spread), group in sorted(rows.items()):
        covered = [100 * one.covered for one in group]
        lines.append(
            f"| {name} | {seeds} | {'-' if seeds == 1 else f'{spread:.2f}'} | {len(group)} "
            f"| {np.mean(covered):.1f} ({min(covered):.1f} to {max(covered):.1f}) "
            f"| {100 * np.mean([o.below for o in group]):.1f} / {100 * np.mean([o.above for o in group]):.1f} "
            f"| {np.mean([o.width for o in group]):.3f} |"
        )
    return "\n".join(lines)


def write_csv(outcomes: list[Outcome], path: Path) -> None:
    """Every setting by itself."""
    columns = (
        "measure",
        "trainings",
        "images",
        "accuracies",
        "sd",
        "icc",
        "coverage",
        "below",
        "above",
        "width",
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for one in outcomes:
            s = one.setting
            named = [s.measure, s.seeds, s.images, " ".join(map(str, s.conditions)), s.spread, s.icc]
            measured = (one.covered, one.below, one.above, one.width)
            writer.writerow([*named, *(f"{value:.4f}" for value in measured)])


def main() -> None:
    """Run all settings and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="280 images only, 300 replications")
    parser.add_argument("--replications", type=int)
    parser.add_argument("--seeds", default="1,2,3,5")
    parser.add_argument("--measures", default="accuracy,drop,score")
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    replications = options.replications or (300 if options.quick else 2000)
    grid = list(
        settings(options.measures.split(","), [int(s) for s in options.seeds.split(",")], options.quick)
    )
    outcomes: list[Outcome] = []
    start = time.perf_counter()
    for number, setting in enumerate(grid, 1):
        outcomes += measure(setting, replications, options.bootstrap, seed=number)
        passed = time.perf_counter() - start
        print(f"\r{number} of {len(grid)} settings, {passed:.0f} s", end="", file=sys.stderr)
    if options.out:
        write_csv(outcomes, options.out)
    error = 100 * np.sqrt(0.95 * 0.05 / replications)
    print(f"\n{replications} replications per setting, Monte-Carlo error of one setting {error:.2f} points\n")
    print(table(outcomes))


if __name__ == "__main__":
    main()
