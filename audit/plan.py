"""The grid as cells. A cell's id is the hash of all that defines it: same id, same numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from audit import __version__
from audit.attack.budget import Budget, planned_budget
from audit.attack.methods import METHODS
from audit.config import TRANSFER, AuditConfig, nearest
from audit.data.dataset import ImageDataset
from audit.errors import ConfigError
from audit.results import CLEAN, EVOSHIFT, PROTOCOL_VERSION, Recipe, Record

Role = Literal["grid", "baseline", "control"]


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


@dataclass(frozen=True)
class AuditPlan:
    """All cells of an audit, grouped by perturbation in the order in which they run."""

    id: str
    config: AuditConfig
    attacks: tuple[AttackSpec, ...]
    cells: tuple[Cell, ...]

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
            "attacks": [attack.model_dump() for attack in self.attacks],
            "cells": [cell.model_dump() for cell in self.cells],
        }


def plan_audit(config: AuditConfig, dataset: ImageDataset) -> AuditPlan:
    """The grid models x optimizers x normalizations x severities x seeds, the baseline pair (computed
    even when the grid leaves it out), and the controls."""
    attacks = planned_attacks(config, dataset)
    cells: dict[str, Cell] = {}
    for attack in attacks:
        for role, (model, optimizer, normalization) in pairs_for(attack, config):
            for seed in config.seeds:
                recipe = make_recipe(config, model, optimizer, normalization, seed)
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


Pair = tuple[str, str, str]


def pairs_for(attack: AttackSpec, config: AuditConfig) -> list[tuple[Role, Pair]]:
    """Which (model, optimizer, normalization) train under this attack, and why."""
    # Models innermost: the first results on the screen are one of each model.
    grid = [(m, o, n) for o in config.optimizers for n in config.normalizations for m in config.models]
    baseline = (config.baseline.model, config.baseline.optimizer, "none")
    if attack.attack in (CLEAN, EVOSHIFT):
        extra: list[tuple[Role, Pair]] = [] if baseline in grid else [("baseline", baseline)]
        return [*[("grid", pair) for pair in grid], *extra]
    wanted = {
        "baseline": [baseline],
        "plain": [p for p in grid if p[1:] == (config.baseline.optimizer, "none")] or [baseline],
        "all": grid,
    }[config.controls.scope]
    return [("control", pair) for pair in wanted]


def make_recipe(config: AuditConfig, model: str, optimizer: str, normalization: str, seed: int) -> Recipe:
    """The training recipe of one cell."""
    return Recipe(
        model=model,
        stem=config.training.stem,
        optimizer=optimizer,
        learning_rate=config.learning_rate(optimizer),
        schedule=config.training.schedule,
        augmentation=config.training.augmentation,
        normalization=normalization,
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        seed=seed,
    )


def search_settings(attack: AttackSpec, config: AuditConfig) -> object:
    """What defines the perturbation beyond its spec."""
    if attack.attack == CLEAN or not METHODS[attack.attack].trains_surrogates:
        return None
    return {**config.search.model_dump(mode="json"), "augmentation": config.training.augmentation}


def measured_by(config: AuditConfig) -> dict[str, object]:
    """Settings that change what is read from a training."""
    return {
        "batch_size": config.evaluation.batch_size,
        "monitor_images": config.evaluation.monitor_images,
        "oversample": config.training.oversample,
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
