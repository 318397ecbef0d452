"""Audits as the gate sees them, made by hand: which test images each training got right."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from audit.gate.rules import Rules, validated
from audit.gate.snapshot import Condition, Snapshot, Training, packed
from audit.results import PROTOCOL_VERSION

PAIR = ("net", "adam", "none")
CLEAN_KEY, ATTACKED = (PAIR, "clean", 0), (PAIR, "evoshift", 1)
IMAGES = 400


def training(share: float, seed: int, name: str, images: int = IMAGES, **changes: Any) -> Training:
    """The first `share` of the images right; `name` sets the trainings of one audit apart from another's."""
    right = np.arange(images) < round(share * images)
    answers = f"{name}-{share}-{seed}"
    made = {
        "seed": seed,
        "cell": f"{name}-{seed}",
        "right": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "answers": answers,
        "under_fitted": False,
        "values": {"auc": share, "ece": 1 - share},
        "errors": {"auc": 0.01, "ece": 0.01},
    }
    return Training(**(made | changes))


def condition(
    key: Any, shares: list[float], name: str, failures: tuple[str, ...] = (), **changes: Any
) -> Condition:
    """Trainings with these accuracies, seeds 0, 1 ..."""
    (model, optimizer, defence), attack, severity = key
    trainings = [training(share, seed, name, **changes) for seed, share in enumerate(shares)]
    return Condition(
        model=model, optimizer=optimizer, defence=defence, attack=attack, severity=severity,
        accuracy=float(np.mean(shares)) if shares else None, trainings=trainings, failures=list(failures),
    )  # fmt: skip


def snapshot(accuracies: dict[Any, list[float]], name: str = "new", **changes: Any) -> Snapshot:
    """An audit with these accuracies by condition; classes alternate over the images."""
    made: dict[str, Any] = {
        "protocol_version": PROTOCOL_VERSION,
        "audit_id": name,
        "created": "2026-11-28T00:00:00+00:00",
        "audit_version": "1",
        "code_fingerprint": "c" * 64,
        "versions": {"torch": "2"},
        "platform": "Linux",
        "device": "cpu",
        "dataset": "hand-made",
        "synthetic": True,
        "fingerprint": "f" * 64,
        "class_names": ["a", "b"],
        "test_labels": packed(np.arange(IMAGES) % 2, np.uint16),
        "test_groups": None,
        "attack_settings": {"search": {"generations": 3, "budget": 60}, "perturbed": {"fraction": 1.0}},
        "training_settings": {"profile": "quick", "training": {"epochs": 3}},
        "baseline_pair": PAIR,
        "perturbations": {"evoshift, 1 px, draw 0": "p1"},
        "checks": {"leakage": "pass", "licence": "warn"},
        "shortcut_findings": 0,
        "conditions": [condition(key, shares, name) for key, shares in accuracies.items()],
    }
    return Snapshot(**(made | changes))


def rules(*given: dict[str, Any], **changes: Any) -> Rules:
    """Rules as a file would hold them; little is assumed about the spread between trainings."""
    spread = {"clean": 0.01, "attacked": 0.01, "weight": 4}
    return validated({"rules": list(given), "spread": spread, **changes}, "rules.yaml")
