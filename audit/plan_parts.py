"""Parts of a grid: its axes, and a plan with some of their values only. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audit.data.dataset import ImageDataset
from audit.plan import AuditPlan, plan_audit

RECIPE_AXES = {
    "models": "model",
    "optimizers": "optimizer",
    "normalizations": "normalization",
    "augmentations": "augmentation",
    "preprocessings": "preprocessing",
    "losses": "loss",
    "stoppings": "stopping",
}
AXES = ("seeds", "severities", *RECIPE_AXES)


def restricted(
    plan: AuditPlan, dataset: ImageDataset, kept: Mapping[str, list[Any]], max_hours: float
) -> AuditPlan:
    """The plan with these values only, which says what it left out."""
    config = plan.config.model_copy(update=dict(kept))
    left_out = []
    for axis in AXES:
        asked = getattr(plan.config, axis)
        dropped = [value for value in asked if value not in kept.get(axis, asked)]
        if dropped:
            left_out.append(f"{axis} {', '.join(map(str, dropped))}")
    part = plan_audit(config, dataset)
    axes = {axis: list(getattr(config, axis)) for axis in AXES}
    return replace(part, left_out=tuple(left_out), fitted={"max_hours": max_hours, "axes": axes})
