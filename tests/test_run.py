"""`audit run` to the end: what it writes, what it never tells, and how it goes on after a break."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.attack.perturbation import Artefact
from audit.event_log import EventLog
from audit.results import AuditResult, CellResult
from audit.run_lock import held
from tests.command_line import READING, Command, Outcome, make_command, process, wait_for
from tests.tiny_audit import PATIENT, as_options, write_npz

CELLS = 8  # 2 seeds x (clean, shortcut, random, evoshift)
OWNER = "Erika-Mustermann"  # a folder above the data that names somebody


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


@dataclass(frozen=True)
class TinyRun:
    """A finished audit. Do not change `folder`: work on a copy."""

    data: Path
    folder: Path
    outcome: Outcome

    @property
    def arguments(self) -> list[str]:
        return [
            "run",
            "oct",
            "--data",
            str(self.data),
            *as_options(workers=1, training__epochs=5),
            "--json",
            "--out",
        ]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """`audit run ... --json` in a process of its own."""
    home = tmp_path_factory.mktemp("home")
    run = TinyRun(write_npz(home / OWNER / "tiny.npz"), home / "out", Outcome(0, "", ""))
    started = process(*run.arguments, run.folder, cwd=home)
    out, err = started.communicate(timeout=300)
    assert started.returncode == 0, err
    return TinyRun(run.data, run.folder, Outcome(started.returncode, out, err))


def test_json_is_one_object_and_alone_on_stdout(tiny: TinyRun) -> None:
    assert tiny.outcome.out.count("\n") == 1
    shown = json.loads(tiny.outcome.out)
    result = AuditResult.load(tiny.folder / "results.json")
    assert shown["run_dir"] == str(tiny.folder)
    assert shown["report"] == str(tiny.folder / "report.pdf")
    assert (shown["verdict"], shown["audit_id"]) == (result.finding.verdict, result.audit_id)
    assert shown["scores"] == [row.model_dump() for row in result.scores]
    assert [row["model"] for row in shown["scores"]] == ["small-cnn"]
    assert shown["state"] == "complete"


def test_progress_and_result_are_on_stderr_without_colour(tiny: TinyRun) -> None:
    assert tiny.outcome.err.startswith(READING)
    trainings = [line for line in tiny.outcome.err.splitlines() if re.match(r"small-cnn +adam +none\b", line)]
    assert sum(" seed 0" in line for line in trainings) == CELLS / 2, "one line per training"
    assert sum(" seed 1" in line for line in trainings) == CELLS / 2
    assert "finding" in tiny.outcome.err
    assert "\x1b" not in tiny.outcome.err
    assert "Warning" not in tiny.outcome.err


def test_what_a_run_directory_holds(tiny: TinyRun) -> None:
    files = {p.relative_to(tiny.folder).as_posix() for p in tiny.folder.rglob("*") if p.is_file()}
    by_folder = {
        name: [f for f in files if f.startswith(f"{name}/")] for name in ("cells", "perturbations", "figures")
    }
    assert {f for f in files if "/" not in f} == {
        ".lock", "complete.json", "config.yaml", "data-scan.json", "estimate.json", "events.jsonl",
        "plan.json", "report.pdf", "results.json",
    }  # fmt: skip
    plan = json.loads((tiny.folder / "plan.json").read_text())
    assert sorted(by_folder["cells"]) == sorted(f"cells/{cell['id']}.json" for cell in plan["cells"])
    assert len(by_folder["cells"]) == CELLS
    assert sorted(name.rpartition("-")[0] for name in by_folder["perturbations"]) == [
        "perturbations/evoshift-np1", "perturbations/random-np1-draw0", "perturbations/shortcut-np1",
    ]  # fmt: skip
    assert by_folder["figures"]
    assert all(name.endswith(".svg") for name in by_folder["figures"])
    assert sum(map(len, by_folder.values())) + 9 == len(files)
    assert (tiny.folder / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_results_hold_every_cell_and_the_squares_are_learned(tiny: TinyRun) -> None:
    result = AuditResult.load(tiny.folder / "results.json")
    assert [cell.status for cell in result.cells] == ["done"] * CELLS
    assert result.dataset.groups == {"train": 32, "val": 0, "test": 12}
    assert result.cost is not None and result.cost.sessions == 1
    assert 0 < result.cost.measured_seconds <= result.seconds
    assert result.cost.time_error == result.cost.measured_seconds / result.cost.predicted_seconds - 1
    peaks = [cell.peak_bytes for cell in result.cells if cell.peak_bytes is not None]
    assert result.cost.measured_bytes == max(peaks, default=None)
    assert all(len(cell.predictions) == 24 for cell in result.cells)


def test_nothing_tells_where_the_data_lie_or_who_the_patients_are(tiny: TinyRun) -> None:
    shared = (tiny.folder / "results.json").read_text() + tiny.outcome.err + tiny.outcome.out
    shared += "".join(p.read_text() for p in tiny.folder.glob("cells/*.json"))
    shared += "".join(p.read_text() for p in tiny.folder.glob("figures/*.svg"))
    for secret in (OWNER, str(tiny.data.parent), PATIENT, PATIENT.lower()):
        assert secret not in shared
    command = AuditResult.load(tiny.folder / "results.json").command
    assert command.startswith("audit run oct --data tiny.npz --set ")
    assert command.endswith(" --json --out out")


# ---- the same command again


def with_two_workers(tiny: TinyRun) -> list[str]:
    """The same command with `workers=2`."""
    return [word.replace("workers=1", "workers=2") for word in tiny.arguments]


def copy_of(tiny: TinyRun) -> Path:
    """A copy under the same name, as `--out` stands in the recorded command."""
    return Path(shutil.copytree(tiny.folder, Path.cwd() / "out"))


def whole_content(folder: Path, *kinds: str) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for kind in kinds for p in folder.glob(kind)}


def comparable(folder: Path) -> dict[str, Any]:
    """results.json without clocks, and without how many workers there were."""
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    for clock in ("seconds", "created", "command", "environment", "cost"):
        del content[clock]
    del content["config"]["workers"]
    for cell in content["cells"]:
        del cell["seconds"], cell["peak_bytes"]
    for perturbation in content["perturbations"]:
        if perturbation["search"] is not None:
            del perturbation["search"]["seconds"]
    return content


def test_the_same_command_again_trains_nothing(audit: Command, tiny: TinyRun) -> None:
    folder = copy_of(tiny)
    before = whole_content(folder, "*.json*", "cells/*", "perturbations/*")
    outcome = audit(*tiny.arguments, folder)
    assert outcome.code == 0
    assert f"{folder}: complete, nothing to do (--fresh begins anew)\n" in outcome.err
    assert whole_content(folder, "*.json*", "cells/*", "perturbations/*") == before
    assert json.loads(outcome.out) == json.loads(tiny.outcome.out) | {
        "run_dir": str(folder),
        "report": str(folder / "report.pdf"),
    }


def test_a_report_that_was_deleted_is_written_again(audit: Command, tiny: TinyRun) -> None:
    folder = copy_of(tiny)
    (folder / "report.pdf").unlink()
    assert audit(*tiny.arguments, folder).code == 0
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_a_finished_run_is_exported_when_asked_again(audit: Command, tiny: TinyRun) -> None:
    pytest.importorskip("tensorboard", reason="the extra track is not installed")
    folder = copy_of(tiny)
    outcome = audit(*tiny.arguments, folder, "--track", "tensorboard:told")
    assert outcome.code == 0 and "tensorboard: told\n" in outcome.err
    assert len(list(Path("told").glob("*/*"))) == CELLS


def test_resume_goes_on_with_the_settings_of_the_run(audit: Command, tiny: TinyRun) -> None:
    folder = copy_of(tiny)
    next(folder.glob("cells/*.json")).unlink()
    (folder / "results.json").unlink()
    outcome = audit("resume", folder, "--json")
    assert outcome.code == 0, outcome.err
    assert f"{CELLS - 1} trainings are kept from an earlier start; 1 to do\n" in outcome.err
    assert comparable(folder) == comparable(tiny.folder)
    assert AuditResult.load(folder / "results.json").command.startswith("audit run oct --data tiny.npz")


def test_a_run_in_use_is_left_alone(audit: Command, tiny: TinyRun) -> None:
    folder = copy_of(tiny)
    with held(folder):
        outcome = audit(*tiny.arguments, folder)
    assert outcome.code == 2
    assert outcome.err.endswith(" works on it; wait until that ends, or stop it\n")


def test_one_deleted_cell_is_trained_again_alone(audit: Command, tiny: TinyRun) -> None:
    """With it goes the file of its perturbation, which is searched again: to the same pixels."""
    folder = copy_of(tiny)
    result = AuditResult.load(folder / "results.json")
    lost = next(cell for cell in result.cells if cell.attack == "evoshift")
    (folder / "cells" / f"{lost.id}.json").unlink()
    next(folder.glob("perturbations/evoshift-*")).unlink()
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("cells/*")}
    outcome = audit(*tiny.arguments, folder)
    assert outcome.code == 0
    assert f"{CELLS - 1} trainings are kept from an earlier start; 1 to do\n" in outcome.err
    assert {p: p.stat().st_mtime_ns for p in folder.glob("cells/*") if p in kept} == kept
    again = cell_of(folder, lost.id)
    assert again.model_copy(update={"seconds": lost.seconds, "peak_bytes": lost.peak_bytes}) == lost
    assert comparable(folder) == comparable(tiny.folder)


def test_killed_between_a_cell_and_the_word_of_it(audit: Command, tiny: TinyRun) -> None:
    """What the session that was killed kept but did not log stands in the log; what it wrote half is gone."""
    folder = copy_of(tiny)
    log, lines = EventLog(folder), (folder / "events.jsonl").read_text().splitlines()
    before = {event["id"]: event for event in log.of("cell")}
    assert len(before) == CELLS
    silent, gone = sorted(before)[:2]
    (folder / "events.jsonl").write_text(
        "".join(f"{line}\n" for line in lines if not ('"event": "cell"' in line and silent in line))
    )
    (folder / "cells" / f"{gone}.json").rename(folder / "cells" / f".{gone}.json.x1.tmp")
    assert audit(*tiny.arguments, folder).code == 0
    after = {event["id"]: event for event in log.of("cell")}
    assert after.keys() == before.keys()
    assert {id_: after[id_]["accuracy"] for id_ in after} == {id_: before[id_]["accuracy"] for id_ in before}
    assert not list(folder.rglob(".*.tmp"))


def test_cells_of_another_perturbation_are_trained_again(audit: Command, tiny: TinyRun) -> None:
    """A cell's numbers belong to the pixels that it was trained with, not to the name of the search."""
    folder = copy_of(tiny)
    path = next(folder.glob("perturbations/evoshift-*"))
    artefact = Artefact.load(path)
    first, *rest = artefact.perturbation.edits
    moved = first.model_copy(update={"value": [1.0 - first.value[0]]})
    changed = artefact.perturbation.model_copy(update={"edits": (moved, *rest)})
    artefact.model_copy(update={"perturbation": changed, "sha256": changed.id}).save(path)
    outcome = audit(*tiny.arguments, folder)
    assert outcome.code == 0
    found = AuditResult.load(folder / "results.json")
    assert {c.perturbation_id for c in found.cells if c.attack == "evoshift"} == {changed.id}
    assert [p.id for p in found.perturbations if p.attack == "evoshift"] == [changed.id]
    path.unlink()  # searched again: the old pixels, so the cells above are stale in their turn
    assert audit(*tiny.arguments, folder).code == 0
    assert comparable(folder) == comparable(tiny.folder)


