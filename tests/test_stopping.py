"""Ctrl-C once, Ctrl-C twice, SIGTERM; and a folder that is begun anew."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.command_line import Command, make_command, process, wait_for
from tests.tiny_audit import as_options, write_npz

FINISHING = "interrupted: what is being trained is finished and kept first; Ctrl-C again stops now"
LAST = "audit: interrupted; finished trainings are kept: the same command goes on from there"


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def long_run(folder: Path, workers: int, epochs: int) -> subprocess.Popen[str]:
    """Trainings of many epochs, without a search."""
    data = write_npz(folder / "tiny.npz")
    options = as_options(workers=workers, training__epochs=epochs, search__enabled=False, severities="[0, 1]")
    return process("run", "oct", "--data", data, *options, "--out", "out", cwd=folder)


def done(folder: Path) -> list[str]:
    return sorted(p.stem for p in folder.glob("out/cells/*.json"))


def another_under_way(folder: Path) -> bool:
    """Whether one training is done and another one has trained an epoch: between two, a signal stops at once."""
    events = (
        map(json.loads, (folder / "out" / "events.jsonl").read_text().splitlines()) if done(folder) else ()
    )
    return any(event["event"] == "epoch" and event["id"] not in done(folder) for event in events)


def begun(folder: Path) -> bool:
    log = folder / "out" / "events.jsonl"
    return log.exists() and '"started"' in log.read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_once_finishes_what_is_being_trained(tmp_path: Path, workers: int) -> None:
    running = long_run(tmp_path, workers, 40)
    wait_for(lambda: another_under_way(tmp_path), running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=240)
    assert (running.returncode, out) == (130, ""), err
    assert FINISHING in err.splitlines() and err.splitlines()[-1] == LAST
    assert 1 + workers >= len(done(tmp_path)) >= 2, "one before the signal, those under way after it"


@pytest.mark.parametrize("workers", [1, 2])
def test_twice_stops_now(tmp_path: Path, workers: int) -> None:
    """Trainings that would take hours."""
    running = long_run(tmp_path, workers, 1_000_000)
    wait_for(lambda: begun(tmp_path), running)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    time.sleep(1)
    assert running.poll() is None, "the first one waits for the training"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == LAST and "Traceback" not in err
    assert done(tmp_path) == []
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["cells"]


def test_a_scheduler_s_sigterm_stops_now(tmp_path: Path) -> None:
    running = long_run(tmp_path, 2, 1_000_000)
    wait_for(lambda: begun(tmp_path), running)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130 and err.splitlines()[-1] == LAST, err


def test_fresh_begins_anew_where_other_data_were_audited(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "tiny.npz")
    options = [*as_options(workers=1, search__enabled=False, controls__methods="[shortcut]"), "--out", "out"]
    assert audit("run", "oct", "--data", data, *options).code == 0
    first = done(Path.cwd())
    other = write_npz(tmp_path / "other.npz", ("left", "right"))
    refusal = audit("run", "oct", "--data", other, *options)
    assert refusal.code == 2
    assert refusal.err.endswith(
        "out: holds an audit of other data; choose another --out, or say --fresh to begin anew\n"
    )
    assert done(Path.cwd()) == first
    assert audit("run", "oct", "--data", other, *options, "--fresh").code == 0
    assert len(done(Path.cwd())) == len(first) and not set(done(Path.cwd())) & set(first)
