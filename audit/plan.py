"""The grid as cells. A cell's id is the hash of all that defines it: same id, same numbers."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from audit import __version__
from audit.attack.budget import Budget, planned_budget
from audit.attack.methods import METHODS
from audit.data.dataset import ImageDataset
from audit.errors import ConfigError
from audit.names import nearest
from audit.results import (
    CLEAN,
    EARLY_STOPPING,
    EVOSHIFT,
    NO_DEFENCE,
    PROTOCOL_VERSION,
    VIBCE,
    Pair,
    Recipe,
    Record,
)
from audit.settings import TRANSFER, AuditConfig
from audit.training.optimizers import OPTIMIZERS

Role = Literal["grid", "baseline", "control"]
Axes = list[dict[str, Any]]  # settings of a recipe that vary together


class AttackSpec(Record):
    """One perturbation to be made: how, with how many pixels, on which images, from which seed."""

    attack: str
    severity: int
    draw: int
    seed: int
    classes: tuple[int, ...] | None = None  # that are edited; None: all
    fraction: float = 1.0  # of each such class's images
    source: str | None = None  # SHA-256 of the perturbation that is transferred

    @property
    def name(self) -> str:
        """Name of its file and of its lines on the screen."""
        if self.attack == CLEAN:
            return CLEAN
        draw = f"-draw{self.draw}" if METHODS[self.attack].draws else ""
        return f"{self.attack}-np{self.severity}{draw}"


CLEAN_SPEC = AttackSpec(attack=CLEAN, severity=0, draw=0, seed=0)


class Cell(Record):
    """One training to be done: a recipe on one (perturbed) training set."""

    id: str
    recipe: Recipe
    attack: AttackSpec
    role: Role

    @property
    def pair(self) -> Pair:
        """The names under which it is compared."""
        return pair_of(self.recipe)


@dataclass(frozen=True)
class AuditPlan:
    """All cells of an audit, grouped by perturbation in the order in which they run."""

    id: str
    config: AuditConfig
    attacks: tuple[AttackSpec, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()  # of the grid that was asked for, to fit into a time
    fitted: dict[str, Any] | None = None  # "max_hours", and the "axes" that were kept

    def cells_of(self, attack: AttackSpec) -> list[Cell]:
        """Cells trained under one perturbation."""
        return [cell for cell in self.cells if cell.attack == attack]

    @property
    def searches(self) -> list[AttackSpec]:
        """Perturbations that surrogates are trained for."""
        return [a for a in self.attacks if a.attack != CLEAN and METHODS[a.attack].trains_surrogates]

    def budget(self, attack: AttackSpec, dataset: ImageDataset) -> Budget:
        """What a search will spend at most."""
        edited = len(attack.classes or dataset.class_names)
        return planned_budget(self.config.search, edited, dataset.channels, attack.severity)

    def to_json(self) -> dict[str, Any]:
        """For `plan.json`."""
        return {
            "audit_id": self.id,
            "left_out": list(self.left_out),
            "fitted": self.fitted,
            "attacks": [attack.model_dump() for attack in self.attacks],
            "cells": [cell.model_dump() for cell in self.cells],
        }


def plan_audit(config: AuditConfig, dataset: ImageDataset) -> AuditPlan:
    """The grid models x optimizers x defences x severities x seeds, the baseline pair (computed even when the
    grid leaves it out), and the controls."""
    if EARLY_STOPPING in config.stoppings and not len(dataset.val):
        raise ConfigError(
            "stoppings: early-stopping needs clean validation images and the data has none; add a val split "
            "(phantoms: data.n_val), or leave early-stopping out"
        )
    attacks = planned_attacks(config, dataset)
    cells: dict[str, Cell] = {}
    for attack in attacks:
        for role, unseeded in recipes_for(attack, config):
            for seed in config.seeds:
                recipe = unseeded.model_copy(update={"seed": seed})
                cell_id = digest(
                    recipe, attack, search_settings(attack, config), measured_by(config), dataset
                )
                cells.setdefault(cell_id, Cell(id=cell_id, recipe=recipe, attack=attack, role=role))
    audit_id = digest(sorted(cells), config.evaluation, dataset)
    return AuditPlan(audit_id, config, tuple(attacks), tuple(cells.values()))


def planned_attacks(config: AuditConfig, dataset: ImageDataset) -> list[AttackSpec]:
    """Clean first, then what trains no surrogate, then the searches, each by severity."""
    severities = sorted(severity for severity in config.severities if severity > 0)
    seed = config.search.seed
    where = {"classes": perturbed_classes(config, dataset), "fraction": config.perturbed.fraction}
    attacks = []
    for severity in severities:
        for name in [*config.controls.methods, *([EVOSHIFT] if config.search.enabled else [])]:
            row = METHODS[name]
            for draw in range(config.controls.random_draws if row.draws else 1):
                own_seed = seed + 7919 * (draw + 1) if row.draws else seed
                source = transfer_source(config) if name == TRANSFER else None
                attacks.append(
                    AttackSpec(
                        attack=name, severity=severity, draw=draw, seed=own_seed, source=source, **where
                    )
                )
    return [CLEAN_SPEC, *sorted(attacks, key=lambda attack: METHODS[attack.attack].trains_surrogates)]


def transfer_source(config: AuditConfig) -> str | None:
    """SHA-256 of the perturbation to be transferred. Raises DataError for a file that holds none."""
    from audit.attack.perturbation import Artefact

    path = config.controls.transfer_from
    return None if path is None else Artefact.load(path).sha256


def perturbed_classes(config: AuditConfig, dataset: ImageDataset) -> tuple[int, ...] | None:
    """Numbers of the classes that are edited, None for all. Raises ConfigError for a name that is not there."""
    wanted, names = config.perturbed.classes, list(dataset.class_names)
    for name in wanted:
        if name not in names:
            raise ConfigError(f"perturbed.classes: unknown class {name!r}; {nearest(name, names)}")
    return tuple(sorted({names.index(name) for name in wanted})) or None


def recipes_for(attack: AttackSpec, config: AuditConfig) -> list[tuple[Role, Recipe]]:
    """Which recipes train under this attack, and why. Their seeds are still to be set."""
    grid, baseline = grid_recipes(config), baseline_recipe(config)
    if attack.attack in (CLEAN, EVOSHIFT):
        extra: list[tuple[Role, Recipe]] = [] if baseline in grid else [("baseline", baseline)]
        return [*[("grid", recipe) for recipe in grid], *extra]
    same = [r for r in grid if r.model_copy(update={"model": baseline.model}) == baseline]
    wanted = {"baseline": [baseline], "plain": same or [baseline], "all": grid}[config.controls.scope]
    return [("control", recipe) for recipe in wanted]


def grid_recipes(config: AuditConfig) -> list[Recipe]:
    """All recipes of the grid. Models innermost: the first results on the screen are one of each model."""
    return [
        make_recipe(config, **optimizer, **defence, dropout=dropout, model=model)
        for optimizer in optimizer_axis(config)
        for defence in defence_axis(config)
        for dropout in config.training.dropouts
        for model in config.models
    ]


def baseline_recipe(config: AuditConfig) -> Recipe:
    """The recipe that scores are divided by: the baseline pair, with the first of each axis and without
    normalization or preprocessing."""
    own = {"normalization": NO_DEFENCE, "augmentation": config.augmentations[0], "preprocessing": NO_DEFENCE}
    own |= {"loss": config.losses[0], "stopping": NO_DEFENCE}
    named = next(row for row in optimizer_axis(config, [config.baseline.optimizer]))
    return make_recipe(
        config, **named, **own, dropout=config.training.dropouts[0], model=config.baseline.model
    )


def baseline_pair(config: AuditConfig) -> Pair:
    """The pair that scores are divided by."""
    return pair_of(baseline_recipe(config))


def optimizer_axis(config: AuditConfig, names: list[str] | None = None) -> Axes:
    """Every optimizer with its learning rates and weight decays."""
    decays: Sequence[float | None] = config.training.weight_decays or [None]
    return [
        {"optimizer": name, "learning_rate": rate, "weight_decay": decay}
        for name in names or config.optimizers
        for rate in config.learning_rates(name)
        for decay in decays
    ]


def defence_axis(config: AuditConfig) -> Axes:
    """Every normalization, augmentation, preprocessing and stopping: each by itself, or all combinations."""
    axes: dict[str, Sequence[str]] = {
        "normalization": config.normalizations,
        "augmentation": config.augmentations,
        "preprocessing": config.preprocessings,
        "loss": config.losses,
        "stopping": config.stoppings,
    }
    if config.combine_defences:
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    first = {axis: values[0] for axis, values in axes.items()}
    alone = [{**first, axis: value} for axis, values in axes.items() for value in values]
    return [setting for i, setting in enumerate(alone) if setting not in alone[:i]]


def make_recipe(config: AuditConfig, **own: Any) -> Recipe:
    """A recipe from what all share and its own settings."""
    training = config.training
    file = training.weights.get(own["model"])
    return Recipe(
        weights=None if file is None else fingerprint(file),
        stem=training.stem,
        schedule=training.schedule,
        vib=training.vib if own["loss"] == VIBCE else None,
        precision=training.precision,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=0,
        **own,
    )


def pair_of(recipe: Recipe) -> Pair:
    """The names under which its trainings are compared: each says what is not the default."""
    model, optimizer = recipe.model, recipe.optimizer
    if recipe.dropout:
        model += f", dropout {recipe.dropout:g}"
    if recipe.learning_rate != OPTIMIZERS[recipe.optimizer].learning_rate:
        optimizer += f", learning rate {recipe.learning_rate:g}"
    if recipe.weight_decay is not None:
        optimizer += f", weight decay {recipe.weight_decay:g}"
    return model, optimizer, recipe.defence


@functools.cache
def fingerprint(file: Path) -> str:
    """SHA-256 of a file of weights. Raises ConfigError."""
    from audit.training.weights import fingerprint as digest_of

    return digest_of(file)


def search_settings(attack: AttackSpec, config: AuditConfig) -> object:
    """What defines the perturbation beyond its spec."""
    if attack.attack == CLEAN or not METHODS[attack.attack].trains_surrogates:
        return None
    return {**config.search.model_dump(mode="json"), "augmentation": config.search_augmentation}


def measured_by(config: AuditConfig) -> dict[str, object]:
    """Settings that change what is read from a training."""
    return {
        "batch_size": config.evaluation.batch_size,
        "monitor_images": config.evaluation.monitor_images,
        "oversample": config.training.oversample,
        "deterministic": config.deterministic,
        "explained_images": config.evaluation.explained_images,
    }


def digest(*parts: object) -> str:
    """16 hex digits of SHA-256 over the parts, the protocol and the version of this program."""
    canonical = json.dumps(
        [__version__, PROTOCOL_VERSION, *[plain(part) for part in parts]],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def plain(part: object) -> object:
    """A JSON value that stands for the part."""
    if isinstance(part, ImageDataset):
        return part.fingerprint
    return part.model_dump(mode="json") if isinstance(part, BaseModel) else part
