"""Commands that hold one audit against another: `audit gate`, `audit baseline accept`, `audit compare`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.command_options import AsJson
from audit.errors import AuditError

if TYPE_CHECKING:
    from audit.gate.record import GateResult
    from audit.gate.rules import Rules

BASELINE_FILE = Path("audit-baseline.json")
baseline_app = typer.Typer(no_args_is_help=True, help="The audit that later ones are held against.")

RunOrFile = Annotated[Path, typer.Argument(help="A run directory or a baseline file.", show_default=False)]


def gate(
    run_dir: Annotated[Path, typer.Argument(help="A run directory.", show_default=False)],
    baseline: Annotated[
        Path | None, typer.Option(help="A baseline file (audit baseline accept), or a run directory.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file; default: the rules that come along.")
    ] = None,
    auto_seeds: Annotated[
        int, typer.Option(min=0, help="Train up to so many more seeds where the first look is inconclusive.")
    ] = 0,
    findings: Annotated[
        list[Path] | None,
        typer.Option(
            help="check.json of `audit check` or scan.json of `audit scan`, repeatable: its files go into gate.sarif "
            "(names may identify patients)."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for gate.json, .xml, .md, .sarif (default gate/ in the run directory)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold an audit to rules: exit code 0 pass, 1 fail, 5 inconclusive; an error (2, 4) where it cannot be judged."""
    from audit.gate.file_findings import read_file_findings
    from audit.gate.rules import load_rules
    from audit.gate.verdict import broken
    from reports.gate_files import write_gate_files

    named = None if findings is None else [one for path in findings for one in read_file_findings(path)]
    read: Rules | None = None
    try:
        read = load_rules(rules)
        result = judged(run_dir, baseline, read, auto_seeds)
    except AuditError as error:
        result = broken(error, read)
    folder = out or run_dir / "gate"
    files = []
    if out is not None or run_dir.is_dir():
        files = write_gate_files(result, folder, named)
    present(result, files, as_json)
    raise typer.Exit(result.exit_code)


def judged(run_dir: Path, baseline: Path | None, rules: Rules, auto_seeds: int) -> GateResult:
    """The verdict, after more trainings where these are allowed and would decide."""
    from audit.gate.judge import judge
    from audit.gate.snapshot import load_snapshot, require_results, snapshot_of

    new, base = snapshot_of(require_results(run_dir)), None if baseline is None else load_snapshot(baseline)
    looks = 2 if auto_seeds else 1
    first = judge(new, base, rules, looks)
    open_checks = [check for check in first.checks if check.status == "inconclusive"]
    wanted = max((check.more_seeds or 0 for check in open_checks), default=0)
    if first.verdict != "inconclusive" or not auto_seeds or not wanted:
        return first
    typer.echo(f"audit: {first.sentence}", err=True)
    train_more(run_dir, min(wanted, auto_seeds))
    return judge(snapshot_of(require_results(run_dir)), base, rules, looks)


def train_more(run_dir: Path, count: int) -> None:
    """The same audit with so many further seeds; what is trained already is kept."""
    from audit.cli_perform import extend
    from audit.config import load_written_config
    from audit.runs import config_of, require_run

    command = require_run(run_dir).command
    config = load_written_config(config_of(run_dir))
    more = range(max(config.seeds) + 1, max(config.seeds) + 1 + count)
    seeds = [*config.seeds, *more]
    typer.echo(f"audit: training more seeds ({seeds_in_words(more)})", err=True)
    extend(config.model_copy(update={"seeds": seeds}), run_dir, with_seeds(command, seeds))


def with_seeds(command: str, seeds: list[int]) -> str:
    """The command that gives an audit of these seeds, whichever it named before, as `--seeds` or `--set seeds=`."""
    kept: list[str] = []
    words = iter(shlex.split(command))
    for word in words:
        option = f"{word}={next(words, '')}" if word in ("--seeds", "--set") else word
        if not option.startswith(("--seeds=", "--set=seeds=")):
            kept.append(option)
    return shlex.join([*kept, "--seeds", ",".join(map(str, seeds))])


def seeds_in_words(seeds: range) -> str:
    """'3', '3 to 5'."""
    return f"{seeds.start}" if len(seeds) == 1 else f"{seeds.start} to {seeds.stop - 1}"


def present(result: GateResult, files: list[Path], as_json: bool) -> None:
    """The table and the verdict, or one object."""
    if as_json:
        typer.echo(json.dumps({**result.model_dump(mode="json"), "files": [str(path) for path in files]}))
        return
    from rich.console import Console

    from audit.terminal_gate import show_gate

    show_gate(Console(), result)
    typer.echo(result.sentence)


@baseline_app.command("accept")
def accept(
    run_dir: Annotated[Path, typer.Argument(help="A run directory.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="The file to write, to be reviewed and kept with the code.")
    ] = BASELINE_FILE,
    as_json: AsJson = False,
) -> None:
    """Write an audit as the baseline that later ones are held against."""
    from audit.gate.snapshot import accept as write_baseline
    from audit.gate.snapshot import require_results
    from audit.gate.words import many, titled

    found = write_baseline(require_results(run_dir), out)
    trainings = [len(one.trainings) for one in found.conditions]
    if as_json:
        told = {
            "baseline": str(out),
            "audit_id": found.audit_id,
            "conditions": len(trainings),
            "seeds": min(trainings),
        }
        typer.echo(json.dumps(told))
        return
    data = titled(found.dataset, found.synthetic)
    typer.echo(f"{out}: {data}, {len(trainings)} conditions of {min(trainings)} or more trainings")
    if min(trainings) < 3:
        typer.echo(
            f"audit: {many(min(trainings), 'training')} of a condition: how far trainings differ is hardly known; "
            "accept an audit with 3 seeds or more",
            err=True,
        )


def compare(
    first: RunOrFile,
    second: RunOrFile,
    out: Annotated[
        Path | None, typer.Option(help="Draw the differences into this SVG, PDF or PNG file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Two audits of the same data, condition by condition: first minus second, with intervals."""
    from audit.gate.compare import compare as compare_audits
    from audit.gate.snapshot import load_snapshot

    found = compare_audits(load_snapshot(first), load_snapshot(second))
    if out is not None:
        from reports.figure_differences import draw_differences

        draw_differences(found, out)
    if as_json:
        typer.echo(json.dumps({**found.model_dump(mode="json"), "figure": None if out is None else str(out)}))
        return
    from rich.console import Console

    from audit.terminal_gate import show_comparison

    show_comparison(Console(), found)
    if out is not None:
        typer.echo(str(out))
