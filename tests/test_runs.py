"""`audit runs`, `show` and `rm`; one process at a time on a run directory."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from audit.errors import RunDirectoryError
from audit.plan import AuditPlan, plan_audit
from audit.results import CellResult
from audit.run_lock import held, is_held
from audit.runs import list_runs, read_run
from audit.store import RunStore
from tests.command_line import Command, make_command
from tests.results_factory import example_result
from tests.tiny_audit import tiny_config, tiny_dataset


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def plan() -> AuditPlan:
    return plan_audit(tiny_config(), tiny_dataset())


def begun(folder: Path, plan: AuditPlan, done: int = 0) -> Path:
    """A run directory with the first trainings done."""
    store = RunStore(folder)
    store.begin(plan, "data-1", "audit run oct --out x")
    for cell in plan.cells[:done]:
        store.save_cell(
            CellResult(
                id=cell.id, model="small-cnn", optimizer="adam", defence="none", attack="clean", severity=0,
                seed=0, role="grid", recipe=cell.recipe, perturbation_id=None, status="failed", seconds=1.0,
                failure="not a number",
            )
        )  # fmt: skip
    return folder


def finished(folder: Path, plan: AuditPlan) -> Path:
    begun(folder, plan)
    result = example_result()
    synthetic = result.dataset.model_copy(update={"synthetic": True})
    result.model_copy(update={"audit_id": plan.id, "dataset": synthetic}).save(folder / "results.json")
    RunStore(folder).mark_complete()
    return folder


# ---- the lock


def test_a_second_process_is_told_who_works_here(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)
        since = json.loads((tmp_path / ".owner.json").read_text())["since"]
        with pytest.raises(RunDirectoryError) as refusal, held(tmp_path):
            pass
        assert str(refusal.value) == (
            f"{tmp_path}: process {os.getpid()} on {socket.gethostname()} since {since} works on it; "
            "wait until that ends, or stop it"
        )
        assert (tmp_path / ".owner.json").exists(), "the owner's name stays"
    assert not is_held(tmp_path)
    assert not (tmp_path / ".owner.json").exists()


def test_what_a_dead_process_left_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".owner.json").write_text('{"pid": 1, "host": "gone", "since": "2001"}')
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert json.loads((tmp_path / ".owner.json").read_text())["pid"] == os.getpid()


# ---- audit runs


def test_states(tmp_path: Path, plan: AuditPlan) -> None:
    root = tmp_path / "runs"
    begun(root / "a", plan, done=2)
    finished(root / "b", plan)
    finished(root / "c", plan)
    held_one = begun(root / "d", plan)
    (root / "e").mkdir()
    (root / "e" / "plan.json").write_text("{")
    (root / "notes").mkdir()
    (finished(root / "f", plan) / "complete.json").unlink()  # stopped while the report was written
    older = example_result()  # of another grid than that of the plan
    older.save(root / "c" / "results.json")
    with held(held_one):
        found = {Path(run.folder).name: run for run in list_runs(root)}
    assert {name: run.state for name, run in found.items()} == {
        "a": "interrupted", "b": "complete", "c": "interrupted", "d": "running", "e": "damaged",
        "f": "interrupted",
    }  # fmt: skip
    assert (found["a"].done, found["a"].cells, found["a"].verdict) == (2, len(plan.cells), None)
    assert found["b"].verdict == older.finding.verdict
    assert found["c"].verdict is None


def test_no_folder_no_runs(tmp_path: Path, audit: Command) -> None:
    assert list_runs(tmp_path / "nowhere") == []
    assert read_run(tmp_path) is None
    assert audit("runs").out == "no audits in runs\n"


def test_the_table_and_the_json(audit: Command, plan: AuditPlan) -> None:
    begun(Path("runs") / "a", plan, done=1)
    finished(Path("runs") / "b", plan)
    shown = audit("runs").out
    assert "interrupted: audit resume DIR goes on" in shown
    assert f"1 of {len(plan.cells)}" in shown
    assert "synthetic" in shown
    told = json.loads(audit("runs", "--json").out)["runs"]
    assert {run["folder"]: run["state"] for run in told} == {"runs/a": "interrupted", "runs/b": "complete"}


# ---- audit show


def test_show_prints_what_was_found(audit: Command, plan: AuditPlan) -> None:
    finished(Path("b"), plan)
    done = audit("show", "b", "--json")
    assert done.code == 0
    assert json.loads(done.out)["audit_id"] == plan.id
    assert "finding" in audit("show", "b").out


def test_show_of_what_is_not_finished(audit: Command, plan: AuditPlan) -> None:
    begun(Path("a"), plan, done=1)
    done = audit("show", "a", "--json")
    assert done.code == 4
    assert json.loads(done.out)["done"] == 1


def test_folders_without_an_audit_are_refused(audit: Command) -> None:
    Path("x").mkdir()
    for command in (("show", "x"), ("resume", "x")):
        done = audit(*command)
        assert (done.code, done.err) == (2, "audit: x: holds no audit; audit runs lists those in runs/\n")
    done = audit("rm", "x", "--yes")
    assert (done.code, done.err) == (2, "audit: x: holds no audit; nothing was deleted\n")
    assert Path("x").is_dir()


# ---- audit rm


def test_rm_asks_or_is_told(audit: Command, plan: AuditPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(Path("a"), plan, done=1)
    done = audit("rm", "a")  # nobody to ask
    assert (done.code, done.err) == (
        2,
        f"audit: a: 1 of {len(plan.cells)} trainings; say --yes to delete them\n",
    )
    assert Path("a").is_dir()
    done = audit("rm", "a", "--yes")
    assert (done.code, done.err) == (0, "a deleted\n")
    assert not Path("a").exists()


def test_rm_takes_what_is_damaged(audit: Command) -> None:
    Path("a").mkdir()
    Path("a/plan.json").write_text("{")
    assert audit("rm", "a").err == "audit: a: 0 of 0 trainings; say --yes to delete them\n"
    assert audit("rm", "a", "--yes").code == 0
    assert not Path("a").exists()


def test_rm_leaves_what_is_in_use(audit: Command, plan: AuditPlan) -> None:
    folder = begun(Path("a"), plan)
    with held(folder):
        done = audit("rm", "a", "--yes")
    assert done.code == 2
    assert done.err.startswith(f"audit: a: process {os.getpid()} on ")
    assert done.err.endswith(" works on it; nothing was deleted\n")
    assert folder.is_dir()


def test_resume_without_settings_is_refused(audit: Command, plan: AuditPlan) -> None:
    begun(Path("a"), plan)
    Path("a/config.yaml").unlink()
    done = audit("resume", "a")
    assert (done.code, done.err) == (
        2,
        "audit: a/config.yaml: missing; give the command of the audit again with --out a\n",
    )
    Path("a/plan.json").write_text("{")
    done = audit("resume", "a")
    assert (done.code, done.err) == (2, "audit: a/plan.json: damaged; delete the folder with: audit rm\n")
