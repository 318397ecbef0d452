"""Commands for audits that were begun: `audit runs`, `show`, `resume`, `rm`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audit.command_options import AsJson
from audit.errors import EXIT_INCOMPLETE, EXIT_PASS, ConfigError

RunDir = Annotated[Path, typer.Argument(help="A run directory.", show_default=False)]


def runs(
    folder: Annotated[Path, typer.Option(help="Where the run directories are.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the audits: state, progress, verdict. The newest first."""
    from rich.console import Console

    from audit.runs import list_runs
    from audit.terminal_runs import show_runs

    found = list_runs(folder)
    if as_json:
        typer.echo(json.dumps({"runs": [asdict(run) for run in found]}))
    else:
        show_runs(Console(), found, folder)


def show(run_dir: RunDir, as_json: AsJson = False) -> None:
    """Show what an audit found, or how far it got (exit code 4 where there is nothing to show yet)."""
    from rich.console import Console

    from audit.cli_perform import as_object
    from audit.results import AuditResult
    from audit.runs import require_run
    from audit.terminal import show_result
    from audit.terminal_runs import show_runs

    run = require_run(run_dir)
    if run.verdict is None:
        if as_json:
            typer.echo(json.dumps(asdict(run)))
        else:
            show_runs(Console(), [run], run_dir)
        raise typer.Exit(EXIT_INCOMPLETE)
    result = AuditResult.load(run_dir / "results.json")
    if as_json:
        typer.echo(json.dumps(as_object(result, run_dir)))
    else:
        show_result(Console(), result, run_dir)


def resume(run_dir: RunDir, as_json: AsJson = False) -> None:
    """Go on with an audit or a comparison of methods where it stopped, with its own settings."""
    from audit.cli_perform import Wishes, perform
    from audit.config import load_written_config
    from audit.runs import config_of, require_run

    command = require_run(run_dir).command
    config = load_written_config(config_of(run_dir))
    comparison = command.startswith("audit search ")
    perform(config, Wishes(run_dir, as_json=as_json, comparison=comparison, command=command or None))


def rm(
    run_dir: RunDir,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a run directory: trainings, perturbations, results and report."""
    from audit.runs import delete_run, read_run

    run = read_run(run_dir)
    if run is not None and not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"{run_dir}: {run.done} of {run.cells} trainings; say --yes to delete them")
        typer.confirm(f"delete {run_dir} with {run.done} of {run.cells} trainings?", abort=True)
    delete_run(run_dir)
    typer.echo(f"{run_dir} deleted", err=True)
    raise typer.Exit(EXIT_PASS)
