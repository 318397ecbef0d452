"""What a disk does to an audit: one clear line, nothing lost, and the same command goes on."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import ROOT, Command, make_command
from tests.test_run import comparable
from tests.tiny_audit import as_options, write_npz

LARGEST = 20_000  # bytes of a file: enough for a cell, not for results.json


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def limited(arguments: list[str], cwd: Path, largest: int) -> subprocess.CompletedProcess[str]:
    """A process that cannot write a file beyond `largest`, as on a disk that is full: writing fails half-way."""
    return subprocess.run(
        [sys.executable, "-c", "from audit.cli import main; main()", *arguments],
        cwd=cwd,
        env={
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/bin:/bin",
            "HOME": str(cwd),
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("largest", [1_000, LARGEST])
def test_a_disk_that_takes_no_more(audit: Command, tmp_path: Path, largest: int) -> None:
    """1 kB: no plan can be written. 20 kB: the trainings are kept, results.json is not."""
    data = write_npz(tmp_path / "tiny.npz")
    options = as_options(workers=1, search__enabled=False, controls__methods="[shortcut]", data__cache=False)
    command = ["run", "oct", "--data", str(data), *options, "--out"]
    stopped = limited([*command, "out"], Path.cwd(), largest)
    assert stopped.returncode == (2 if largest == 1_000 else 4), stopped.stderr
    last = stopped.stderr.splitlines()[-1]
    if largest == 1_000:
        assert last == "audit: out: cannot be written (File too large); choose another --out"
    else:
        assert last == (
            "audit: out: File too large; what was finished is kept: mend that and run the same command again"
        )
    assert not list(Path("out").rglob("*.tmp")), "no torn files"
    kept = {p: p.read_bytes() for p in Path("out").glob("cells/*")}
    assert len(kept) == (0 if largest == 1_000 else 4)
    assert audit(*command, "out").code == 0
    assert all(path.read_bytes() == before for path, before in kept.items())
    assert audit(*command, "whole").code == 0
    assert comparable(Path("out")) == comparable(Path("whole"))


def test_a_cell_file_that_was_torn_is_trained_again(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "tiny.npz")
    options = as_options(workers=1, search__enabled=False, controls__methods="[shortcut]")
    command = ["run", "oct", "--data", str(data), *options, "--out"]
    assert audit(*command, "out").code == 0
    whole = comparable(Path("out"))
    torn = sorted(Path("out").glob("cells/*"))[0]
    torn.write_bytes(torn.read_bytes()[:700])
    (Path("out") / "results.json").unlink()
    outcome = audit(*command, "out")
    assert outcome.code == 0
    assert "3 trainings are kept from an earlier start; 1 to do\n" in outcome.err
    assert comparable(Path("out")) == whole


def test_a_torn_scan_is_made_again(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "tiny.npz")
    options = as_options(workers=1, search__enabled=False, controls__methods="[shortcut]")
    command = ["run", "oct", "--data", str(data), *options, "--out", "out"]
    assert audit(*command).code == 0
    whole = comparable(Path("out"))
    scan = Path("out/data-scan.json")
    scan.write_bytes(scan.read_bytes()[:20])
    assert audit(*command).code == 0
    assert comparable(Path("out")) == whole
