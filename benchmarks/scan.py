"""Evidence for the shortcut scan: false alarms on clean images, recall of planted marks, time and memory.

    python benchmarks/scan.py --data oct=PATH.npz,derm=PATH.npz,mnist=PATH.npz,cifar=PATH.npz
        [--parts alarms,recall,speed,few] [--resplits 200] [--repeats 5] [--folder scan-benchmark]

Images at the resolution in which they are stored. Phantoms (synthetic) are always among the sets. Clean sets are split
anew, patients together, into the share that is scanned and the rest; findings of edits are false alarms. Planted: every
class gets marks at places of its own; a class counts as found where a finding of that class lies within two pixels of a
mark. Other findings of edits are counted, too. Speed: 10,000 noisy phantoms of 224 x 224 pixels, grey and colour, each
in a process of its own; memory is the peak of that process, images included. Few: 20 phantoms of 496 x 496 pixels, with
the measured limits, against as many scans that each count everything anew; the two must agree.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from audit.data.dataset import SPLITS, ImageDataset, Images, Labels
from audit.data.npz import read_npz
from audit.data.phantoms import make_phantoms
from audit.scan.limits import PLANS, SEED, detection_limits, found_classes
from audit.scan.plants import Plan, Planted, plant
from audit.scan.scan import Scan, look_at, scan_images
from benchmarks.strength import decoded

SCANNED = 0.72  # of the patients or images of a resplit: what training and validation hold of the OCT set
NEAR = 2  # pixels between a finding and a mark that count as found
SHARES, COUNTS = (1.0, 0.3, 0.1, 0.03), (1, 2, 5, 10)
FEW_REPEATS = 3
CONTRASTS = (255.0, 64.0, 32.0, 16.0, 8.0, 4.0)


@dataclass(frozen=True)
class Pool:
    """All images of a data set."""

    name: str
    images: Images
    labels: Labels
    groups: Labels | None
    classes: int


def pool(name: str, dataset: ImageDataset) -> Pool:
    """Of all splits. Patients of different splits are different patients."""
    parts = [dataset.split(split) for split in SPLITS if len(dataset.split(split))]
    groups: Labels | None = None
    if all(part.groups is not None for part in parts):
        numbered = [np.stack([np.full(len(p), i), p.groups]) for i, p in enumerate(parts)]  # type: ignore[list-item]
        groups = np.unique(np.concatenate(numbered, axis=1), axis=1, return_inverse=True)[1].ravel()
    return Pool(
        name,
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        groups,
        len(dataset.class_names),
    )


def pools(named: str, folder: Path) -> Iterator[Pool]:
    """Phantoms, and the data sets that were named."""
    yield pool("phantoms oct (synthetic)", make_phantoms("oct", 64, 1200, 0, 400, 0))
    yield pool("phantoms derma (synthetic)", make_phantoms("derma", 64, 1200, 0, 400, 0))
    for one in filter(None, named.split(",")):
        name, path = one.split("=", 1)
        yield pool(name, read_npz(decoded(Path(path), folder), None))


def part_of(source: Pool, seed: int) -> npt.NDArray[np.bool_]:
    """(N,) images that are scanned in one resplit."""
    draws = np.random.default_rng(seed)
    units = np.arange(len(source.labels)) if source.groups is None else source.groups
    chosen = draws.random(units.max() + 1) < SCANNED
    found: npt.NDArray[np.bool_] = chosen[units]
    return found


def scanned(source: Pool, images: Images, seed: int) -> Scan:
    """The scan of one resplit of these images."""
    own = part_of(source, seed)
    groups = None if source.groups is None else source.groups[own]
    return scan_images(images[own], source.labels[own], groups, source.classes)


def alarms(source: Pool, resplits: int) -> dict[str, object]:
    """False alarms of one clean set."""
    edits, frames, seconds = [], [], []
    for seed in range(resplits):
        started = time.perf_counter()
        found = scanned(source, source.images, seed)
        seconds.append(time.perf_counter() - started)
        edits.append(len(found.groups))
        frames.append(sorted({f"{frame.kind} of class {frame.label}" for frame in found.frames}))
    alarmed = sum(count > 0 for count in edits)
    low, high = binomtest(alarmed, resplits).proportion_ci(method="wilson")
    named = {name: sum(name in one for one in frames) for name in sorted({n for one in frames for n in one})}
    return {
        "set": source.name,
        "images": len(source.labels),
        "size": "x".join(map(str, source.images.shape[1:])),
        "resplits": resplits,
        "resplits with an alarm": alarmed,
        "95 %": f"{100 * low:.1f}-{100 * high:.1f} %",
        "false findings": sum(edits),
        "named as acquisition": "; ".join(f"{name}: {count}" for name, count in named.items()) or "-",
        "seconds of a scan": f"{np.median(seconds):.1f}",
    }


def recall(source: Pool, plan: Plan, repeats: int) -> dict[str, object]:
    """Classes found among planted ones."""
    found, false, kinds = 0, 0, []
    for seed in range(repeats):
        planted = plant(source.images, source.labels, source.classes, plan, seed)
        scan = scanned(source, planted.images, seed)
        hits, others, kind = judged(scan, planted, plan)
        found, false = found + hits, false + others
        kinds += kind
    total = repeats * source.classes
    low, high = binomtest(found, total).proportion_ci(method="wilson")
    return {
        "set": source.name,
        "kind": plan.kind,
        "count": plan.count,
        "share": f"{100 * plan.share:.0f} %",
        "contrast": f"{plan.contrast:.0f}",
        "classes": total,
        "found": f"{100 * found / total:.0f} %",
        "95 %": f"{100 * low:.0f}-{100 * high:.0f} %",
        "other findings": false,
        "called": ", ".join(f"{k} {kinds.count(k)}" for k in sorted(set(kinds))) or "-",
    }


def judged(scan: Scan, planted: Planted, plan: Plan) -> tuple[int, int, list[str]]:
    """(classes found, findings of edits elsewhere, kinds of the right ones)."""
    reach = NEAR + (max(8, planted.images.shape[2] // 8) if plan.kind == "text" else 0)
    right: list[tuple[int, str]] = []
    elsewhere = 0
    if plan.kind == "border":
        right = [(frame.label, frame.kind) for frame in scan.frames if frame.kind == "border"]
        elsewhere = len(scan.groups)
    else:
        for one in scan.groups:
            near = any(
                max(abs(row - r), abs(col - c)) <= reach
                for row, col in one.pixels
                for r, c in planted.places[one.label]
            )
            if near:
                right.append((one.label, one.kind))
            else:
                elsewhere += 1
    return len({label for label, _ in right}), elsewhere, [kind for _, kind in right]


def speed(channels: int) -> dict[str, object]:
    """One scan of 10,000 images of 224 x 224 pixels in this process. Makes them from 500 phantoms."""
    base = make_phantoms("oct" if channels == 1 else "derma", 224, 500, 0, 20, 0).train
    draws = np.random.default_rng(0)
    images = np.empty((10_000, *base.images.shape[1:]), np.uint8)
    for start in range(0, len(images), len(base.images)):
        noise = draws.integers(-8, 9, base.images.shape, dtype=np.int16)
        rolled = np.roll(base.images, int(draws.integers(-20, 21)), axis=3)
        images[start : start + len(base.images)] = (rolled + noise).clip(0, 255)
    labels = np.tile(base.labels, 20)
    started = time.perf_counter()
    found = scan_images(images, labels, None, int(labels.max()) + 1)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "images": "x".join(map(str, images.shape)),
        "seconds": f"{seconds:.1f}",
        "CPU seconds": f"{time.process_time():.1f} with making the images",
        "peak GB": f"{peak:.2f}",
        "of which images GB": f"{images.nbytes / 1e9:.2f}",
        "findings": len(found.groups),
    }


def few() -> dict[str, object]:
    """The limits measured on few large images, and the same by scans from scratch, in turn."""
    data = make_phantoms("oct", 496, 20, 0, 4, 0)
    images, labels, classes = data.train.images, data.train.labels, len(data.class_names)
    times: dict[str, list[float]] = {"one scan": [], "limits": [], "limits from scratch": []}
    for _ in range(FEW_REPEATS):
        started = time.perf_counter()
        look = look_at(images, labels, None, classes)
        times["one scan"].append(time.perf_counter() - started)
        started = time.perf_counter()
        found = [limit.found for limit in detection_limits(look)]
        times["limits"].append(time.perf_counter() - started)
        started = time.perf_counter()
        plain = []
        for number, plan in enumerate(PLANS):
            planted = plant(images, labels, classes, plan, SEED + number)
            scan = scan_images(planted.images, labels, None, classes)
            plain.append(len(found_classes(scan, planted, NEAR)))
        times["limits from scratch"].append(time.perf_counter() - started)
        assert plain == found
    seconds = {name: f"{min(one):.1f}-{max(one):.1f}" for name, one in times.items()}
    ratio = min(times["limits from scratch"]) / min(times["limits"])
    return {"images": "x".join(map(str, images.shape)), **seconds, "ratio of the shortest": f"{ratio:.1f}"}


def plans() -> list[Plan]:
    """Shares by contrast with one pixel; shares by count at full contrast; the other kinds by share."""
    found = [Plan("pixel", 1, share, contrast) for share, contrast in itertools.product(SHARES, CONTRASTS)]
    found += [Plan("pixel", count, share) for share, count in itertools.product(SHARES, COUNTS[1:])]
    found += [Plan("jittered", 1, share, c) for share, c in itertools.product(SHARES, (255.0, 64.0))]
    found += [Plan(kind, 1, share) for share, kind in itertools.product(SHARES, ("patch", "text", "border"))]
    return found


def print_table(rows: list[dict[str, object]]) -> None:
    """In Markdown."""
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="")
    parser.add_argument("--parts", default="alarms,recall")
    parser.add_argument("--resplits", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("scan-benchmark"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = options.parts.split(",")
    for part in parts:
        if part == "speed":
            with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as workers:
                print_table(list(workers.map(speed, (1, 3))))
            continue
        if part == "few":
            print_table([few()])
            continue
        rows: list[dict[str, object]] = []
        for source in pools(options.data, options.folder):
            if part == "alarms":
                rows.append(alarms(source, options.resplits))
            else:
                rows += [recall(source, plan, options.repeats) for plan in plans()]
            with (options.folder / f"{part}.csv").open("w", newline="") as stream:
                writer = csv.DictWriter(stream, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
        print_table(rows)


if __name__ == "__main__":
    main()
