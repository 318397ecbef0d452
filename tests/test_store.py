"""The run directory: whole files only, other people's folders refused, time summed over sessions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from audit import __version__
from audit.environment import code_fingerprint
from audit.errors import RunDirectoryError
from audit.event_log import EventLog
from audit.plan import AuditPlan, plan_audit
from audit.results import CellResult
from audit.scan.record import ScanRecord
from audit.store import RunStore, default_folder, write_atomic
from tests.tiny_audit import tiny_config, tiny_dataset


@pytest.fixture(scope="module")
def plan() -> AuditPlan:
    return plan_audit(tiny_config(), tiny_dataset())


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "run")


def refused(store: RunStore, plan: AuditPlan, message: str) -> None:
    with pytest.raises(RunDirectoryError) as refusal:
        store.begin(plan, "data-1")
    assert str(refusal.value) == message
    assert refusal.value.exit_code == 2


def cell(plan: AuditPlan, **changes: Any) -> CellResult:
    first = plan.cells[0]
    facts: dict[str, Any] = {
        "id": first.id, "model": "small-cnn", "optimizer": "adam", "defence": "none", "attack": "clean",
        "severity": 0, "seed": 0, "role": "grid", "recipe": first.recipe, "perturbation_id": None,
        "status": "done", "predictions": [0, 1], "seconds": 1.5,
    }  # fmt: skip
    return CellResult(**(facts | changes))


# ---- atomic writes


def test_writes_the_text_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "new" / "a.json", "Größe 1")
    assert (tmp_path / "new" / "a.json").read_bytes() == "Größe 1".encode()
    write_atomic(tmp_path / "new" / "a.json", "2")
    assert [(p.name, p.read_text()) for p in (tmp_path / "new").iterdir()] == [("a.json", "2")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "a.json").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", full) if step == "fsync" else (Path, "replace", full)))
    with pytest.raises(OSError, match="No space left on device"):
        write_atomic(tmp_path / "a.json", "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(tmp_path / "a.json", "begin \ud800")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


# ---- folders


def test_begin_writes_plan_and_config_and_keeps_the_first_date(store: RunStore, plan: AuditPlan) -> None:
    created = store.begin(plan, "data-1")
    assert sorted(p.name for p in store.folder.iterdir()) == ["config.yaml", "plan.json"]
    content = json.loads((store.folder / "plan.json").read_text())
    assert (content["created"], content["dataset_fingerprint"]) == (created, "data-1")
    assert len(content["cells"]) == len(plan.cells)
    (store.folder / "plan.json").write_text(json.dumps(content | {"created": "2001-02-03T04:05:06+00:00"}))
    assert store.begin(plan, "data-1") == "2001-02-03T04:05:06+00:00"


def test_an_empty_folder_is_taken(store: RunStore, plan: AuditPlan) -> None:
    store.folder.mkdir()
    store.begin(plan, "data-1")
    assert store.read_plan() is not None


def test_folder_with_something_else(store: RunStore, plan: AuditPlan) -> None:
    store.folder.mkdir()
    (store.folder / "thesis.doc").write_text("precious")
    refused(store, plan, f"{store.folder}: not empty and holds no audit; choose another --out")
    assert [p.name for p in store.folder.iterdir()] == ["thesis.doc"]


def test_folder_with_an_audit_of_other_data(store: RunStore, plan: AuditPlan) -> None:
    store.begin(plan, "data-2")
    before = (store.folder / "plan.json").read_bytes()
    refused(
        store, plan,
        f"{store.folder}: holds an audit of other data; choose another --out, or say --fresh to begin anew",
    )  # fmt: skip
    assert (store.folder / "plan.json").read_bytes() == before


@pytest.mark.parametrize("field", ["audit_version", "protocol_version", "code_fingerprint"])
def test_folder_with_an_audit_of_another_program(store: RunStore, plan: AuditPlan, field: str) -> None:
    store.begin(plan, "data-1")
    content = json.loads((store.folder / "plan.json").read_text())
    (store.folder / "plan.json").write_text(json.dumps({**content, field: "0123456789"}))
    own = f"audit {__version__}, code {code_fingerprint()[:8]}"
    begun = {
        "audit_version": own.replace(f"audit {__version__}", "audit 0123456789"),
        "protocol_version": own,
        "code_fingerprint": f"audit {__version__}, code 01234567",
    }
    refused(
        store, plan,
        f"{store.folder}: begun by another version of this program ({begun[field]}; this one: {own}); choose another "
        "--out, or say --fresh to begin anew",
    )  # fmt: skip


def test_clear_deletes_an_audit_and_nothing_else(store: RunStore, plan: AuditPlan) -> None:
    store.begin(plan, "data-1")
    store.save_cell(cell(plan))
    (store.folder / ".lock").touch()
    store.clear()
    assert [p.name for p in store.folder.iterdir()] == [".lock"]
    (store.folder / "thesis.doc").write_text("precious")
    store.clear()
    assert (store.folder / "thesis.doc").exists(), "no audit, so not ours"


def test_the_mark_of_completion_belongs_to_these_results(store: RunStore, plan: AuditPlan) -> None:
    store.begin(plan, "data-1")
    assert not store.is_marked_complete()
    (store.folder / "results.json").write_text("{}")
    assert not store.is_marked_complete()
    store.mark_complete()
    assert store.is_marked_complete()
    (store.folder / "results.json").write_text("{ }")
    assert not store.is_marked_complete()
    (store.folder / "complete.json").write_text("{")
    assert not store.is_marked_complete()


def test_file_in_place_of_the_folder(store: RunStore, plan: AuditPlan) -> None:
    store.folder.write_text("precious")
    refused(store, plan, f"{store.folder}: not a folder; choose another --out")
    below = RunStore(store.folder / "below")
    refused(below, plan, f"{below.folder}: cannot be written (Not a directory); choose another --out")
    assert store.folder.read_text() == "precious"


def test_folder_that_cannot_be_written(
    store: RunStore, plan: AuditPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", denied)
    refused(store, plan, f"{store.folder}: cannot be written (Permission denied); choose another --out")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe"])
def test_damaged_plan(store: RunStore, plan: AuditPlan, content: bytes) -> None:
    store.folder.mkdir()
    (store.folder / "plan.json").write_bytes(content)
    refused(
        store,
        plan,
        f"{store.folder / 'plan.json'}: damaged; choose another --out, or say --fresh to begin anew",
    )
    assert (store.folder / "plan.json").read_bytes() == content


# ---- cells


def test_a_finished_cell_is_read_back_equal(store: RunStore, plan: AuditPlan) -> None:
    store.save_cell(cell(plan))
    assert store.read_cell(plan.cells[0].id) == cell(plan)


def test_missing_damaged_failed_or_foreign_cells_are_trained_again(store: RunStore, plan: AuditPlan) -> None:
    wanted = plan.cells[0].id
    path = store.cell_path(wanted)
    assert store.read_cell(wanted) is None
    store.save_cell(cell(plan))
    whole = path.read_bytes()
    for damaged in (b"", whole[:-5], b"\xff" + whole, b"[]", whole.replace(b'"predictions"', b'"guesses"')):
        path.write_bytes(damaged)
        assert store.read_cell(wanted) is None, damaged
    store.save_cell(cell(plan, status="failed", failure="loss is not finite"))
    assert store.read_cell(wanted) is None
    path.write_text(cell(plan, id="another").model_dump_json())
    assert store.read_cell(wanted) is None


# ---- events


def test_the_scan_is_kept_for_these_data_and_this_version(store: RunStore, plan: AuditPlan) -> None:
    store.begin(plan, "data-1")
    scan = ScanRecord(status="pass", sentence="nothing", images=8, false_alarm_rate=0.01)
    assert store.read_scan("data-1") is None
    store.save_scan(scan, "data-1")
    assert store.read_scan("data-1") == scan
    assert store.read_scan("data-2") is None
    kept = json.loads((store.folder / "data-scan.json").read_text())
    (store.folder / "data-scan.json").write_text(json.dumps({**kept, "version": "0.0.1"}))
    assert store.read_scan("data-1") is None
    (store.folder / "data-scan.json").write_text("{")
    assert store.read_scan("data-1") is None


def test_seconds_are_summed_over_sessions(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    assert log.seconds() == 0.0, "no events yet"
    lines = [(100.0, 0.0), (100.0, 7.25), (500.0, 0.5), (500.0, 2.0), (100.0, 3.0)]
    text = "".join(json.dumps({"session": s, "elapsed": e, "event": "cell"}) + "\n" for s, e in lines)
    (tmp_path / "events.jsonl").write_text(text)
    assert log.seconds() == 9.25
    for torn in (b'{"session": 500.0, "elap', b"7", b"null", b'{"session": 500.0}', b'{"a": "\xc3'):
        (tmp_path / "events.jsonl").write_bytes(text.encode() + torn)
        assert log.seconds() == 9.25, torn


def test_work_of_one_audit_begins_with_its_trainings(tmp_path: Path) -> None:
    """Session 1: 2 s of other things, then 5 s; session 2: another audit; session 3: 4 s and no meter."""
    events: list[tuple[int, float, dict[str, object]]] = [
        (1, 2.0, {"event": "started", "audit": "a"}), (1, 7.0, {"event": "finished", "joules": 50.0}),
        (2, 0.0, {"event": "started", "audit": "b"}), (2, 9.0, {"event": "cell"}),
    ]  # fmt: skip
    lines = [json.dumps({"session": s, "elapsed": e, **facts}) + "\n" for s, e, facts in events]
    (tmp_path / "events.jsonl").write_text("".join(lines))
    assert EventLog(tmp_path).work("a") == (1, 5.0, 50.0)
    killed = json.dumps({"session": 3, "elapsed": 1.0, "event": "started", "audit": "a"}) + "\n"
    killed += json.dumps({"session": 3, "elapsed": 5.0, "event": "cell"}) + "\n"
    (tmp_path / "events.jsonl").write_text("".join(lines) + killed)
    assert EventLog(tmp_path).work("a") == (2, 9.0, None)
    assert EventLog(tmp_path).work("c") == (0, 0.0, 0.0)


def test_log_appends_one_line_with_its_facts_and_tells_it(tmp_path: Path) -> None:
    told: list[str] = []
    log = EventLog(tmp_path, told.append)
    log.add("started", cells=3)
    log.add("cell", id="a\nb")
    assert (tmp_path / "events.jsonl").read_text().splitlines() == told
    lines = [json.loads(line) for line in told]
    assert [line["event"] for line in lines] == ["started", "cell"]
    assert (lines[0]["cells"], lines[1]["id"]) == (3, "a\nb")
    assert lines[0]["session"] == lines[1]["session"] > 1.7e9, "when it began"


def test_a_clock_that_is_set_back_changes_no_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path)
    log.add("started", audit="a")
    monkeypatch.setattr("time.time", lambda: 0.0)
    log.add("finished", joules=None)
    assert 0 <= log.seconds() < 60
    sessions, seconds, _ = log.work("a")
    assert sessions == 1 and 0 <= seconds < 60


def test_the_first_estimate_of_an_audit_is_kept(store: RunStore, plan: AuditPlan) -> None:
    store.begin(plan, "data-1")
    assert store.read_estimate("a") is None
    store.save_estimate("a", {"wall_seconds": 5.0})
    store.save_estimate("a", {"wall_seconds": 1.0})  # of what an interruption left
    kept = store.read_estimate("a")
    assert kept is not None and kept["wall_seconds"] == 5.0
    store.save_estimate("b", {"wall_seconds": 2.0})
    assert store.read_estimate("a") is None, "another grid"
    (store.folder / "estimate.json").write_text("[]")
    assert store.read_estimate("b") is None


# ---- the default place


def test_default_folder_is_dated_and_finds_an_audit_of_another_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: AuditPlan
) -> None:
    monkeypatch.chdir(tmp_path)
    fresh = default_folder(plan, "OCT phantoms (synthetic)")
    assert fresh.parent == Path("runs")
    date, _, rest = fresh.name.partition("-oct-")
    assert len(date) == len("2026-01-31")
    own = rest.removeprefix("phantoms-synthetic-")
    assert len(own) == 8 and int(own, 16) >= 0
    begun = Path("runs") / f"2001-02-03-oct-phantoms-synthetic-{own}"
    begun.mkdir(parents=True)
    assert default_folder(plan, "OCT phantoms (synthetic)") == begun
    assert default_folder(plan, "other") == Path("runs") / f"{date}-other-{own}"
    monkeypatch.setattr("audit.store.code_fingerprint", lambda: "other code")
    assert default_folder(plan, "OCT phantoms (synthetic)") not in (begun, fresh)
