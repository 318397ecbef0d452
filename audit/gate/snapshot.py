"""What of an audit is held against another one: per training, which test images were right. From `results.json`, or
from the small file that a team reviews and keeps as its baseline.

A baseline file holds no image, no file name and no identifier: test images and groups are consecutive numbers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from audit.errors import ConfigError, IncompleteError, RunDirectoryError
from audit.gate.words import many
from audit.names import dotted
from audit.recipe import Pair, Record
from audit.results import AuditResult, CellResult
from audit.runs import read_run
from audit.scan.record import EDITS
from audit.store import RESULTS_FILE, write_atomic

SCHEMA_VERSION = 1
KIND = "audit baseline"
SCALARS = ("auc", "ece", "nuisance_sensitivity")
"""Measures that cannot be had from right and wrong answers; with their standard errors over patients."""

Key = tuple[Pair, str, int]  # (pair, attack, severity)


class Training(Record):
    """One training: its answers to the test images, and what cannot be had from them."""

    seed: int
    draw: int = 0
    cell: str  # id: the hash of all that defines it
    right: str  # bits in base64, one per test image
    answers: str  # 16 hex digits of SHA-256 over the predicted classes: equal answers, equal digits
    under_fitted: bool
    values: dict[str, float] = Field(default_factory=dict)  # of SCALARS, those that are defined
    errors: dict[str, float] = Field(default_factory=dict)  # their standard errors


class Condition(Record):
    """One (pair, attack, severity): its finished trainings, and which failed."""

    model: str
    optimizer: str
    defence: str
    attack: str
    severity: int
    accuracy: float | None  # mean over trainings, for the eyes of whoever reviews the file
    trainings: list[Training]
    failures: list[str] = Field(default_factory=list)  # "seed 1: out of memory"

    @property
    def key(self) -> Key:
        """(pair, attack, severity)."""
        return ((self.model, self.optimizer, self.defence), self.attack, self.severity)


class Snapshot(Record):
    """An audit as the gate sees it."""

    kind: str = KIND
    schema_version: int = SCHEMA_VERSION
    protocol_version: int
    audit_id: str
    created: str  # ISO 8601, UTC, of the audit
    audit_version: str
    code_fingerprint: str
    versions: dict[str, str]
    platform: str
    device: str
    dataset: str
    synthetic: bool
    fingerprint: str  # of the data
    class_names: list[str]
    test_labels: str  # uint16 in base64
    test_groups: str | None  # uint32 in base64; None: no patients or lesions known
    attack_settings: dict[str, object]  # equal, or attacked accuracies cannot be compared
    training_settings: dict[str, object]  # may differ: that is what a gate is for
    baseline_pair: Pair  # of the robustness scores
    perturbations: dict[str, str]  # "evoshift, 1 pixel, draw 0" -> SHA-256 of the edits
    checks: dict[str, str]  # of the data, by name -> status
    shortcut_findings: int | None  # None: not scanned
    conditions: list[Condition]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Classes of the test images, (N,)."""
        return unpacked(self.test_labels, np.uint16)

    @property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """Patients or lesions of the test images, (N,)."""
        return None if self.test_groups is None else unpacked(self.test_groups, np.uint32)

    def right(self, training: Training) -> npt.NDArray[np.float64]:
        """Right answers of one training, (N,), 0 or 1."""
        bits = np.frombuffer(base64.b64decode(training.right), np.uint8)
        return np.unpackbits(bits, count=len(self.labels)).astype(np.float64)

    def condition(self, key: Key) -> Condition | None:
        """One condition, None where it was not planned."""
        return next((one for one in self.conditions if one.key == key), None)


def snapshot_of(result: AuditResult) -> Snapshot:
    """The same numbers, without images, figures and curves."""
    config: dict[str, Any] = dict(result.config)
    labels = np.asarray(result.dataset.test_labels)
    groups = result.dataset.test_groups
    keys = list(dict.fromkeys((cell.pair, cell.attack, cell.severity) for cell in result.cells))
    environment = result.environment
    return Snapshot(
        protocol_version=result.protocol_version,
        audit_id=result.audit_id,
        created=result.created,
        audit_version=environment.audit_version,
        code_fingerprint=environment.code_fingerprint,
        versions=environment.versions,
        platform=environment.platform,
        device=environment.device,
        dataset=result.dataset.name,
        synthetic=result.dataset.synthetic,
        fingerprint=result.dataset.fingerprint,
        class_names=result.dataset.class_names,
        test_labels=packed(labels, np.uint16),
        test_groups=None if groups is None else packed(groups, np.uint32),
        attack_settings={name: config.get(name) for name in ("search", "perturbed")},
        training_settings={name: config.get(name) for name in ("profile", "training")},
        baseline_pair=result.baseline_pair,
        perturbations={f"{p.attack}, {p.severity} px, draw {p.draw}": p.id for p in result.perturbations},
        checks={check.name: check.status for check in result.checks},
        shortcut_findings=scanned(result),
        conditions=[condition_of(key, result.cells, labels) for key in keys],
    )


