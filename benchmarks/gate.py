"""False alarms and power of `audit gate`, by simulation from real cells.

    python benchmarks/gate.py RUN [--rules FILE] [--audits 1000] [--json]

RUN is an audit with many seeds. Each simulated pair of audits draws, without replacement, the trainings of a baseline
and those of a new audit from the real ones of RUN, and redraws the test patients. Both are numbered 0, 1, ..: the gate
pairs them by seed, though they have nothing in common, which is the worst case for it. False alarms: nothing was
changed, and yet the gate is red. Power: right answers of the attacked trainings are turned wrong until accuracy is
lower by the wished drop, by whole trainings' own error pattern (each right answer with equal chance); the smallest
drop that is found in 90 % of the simulated audits.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.gate.judge import judge
from audit.gate.record import GateResult
from audit.gate.rules import Rules, load_rules
from audit.gate.snapshot import Condition, Snapshot, Training, load_snapshot, packed
from audit.results import CLEAN

DROPS = (0.0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.50)
SEEDS = ((1, 1), (3, 1), (3, 3), (5, 1), (5, 3), (5, 5))  # trainings of the baseline, of the new audit


@dataclass(frozen=True)
class Bank:
    """Real trainings, and the generator that draws from them."""

    snapshot: Snapshot
    generator: np.random.Generator
    extra: float = 0.0  # standard deviation between trainings that is added to theirs

    def pair(self, n_base: int, n_new: int, drop: float) -> tuple[Snapshot, Snapshot]:
        """A baseline and a new audit on the same redrawn patients; `drop` of the new one's attacked accuracy."""
        seeds = sorted({one.seed for c in self.snapshot.conditions for one in c.trainings})
        drawn = self.generator.permutation(seeds)[: n_base + n_new]
        images = self.patients()
        base = self.audit(drawn[:n_base], images, 0.0)
        return base, self.audit(drawn[n_base:], images, drop)

    def patients(self) -> np.ndarray:
        """Test images of patients drawn with replacement, (N,); each drawn patient counts as one of his own."""
        groups = self.snapshot.groups
        member = np.arange(len(self.snapshot.labels)) if groups is None else groups
        kinds = np.unique(member)
        parts = [np.flatnonzero(member == one) for one in self.generator.choice(kinds, len(kinds))]
        return np.concatenate(
            [np.stack([part, np.full(len(part), n)], axis=1) for n, part in enumerate(parts)]
        )

    def audit(self, seeds: np.ndarray, images: np.ndarray, drop: float) -> Snapshot:
        """An audit of these seeds only, on these images."""
        conditions = []
        for one in self.snapshot.conditions:
            lost = 0.0 if one.attack == CLEAN else drop
            known = {training.seed: training for training in one.trainings}
            trainings = [
                self.redrawn(known[seed], images[:, 0], lost).model_copy(update={"seed": number})
                for number, seed in enumerate(seeds)
            ]
            conditions.append(Condition(**{**one.model_dump(), "trainings": trainings}))
        update = {
            "conditions": conditions,
            "test_labels": packed(self.snapshot.labels[images[:, 0]], np.uint16),
            "test_groups": packed(images[:, 1], np.uint32),
        }
        return self.snapshot.model_copy(update=update)

    def noisy(self, right: np.ndarray) -> np.ndarray:
        """As if trainings differed more than the real ones do: some answers turned at random."""
        shift = self.generator.normal(0.0, self.extra) if self.extra else 0.0
        share = right.mean()
        turned = self.generator.random(len(right)) < abs(shift) / max(
            share if shift < 0 else 1 - share, abs(shift), 1e-9
        )
        return np.where(turned, float(shift > 0), right) if self.extra else right

    def redrawn(self, training: Training, images: np.ndarray, drop: float) -> Training:
        """The answers to these images, some right ones turned wrong."""
        right = self.noisy(self.snapshot.right(training)[images])
        share = right.mean()
        lost = min(drop, max(share - 1 / len(self.snapshot.class_names), 0.0))  # not below guessing
        if lost > 0:
            right = right * (self.generator.random(len(right)) >= lost / share)
        bits = base64.b64encode(np.packbits(right.astype(bool)).tobytes()).decode()
        return training.model_copy(
            update={"right": bits, "cell": f"{training.cell}-{self.generator.integers(1 << 60)}"}
        )


