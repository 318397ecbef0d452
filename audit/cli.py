"""The command line: the one place that turns an AuditError into a message and an exit code."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from audit import __version__
from audit.cli_ci import ci_app
from audit.cli_data import check, data_app, doctor
from audit.cli_gate import baseline_app, compare, gate
from audit.cli_report import report, verify
from audit.cli_run import as_plan, run, search
from audit.cli_runs import resume, rm, runs, show
from audit.cli_scan import repair, scan
from audit.cli_serve import serve, user_app
from audit.command_options import AsJson
from audit.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_PASS, AuditError

INTERRUPTED = "interrupted; finished trainings are kept: the same command goes on from there"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Audit how far medical-image classifiers fall for few-pixel changes of their training images.",
)


app.command()(run)
app.command("plan")(as_plan(run))
app.command()(search)
app.command()(check)
app.command()(scan)
app.command()(repair)
app.command()(runs)
app.command()(show)
app.command()(resume)
app.command()(rm)
app.command()(report)
app.command()(verify)
app.command()(gate)
app.command()(compare)
app.command()(doctor)
app.command()(serve)
app.add_typer(user_app, name="user")
app.add_typer(baseline_app, name="baseline")
app.add_typer(ci_app, name="ci")
app.add_typer(data_app, name="data")


def show_version(wanted: bool) -> None:
    """`--version`."""
    if wanted:
        typer.echo(f"audit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Audit how far medical-image classifiers fall for few-pixel changes of their training images."""


@app.command()
def models(
    everything: Annotated[bool, typer.Option("--all", help="Every classifier of torchvision.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models by name, with their size and what an image costs."""
    from audit.training.model_costs import listed_names, model_cost

    costs = [model_cost(name) for name in listed_names(everything)]
    if as_json:
        typer.echo(json.dumps({"models": [asdict(cost) for cost in costs]}))
        return
    from rich.console import Console

    from audit.terminal_models import show_models

    show_models(Console(), costs, everything)


def main() -> None:
    """Entry point: one error boundary, one line per error, the right exit code."""
    try:
        app()
    except AuditError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as leaving:  # Typer makes this of Ctrl-C, without a word
        if leaving.code == EXIT_INTERRUPTED:
            complain(INTERRUPTED)
        raise
    except KeyboardInterrupt:  # outside of Typer's reach
        complain(INTERRUPTED)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_PASS)
    except OSError as error:  # a full disk, a folder without permission
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(EXIT_INCOMPLETE)


def complain(message: str) -> None:
    """One line on stderr, whatever a file name or a key holds."""
    typer.echo("audit: " + " ".join(message.splitlines()), err=True)