def scanned(result: AuditResult) -> int | None:
    """Findings of the shortcut scan that look like edits; None where the data was not scanned."""
    if result.scan is None or result.scan.status == "not run":
        return None
    return sum(finding.kind in EDITS for finding in result.scan.findings)


def condition_of(key: Key, cells: Iterable[CellResult], labels: npt.NDArray[np.integer]) -> Condition:
    """The trainings of one condition."""
    own = [cell for cell in cells if (cell.pair, cell.attack, cell.severity) == key]
    done = [cell for cell in own if cell.status == "done"]
    (model, optimizer, defence), attack, severity = key
    return Condition(
        model=model,
        optimizer=optimizer,
        defence=defence,
        attack=attack,
        severity=severity,
        accuracy=round(float(np.mean([c.predictions == labels for c in done])), 4) if done else None,
        trainings=[training_of(cell, labels) for cell in done],
        failures=[f"seed {cell.seed}: {cell.failure}" for cell in own if cell.status == "failed"],
    )


def training_of(cell: CellResult, labels: npt.NDArray[np.integer]) -> Training:
    """One finished cell."""
    predictions = np.asarray(cell.predictions)
    measures = cell.measures
    values = {name: getattr(measures, name) for name in SCALARS if getattr(measures, name, None) is not None}
    errors = {} if measures is None else measures.standard_errors
    return Training(
        seed=cell.seed,
        draw=cell.draw,
        cell=cell.id,
        right=base64.b64encode(np.packbits(predictions == labels).tobytes()).decode(),
        answers=hashlib.sha256(predictions.astype("<u2").tobytes()).hexdigest()[:16],
        under_fitted=measures is not None and measures.under_fitted,
        values=values,
        errors={name: errors[name] for name in values if name in errors},
    )


def packed(numbers: npt.ArrayLike, kind: type[np.unsignedinteger[Any]]) -> str:
    """Whole numbers as base64."""
    return base64.b64encode(np.asarray(numbers).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def unpacked(text: str, kind: type[np.unsignedinteger[Any]]) -> npt.NDArray[np.int64]:
    """And back, (N,)."""
    return np.frombuffer(base64.b64decode(text), np.dtype(kind).newbyteorder("<")).astype(np.int64)


def accept(result: AuditResult, path: Path) -> Snapshot:
    """Write the baseline file of an audit. Raises ConfigError where a training failed: it could never be compared."""
    found = snapshot_of(result)
    failed = [f"{one.model}, {one.attack}, {text}" for one in found.conditions for text in one.failures]
    if failed:
        raise ConfigError(
            f"audit {result.audit_id}: {many(len(failed), 'training')} failed ({failed[0]}); a baseline needs all: "
            "resume the audit first"
        )
    content = found.model_dump(mode="json")
    write_atomic(
        path, json.dumps({"sha256": digest(content), **content}, indent=1, ensure_ascii=False) + "\n"
    )
    return found


def digest(content: dict[str, Any]) -> str:
    """Over everything else in the file: a number that was changed by hand is noticed."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def require_results(folder: Path) -> AuditResult:
    """The results of a run directory. Raises IncompleteError while there are none yet, RunDirectoryError where there
    is no audit."""
    if not folder.is_dir():
        raise RunDirectoryError(f"{folder}: no run directory; audit runs lists those in runs/")
    run = read_run(folder)
    if run is not None and run.verdict is None and run.state != "damaged":
        raise IncompleteError(
            f"{folder}: {run.state}, {run.done} of {run.cells} trainings done; go on with: audit resume {folder}"
        )
    return AuditResult.load(folder / RESULTS_FILE)


def load_snapshot(path: Path) -> Snapshot:
    """A run directory, its `results.json`, or a baseline file. Raises ConfigError where it is missing or no baseline,
    RunDirectoryError for results that are missing or damaged, IncompleteError for an audit that is not done."""
    if path.is_dir():
        return snapshot_of(require_results(path))
    if path.name == RESULTS_FILE:
        return snapshot_of(AuditResult.load(path))
    remedy = "write one with: audit baseline accept RUN"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no baseline here; {remedy} --out {path}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except ValueError:
        raise ConfigError(f"{path}: no baseline file (not JSON); {remedy}") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ConfigError(f"{path}: no baseline file; {remedy}")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: schema_version: {content.get('schema_version')!r} is of another version; {remedy}"
        )
    told = content.pop("sha256", None)
    if told != digest(content):
        raise ConfigError(f"{path}: sha256: the file was changed after it was accepted; {remedy}")
    try:
        return Snapshot.model_validate(content)
    except ValidationError as error:
        field = dotted(error.errors()[0]["loc"])
        raise ConfigError(f"{path}: {field}: {error.errors()[0]['msg']}; {remedy}") from None
