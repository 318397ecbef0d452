"""Two Ray nodes on this machine, one of which is killed in mid-run: nothing lost, nothing done twice, and the numbers
of the local engine.

    python benchmarks/ray_nodes.py --out DIR [--after 3]

The audit of benchmarks/faults.py: once with worker processes, once on a cluster of two raylets with one core each, the
second of which is killed with all its workers after so many trainings. Exit code 1 where the results differ, a training
is missing, or one was kept twice. Needs the extra `ray`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.faults import command, content


def events(folder: Path) -> list[dict[str, Any]]:
    """The log so far."""
    try:
        return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    except (OSError, ValueError):
        return []


def trained(folder: Path) -> list[str]:
    """Ids of the trainings that were kept, in their order."""
    return [event["id"] for event in events(folder) if event["event"] == "cell"]


def begun_again(folder: Path) -> list[str]:
    """Ids of trainings whose first epoch was read more than once."""
    first = Counter(e["id"] for e in events(folder) if e["event"] == "epoch" and e["epoch"] == 1)
    return [cell for cell, times in first.items() if times > 1]


def main() -> None:
    """Run, kill a node, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--after", type=int, default=3, help="trainings that are done when the node is killed"
    )
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    subprocess.run(command(options.out / "local", 2), check=True, capture_output=True)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    folder = options.out / "cluster"
    running = subprocess.Popen(
        [*command(folder, 2), "--engine", f"ray:{cluster.address}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while len(trained(folder)) < options.after and running.poll() is None:
            time.sleep(0.1)
        before = len(trained(folder))
        cluster.remove_node(second, allow_graceful=False)
        print(f"node killed after {before} trainings", flush=True)
        _, errors = running.communicate(timeout=1200)
    finally:
        running.kill()
        cluster.shutdown()
    if running.returncode:
        raise SystemExit(f"the audit failed:\n{errors}")
    kept = trained(folder)
    twice = [cell for cell, times in Counter(kept).items() if times > 1]
    planned = len(json.loads((folder / "plan.json").read_text())["cells"])
    equal = content(folder) == content(options.out / "local")
    print(f"{len(set(kept))} of {planned} trainings kept, {len(twice)} of them twice")
    print(
        f"begun again elsewhere: {len(begun_again(folder))}; equal to the local engine: {'yes' if equal else 'NO'}"
    )
    raise SystemExit(0 if equal and not twice and len(set(kept)) == planned else 1)


if __name__ == "__main__":
    main()
