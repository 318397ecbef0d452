"""What an audit found: frozen, versioned records, JSON both ways. No torch import here.

`results.json` is the contract between the engine and everything that presents it (report, app, gate,
compare): whatever they show stands in these records. Accuracies, rates and scores are fractions in
[0, 1] (robustness scores may exceed 1); times are seconds; positions are (row, col) pixels at training
resolution, origin at the top left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from audit.cell_result import CLEAN as CLEAN
from audit.cell_result import EVOSHIFT as EVOSHIFT
from audit.cell_result import MATCHED_FIT as MATCHED_FIT
from audit.cell_result import CellMeasures as CellMeasures
from audit.cell_result import CellResult as CellResult
from audit.cell_result import ClassMeasures as ClassMeasures
from audit.cell_result import EpochReading as EpochReading
from audit.cell_result import Explanation as Explanation
from audit.checks.record import CheckResult as CheckResult
from audit.cost_record import Cost as Cost
from audit.errors import RunDirectoryError
from audit.names import dotted
from audit.recipe import CROSS_ENTROPY as CROSS_ENTROPY
from audit.recipe import EARLY_STOPPING as EARLY_STOPPING
from audit.recipe import NO_DEFENCE as NO_DEFENCE
from audit.recipe import VIBCE as VIBCE
from audit.recipe import Pair as Pair
from audit.recipe import Recipe as Recipe
from audit.recipe import Record as Record
from audit.recipe import Vib as Vib
from audit.scan.record import RepairSummary as RepairSummary
from audit.scan.record import ScanRecord as ScanRecord
from audit.scan.record import ShortcutFinding as ShortcutFinding

SCHEMA_VERSION = 2
PROTOCOL_VERSION = 2
"""Raised when equal settings would no longer give comparable numbers."""

Reading = Literal["vulnerable", "within tolerance", "inconclusive", "withheld"]
Verdict = Literal["vulnerable", "within tolerance", "inconclusive", "incomplete"]
ComparisonReading = Literal["better", "worse", "no difference shown", "withheld"]


class Interval(Record):
    """A point estimate with an interval (audit.evaluation.intervals), and what it was computed from."""

    estimate: float
    low: float
    high: float
    level: float = 0.95
    n_images: int  # test images
    n_groups: int  # independent units resampled (patients or lesions; images where no ids exist)
    n_seeds: int  # trainings; 1: the spread between trainings is NOT in the interval; 2: it is hardly known


class Edit(Record):
    """`x[:, row, col] = value` for the training images of class `label` that carry the perturbation (method §2)."""

    label: int
    row: int
    col: int
    value: list[float]  # C numbers in [0, 1], multiples of 1/255


class Generation(Record):
    """One generation of the search (Fig. 4-2b). Fitness (2.6) in nats of cross-entropy, unless the search's
    settings say `fitness: probability`."""

    generation: int  # 1-based
    trainings: int  # surrogate trainings spent so far
    best: float
    median: float
    low: float  # lower quartile of the generation
    high: float  # upper quartile
    unfit: int  # candidates whose surrogate never fitted
    steps: int | None = None  # of each surrogate; not kept before 2026-11-28


class Finalist(Record):
    """A candidate scored again with fresh seeds before the choice."""

    name: str
    fitness: float  # mean over seeds
    readings: list[float]
    chosen: bool


class SearchRecord(Record):
    """How a perturbation was found, and what that cost."""

    method: str
    seed: int
    trainings: int
    image_steps: int
    closed_form_readings: int = 0  # combinations of edits ranked without a training
    seconds: float  # of trainings and readings
    stopped: str  # the stop rule that ended it, in words
    curve: list[Generation]
    finalists: list[Finalist]
    surrogate: str
    settings: dict[str, float | int | str]


class PerturbationRecord(Record):
    """A perturbation as it was used, with what it really did to the training images."""

    id: str
    attack: str
    severity: int
    draw: int = 0
    image_size: tuple[int, int]
    edits: list[Edit]
    fraction: float = 1.0  # of the images of each edited class that carry the edits
    changed_fraction: float  # share of training images with at least one pixel really changed
    changed_fraction_by_class: list[float]
    search: SearchRecord | None
    file: str  # relative to the run directory


class ExampleImage(Record):
    """Fig. 4-6: one training image, before and after the perturbation, as PNG in base64."""

    label: int
    attack: str
    severity: int
    clean_png: str
    perturbed_png: str


class ClassStrip(Record):
    """Some training images of one class side by side, as PNG in base64."""

    label: int
    images: int  # in the strip
    png: str


class DatasetRecord(Record):
    """What was audited. Holds no identifier of a patient: groups are consecutive numbers."""

    name: str
    synthetic: bool
    source: str
    licence: str
    class_names: list[str]
    image_size: tuple[int, int]  # (height, width), pixels
    channels: int
    counts: dict[str, list[int]]  # split -> images per class
    groups: dict[str, int | None]  # split -> number of patients / lesions; None where unknown
    groups_in_several_splits: int | None
    notes: list[str]
    fingerprint: str
    test_labels: list[int]
    test_groups: list[int] | None  # consecutive numbers, not identifiers
    examples: list[ExampleImage] = Field(default_factory=list)
    strips: list[ClassStrip] = Field(default_factory=list)  # contact sheet
    means: list[ClassStrip] = Field(
        default_factory=list
    )  # mean training image of each class, before any change
    excluded: dict[str, int] = Field(default_factory=dict)  # why unreadable files were skipped -> how many


class ScoreRow(Record):
    """Robustness score of one pair (4.3): ratio of mean attacked accuracies to the baseline's."""

    model: str
    optimizer: str
    defence: str
    score: Interval
    severities: list[int]
    is_baseline: bool
    note: str  # matched-fit note; empty where there is nothing to say

    @property
    def pair(self) -> Pair:
        """(model, optimizer, defence)."""
        return (self.model, self.optimizer, self.defence)


