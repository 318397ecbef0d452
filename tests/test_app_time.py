"""The time of a plan is worked out anew with each choice, and holds nobody up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apps import views
from apps.desk import Desk
from apps.shelf import AuditFolder
from audit.errors import ConfigError
from tests.app_parts import CHOICES, state_of, tiny, wait_for, worker


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tiny(tmp_path / "data"))


TWO_SEVERITIES = {**CHOICES, "severities": [1, 2]}


def checked(desk: Desk) -> tuple[str, AuditFolder]:
    audit_id = desk.create("ann", "phantom:oct")
    folder = desk.find("ann", audit_id)
    folder.set_job("check", "done")
    return audit_id, folder


def test_the_time_of_a_plan_gives_way_to_that_of_another(desk: Desk) -> None:
    audit_id, folder = checked(desk)
    assert "<small>not begun</small>" in views.history(desk.history("ann"), "")
    desk.estimate_plan("ann", audit_id, "quick", TWO_SEVERITIES)
    assert "<small>waiting</small>" in views.history(desk.history("ann"), "")
    first = folder.job()
    desk.estimate_plan("ann", audit_id, "quick", TWO_SEVERITIES)
    assert folder.job() == first, "the same plan is not asked for twice"
    with worker(desk.settings.data):
        wait_for(lambda: state_of(desk, audit_id) == "estimate working", every=0.01)
        desk.estimate_plan("ann", audit_id, "quick", CHOICES)
        assert state_of(desk, audit_id) == "estimate queued"
        wait_for(lambda: state_of(desk, audit_id) == "estimate done")
        cost = desk.estimate("ann", audit_id)
        assert cost is not None and cost["trainings"] == 4, "of the plan that was chosen last"
        desk.estimate_plan("ann", audit_id, "quick", CHOICES)
        assert state_of(desk, audit_id) == "estimate done", "known already"


def test_an_audit_is_started_while_its_time_is_worked_out(desk: Desk) -> None:
    audit_id, _ = checked(desk)
    with worker(desk.settings.data):
        desk.estimate_plan("ann", audit_id, "quick", CHOICES)
        wait_for(lambda: state_of(desk, audit_id) == "estimate working", every=0.01)
        desk.start_chosen("ann", audit_id, "quick", CHOICES)
        assert state_of(desk, audit_id) == "audit queued"
        wait_for(lambda: desk.status("ann", audit_id).done >= 1)
        cost = desk.estimate("ann", audit_id)
        assert cost is not None and cost["trainings"] == 4, "worked out by the audit itself"
        wait_for(lambda: state_of(desk, audit_id) == "audit done")


def test_what_cannot_be_chosen_has_no_time(desk: Desk) -> None:
    audit_id, folder = checked(desk)
    desk.estimate_plan("ann", audit_id, "quick", CHOICES)
    folder.estimate.write_text('{"trainings": 4}')
    with pytest.raises(ConfigError, match=r"^models: choose at least one$"):
        desk.estimate_plan("ann", audit_id, "quick", {**CHOICES, "models": []})
    assert desk.estimate("ann", audit_id) is None and state_of(desk, audit_id) == "estimate cancelled"
    shown = views.cost(None, desk.status("ann", audit_id))
    assert "How long it will take stands here once at least one network" in shown


def test_what_was_said_since_stands(desk: Desk) -> None:
    _, folder = checked(desk)
    begun = folder.job()
    folder.set_job("audit", "queued", token="1")
    assert not folder.set_job("check", "done", only=begun)
    job = folder.job()
    assert job is not None and (job.kind, job.state, job.token) == ("audit", "queued", "1")
    assert folder.set_job("audit", "working", only=job)
    assert state_of(desk, folder.path.name) == "audit working"


def test_a_training_that_was_tried_again_is_listed_once(desk: Desk) -> None:
    one = replace(desk.status("ann", checked(desk)[0]), done=1, total=4)
    tried = {
        "id": "a",
        "model": "resnet18",
        "optimizer": "adam",
        "defence": "none",
        "attack": "clean",
        "severity": 0,
    }
    failed = {**tried, "seed": 0, "accuracy": None, "failure": "its process died"}
    shown = views.running(one, [failed, {**failed, "accuracy": 0.875, "failure": None}])
    assert shown.count("resnet18") == 1 and "87.5 %" in shown and "died" not in shown
    assert "failed: its process died" in views.running(one, [failed])
