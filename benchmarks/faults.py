"""Kills an audit with SIGKILL at random moments and lets the same command go on, until so many kills are done; every
finished audit must equal one that was never killed, times and memory aside.

    python benchmarks/faults.py --out DIR [--kills 30] [--workers 2] [--seed 0]

The audit: phantoms (synthetic), a small CNN, a search and a grid, half a minute of work. Prints in what phase each kill
came, how many audits were finished, and whether they were equal. Worker processes are not killed with it: they must end
by themselves. Exit code 1 where one audit differs or a process is left.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

SETTINGS = {
    "models": "[small-cnn]",
    "optimizers": "[adam]",
    "normalizations": "[none, csn]",
    "baseline.model": "small-cnn",
    "severities": "[0, 1]",
    "seeds": "[0, 1]",
    "data.n_train": 200,
    "data.n_test": 80,
    "data.image_size": 32,
    "training.epochs": 6,
    "search.generations": 3,
    "search.images_per_class": 32,
    "search.steps": 40,
    "search.population": 8,
}
TIMES = {"seconds", "peak_bytes"}


def command(folder: Path, workers: int) -> list[str]:
    """One audit through the command line."""
    settings = [part for field, value in SETTINGS.items() for part in ("--set", f"{field}={value}")]
    start = [sys.executable, "-m", "audit", "run", "oct", "--profile", "quick", "--workers", str(workers)]
    return [*start, "--out", str(folder), *settings]


def content(folder: Path) -> Any:
    """results.json without what a clock or a machine decides."""
    found = json.loads((folder / "results.json").read_text())
    for field in ("seconds", "created", "command", "cost"):
        del found[field]
    for field in ("engine", "workers"):
        del found["config"][field]
    return untimed(found)


def untimed(value: Any) -> Any:
    """Without times, however deep."""
    if isinstance(value, dict):
        return {key: untimed(part) for key, part in value.items() if key not in TIMES}
    return [untimed(part) for part in value] if isinstance(value, list) else value


def phase(folder: Path) -> str:
    """What was being done when the last line of the log was written."""
    try:
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    except (OSError, ValueError):
        return "before the first training"
    started = [n for n, event in enumerate(events) if event["event"] == "started"]
    if not started:
        return "before the first training"
    last = events[-1]["event"]
    if last == "finished":
        return "results and report"
    if last in ("search", "generation"):
        return "search"
    return "trainings" if started[-1] < len(events) - 1 else "between start and first event"


def workers_left() -> list[str]:
    """Worker processes whose parent is gone."""
    found = subprocess.run(["ps", "-eo", "ppid,pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "spawn_main" in line and line.split()[0] == "1"]


def killed_until_done(
    folder: Path, options: argparse.Namespace, draws: random.Random, seconds: float
) -> list[str]:
    """Phases of the kills of one audit; it is let alone when enough kills are done."""
    kills: list[str] = []
    while True:
        running = subprocess.Popen(
            command(folder, options.workers), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            allowed = draws.uniform(0, seconds) if options.left > 0 else None
            _, errors = running.communicate(timeout=allowed)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            options.left -= 1
            kills.append(phase(folder))
            print(f"kill {len(kills)} of this audit, {options.left} left: {kills[-1]}", flush=True)
            continue
        if running.returncode:
            raise SystemExit(f"the command failed:\n{errors}")
        return kills


def main() -> None:
    """Kill, resume, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", dest="left", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wanted, draws = options.left, random.Random(options.seed)
    shutil.rmtree(options.out, ignore_errors=True)
    started = time.monotonic()
    subprocess.run(command(options.out / "whole", options.workers), check=True, capture_output=True)
    seconds = time.monotonic() - started
    print(f"without a kill: {seconds:.0f} s", flush=True)
    expected = content(options.out / "whole")
    kills: list[str] = []
    equal: list[bool] = []
    while options.left > 0:
        folder = options.out / f"killed-{len(equal)}"
        kills += killed_until_done(folder, options, draws, seconds)
        equal.append(content(folder) == expected)
        print(f"audit {len(equal)}: {'equal' if equal[-1] else 'DIFFERENT'}", flush=True)
    time.sleep(10)
    left = workers_left()
    print(f"{wanted} kills: {dict(Counter(kills))}")
    print(
        f"{len(equal)} audits finished, {sum(equal)} equal to the one without a kill; {len(left)} processes left"
    )
    raise SystemExit(0 if all(equal) and not left else 1)


if __name__ == "__main__":
    main()