def cell_of(folder: Path, cell_id: str) -> CellResult:
    return next(c for c in AuditResult.load(folder / "results.json").cells if c.id == cell_id)


def test_damaged_perturbation_is_named(audit: Command, tiny: TinyRun) -> None:
    folder = copy_of(tiny)
    path = next(folder.glob("perturbations/evoshift-*"))
    path.write_bytes(path.read_bytes()[:100])
    outcome = audit(*tiny.arguments, folder)
    last = outcome.err.splitlines()[-1]
    assert (outcome.code, outcome.out) == (3, "")
    assert last.startswith(f"audit: {path}: not a perturbation (")
    assert last.endswith("; delete it and run again")


def test_report_from_results_alone(audit: Command, tiny: TinyRun) -> None:
    Path("elsewhere").mkdir()
    shutil.copy(tiny.folder / "results.json", "elsewhere")
    assert audit("report", "elsewhere") == Outcome(0, "elsewhere/report.pdf\n", "")
    assert Path("elsewhere/report.pdf").read_bytes().startswith(b"%PDF-")
    assert json.loads(audit("report", "elsewhere", "--json").out) == {"report": "elsewhere/report.pdf"}


# ---- Ctrl-C


def test_an_interrupted_audit_is_completed_by_the_same_command(
    audit: Command, tiny: TinyRun, tmp_path: Path
) -> None:
    """Two workers, stopped after the first cell; then completed: all as in the run without a break."""
    folder = tmp_path / "here" / "out"
    command = [*with_two_workers(tiny), folder]
    running = process(*command, cwd=tmp_path)
    wait_for(lambda: list(folder.glob("cells/*.json")), running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == (
        "audit: interrupted; finished trainings are kept: the same command goes on from there"
    )
    assert "Traceback" not in err
    assert not (folder / "results.json").exists()
    assert not [p for p in folder.rglob("*") if ".tmp" in p.name], "no torn files"
    kept = whole_content(folder, "cells/*")
    assert 1 <= len(kept) < CELLS
    for text in (*kept.values(), *whole_content(folder, "perturbations/*", "plan.json").values()):
        json.loads(text)

    outcome = audit(*command)
    assert outcome.code == 0, outcome.err
    assert f"{len(kept)} trainings are kept from an earlier start; {CELLS - len(kept)} to do\n" in outcome.err
    assert kept.items() <= whole_content(folder, "cells/*").items()
    assert comparable(folder) == comparable(tiny.folder)


def test_a_diverging_optimizer_fails_its_cells_and_the_audit_goes_on_and_exits_4(
    audit: Command, tmp_path: Path
) -> None:
    """sgd at a rate of 1e30 beside adam, which is not touched by it."""
    options = as_options(
        workers=1, optimizers="[adam, sgd]", seeds="[0]", search__enabled=False, controls__methods="[shortcut]",
        training__learning_rates="{sgd: 1.0e+30}",
    )  # fmt: skip
    found = audit(
        "run", "oct", "--data", write_npz(tmp_path / "tiny.npz"), *options, "--json", "--out", "out"
    )
    assert found.code == 4, found.err
    result = AuditResult.load(Path("out/results.json"))
    by_optimizer = {(c.recipe.optimizer, c.status) for c in result.cells}
    assert by_optimizer == {("adam", "done"), ("sgd", "failed")} and result.state == "incomplete"
    assert {c.failure for c in result.cells if c.status == "failed"} == {
        "training loss is not finite in epoch 1; lower the learning rate"
    }
    assert Path("out/report.pdf").read_bytes().startswith(b"%PDF")
    assert "sgd, learning rate 1e+30 none, clean, seed 0: failed: training loss is not finite" in found.err


def test_a_worker_that_is_killed_costs_nothing_but_time(
    audit: Command, tiny: TinyRun, tmp_path: Path
) -> None:
    folder = tmp_path / "here" / "out"
    running = process(*with_two_workers(tiny), folder, cwd=tmp_path)
    wait_for(lambda: list(folder.glob("cells/*.json")), running)
    listed = subprocess.run(["ps", "-eo", "ppid,pid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    workers = [
        int(pid) for parent, pid, words in rows if parent == str(running.pid) and "spawn_main" in words
    ]
    os.kill(workers[0], signal.SIGKILL)
    _, err = running.communicate(timeout=240)
    assert running.returncode == 0, err
    assert "a worker died (killed, or out of memory); its work is tried once more\n" in err
    assert comparable(folder) == comparable(tiny.folder)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "worker died" for event in events) == 1
