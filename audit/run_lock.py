"""One process at a time works on a run directory. The lock names its owner and ends with it, however it ends: the
system gives it up, so that no lock goes stale."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from audit.errors import RunDirectoryError
from audit.store import LOCK_FILE, OWNER_FILE, write_atomic


@contextlib.contextmanager
def held(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold the run directory, which exists. Raises RunDirectoryError where another process does, and for `wait` seconds
    more."""
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise RunDirectoryError(
            f"{folder}: {owner_in_words(folder)} works on it; wait until that ends, or stop it"
        ) from None
    try:
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomic(folder / OWNER_FILE, json.dumps(owner))
        yield
    finally:
        (folder / OWNER_FILE).unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether some process works on the run directory now."""
    if not (folder / LOCK_FILE).exists():
        return False
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that can only be read: nobody writes there
        return False


def owner_in_words(folder: Path) -> str:
    """'process 123 on ward-pc since 2026-11-25T10:00:00+00:00'."""
    try:
        owner = json.loads((folder / OWNER_FILE).read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
