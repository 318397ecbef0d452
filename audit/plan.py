"""The grid as cells. A cell's id is the hash of all that defines it: same id, same numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from audit import __version__
from audit.config import AuditConfig
from audit.data.dataset import ImageDataset
from audit.results import CLEAN, EVOSHIFT, PROTOCOL_VERSION, Recipe, Record

RANDOM = "random"
SHORTCUT = "shortcut"

Role = Literal["grid", "baseline", "control"]


class AttackSpec(Record):
    """One perturbation to be made: how, with how many pixels, from which seed."""

    attack: str
    severity: int
    draw: int
    seed: int

    @property
    def name(self) -> str:
        """Name of its file and of its lines on the screen."""
        draw = f"-draw{self.draw}" if self.attack == RANDOM else ""
        return CLEAN if self.attack == CLEAN else f"{self.attack}-np{self.severity}{draw}"


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
    attacks = planned_attacks(config)
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


def planned_attacks(config: AuditConfig) -> list[AttackSpec]:
    """Clean first, then what needs no search, then the searches, each by severity."""
    severities = sorted(severity for severity in config.severities if severity > 0)
    seed = config.search.seed
    attacks = [CLEAN_SPEC]
    for severity in severities:
        if config.controls.shortcut:
            attacks.append(AttackSpec(attack=SHORTCUT, severity=severity, draw=0, seed=seed))
        for draw in range(config.controls.random_draws):
            attacks.append(
                AttackSpec(attack=RANDOM, severity=severity, draw=draw, seed=seed + 7919 * (draw + 1))
            )
    return attacks + [AttackSpec(attack=EVOSHIFT, severity=s, draw=0, seed=seed) for s in severities]


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
        normalization=normalization,
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        seed=seed,
    )


def search_settings(attack: AttackSpec, config: AuditConfig) -> object:
    """What defines the perturbation beyond its spec."""
    return config.search if attack.attack == EVOSHIFT else None


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
