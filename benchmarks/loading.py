"""Reading image files: ours, cold and from the cache, against a loop with Pillow and against MONAI's CacheDataset.

    python benchmarks/loading.py FOLDER [--count 5000] [--size 64] [--repeats 3]

FOLDER holds class folders of JPEG files (say sample_jpeg of the shared OCT set); copies of them, each with its own
bytes, make `--count` files. Every reading runs in a process of its own, in turn, and gives images per second and peak
memory. Ours and MONAI's use all cores of the machine, the loop one.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

READERS = ("ours, cold", "ours, cached", "Pillow loop", "MONAI CacheDataset")


def make_files(source: Path, target: Path, count: int) -> None:
    """`count` copies of the files of `source` in class folders, no two with the same bytes."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number, path in zip(range(count), itertools.cycle(files), strict=False):
        split = "test" if number % 5 == 0 else "train"
        folder = target / split / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        # What follows the end-of-image marker is no picture: the decoding costs the same.
        (folder / f"{number:05d}.jpg").write_bytes(path.read_bytes() + number.to_bytes(4, "big"))


def ours(folder: Path, size: int) -> int:
    """`load_dataset`, as the command line calls it."""
    from audit.data.load import load_dataset
    from audit.settings import DataSettings

    dataset = load_dataset(DataSettings(path=folder, image_size=size, channels=1))
    return len(dataset.train) + len(dataset.test)


def pillow_loop(folder: Path, size: int) -> int:
    """One file after another: grey, central square, resize."""
    import numpy as np
    from PIL import Image

    arrays = []
    for path in sorted(folder.rglob("*.jpg")):
        with Image.open(path) as image:
            grey = image.convert("L")
        edge = min(grey.size)
        left, top = (grey.width - edge) // 2, (grey.height - edge) // 2
        square = grey.crop((left, top, left + edge, top + edge))
        arrays.append(np.asarray(square.resize((size, size), Image.Resampling.BOX)))
    return len(np.stack(arrays))


def monai_cache(folder: Path, size: int) -> int:
    """Plain MONAI: LoadImage, grey, central square, resize, all cached in memory."""
    import torch
    from monai.data import CacheDataset, PILReader
    from monai.transforms import CenterSpatialCrop, Compose, EnsureChannelFirst, LoadImage, Resize

    torch.set_num_threads(1)
    transform = Compose(
        [
            LoadImage(reader=PILReader(lambda image: image.convert("L")), image_only=True),
            EnsureChannelFirst(),
            lambda image: CenterSpatialCrop((min(image.shape[1:]),) * 2)(image),
            Resize((size, size), mode="area"),
        ]
    )
    files = sorted(str(path) for path in folder.rglob("*.jpg"))
    return len(CacheDataset(files, transform, num_workers=os.cpu_count(), progress=False))


CALLS: dict[str, Callable[[Path, int], int]] = {
    "ours, cold": ours,
    "ours, cached": ours,
    "Pillow loop": pillow_loop,
    "MONAI CacheDataset": monai_cache,
}


def read_once(name: str, folder: Path, size: int) -> dict[str, float]:
    """Seconds (imports not counted) and peak memory of one reading, in this process."""
    for module in ("monai.data", "monai.transforms", "audit.data.load", "audit.settings"):
        importlib.import_module(module)
    started = time.perf_counter()
    count = CALLS[name](folder, size)
    seconds = time.perf_counter() - started
    return {
        "images": count,
        "seconds": seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(name: str, folder: Path, size: int, cache: Path) -> dict[str, float]:
    """`read_once` in a process of its own."""
    if name == "ours, cold":
        for entry in cache.glob("*"):
            entry.unlink()
    command = [sys.executable, __file__, str(folder), "--size", str(size), "--once", name]
    environment = os.environ | {"AUDIT_CACHE": str(cache)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Make the files, measure in turn, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--once", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(read_once(options.once, options.folder, options.size)))
        return
    with tempfile.TemporaryDirectory() as work:
        files, cache = Path(work) / "files", Path(work) / "cache"
        cache.mkdir()
        make_files(options.folder, files, options.count)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
        for _, name in itertools.product(range(options.repeats), READERS):
            found[name].append(measure(name, files, options.size, cache))
    print("| reader | images per second | peak memory, MiB | against the Pillow loop |\n|---|---|---|---|")
    for name, readings in found.items():
        speeds = sorted(r["images"] / r["seconds"] for r in readings)
        ratios = sorted(
            loop["seconds"] / own["seconds"] for own, loop in zip(readings, found["Pillow loop"], strict=True)
        )
        middle = len(ratios) // 2
        print(
            f"| {name} | {speeds[0]:,.0f} to {speeds[-1]:,.0f} | {max(r['peak_mib'] for r in readings):,.0f} | "
            f"{ratios[middle]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )
    print(f"\n{options.count} files, {options.repeats} repeats in turn, {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