def simulate(bank: Bank, rules: Rules, seeds: tuple[int, int], drop: float, audits: int) -> Counter[str]:
    """Verdicts of so many pairs of audits."""
    verdicts: Counter[str] = Counter()
    for _ in range(audits):
        base, new = bank.pair(*seeds, drop)
        found: GateResult = judge(new, base, rules)
        verdicts[found.verdict] += 1
    return verdicts


def smallest_drop(shares: dict[float, float], wanted: float = 0.9) -> float | None:
    """The smallest drop found with this power, interpolated between those that were simulated."""
    drops = sorted(shares)
    for one, other in itertools.pairwise(drops):
        if shares[other] >= wanted:
            if shares[other] == shares[one]:
                return other
            part = (wanted - shares[one]) / (shares[other] - shares[one])
            return float(one + max(part, 0.0) * (other - one))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--rules", type=Path)
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--power-audits", type=int, default=200)
    parser.add_argument(
        "--extra-spread", type=float, default=0.0, help="between trainings, added to the real one"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rules = load_rules(arguments.rules)
    snapshot = load_snapshot(arguments.run)
    many = min(len(one.trainings) for one in snapshot.conditions)
    print(f"{snapshot.dataset}: {len(snapshot.conditions)} conditions of {many} or more trainings, "
          f"{len(snapshot.labels)} test images")  # fmt: skip
    show_spreads(snapshot)
    found = []
    for seeds in (pair for pair in SEEDS if sum(pair) <= many):
        began = time.monotonic()
        bank = Bank(snapshot, np.random.default_rng(arguments.seed), arguments.extra_spread)
        null = simulate(bank, rules, seeds, 0.0, arguments.audits)
        shares = {0.0: null["fail"] / arguments.audits}
        for drop in DROPS[1:]:
            shares[drop] = (
                simulate(bank, rules, seeds, drop, arguments.power_audits)["fail"] / arguments.power_audits
            )
            if shares[drop] > 0.97:
                break
        verdicts = {name: null[name] / arguments.audits for name in ("pass", "inconclusive", "fail", "error")}
        row = {
            "baseline": seeds[0],
            "new": seeds[1],
            **verdicts,
            "drop": smallest_drop(shares),
            "shares": shares,
        }
        found.append(row)
        smallest = "none of these" if row["drop"] is None else f"{100 * row['drop']:.0f} points"
        print(
            f"baseline {seeds[0]}, new {seeds[1]} seeds; unchanged: red {100 * row['fail']:.1f} %, inconclusive "
            f"{100 * row['inconclusive']:.0f} %, green {100 * row['pass']:.0f} %, error {100 * row['error']:.0f} % of "
            f"{arguments.audits}; smallest drop found with 90 %: {smallest} ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    if arguments.json:
        print(
            json.dumps(
                {"run": snapshot.audit_id, "rules": rules.sha256, "audits": arguments.audits, "rows": found}
            )
        )


def show_spreads(snapshot: Snapshot) -> None:
    """How far the real trainings differ."""
    for one in snapshot.conditions:
        means = [snapshot.right(t).mean() for t in one.trainings]
        print(f"  {one.defence}, {one.attack}: {100 * np.mean(means):.1f} %, standard deviation between trainings "
              f"{100 * np.std(means, ddof=1):.1f} points, n {len(means)}, under-fitted "
              f"{sum(t.under_fitted for t in one.trainings)}")  # fmt: skip


if __name__ == "__main__":
    main()
