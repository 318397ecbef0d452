"""Does the cheap surrogate rank candidates as the dear one and as victims do, and what does a reading cost?

    python benchmarks/ranking.py PATH.npz [--candidates 48] [--augmentation crop-flip] [--model small-cnn] [--epochs 12]

Candidates: contrast codes, and a third random draws, chosen by none of those that are compared. Each is read by the
surrogate in closed form, by one trained surrogate, and by the accuracy of one victim on clean test images; Spearman's
correlations, and readings per minute of one core (closed form) and of all cores (trainings, victims). The closed form
is timed twice: candidates whose blocks of edits it has not seen, and combinations of blocks that it has, which is what
a search asks of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from audit.attack.baselines import random_edits
from audit.attack.closed_form import ClosedForm
from audit.attack.contrast_code import ContrastCodes
from audit.attack.edits import blocks_of
from audit.attack.perturbation import Perturbation
from audit.attack.search import SearchRequest
from audit.attack.search_desk import NETWORKS
from audit.attack.surrogate_task import surrogate_task
from audit.attack.surrogates import Job
from audit.cells import CellContext
from audit.data.load import load_dataset
from audit.engines import Engine, make_engine, worker_count
from audit.plan import AttackSpec, Cell, make_recipe
from audit.settings import AuditConfig, DataSettings
from audit.workbench import keep_freed_memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.search import request_for

COMBINATIONS = 2000
WEIGHTS = (0.0, 0.5, 1.0, 2.0)  # of the mean training loss in the fitness; 2 is the search's own


def candidates(request: SearchRequest, count: int) -> list[Perturbation]:
    """Two thirds contrast codes, the rest random draws."""
    drawn = [request.perturbation(random_edits(request, seed)) for seed in range(count // 3)]
    return [*ContrastCodes(request).proposals(count - len(drawn), 0), *drawn]


def read_in_closed_form(
    request: SearchRequest, found: list[Perturbation]
) -> tuple[list[float], float, float]:
    """(fitness, candidates per minute, combinations of known blocks per minute), on one thread."""
    torch.set_num_threads(1)
    keep_freed_memory()
    networks = [ClosedForm(request, number, "cpu") for number in range(NETWORKS)]
    started = time.perf_counter()
    fitness = [sum(network.fitness(blocks_of(one)) for network in networks) for one in found]
    fresh = 60 * len(found) / (time.perf_counter() - started)
    blocks = [blocks_of(one) for one in found]
    draws = np.random.default_rng(0)
    label = request.classes[0]
    started, done = time.perf_counter(), 0
    while done < COMBINATIONS:
        mixed = {k: blocks[draws.integers(len(blocks))][k] for k in request.classes}
        for network in networks:
            network.fitness_of(mixed, label, [own[label] for own in blocks])
        done += len(blocks)
    return fitness, fresh, 60 * done / (time.perf_counter() - started)


def read_by_victims(engine: Engine, found: list[Perturbation], config: AuditConfig) -> list[float]:
    """Accuracy on clean test images, one victim per candidate."""
    recipe = make_recipe(
        config,
        model=config.models[0],
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=None,
        normalization="none",
        augmentation=config.augmentations[0],
        preprocessing="none",
        loss="ce",
        stopping="none",
        dropout=0.0,
    )
    attack = AttackSpec(attack="random", severity=1, draw=0, seed=0)
    jobs = [
        (Cell(id=str(n), recipe=recipe, attack=attack, role="control"), one) for n, one in enumerate(found)
    ]
    results = {result.id: result.measures for result in engine.run_cells(jobs, lambda *_: None)}
    measures = [results[str(n)] for n in range(len(found))]
    return [m.accuracy if m is not None else float("nan") for m in measures]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--candidates", type=int, default=48)
    parser.add_argument("--augmentation", default="crop-flip")
    parser.add_argument("--model", default="small-cnn")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    dataset = load_dataset(DataSettings(path=options.data), lambda done, total: None)
    config = AuditConfig(models=[options.model], augmentations=[options.augmentation])
    training = config.training.model_copy(update={"epochs": options.epochs, "precision": "auto"})
    evaluation = config.evaluation.model_copy(update={"explained_images": 0})
    config = config.model_copy(update={"training": training, "evaluation": evaluation})
    task = surrogate_task(dataset.train, len(dataset.class_names), config.search, options.augmentation)
    request = request_for(dataset, task, config.search)
    found = candidates(request, options.candidates)
    closed, fresh, mixed = read_in_closed_form(request, found)
    context = CellContext(dataset.train, dataset.test, dataset.class_names, config, "cpu")
    with make_engine(context, task, worker_count(config, "cpu")) as engine:
        engine.score_all([Job(one, 1, config.search.steps) for one in found[:2]])  # workers start
        started = time.perf_counter()
        readings = engine.score_all([Job(one, 0, config.search.steps) for one in found])
        per_minute = 60 * len(found) / (time.perf_counter() - started)
        started = time.perf_counter()
        victims = read_by_victims(engine, found, config)
        victims_per_minute = 60 * len(found) / (time.perf_counter() - started)
    trained = [reading.fitness for reading in readings]
    hard = np.argsort(victims)[: len(found) // 2]
    print(f"{len(found)} candidates, {dataset.name}, {options.augmentation}, victim {options.model}")
    print(
        f"victims' accuracy {100 * min(victims):.1f} to {100 * max(victims):.1f} %, "
        f"median {100 * np.median(victims):.1f} %"
    )
    harm = [1 - accuracy for accuracy in victims]
    print("Spearman's correlation: all candidates / the half that harms victims most")
    for name, a, b in (
        ("closed form with trained surrogate", closed, trained),
        ("closed form with victims' error", closed, harm),
        ("trained surrogate with victims' error", trained, harm),
    ):
        part = spearmanr(np.array(a)[hard], np.array(b)[hard]).statistic
        print(f"  {name}: {spearmanr(a, b).statistic:.2f} / {part:.2f}")
    gains = np.array([np.mean(reading.by_class) for reading in readings])
    losses = (gains - trained) / config.search.loss_weight
    for weight in WEIGHTS:
        correlation = spearmanr(gains - weight * losses, harm).statistic
        print(f"  the same, training loss weighed {weight:g}: {correlation:.2f}")
    print(
        f"readings per minute: closed form {fresh:.0f} fresh candidates and {mixed:.0f} combinations of known blocks "
        f"(one core), trained surrogates {per_minute:.0f}, victims {victims_per_minute:.1f} (all cores)"
    )


if __name__ == "__main__":
    main()
