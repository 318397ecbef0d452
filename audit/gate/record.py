"""What a gate says, part of `gate.json`, and what a comparison of two audits says. No torch import here.

Values are fractions in [0, 1], counts, or robustness scores; differences are this audit minus the baseline.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audit.recipe import Pair, Record
from audit.results import Interval

Status = Literal["pass", "fail", "inconclusive", "error"]
GATE_SCHEMA = 1


class GateCheck(Record):
    """One rule under one condition, or under the mean of several, or on the data."""

    rule: str
    subject: str  # 'resnet50, adam, none; evoshift, 1 pixel'; 'mean of 4 conditions'; 'data'
    measure: str
    lower_is_better: bool
    value: float | None = None
    reference: float | None = None  # the baseline's value; None: an absolute rule, or not measured
    limit: float  # of the difference from the baseline, or of the value: the worst that is tolerated
    judged: Interval | None = (
        None  # the difference, or the value, that is held against the limit; None: a count
    )
    corrected: Interval | None = None  # at the level corrected for all checks: a failure is read from it
    status: Status
    reason: str
    more_seeds: int | None = (
        None  # further trainings of each condition that would decide, as far as can be told
    )
    incomplete: bool = False  # an error because trainings failed or are missing in this audit


class GateResult(Record):
    """`gate.json`: the verdict with everything it rests on."""

    schema_version: int = GATE_SCHEMA
    verdict: Status
    sentence: str  # the verdict line
    exit_code: int
    created: str  # ISO 8601, UTC, of the judgement
    audit_id: str = ""
    audit_created: str = ""
    baseline_id: str = ""
    baseline_created: str = ""
    dataset: str = ""
    synthetic: bool = False
    confidence: float
    looks: int = (
        1  # that failures are corrected for: 2 where more seeds may be trained after an inconclusive one
    )
    rules_sha256: str
    checks: list[GateCheck] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)  # what the reader must know beside the verdict
    audit_version: str
    versions: dict[str, str] = Field(default_factory=dict)


class DifferenceRow(Record):
    """A measure of one condition in two audits."""

    pair: Pair
    attack: str
    severity: int
    measure: str
    first: float | None
    second: float | None
    difference: Interval | None  # first minus second
    reading: Literal["higher", "lower", "no difference shown", "same", "withheld"]
    reason: str = ""


class Comparison(Record):
    """Two audits of the same data, condition by condition."""

    first: str
    second: str  # audit ids
    dataset: str
    synthetic: bool
    rows: list[DifferenceRow]
    only_first: list[str]
    only_second: list[str]
    notes: list[str]


class FileFinding(Record):
    """Something wrong with one file of the data."""

    rule: str  # stable: "unreadable", "shortcuts"
    title: str
    level: Literal["error", "warning"]
    message: str
    file: str  # as it was given
