"""From judged checks to one verdict, its line and its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from audit import __version__
from audit.errors import (
    EXIT_GATE_FAILED,
    EXIT_INCOMPLETE,
    EXIT_INCONCLUSIVE,
    EXIT_PASS,
    EXIT_USAGE,
    AuditError,
)
from audit.gate.comparability import differences_in_words
from audit.gate.record import GateCheck, GateResult, Status
from audit.gate.rules import Rules
from audit.gate.snapshot import Snapshot
from audit.gate.words import many


@dataclass(frozen=True)
class Gate:
    """One judgement: the two audits, and what all checks share."""

    new: Snapshot
    base: Snapshot | None
    rules: Rules
    looks: int = 1

    @property
    def spreads(self) -> tuple[float, float]:
        """Assumed between trainings: clean, attacked."""
        return self.rules.spread.clean, self.rules.spread.attacked


def verdict(gate: Gate, checks: list[GateCheck]) -> GateResult:
    """One verdict: a proven failure first, then what is missing, then what is not decided."""
    by_status = {
        status: [one for one in checks if one.status == status]
        for status in ("fail", "error", "inconclusive")
    }
    found: Status = next(
        (status for status in ("fail", "error", "inconclusive") if by_status[status]), "pass"
    )
    codes = {"pass": EXIT_PASS, "fail": EXIT_GATE_FAILED, "inconclusive": EXIT_INCONCLUSIVE}
    of_error = EXIT_INCOMPLETE if all(one.incomplete for one in by_status["error"]) else EXIT_USAGE
    notes = assumptions(gate, checks) + (
        differences_in_words(gate.new, gate.base) if gate.base is not None else []
    )
    return GateResult(
        verdict=found,
        sentence=sentence(found, checks),
        exit_code=codes.get(found, of_error),
        created=now(),
        audit_id=gate.new.audit_id,
        audit_created=gate.new.created,
        baseline_id=gate.base.audit_id if gate.base is not None else "",
        baseline_created=gate.base.created if gate.base is not None else "",
        dataset=gate.new.dataset,
        synthetic=gate.new.synthetic,
        confidence=gate.rules.confidence,
        looks=gate.looks,
        rules_sha256=gate.rules.sha256,
        checks=checks,
        notes=notes,
        audit_version=__version__,
        versions=gate.new.versions,
    )


def sentence(found: Status, checks: Sequence[GateCheck]) -> str:
    """The verdict line: 'FAIL: 1 of 6 checks; attacked accuracy, mean (…): …'."""
    own = [one for one in checks if one.status == found]
    if found == "pass":
        return f"PASS: {many(len(checks), 'check')}, none beyond its limit"
    first = own[0]
    text = (
        f"{found.upper()}: {len(own)} of {len(checks)} checks; {first.rule} ({first.subject}): {first.reason}"
    )
    seeds = [one.more_seeds for one in own]
    if found == "inconclusive" and all(seeds) and len(own) > 1:
        text += f"; {many(max(n for n in seeds if n), 'more seed')} would decide all of them"
    return text


def cannot_fall(check: GateCheck, gate: Gate) -> bool:
    """Whether accuracy is so near guessing in the baseline that it cannot fall by the tolerance."""
    if check.measure != "accuracy" or check.reference is None:
        return False
    return check.reference + check.limit < 1 / len(gate.new.class_names)


def assumptions(gate: Gate, checks: Sequence[GateCheck]) -> list[str]:
    """What the intervals rest on besides the trainings, and what the checks cannot see."""
    clean, attacked = gate.spreads
    weight = gate.rules.spread.weight
    notes = [
        f"Between trainings, accuracy is assumed to vary by {100 * clean:g} points (clean) and {100 * attacked:g} "
        f"(attacked), with the weight of {weight:g} trainings beside what these trainings show."
    ]
    sides = [gate.new] if gate.base is None else [gate.new, gate.base]
    if all(len(one.trainings) <= 1 for side in sides for one in side.conditions):
        notes.append(
            "One training of each condition: how far trainings differ was not measured here, only assumed. Accept a "
            "baseline with several seeds."
        )
    blind = [check for check in checks if cannot_fall(check, gate)]
    if blind:
        notes.append(
            f"{many(len(blind), 'check')} cannot fail: the baseline's attacked accuracy lies within the tolerance of "
            f"guessing ({blind[0].subject}). The attack succeeds already; what can be gated is what a defence saves."
        )
    if gate.looks > 1:
        notes.append(
            f"Failures are corrected for {gate.looks} looks, the second after more seeds were trained."
        )
    return notes


def broken(error: AuditError, rules: Rules | None) -> GateResult:
    """The verdict where nothing could be judged; `rules` None where they could not be read."""
    return GateResult(
        verdict="error",
        sentence=f"ERROR: {error}",
        exit_code=error.exit_code,
        created=now(),
        confidence=rules.confidence if rules else 0.0,
        rules_sha256=rules.sha256 if rules else "",
        audit_version=__version__,
    )


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
