"""A small hand-made `AuditResult` with plausible numbers, for tests of what presents results."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from audit.results import (
    AuditResult,
    CellMeasures,
    CellResult,
    ClassMeasures,
    ConditionSummary,
    EpochReading,
    Finding,
    Interval,
    Recipe,
    ScoreRow,
)
from tests.results_parts import PER_CLASS, make_config, make_dataset, make_environment, make_perturbation

OCT = ("NORMAL", "DRUSEN", "CNV", "DME")
RIGHT = {  # of 25, before the shifts below
    "clean": 23,
    "evoshift": 7,
    "random-search": 10,
    "shortcut": 9,
    "heuristic": 11,
    "transfer": 12,
    "random": 13,
}
ALL_METHODS = tuple(name for name in RIGHT if name != "clean")
DRAWS = 2  # of random pixels

Pair = tuple[str, str, str]


def example_result(
    *,
    class_names: Sequence[str] = OCT,
    models: Sequence[str] = ("resnet50", "densenet121"),
    optimizers: Sequence[str] = ("adam", "sgd-m"),
    normalizations: Sequence[str] = ("none", "csn"),
    severities: Sequence[int] = (1,),
    seeds: Sequence[int] = (0, 1),
    synthetic: bool = False,
    channels: int = 1,
    methods: Sequence[str] = ("evoshift", "shortcut", "random"),
    edited: Sequence[int] | None = None,
    fraction: float = 1.0,
    augmentation: str = "none",
    fitness: str = "cross-entropy",
    failures: dict[tuple[str, str, str, str], str] | None = None,
    **overrides: object,
) -> AuditResult:
    """An audit of phantoms' size. `failures`: (model, optimizer, normalization, attack) -> reason; `edited`: the
    classes that carry edits (None: all), in `fraction` of their images."""
    names = list(class_names)
    pairs = list(itertools.product(models, optimizers, normalizations))
    keys = [(pair, "clean", 0, 0) for pair in pairs]
    made = [(name, draw) for name in methods for draw in range(DRAWS if name == "random" else 1)]
    for severity, (attack, draw) in itertools.product(severities, made):
        plain = [pair for pair in pairs if pair[1:] == (optimizers[0], "none")]
        keys += [(pair, attack, severity, draw) for pair in (pairs if attack == "evoshift" else plain)]
    cells = [
        make_cell(
            pair, attack, severity, draw, seed, names, (failures or {}).get((*pair, attack)), augmentation
        )
        for pair, attack, severity, draw in keys
        for seed in seeds
    ]
    conditions = make_conditions(cells, names)
    perturbations = [
        make_perturbation(attack, severity, draw, names, channels, edited, fraction, fitness)
        for severity in severities
        for attack, draw in reversed(made)
    ]
    result = AuditResult(
        audit_id="0123456789abcdef",
        created="2026-03-04T05:06:07+00:00",
        command="audit run oct --models resnet50,densenet121",
        profile="standard",
        state="incomplete" if any(cell.status == "failed" for cell in cells) else "complete",
        config=make_config(models, optimizers, normalizations, severities, seeds),
        dataset=make_dataset(names, synthetic, perturbations, channels),
        perturbations=perturbations,
        cells=cells,
        conditions=conditions,
        scores=make_scores(conditions, severities),
        baseline=f"{models[0]} with {optimizers[0]}, no defence",
        defences={"csn": "each batch to zero mean and unit standard deviation"}
        if "csn" in normalizations
        else {},
        baseline_pair=(models[0], optimizers[0], normalizations[0]),
        finding=make_finding(conditions, synthetic),
        limitations=[
            f"{len(seeds)} seeds: the spread between trainings is known only roughly.",
            "The search is a lower bound: a perturbation that does more harm may exist.",
            *(["Augmentation was off: the attack must be searched anew."] if augmentation == "none" else []),
            *(["Partly perturbed classes were not tested."] if edited is None and fraction == 1 else []),
        ],
        environment=make_environment(),
        seconds=5400.0,
    )
    return AuditResult.model_validate({**result.model_dump(), **overrides})


def make_cell(
    pair: Pair,
    attack: str,
    severity: int,
    draw: int,
    seed: int,
    names: list[str],
    failure: str | None,
    augmentation: str = "none",
) -> CellResult:
    """One training; its predictions follow from how many images of each class are right."""
    model, optimizer, normalization = pair
    confusion = make_confusion(pair, attack, severity, draw, seed, len(names))
    recipe = Recipe(
        model=model,
        stem="published",
        optimizer=optimizer,
        learning_rate=0.01 if "sgd" in optimizer else 0.001,
        schedule="constant",
        normalization=normalization,
        augmentation=augmentation,
        epochs=6,
        batch_size=32,
        seed=seed,
    )
    under_fitted = optimizer == "sgd-m" and normalization == "csn" and attack != "clean" and seed == 0
    done = failure is None
    return CellResult(
        id=f"{model}-{optimizer}-{normalization}-{attack}-{severity}-{draw}-{seed}",
        model=model,
        optimizer=optimizer,
        defence=normalization,
        attack=attack,
        severity=severity,
        seed=seed,
        draw=draw,
        role="grid" if attack in ("clean", "evoshift") else "control",
        recipe=recipe,
        perturbation_id=None if attack == "clean" else f"hash-{attack}-{severity}-{draw}",
        status="done" if done else "failed",
        failure=failure,
        measures=make_measures(confusion, names, attack, under_fitted) if done else None,
        predictions=[k for row in confusion for k, n in enumerate(row) for _ in range(n)] if done else [],
        seconds=61.0,
    )


def make_confusion(
    pair: Pair, attack: str, severity: int, draw: int, seed: int, n_classes: int
) -> list[list[int]]:
    """25 images of each class; under attack the wrong ones crowd into the last two classes."""
    shift = 2 * (pair[1] == "sgd-m") + (pair[2] == "csn") - (pair[0] == "densenet121") + seed + draw
    right = RIGHT[attack] + (shift if attack != "clean" else -seed) - max(severity - 1, 0)
    table = []
    for k in range(n_classes):
        own = max(min(right + (k == n_classes - 1) * (attack != "clean") * 6, PER_CLASS), 0)
        other = n_classes - 1 if k != n_classes - 1 else 0
        second = (k + 1) % n_classes
        row = [0] * n_classes
        row[k] = own
        row[other] += (PER_CLASS - own + 1) // 2
        row[second] += (PER_CLASS - own) // 2
        table.append(row)
    return table


def make_measures(
    confusion: list[list[int]], names: list[str], attack: str, under_fitted: bool
) -> CellMeasures:
    """All measures that follow from a confusion matrix, the others plausible."""
    counts = np.array(confusion)
    accuracy = float(np.trace(counts) / counts.sum())
    chance = 1 / len(names)
    recall = np.diag(counts) / counts.sum(axis=1)
    precision = np.diag(counts) / np.maximum(counts.sum(axis=0), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    fit = 0.90 if under_fitted else 1.0
    epochs = [
        EpochReading(
            epoch=e,
            train_loss=1.2 / e,
            train_accuracy=fit * min(1.0, 0.5 + 0.1 * e),
            test_accuracy=chance + (accuracy - chance) * min(1.0, e / 4),
        )
        for e in range(1, 7)
    ]
    return CellMeasures(
        accuracy=accuracy,
        balanced_accuracy=float(recall.mean()),
        auc=None if attack == "random" else 0.5 + accuracy / 2,
        ece=0.1,
        semantic_sensitivity=max((accuracy - chance) / (1 - chance), 0.0),
        nuisance_sensitivity=None if attack == "clean" else 0.8,
        train_accuracy=fit,
        matched_fit_epoch=None if under_fitted else 5,
        matched_fit_accuracy=None if under_fitted else epochs[4].test_accuracy,
        peak_accuracy=max(e.test_accuracy for e in epochs),
        peak_epoch=4,
        per_class=[
            ClassMeasures(
                name=name,
                precision=float(precision[k]),
                recall=float(recall[k]),
                f1=float(f1[k]),
                support=int(counts[k].sum()),
            )
            for k, name in enumerate(names)
        ],
        confusion=confusion,
        epochs=epochs,
    )


def make_interval(
    estimate: float, n_images: int, n_seeds: int, low: float = 0.0, high: float = 1.0
) -> Interval:
    """A normal interval, good enough to look at."""
    margin = 1.96 * max(abs(estimate) * (1 - min(abs(estimate), 1.0)), 0.01) ** 0.5 / n_images**0.5
    return Interval(
        estimate=estimate,
        low=max(estimate - margin, low),
        high=min(estimate + margin, high),
        n_images=n_images,
        n_groups=n_images // 2,
        n_seeds=n_seeds,
    )


def make_conditions(cells: list[CellResult], names: list[str]) -> list[ConditionSummary]:
    """Means over the finished cells of each condition."""
    keys = dict.fromkeys((c.pair, c.attack, c.severity) for c in cells if c.status == "done")
    return [make_condition(*key, cells, len(names)) for key in keys]


def make_condition(
    pair: Pair, attack: str, severity: int, cells: list[CellResult], n_classes: int
) -> ConditionSummary:
    """One condition."""

    def finished(name: str, pixels: int) -> list[CellResult]:
        return [c for c in cells if (c.pair, c.attack, c.severity) == (pair, name, pixels) and c.measures]

    found = finished(attack, severity)
    measures = [c.measures for c in found if c.measures]
    n_images, n_seeds = n_classes * PER_CLASS, len({c.seed for c in found})
    accuracy = float(np.mean([m.accuracy for m in measures]))
    clean = [c.measures.accuracy for c in finished("clean", 0) if c.measures]
    drop = None
    if attack != "clean" and clean:
        drop = make_interval(float(np.mean(clean)) - accuracy, n_images, n_seeds, low=-1.0)
    reading, reason = None, ""
    unfit = sum(m.under_fitted for m in measures)
    if attack == "evoshift":
        reading, reason = (
            "vulnerable",
            "drop 60.0 points (45.1 to 74.9) is surely above the tolerance of 10.0 points",
        )
        if unfit:
            reading, reason = (
                "withheld",
                f"under-fitted: {unfit} of {len(found)} trainings never reached 95 %",
            )
        elif drop is None:
            reading, reason = "withheld", "no clean training with the same seeds to compare with"
    return ConditionSummary(
        model=pair[0],
        optimizer=pair[1],
        defence=pair[2],
        attack=attack,
        severity=severity,
        accuracy=make_interval(accuracy, n_images, n_seeds),
        drop=drop,
        train_accuracy=float(np.mean([m.train_accuracy for m in measures])),
        under_fitted_seeds=unfit,
        nuisance_sensitivity=None if attack == "clean" else 0.8,
        reading=reading,
        reason=reason,
    )


def make_scores(conditions: list[ConditionSummary], severities: Sequence[int]) -> list[ScoreRow]:
    """Ratios to the first pair."""
    attacked = [c for c in conditions if c.attack == "evoshift"]
    rows = []
    for pair in dict.fromkeys(c.pair for c in attacked):
        own = sum(c.accuracy.estimate for c in attacked if c.pair == pair)
        base = sum(c.accuracy.estimate for c in attacked if c.pair == attacked[0].pair)
        first = next(c for c in attacked if c.pair == pair)
        score = make_interval(own / base, first.accuracy.n_images, first.accuracy.n_seeds, high=9.0)
        is_baseline = pair == attacked[0].pair
        if is_baseline:
            score = score.model_copy(update={"low": 1.0, "high": 1.0})
        note = (
            "under-fitted in 1 of 2 trainings: part of the score is lack of fit"
            if first.under_fitted_seeds
            else ""
        )
        rows.append(
            ScoreRow(
                model=pair[0],
                optimizer=pair[1],
                defence=pair[2],
                score=score,
                severities=list(severities),
                is_baseline=is_baseline,
                note=note,
            )
        )
    return rows


def make_finding(conditions: list[ConditionSummary], synthetic: bool) -> Finding:
    """The largest drop among the vulnerable conditions."""
    judged = [c for c in conditions if c.attack == "evoshift"]
    vulnerable = [c for c in judged if c.reading == "vulnerable" and c.drop]
    if not vulnerable:
        return Finding(
            verdict="incomplete",
            sentence="No attacked training finished; nothing can be said about robustness.",
            reason="no attacked training finished",
            worst=None,
            actions=["Repeat with more seeds and a larger search before relying on this result."],
        )
    worst = max(vulnerable, key=lambda c: c.drop.estimate if c.drop else 0.0)
    kind = "synthetic test images" if synthetic else "unchanged test images"
    return Finding(
        verdict="vulnerable",
        sentence=f"Changing {worst.severity} pixels per class in the training images took {worst.model} with "
        f"{worst.optimizer} to {100 * worst.accuracy.estimate:.1f} % "
        f"({100 * worst.accuracy.low:.1f}–{100 * worst.accuracy.high:.1f}) accuracy on {kind}, while it "
        "fitted 100.0 % of its training images.",
        reason=f"{len(vulnerable)} of {len(judged)} attacked conditions lose surely more than 10.0 points",
        worst=worst,
        actions=[
            "Guard the training images: verify files against their originals before each training; a high "
            "training accuracy does not show that the images are sound.",
            f"Covariate shift normalization showed no clear benefit for {worst.model} with "
            f"{worst.optimizer}.",
        ],
    )
