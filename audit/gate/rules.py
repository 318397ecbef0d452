"""What a gate holds an audit to: `configs/gate.yaml`, or a team's own file. No torch import here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.config import GATE_FILE, YAML_PROBLEMS, as_mapping
from audit.errors import ConfigError
from audit.names import dotted, nearest
from audit.results import CLEAN, EVOSHIFT

ConditionMeasure = Literal[
    "accuracy",
    "drop",
    "balanced_accuracy",
    "worst_class_recall",
    "auc",
    "ece",
    "nuisance_sensitivity",
    "robustness_score",
]
DataMeasure = Literal["shortcut_findings", "failed_checks", "warned_checks"]
Measure = ConditionMeasure | DataMeasure
DATA_MEASURES = get_args(DataMeasure)
"""Counts of findings, which have no interval."""
LOWER_IS_BETTER = ("drop", "ece", "nuisance_sensitivity", *DATA_MEASURES)


class Part(BaseModel):
    """Base: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(Part):
    """One thing that must hold. Exactly one of `tolerance` (against the baseline), `at_least` and `at_most`."""

    name: str = ""
    measure: Measure
    attack: str = EVOSHIFT  # clean, evoshift, random-search, shortcut, heuristic, random, transfer
    severities: list[int] = Field(default_factory=list)  # pixels per class; empty: all
    models: list[str] = Field(default_factory=list)  # empty: all
    optimizers: list[str] = Field(default_factory=list)
    defences: list[str] = Field(default_factory=list)
    over: Literal["each", "mean"] = "each"  # every condition that matches by itself, or their mean
    tolerance: float | None = Field(None, ge=0)  # how much worse than the baseline
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def decidable(self) -> Rule:
        """One limit, and one that fits the measure."""
        limits = [name for name in ("tolerance", "at_least", "at_most") if getattr(self, name) is not None]
        if len(limits) != 1:
            raise ValueError("give one of tolerance (against the baseline), at_least and at_most")
        wrong = "at_least" if self.lower_is_better else "at_most"
        if limits == [wrong]:
            better = "lower" if self.lower_is_better else "higher"
            right = "at_most" if self.lower_is_better else "at_least"
            raise ValueError(f"{wrong}: of {self.measure}, {better} is better; give {right}")
        if self.attack == CLEAN and self.measure in ("drop", "nuisance_sensitivity", "robustness_score"):
            raise ValueError(f"attack: {self.measure} is not defined for clean trainings; name an attack")
        if self.measure == "robustness_score" and (self.attack != EVOSHIFT or self.severities):
            raise ValueError(
                "attack, severities: a robustness score is of all severities of evoshift; leave them out"
            )
        return self

    @property
    def lower_is_better(self) -> bool:
        """Of the measure."""
        return self.measure in LOWER_IS_BETTER

    @property
    def of_data(self) -> bool:
        """Whether it counts findings in the data, which have no interval."""
        return self.measure in DATA_MEASURES

    @property
    def title(self) -> str:
        """Its name, or the measure."""
        return self.name or self.measure.replace("_", " ")


class Spread(Part):
    """Standard deviation of accuracy between trainings that differ in their seed only, assumed where few trainings
    show it."""

    clean: float = Field(0.015, ge=0, le=1)
    attacked: float = Field(0.04, ge=0, le=1)
    weight: float = Field(4, ge=1)  # as many trainings (degrees of freedom) the assumption counts for


class Rules(Part):
    """All of a file."""

    confidence: float = Field(0.95, ge=0.5, lt=1)  # of the interval of each check
    spread: Spread = Spread()
    rules: list[Rule] = Field(min_length=1)

    @property
    def sha256(self) -> str:
        """Of the rules as they were understood."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_rules(path: Path | None) -> Rules:
    """A file, or the rules that are installed. Raises ConfigError as `file: field: message`."""
    if path is None:
        text, where = shipped_rules(), GATE_FILE
    else:
        where = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise ConfigError(f"{path}: cannot be read ({reason}); check the path given to --rules") from None
    try:
        content = as_mapping(yaml.safe_load(text), where)
    except YAML_PROBLEMS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{where}: not valid YAML ({reason}); mend the file") from None
    return validated(content, where)


def shipped_rules() -> str:
    """Text of `configs/gate.yaml`."""
    return (resources.files("configs") / GATE_FILE).read_text(encoding="utf-8")


def validated(content: Mapping[str, Any], where: str) -> Rules:
    """Check names, types and ranges."""
    try:
        return Rules.model_validate(dict(content))
    except ValidationError as error:
        problem = error.errors()[0]
        place = [str(part) for part in problem["loc"]]
        message = problem["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if problem["type"] == "extra_forbidden":
            siblings = (
                Rule if place[0] == "rules" else Spread if place[0] == "spread" and len(place) > 1 else Rules
            )
            message = f"unknown key; {nearest(place[-1], list(siblings.model_fields))}"
        elif problem["type"] not in ("value_error", "missing"):
            message += f", got {problem.get('input')!r}"
        raise ConfigError(f"{where}: {dotted(place)}: {message}") from None
