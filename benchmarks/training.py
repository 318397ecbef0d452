"""Speed of training: ours against a plain loop with MONAI's loader, and against compute alone.

    python benchmarks/training.py PATH.npz [--models small-cnn,resnet50,densenet121] [--precision float32]
        [--seconds 20] [--repeats 3] [--device auto]

Three programs train the same model on the same images with the same optimizer, batch size and precision, one
after the other, several times in turn:

- ours: `audit.training.trainer`, uint8 images resident on the device, channels last; on a CPU one
  single-threaded process per core, each with a training of its own;
- plain: a PyTorch loop over MONAI's CacheDataset and DataLoader, NCHW, torch's default threads, one loader
  worker;
- compute: forward, backward and optimizer step on one resident batch, in the same processes as ours.

Prints images per second, the ratios of ours (median, lowest to highest of the repeats), the peak memory of a
process, and the share of the matrix-multiply peak measured in the same minute.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from audit.data.load import load_dataset
from audit.engines import choose_device
from audit.results import Recipe
from audit.settings import DataSettings
from audit.training.augmentation import Augmented
from audit.training.models import build_model
from audit.training.optimizers import build_optimizer
from audit.training.precision import autocast, resolved
from audit.training.sampling import epoch_batches
from audit.training.trainer import TrainingImages, accumulate_gradients, fresh_network
from audit.workbench import keep_freed_memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.machine import peak, time_by_kind, wait

BATCH = 32
WARM_UP = 3  # steps


@dataclass(frozen=True)
class Job:
    """One program to be timed in a process of its own."""

    data: Path
    image_size: int
    model: str
    precision: str
    device: str
    seconds: float
    loader_workers: int

    @property
    def recipe(self) -> Recipe:
        """Equal for all programs."""
        return Recipe(
            model=self.model, stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
            normalization="none", precision=self.precision, epochs=1, batch_size=BATCH, seed=0,
        )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What one process did."""

    images_per_second: float
    peak_mib: float  # resident memory of the process; on a GPU, of the device


def ours(job: Job) -> Measured:
    """The trainer's own parts, as `train` puts them together."""
    prepare_process(job.device)
    images = resident_images(job)
    network = fresh_network(job.recipe, images)
    optimizer = build_optimizer("adam", network.parameters(), 1e-3)
    network.train()
    order = torch.Generator().manual_seed(0)

    def steps() -> Iterator[int]:
        while True:
            for batch in epoch_batches(images.labels, images.n_classes, BATCH, True, order):
                optimizer.zero_grad()
                accumulate_gradients(
                    network, Augmented(images.images[batch]), images.labels[batch], BATCH, job.precision
                )
                optimizer.step()
                yield len(batch)

    return timed(steps(), job)


def compute(job: Job) -> Measured:
    """Forward, backward and optimizer step on one resident batch of floats."""
    prepare_process(job.device)
    images = resident_images(job)
    network = fresh_network(job.recipe, images)
    optimizer = build_optimizer("adam", network.parameters(), 1e-3)
    network.train()
    inputs = torch.rand(BATCH, *images.images.shape[1:], device=job.device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH, device=job.device) % images.n_classes

    def steps() -> Iterator[int]:
        while True:
            optimizer.zero_grad()
            with autocast(job.device, job.precision):
                logits = network(inputs)
            functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield BATCH

    return timed(steps(), job)


