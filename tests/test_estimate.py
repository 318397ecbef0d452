"""Counting before running."""

from __future__ import annotations

import pytest

from audit.data.phantoms import make_phantoms
from audit.estimate import estimate_audit, in_words
from audit.plan import plan_audit
from audit.settings import AuditConfig, SearchSettings


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (70, "70 s"), (90, "2 min"), (3000, "50 min"), (7200, "2.0 h")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_surrogate_trainings_of_one_search_by_hand() -> None:
    """(2 + 1) x 4 classes x 1 pixel = 12 dimensions: population 16. Race of 8; 5 rivals read, 3 again."""
    config = AuditConfig(
        search=SearchSettings(generations=6, finalists=2, rescoring_seeds=3), severities=[0, 1]
    )
    dataset = make_phantoms("oct", 16, 8, 0, 8, 0)
    plan = plan_audit(config, dataset)
    assert [plan.budget(attack, dataset).trainings for attack in plan.searches] == [16 * 6 + 8 + 5 + 3 * 2]


def test_an_estimate_counts_what_is_missing_and_divides_by_the_workers() -> None:
    config = AuditConfig(
        models=["small-cnn"], optimizers=["adam"], normalizations=["none"], severities=[0, 1],
        baseline={"model": "small-cnn"},
    )  # fmt: skip
    dataset = make_phantoms("oct", 16, 8, 0, 8, 0)
    plan = plan_audit(config, dataset)
    found = estimate_audit(plan, dataset, list(plan.cells), "cpu", workers=2)
    assert found.trainings == 4 and found.surrogate_trainings == 16 * 20 + 8 + 6 + 3 * 2
    assert 0 < found.wall_seconds == found.worker_seconds / 2
    clean_only = estimate_audit(plan, dataset, list(plan.cells)[:1], "cpu", workers=2)
    assert clean_only.surrogate_trainings == 0
