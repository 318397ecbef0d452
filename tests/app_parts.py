"""For tests of the application: a server's settings that make an audit take seconds, and its processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.desk import Desk
from apps.settings import ServerSettings
from apps.shelf import AuditFolder
from audit.event_log import EventLog

TINY = {
    "data.n_train": 80,
    "data.n_test": 40,
    "data.image_size": 24,
    "training.epochs": 1,
    "search.generations": 1,
    "search.images_per_class": 15,
    "search.closed_form": False,
    "search.population": 4,
    "search.finalists": 1,
    "search.rescoring_seeds": 1,
    "evaluation.bootstrap": 200,
    "evaluation.explained_images": 0,
    "workers": 1,
}
CHOICES: dict[str, list[object]] = {
    "models": ["mobilenet_v3_small"],
    "optimizers": ["adam"],
    "normalizations": ["none"],
    "filters": [],
    "severities": [1],
}
LONG = 240.0  # seconds that the slowest step may take on a busy machine


def tiny(data: Path, **more: object) -> ServerSettings:
    """Written into `data`."""
    settings = ServerSettings.model_validate({"data": data, "overrides": TINY, **more})
    settings.save()
    return settings


def state_of(desk: Desk, audit_id: str) -> str:
    """Of an audit of Ann: 'estimate done'."""
    job = desk.status("ann", audit_id).job
    return f"{job.kind} {job.state}" if job else ""


def wait_for(condition: Callable[[], bool], seconds: float = LONG, every: float = 0.2) -> None:
    """Raises AssertionError where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(every)


@contextlib.contextmanager
def worker(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process; ended at the end."""
    process = subprocess.Popen([sys.executable, "-m", "apps.worker", str(data)])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(90)


def kept_cells(folder: AuditFolder) -> dict[Path, bytes]:
    """The finished trainings; not one that is half written, under the hidden name it has until it is whole."""
    return {file: file.read_bytes() for file in (folder.run / "cells").glob("[!.]*")}


@contextlib.contextmanager
def paused_in_mid_run(folder: AuditFolder) -> Iterator[dict[Path, bytes]]:
    """Stop the process of an audit once its first training is kept, however quick it is; what is kept. It goes on at
    the end, whatever happened, so that one failed test is one failed test."""
    wait_for(lambda: bool(kept_cells(folder)), every=0.01)
    process = process_of(folder)
    stop(process)
    while len(kept_cells(folder)) != len(told_cells(folder)):  # between the file and the word of it
        os.kill(process, signal.SIGCONT)
        time.sleep(0.01)
        stop(process)
    try:
        yield kept_cells(folder)
    finally:
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            os.kill(process, signal.SIGCONT)


def told_cells(folder: AuditFolder) -> set[str]:
    """The trainings that the log calls finished: what the page lists."""
    return {str(event["id"]) for event in EventLog(folder.run).of("cell")}


def stop(process: int) -> None:
    """SIGSTOP, and the process has stopped."""
    os.kill(process, signal.SIGSTOP)
    wait_for(lambda: "\nState:\tT" in Path(f"/proc/{process}/status").read_text(), every=0.001)


def process_of(folder: AuditFolder) -> int:
    """The id of the process of an audit."""
    asked = f"apps.work\0audit\0{folder.path}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if asked in (process / "cmdline").read_bytes():
                return int(process.name)
    raise AssertionError("it ended before it was stopped")


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def server(data: Path, port: int, *options: str) -> Iterator[str]:
    """`audit serve` as a process; its address. Killed with its worker at the end, as a machine that loses power."""
    settings = [f"--set={field}={value}" for field, value in TINY.items()]
    command = [
        sys.executable,
        "-m",
        "audit",
        "serve",
        "--data",
        str(data),
        "--port",
        str(port),
        *settings,
        *options,
    ]
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: is_up(address))
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_up(address: str) -> bool:
    """Whether the server answers."""
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(f"{address}/health", timeout=2).status == 200)
    return False


def zipped(folder: Path, target: Path) -> Path:
    """A folder as one ZIP."""
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return target


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Chromium of the system; in CI its absence fails."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(
        (found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None
    )
    assert program is not None, "chromium is not installed: apt-get install chromium"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def visit(browser: Any, address: str, width: int = 1280, selector: str = "#history li, #history p") -> Any:
    """A visit of its own, as of another person on another machine, once the page listens."""
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    context.set_default_timeout(LONG * 1000)
    page = context.new_page()
    page.goto(address)
    page.locator(selector).first.wait_for(state="attached")
    return page