def plain(job: Job) -> Measured:
    """The loop that MONAI's tutorials show, on one GPU or on all cores with torch's default threads."""
    from monai.data import CacheDataset, DataLoader
    from monai.transforms import Compose, EnsureTyped, ScaleIntensityRanged

    split = load_dataset(DataSettings(path=job.data, image_size=job.image_size)).train
    rows = [{"image": image, "label": int(y)} for image, y in zip(split.images, split.labels, strict=True)]
    prepare = Compose([ScaleIntensityRanged("image", 0, 255, 0, 1), EnsureTyped("image")])
    loader = DataLoader(
        CacheDataset(rows, prepare, progress=False), job.loader_workers, batch_size=BATCH, shuffle=True
    )
    model: nn.Module = build_model(job.model, int(split.labels.max()) + 1, split.images.shape[1], "published")
    model.to(job.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()

    def steps() -> Iterator[int]:
        while True:
            for batch in loader:
                inputs, labels = batch["image"].to(job.device), batch["label"].to(job.device)
                if len(labels) < 2:
                    continue  # batch norm
                optimizer.zero_grad()
                with autocast(job.device, job.precision):
                    logits = model(inputs)
                functional.cross_entropy(logits.float(), labels).backward()
                optimizer.step()
                yield len(labels)

    return timed(steps(), job)


def prepare_process(device: str) -> None:
    """As the engine's workers are."""
    if device == "cpu":
        torch.set_num_threads(1)
        keep_freed_memory()


def resident_images(job: Job) -> TrainingImages:
    """The training images on the device, as bytes."""
    split = load_dataset(DataSettings(path=job.data, image_size=job.image_size)).train
    return TrainingImages(
        torch.from_numpy(split.images).to(job.device),
        torch.from_numpy(split.labels).to(job.device),
        int(split.labels.max()) + 1,
    )


def timed(steps: Iterator[int], job: Job) -> Measured:
    """Images per second over `job.seconds`, after a warm-up."""
    for _ in range(WARM_UP):
        next(steps)
    wait(job.device)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < job.seconds:
        done += next(steps)
    wait(job.device)
    rate = done / (time.perf_counter() - started)
    if job.device == "cuda":
        return Measured(rate, torch.cuda.max_memory_allocated() / 2**20)
    return Measured(rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def together(program: Callable[[Job], Measured], job: Job, processes: int) -> Measured:
    """Several processes at once, each with fresh memory: the sum of their rates, the largest memory."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = list(pool.map(program, [job] * processes))
    return Measured(sum(m.images_per_second for m in found), max(m.peak_mib for m in found))


def compare(job: Job, repeats: int) -> dict[str, object]:
    """All three programs in turn."""
    processes = len(os.sched_getaffinity(0)) if job.device == "cpu" else 1
    runs: dict[str, list[Measured]] = {"ours": [], "plain": [], "compute": []}
    for _ in range(repeats):
        runs["ours"].append(together(ours, job, processes))
        runs["compute"].append(together(compute, job, processes))
        runs["plain"].append(together(plain, job, 1))
    rates = {name: [m.images_per_second for m in measured] for name, measured in runs.items()}
    return {
        "model": job.model,
        "device": job.device,
        "precision": resolved(job.device, job.precision),
        "processes": processes,
        "images_per_second": rates,
        "peak_mib_of_a_process": {name: max(m.peak_mib for m in measured) for name, measured in runs.items()},
        "ratio_to_plain": spread(rates["ours"], rates["plain"]),
        "ratio_to_compute": spread(rates["ours"], rates["compute"]),
    }


def spread(own: list[float], other: list[float]) -> dict[str, float]:
    """Median, lowest and highest ratio of the repeats."""
    ratios = [a / b for a, b in zip(own, other, strict=True)]
    return {"median": float(np.median(ratios)), "low": min(ratios), "high": max(ratios)}


def where_the_time_goes(job: Job) -> dict[str, object]:
    """One process: operations per second against the measured peak, and the time by kind of operation."""
    prepare_process(job.device)
    images = resident_images(job)
    network = fresh_network(job.recipe, images)
    optimizer = build_optimizer("adam", network.parameters(), 1e-3)
    network.train()
    batch, labels = Augmented(images.images[:BATCH]), images.labels[:BATCH]

    def step() -> None:
        optimizer.zero_grad()
        accumulate_gradients(network, batch, labels, BATCH, job.precision)
        optimizer.step()

    step()
    with FlopCounterMode(display=False) as counter:
        step()
    started = time.perf_counter()
    for _ in range(5):
        step()
    wait(job.device)
    rate = 5 * counter.get_total_flops() / (time.perf_counter() - started)
    dtype = torch.bfloat16 if resolved(job.device, job.precision) == "bfloat16" else torch.float32
    highest = peak(dtype, job.device)
    return {
        "gflops": rate / 1e9,
        "peak_gflops": highest / 1e9,
        "share_of_peak": rate / highest,
        "time": time_by_kind(step) if job.device == "cpu" else "measured on a CPU only",
    }


def main() -> None:
    """Measure and print, one JSON object per model and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="small-cnn,resnet50,densenet121")
    parser.add_argument("--precisions", default="float32,auto")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loader-workers", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    for model in options.models.split(","):
        for precision in options.precisions.split(","):
            job = Job(
                options.data, options.image_size, model, precision, device, options.seconds, options.loader_workers
            )  # fmt: skip
            print(
                json.dumps({**compare(job, options.repeats), **where_the_time_goes(job)}, indent=1),
                flush=True,
            )


if __name__ == "__main__":
    main()
