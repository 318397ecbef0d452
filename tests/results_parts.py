"""The parts of the example result that hold no measurement: perturbations, search, images, machine."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from audit.results import (
    ClassStrip,
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
SPENT = {  # surrogate trainings after each generation: EvoShift races after its first, random search at its end
    "evoshift": (16, 40, 56, 72, 88, 104),
    "random-search": (16, 32, 48, 64, 80, 96, 104),
}


def make_perturbation(
    attack: str,
    severity: int,
    draw: int,
    names: list[str],
    channels: int,
    edited: Sequence[int] | None = None,
    fraction: float = 1.0,
    fitness: str = "cross-entropy",
) -> PerturbationRecord:
    """One edit per edited class and pixel; a search record for methods that search. The heuristic encodes the
    label in the column; the shortcut and EvoShift share a pixel, as they often do."""
    labels = range(len(names)) if edited is None else edited
    apart = {"random-search": 9, "random": 17 + draw, "transfer": 23}.get(attack, 0)
    edits = [
        Edit(
            label=k,
            row=n if attack == "heuristic" else (5 * k + 3 * n + apart) % SIZE,
            col=k if attack == "heuristic" else (7 * k + 2 * n + 2 * apart) % SIZE,
            value=[1.0 if attack == "heuristic" else (k % 2) * 1.0] * channels,
        )
        for k in labels
        for n in range(severity)
    ]
    changed = [fraction * (k in labels) for k in range(len(names))]
    if changed[-1] == 1:
        changed[-1] = 0.99  # one image in a hundred already had the pixel
    return PerturbationRecord(
        id=f"hash-{attack}-{severity}-{draw}",
        attack=attack,
        severity=severity,
        draw=draw,
        image_size=(SIZE, SIZE),
        edits=edits,
        fraction=fraction,
        changed_fraction=sum(changed) / len(names),
        changed_fraction_by_class=changed,
        search=make_search(attack, fitness) if attack in SPENT else None,
        file=f"perturbations/{attack}-np{severity}-{draw}.json",
    )


def make_search(attack: str, fitness: str) -> SearchRecord:
    """Six generations of sixteen, a race of eight and a re-scored choice: EvoShift rises, random search does
    not."""
    rise, scale = (1.0 if attack == "evoshift" else 0.1), (0.3 if fitness == "probability" else 1.0)
    curve = [
        Generation(
            generation=g,
            trainings=trainings,
            best=scale * (1.2 + 0.3 * rise * g),
            median=scale * (0.2 + 0.2 * rise * (g - 1)),
            low=scale * (0.15 + 0.15 * rise * (g - 1)),
            high=scale * (0.3 + 0.3 * rise * (g - 1)),
            unfit=1 if g == 1 else 0,
        )
        for g, trainings in enumerate(SPENT[attack], start=1)
    ]
    finalists = [
        Finalist(name="candidate 1", fitness=1.4 * scale, readings=[scale, 1.8 * scale], chosen=rise < 1),
        Finalist(name="candidate 2", fitness=1.1 * scale, readings=[0.9 * scale, 1.3 * scale], chosen=False),
    ]
    facts: dict[str, float | int | str] = {"population": 16}
    if attack == "evoshift":
        readings = [2.1 * scale, 2.5 * scale]
        finalists.insert(0, Finalist(name="final mean", fitness=2.3 * scale, readings=readings, chosen=True))
        facts["dimensions"] = 12
    else:
        readings = [0.7 * scale, 1.0 * scale]
        finalists.append(Finalist(name="candidate 3", fitness=0.85 * scale, readings=readings, chosen=False))
    return SearchRecord(
        method=attack,
        seed=0,
        trainings=110,
        image_steps=391_680,
        seconds=1800.0,
        stopped="all 6 generations done" if attack == "evoshift" else "budget of 110 surrogate trainings",
        curve=curve,
        finalists=finalists,
        surrogate="strided batch-norm net",
        settings={"fitness": fitness, "steps": 150, "fit_accuracy": 0.95, **facts},
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
            if p.draw == 0
            for k in range(n)
        ],
        means=[ClassStrip(label=k, images=180, png=png(k, [], channels)) for k in range(n)],
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
