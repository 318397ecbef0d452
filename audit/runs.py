"""What run directories hold: state, progress, verdict. Reads; computes and changes nothing, but for `delete_run`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audit.errors import RunDirectoryError
from audit.run_lock import is_held, owner_in_words
from audit.store import CONFIG_FILE, PLAN_FILE, RunStore

State = Literal["complete", "incomplete", "running", "interrupted", "damaged"]


@dataclass(frozen=True)
class Run:
    """One run directory."""

    folder: str
    state: State  # incomplete: ended, some trainings failed; interrupted: the same command goes on
    created: str  # ISO 8601, UTC
    command: str
    cells: int
    done: int
    verdict: str | None
    synthetic: bool | None  # None: not known before the results are written


def list_runs(root: Path) -> list[Run]:
    """All run directories in `root`, the newest first. Empty where there is none."""
    if not root.is_dir():
        return []
    found = [run for folder in root.iterdir() if (run := read_run(folder)) is not None]
    return sorted(found, key=lambda run: (run.created, run.folder), reverse=True)


def read_run(folder: Path) -> Run | None:
    """One run directory; None where `folder` is none."""
    if not (folder / PLAN_FILE).is_file():
        return None
    try:
        plan = RunStore(folder).read_plan() or {}
        ids = {cell["id"] for cell in plan["cells"]}
    except (RunDirectoryError, KeyError, TypeError):
        return Run(str(folder), "damaged", "", "", 0, 0, None, None)
    results = read_results(folder)
    current = results is not None and results.get("audit_id") == plan.get("audit_id")
    state: State = "interrupted"
    if is_held(folder):
        state = "running"
    elif current and results is not None and RunStore(folder).is_marked_complete():
        state = "complete" if results.get("state") == "complete" else "incomplete"
    return Run(
        folder=str(folder),
        state=state,
        created=str(plan["created"]),
        command=str(plan.get("command", "")),
        cells=len(ids),
        done=sum((folder / "cells" / f"{name}.json").is_file() for name in ids),
        verdict=str(results["finding"]["verdict"]) if current and results else None,
        synthetic=bool(results["dataset"]["synthetic"]) if results else None,
    )


def read_results(folder: Path) -> dict[str, Any] | None:
    """`results.json` as it is; None where it is missing or damaged."""
    try:
        content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        _ = content["finding"]["verdict"], content["dataset"]["synthetic"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found: dict[str, Any] = content
    return found


def require_run(folder: Path) -> Run:
    """One run directory. Raises RunDirectoryError where `folder` is none, or damaged."""
    run = read_run(folder)
    if run is None:
        raise RunDirectoryError(f"{folder}: holds no audit; audit runs lists those in runs/")
    if run.state == "damaged":
        raise RunDirectoryError(f"{folder / PLAN_FILE}: damaged; delete the folder with: audit rm")
    return run


def config_of(folder: Path) -> Path:
    """`config.yaml` of a run directory. Raises RunDirectoryError where it is missing."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise RunDirectoryError(f"{path}: missing; give the command of the audit again with --out {folder}")
    return path


def delete_run(folder: Path) -> None:
    """Delete a run directory. Raises RunDirectoryError where `folder` is none, or in use."""
    if not (folder / PLAN_FILE).is_file():
        raise RunDirectoryError(f"{folder}: holds no audit; nothing was deleted")
    if is_held(folder):
        raise RunDirectoryError(f"{folder}: {owner_in_words(folder)} works on it; nothing was deleted")
    shutil.rmtree(folder)
