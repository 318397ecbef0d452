"""The parts of the example result that hold no measurement: perturbations, search, images, machine."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from audit.results import (
    DatasetRecord,
    Edit,
    Environment,
    ExampleImage,
    Finalist,
    Generation,
    PerturbationRecord,
    SearchRecord,
)

PER_CLASS = 25  # test images of each class
SIZE = 32  # pixels
TOLERANCE = 0.10


def make_perturbation(
    attack: str, severity: int, draw: int, names: list[str], channels: int
) -> PerturbationRecord:
    """One edit per class and pixel; a search record for EvoShift."""
    edits = [
        Edit(
            label=k,
            row=(5 * k + 3 * n + draw) % SIZE,
            col=(7 * k + 2 * n) % SIZE,
            value=[(k % 2) * 1.0] * channels,
        )
        for k in range(len(names))
        for n in range(severity)
    ]
    return PerturbationRecord(
        id=f"hash-{attack}-{severity}-{draw}",
        attack=attack,
        severity=severity,
        draw=draw,
        image_size=(SIZE, SIZE),
        edits=edits,
        changed_fraction=0.9975,
        changed_fraction_by_class=[1.0] * (len(names) - 1) + [0.99],
        search=make_search() if attack == "evoshift" else None,
        file=f"perturbations/{attack}-np{severity}-{draw}.json",
    )


def make_search() -> SearchRecord:
    """Six generations of sixteen and a re-scored choice."""
    curve = [
        Generation(
            generation=g,
            trainings=16 * g,
            best=1.2 + 0.3 * g,
            median=0.2 * g,
            low=0.15 * g,
            high=0.3 * g,
            unfit=1 if g == 1 else 0,
        )
        for g in range(1, 7)
    ]
    finalists = [
        Finalist(name="final mean", fitness=2.3, readings=[2.1, 2.5], chosen=True),
        Finalist(name="shortcut start", fitness=1.1, readings=[0.9, 1.3], chosen=False),
        Finalist(name="candidate 1", fitness=1.4, readings=[1.0, 1.8], chosen=False),
    ]
    return SearchRecord(
        method="evoshift",
        seed=0,
        trainings=102,
        image_steps=391_680,
        seconds=1800.0,
        stopped="all 6 generations done",
        curve=curve,
        finalists=finalists,
        surrogate="strided batch-norm net",
        settings={"population": 16, "dimensions": 12, "max_steps": 150, "fit_accuracy": 0.95},
    )


def make_dataset(
    names: list[str], synthetic: bool, perturbations: list[PerturbationRecord], channels: int
) -> DatasetRecord:
    """Counts, groups and one example per class."""
    n = len(names)
    labels = [k for k in range(n) for _ in range(PER_CLASS)]
    return DatasetRecord(
        name="OCT phantoms" if synthetic else "OCT clinic set",
        synthetic=synthetic,
        source="computed by this program" if synthetic else "class folders given by the user",
        licence="CC BY 4.0",
        class_names=names,
        image_size=(SIZE, SIZE),
        channels=channels,
        counts={"train": [180] * n, "val": [0] * n, "test": [PER_CLASS] * n},
        groups={"train": 300, "val": None, "test": len(labels) // 2},
        groups_in_several_splits=0,
        notes=["2 files were no images and were left out."],
        fingerprint="f" * 64,
        test_labels=labels,
        test_groups=[i // 2 for i in range(len(labels))],
        examples=[
            ExampleImage(
                label=k,
                attack=p.attack,
                severity=p.severity,
                clean_png=png(k, [], channels),
                perturbed_png=png(k, p.edits, channels),
            )
            for p in perturbations
            if p.attack == "evoshift"
            for k in range(n)
        ],
    )


def png(label: int, edits: Sequence[Edit], channels: int) -> str:
    """A layered picture, with the edits of its class."""
    rows = np.arange(SIZE)[:, None] + 3 * np.sin(np.arange(SIZE) / 6 + label)[None, :]
    image = np.uint8(110 + 70 * np.sin(rows / (2.5 + label)))
    picture = np.repeat(image[:, :, None], channels, axis=2)
    for edit in edits:
        if edit.label == label:
            picture[edit.row, edit.col] = np.uint8(255 * np.array(edit.value))
    stream = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if channels == 1 else picture).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


def make_config(
    models: Sequence[str],
    optimizers: Sequence[str],
    normalizations: Sequence[str],
    severities: Sequence[int],
    seeds: Sequence[int],
) -> dict[str, object]:
    """The parts of the configuration that a report reads."""
    return {
        "models": list(models),
        "optimizers": list(optimizers),
        "normalizations": list(normalizations),
        "severities": [0, *severities],
        "seeds": list(seeds),
        "baseline": {"model": models[0], "optimizer": optimizers[0]},
        "evaluation": {
            "batch_size": 100,
            "monitor_images": 256,
            "drop_tolerance": TOLERANCE,
            "min_clean_above_chance": 0.2,
            "bootstrap": 4000,
            "seed": 0,
        },
    }


def make_environment() -> Environment:
    """A plausible machine."""
    return Environment(
        audit_version="0.1.0",
        versions={"torch": "2.9.0", "numpy": "2.4.6"},
        python="3.11.9",
        platform="Linux x86_64",
        processor="Example CPU",
        cores=8,
        device="cpu",
        workers=8,
        code_fingerprint="c" * 64,
    )
