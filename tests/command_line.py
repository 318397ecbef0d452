"""`audit ARGUMENTS` for tests: in this process, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit import __version__
from audit.cli import main

ROOT = Path(__file__).resolve().parents[1]
READING = f"audit {__version__}: reading images\n"


@dataclass(frozen=True)
class Outcome:
    """What a shell sees of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def make_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`main()` in this process, called from the empty folder `folder`/here, with a wide terminal."""
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    monkeypatch.setenv("COLUMNS", "250")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["audit", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main()
        out, err = capsys.readouterr()
        return Outcome(int(leaving.value.code or 0), out, err)

    return call


def process(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """The same as a process of its own, one thread per worker."""
    # A shell that starts the tests in the background has them ignore Ctrl-C, and they would hand that on.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from audit.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "250"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], object], running: subprocess.Popen[str], seconds: float = 240) -> None:
    """Until `condition` holds; a process that ends before it does, or waits too long, fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert running.poll() is None, f"ended too early: {running.communicate()}"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
