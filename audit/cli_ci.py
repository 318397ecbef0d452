"""Commands for scheduled audits: `audit ci init`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from audit.command_options import AsJson

ci_app = typer.Typer(no_args_is_help=True, help="Scheduled audits in a pipeline.")


@ci_app.callback()
def options() -> None:
    """Scheduled audits in a pipeline."""


@ci_app.command("init")
def init(
    service: Annotated[str, typer.Argument(help="github or gitlab.", show_default=False)],
    audit: Annotated[str, typer.Option(help="What to audit: oct or derma.")] = "oct",
    schedule: Annotated[str, typer.Option(help="When, as five fields of cron, UTC.")] = "17 3 * * 1",
    max_age_days: Annotated[
        int, typer.Option(min=1, help="Merge requests are red when the last scheduled audit is older.")
    ] = 9,
    out: Annotated[Path, typer.Option(help="The repository.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over a workflow that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a workflow that audits on a schedule, with its settings and rules."""
    from audit.pipelines import BASELINE, SETTINGS, Pipeline, write_pipeline

    pipeline = Pipeline(service, audit, schedule, max_age_days)
    written, kept = write_pipeline(pipeline, out, force)
    if as_json:
        typer.echo(
            json.dumps({"written": [str(path) for path in written], "kept": [str(path) for path in kept]})
        )
        return
    for path in written:
        typer.echo(f"{path} written")
    for path in kept:
        typer.echo(f"{path} kept")
    if not (out / BASELINE).exists():
        typer.echo(
            f"next: audit run {audit} --config {SETTINGS} --out audit-run; audit baseline accept audit-run; commit "
            f"{BASELINE} with these files"
        )
    if service == "gitlab":
        typer.echo(f"next: make the schedule {schedule!r} under Build > Pipeline schedules")