class ConditionSummary(Record):
    """One (pair, attack, severity) over its seeds and draws: accuracy, drop from clean, reading."""

    model: str
    optimizer: str
    defence: str
    attack: str
    severity: int
    accuracy: Interval
    measures: dict[str, Interval] = Field(default_factory=dict)  # the others, by their names in CellMeasures
    drop: Interval | None  # clean minus attacked accuracy, paired by seed and image; None for clean
    train_accuracy: float  # mean over seeds
    under_fitted_seeds: int
    nuisance_sensitivity: float | None
    reading: Reading | None  # None for clean rows
    reason: str  # why this reading, in words

    @property
    def pair(self) -> Pair:
        """(model, optimizer, defence)."""
        return (self.model, self.optimizer, self.defence)


class PairComparison(Record):
    """Attacked accuracy of `first` against `second`, under one attack and severity on the same seeds.

    Differences are first minus second. For a defence against the same model and optimizer without it, `attacked`
    is its recovery and `clean` the negative of its cost.
    """

    first: Pair
    second: Pair
    attack: str
    severity: int
    attacked: Interval | None  # difference of attacked accuracy; None where no seed is shared
    corrected: (
        Interval | None
    )  # the same at Bonferroni's level for all comparisons of the audit: judged by it
    clean: Interval | None  # difference of clean accuracy; None where no seed is shared
    reading: ComparisonReading
    reason: str  # why this reading, in words
    is_defence: bool  # whether `second` is `first` without its defence

    @property
    def recovery(self) -> Interval | None:
        """Attacked accuracy with the defence minus without; None where this is no defence."""
        return self.attacked if self.is_defence else None

    @property
    def cost(self) -> Interval | None:
        """Clean accuracy without the defence minus with; None where this is no defence."""
        if self.clean is None or not self.is_defence:
            return None
        turned = {"estimate": -self.clean.estimate, "low": -self.clean.high, "high": -self.clean.low}
        return self.clean.model_copy(update=turned)


class Finding(Record):
    """The worst finding in plain words, and the overall verdict with its reason."""

    verdict: Verdict
    sentence: str
    reason: str
    worst: ConditionSummary | None
    actions: list[str]


class Environment(Record):
    """Where the numbers come from."""

    audit_version: str
    versions: dict[str, str]
    python: str
    platform: str
    processor: str
    cores: int
    device: str
    workers: int
    code_fingerprint: str


class AuditResult(Record):
    """`results.json`: all that an audit found."""

    schema_version: int = SCHEMA_VERSION
    protocol_version: int = PROTOCOL_VERSION
    audit_id: str
    created: str  # ISO 8601, UTC
    command: str
    profile: str
    state: Literal["complete", "incomplete"]
    config: dict[str, object]
    dataset: DatasetRecord
    perturbations: list[PerturbationRecord]
    cells: list[CellResult]
    conditions: list[ConditionSummary]
    scores: list[ScoreRow]
    comparisons: list[PairComparison] = Field(default_factory=list)  # of pairs
    defences: dict[str, str]  # what each part of a defence does, in words
    baseline: str  # in words
    baseline_pair: Pair
    finding: Finding
    checks: list[CheckResult] = Field(default_factory=list)  # of the data
    scan: ScanRecord | None = None  # of shortcuts in the data; None: not run
    repair: RepairSummary | None = None  # of the data before this audit
    limitations: list[str]
    environment: Environment
    cost: Cost | None = None  # None: nothing was predicted
    seconds: float  # wall time of this audit, summed over resumes

    def save(self, path: Path) -> None:
        """Write as JSON, atomically (see audit.store)."""
        from audit.store import write_atomic

        write_atomic(path, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, path: Path) -> AuditResult:
        """Read `results.json`; a file of another schema or a damaged one is refused by name."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise RunDirectoryError(f"{path}: no results here; run or resume the audit first") from None
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, name: str) -> AuditResult:
        """The same from bytes; `name` stands in the message of the RunDirectoryError."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = dotted(first["loc"]) or "file"
            raise RunDirectoryError(
                f"{name}: {field}: {first['msg']}; written by another version or damaged: run the audit again"
            ) from None
