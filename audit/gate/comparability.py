"""Whether two audits may be held against each other at all, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audit.errors import ConfigError
from audit.gate.snapshot import Snapshot

NAMED = 4  # settings that differ; more are counted


def require_comparable(new: Snapshot, base: Snapshot) -> None:
    """Raises ConfigError where numbers of other data, other rules of measuring or other attacks would be compared."""
    accept = "or accept a new baseline: audit baseline accept RUN"
    if new.fingerprint != base.fingerprint:
        raise ConfigError(
            f"other data: {new.dataset} ({new.fingerprint[:12]}) and, in the baseline, {base.dataset} "
            f"({base.fingerprint[:12]}); audit the same images at the same size, {accept}"
        )
    if new.protocol_version != base.protocol_version:
        raise ConfigError(
            f"other protocol: version {new.protocol_version} and, in the baseline, {base.protocol_version}: equal "
            f"settings no longer give comparable numbers; {accept.removeprefix('or ')}"
        )
    changed = list(changes(base.attack_settings, new.attack_settings))
    if changed:
        raise ConfigError(
            f"other attacks: {listed(changed)} (baseline → this audit); search as for the baseline, {accept}"
        )


def changes(before: Mapping[str, object], after: Mapping[str, object], within: str = "") -> Iterator[str]:
    """'search.budget 60 → 28' for every setting that differs."""
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from changes(one, other, f"{within}{name}.")
        elif one != other:
            yield f"{within}{name} {one} → {other}"


def listed(found: list[str]) -> str:
    """The first few; how many more."""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def differences_in_words(new: Snapshot, base: Snapshot) -> list[str]:
    """What differs without forbidding the comparison: settings of the training, programs, machine, perturbations."""
    found = []
    settings = list(changes(base.training_settings, new.training_settings))
    if settings:
        found.append(f"Training differs: {listed(settings)}.")
    if (new.audit_version, new.code_fingerprint) != (base.audit_version, base.code_fingerprint):
        found.append(
            f"Program differs: audit {base.audit_version}, code {base.code_fingerprint[:8]} → audit "
            f"{new.audit_version}, code {new.code_fingerprint[:8]}."
        )
    versions = list(changes(base.versions, new.versions))
    if versions:
        found.append(f"Libraries differ: {listed(versions)}.")
    if (new.platform, new.device) != (base.platform, base.device):
        found.append(f"Machine differs: {base.platform}, {base.device} → {new.platform}, {new.device}.")
    shared = new.perturbations.keys() & base.perturbations.keys()
    other = [
        name
        for name in new.perturbations
        if name in shared and new.perturbations[name] != base.perturbations[name]
    ]
    if other:
        found.append(
            f"The two searches found other pixels ({listed(other)}): the luck of a search is in the differences, "
            "and not in their intervals."
        )
    return found
