"""Commands that train: `audit run`, `audit search`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit import __version__
from audit.cli_data import GroupColumn, LabelColumn, LabelTable, table_overrides
from audit.command_options import (
    AsJson,
    read_baseline,
    read_settings,
    shareable_command,
    split_list,
    split_numbers,
)
from audit.errors import EXIT_INCOMPLETE, EXIT_PASS

if TYPE_CHECKING:
    from rich.console import Console

    from audit.data.dataset import ImageDataset
    from audit.estimate import Estimate
    from audit.plan import AuditPlan
    from audit.results import AuditResult
    from audit.settings import AuditConfig

MANY_GENERATIONS = 100_000

# Options that several commands share.
ConfigFile = Annotated[Path | None, typer.Option(help="A YAML file with more settings.")]
MoreSettings = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. training.epochs=10; repeatable.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; default one per core.")]
RunFolder = Annotated[Path | None, typer.Option(help="Run directory (default runs/<date>-<dataset>-<id>).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan with its cost, train nothing.")]
Augmentations = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated: none, crop-flip, cutout, cutmix, mixup, or joined: crop-flip+cutout. The first is "
        "the recipe's own."
    ),
]
Preprocessings = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated: none, median-3, average-3, jpeg-50, noise-1 .. noise-5, projection, "
        "scan-repair."
    ),
]


def run(
    audit: Annotated[str, typer.Argument(help="What to audit: oct or derma.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(help="A folder, a ZIP or a MedMNIST-style .npz; without it, synthetic phantoms."),
    ] = None,
    table: LabelTable = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    models: Annotated[str | None, typer.Option(help="Comma-separated, e.g. resnet50,densenet121.")] = None,
    optimizers: Annotated[
        str | None, typer.Option(help="Comma-separated: adam, adamw, adabound, rmsprop, sgd, sgd-m, nag.")
    ] = None,
    normalizations: Annotated[
        str | None, typer.Option(help="Comma-separated: none, csn, csn-image, csn-running.")
    ] = None,
    augmentations: Augmentations = None,
    preprocessings: Preprocessings = None,
    losses: Annotated[str | None, typer.Option(help="Comma-separated: ce, vibce.")] = None,
    severities: Annotated[
        str | None, typer.Option(help="Pixels per class, comma-separated, e.g. 0,1,2,5.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds of the trainings, comma-separated, e.g. 0,1,2.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="MODEL:OPTIMIZER that scores are divided by (default resnet50:adam).")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="quick (minutes on a CPU), cpu, standard or thesis.")
    ] = None,
    config: ConfigFile = None,
    set_: MoreSettings = None,
    device: Device = None,
    workers: Workers = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Equal bits from equal seeds on a GPU too, slower.")
    ] = False,
    out: RunFolder = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Search, train, measure, report: from images to a PDF. The same command resumes what was interrupted."""
    from audit.config import load_config

    overrides = {
        "data.path": None if data is None else str(data),
        "models": split_list(models),
        "optimizers": split_list(optimizers),
        "normalizations": split_list(normalizations),
        "augmentations": split_list(augmentations),
        "preprocessings": split_list(preprocessings),
        "losses": split_list(losses),
        "severities": split_numbers("--severities", severities),
        "seeds": split_numbers("--seeds", seeds),
        "device": device,
        "workers": workers,
        "deterministic": deterministic or None,
    }
    overrides = {field: value for field, value in overrides.items() if value is not None}
    overrides |= table_overrides(table, label_column, group_column)
    overrides |= read_baseline(baseline) | read_settings(set_ or [])
    resolved = load_config(audit, profile, config, overrides)
    perform(resolved, out, dry_run, as_json)


def search(
    data: Annotated[
        str,
        typer.Argument(help="A .npz, a folder of classes, or oct / derma for phantoms.", show_default=False),
    ],
    severity: Annotated[
        str | None, typer.Option(help="Pixels per class, comma-separated (default 1).")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Comma-separated: evoshift, random-search, shortcut, heuristic, random."),
    ] = None,
    budget: Annotated[int | None, typer.Option(help="Surrogate trainings of each search, at most.")] = None,
    transfer: Annotated[
        Path | None, typer.Option(help="A perturbation file of another data set, carried over and compared.")
    ] = None,
    models: Annotated[str | None, typer.Option(help="Victims, comma-separated (default small-cnn).")] = None,
    augmentation: Annotated[
        str | None,
        typer.Option(help="Of victims and surrogates; as --augmentations of run."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds of the victims, comma-separated (default 0).")
    ] = None,
    profile: Annotated[str, typer.Option(help="Recipe of the victims.")] = "search",
    config: ConfigFile = None,
    set_: MoreSettings = None,
    device: Device = None,
    workers: Workers = None,
    out: RunFolder = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Find perturbations by several methods and compare what they do to victims."""
    from audit.config import load_config, shipped
    from audit.results import EVOSHIFT
    from audit.settings import TRANSFER

    methods = split_list(method)
    if transfer is not None:
        methods = [*(methods or [EVOSHIFT, "shortcut", "random-search"]), TRANSFER]
    victims = split_list(models)
    asked = split_numbers("--severity", severity)
    overrides: dict[str, Any] = {
        "severities": None if asked is None else [0, *asked],
        "search.budget": budget,
        "search.generations": None if budget is None else MANY_GENERATIONS,  # the budget ends the search
        "search.enabled": None if methods is None else EVOSHIFT in methods,
        "controls.methods": None if methods is None else [name for name in methods if name != EVOSHIFT],
        "controls.transfer_from": None if transfer is None else str(transfer),
        "models": victims,
        "baseline.model": victims[0] if victims else None,
        "augmentations": split_list(augmentation),
        "seeds": split_numbers("--seeds", seeds),
        "device": device,
        "workers": workers,
    }
    overrides = {field: value for field, value in overrides.items() if value is not None}
    phantoms = data in shipped()
    if not phantoms:
        overrides |= {"data.path": data, "data.channels": None}
    resolved = load_config(
        data if phantoms else "oct", profile, config, overrides | read_settings(set_ or [])
    )
    perform(resolved, out, dry_run, as_json, comparison=True)


def perform(
    config: AuditConfig,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    comparison: bool = False,
    command: str | None = None,
) -> None:
    """Load, plan, estimate, run, present: as an audit, or as a comparison of search methods. `command`: the one that
    began the audit, where it is another than this process's."""
    from rich.console import Console

    from audit.data.load import load_dataset
    from audit.plan import plan_audit
    from audit.store import default_folder
    from audit.terminal import TerminalObserver, show_comparison, show_result

    console = Console(stderr=True)
    with TerminalObserver(console) as observer:
        observer.say(f"audit {__version__}: reading images")
        dataset = load_dataset(config.data, observer.images, observer.unpacking)
        plan = plan_audit(config, dataset)
        folder = out or default_folder(plan, dataset.name)
        estimate = announce(console, plan, dataset, folder)
        if dry_run:
            if as_json:
                typer.echo(json.dumps({**plan.to_json(), "estimate": asdict(estimate) if estimate else None}))
            return
        from audit.runner import run_audit
        from reports import write_report, write_search_figures

        begun_by = command or shareable_command(sys.argv[1:])
        result = run_audit(plan, dataset, folder, observer, command=begun_by)
        observer.say("writing the figures" if comparison else "writing the report")
        written = write_search_figures(result, folder) if comparison else [write_report(result, folder)]
    (show_comparison if comparison else show_result)(console, result, folder)
    if as_json:
        content = comparison_object(result, written) if comparison else {"report": str(written[0])}
        typer.echo(json.dumps({**as_object(result, folder), **content}))
    raise typer.Exit(EXIT_PASS if result.state == "complete" else EXIT_INCOMPLETE)


def announce(console: Console, plan: AuditPlan, dataset: ImageDataset, folder: Path) -> Estimate | None:
    """Show the data, the plan and its cost, before anything long starts; None where nothing is to do."""
    from rich.text import Text

    from audit.engines import choose_device, worker_count
    from audit.estimate import estimate_audit, in_words
    from audit.store import RunStore

    kind = "synthetic phantoms" if dataset.synthetic else dataset.name
    height, width = dataset.image_size
    found = (
        f"{kind}: {len(dataset.train)} training and {len(dataset.test)} test images, {height} × {width}, "
        f"{len(dataset.class_names)} classes ({', '.join(dataset.class_names)})"
    )
    console.print(Text(found), soft_wrap=True)  # as Text: names may hold square brackets
    device = choose_device(plan.config.device, plan.config.deterministic)
    workers = worker_count(plan.config, device)
    store = RunStore(folder)
    missing = [cell for cell in plan.cells if store.read_cell(cell.id) is None]
    if not missing:
        console.print("all trainings are done already", highlight=False)
        return None
    console.print("timing a few training steps on this machine", highlight=False)
    estimate = estimate_audit(plan, dataset, missing, device, workers)
    console.print(
        f"{estimate.trainings} trainings and {estimate.surrogate_trainings} surrogate trainings: about "
        f"{in_words(estimate.wall_seconds)} with {workers} worker(s) on {device}",
        highlight=False,
        soft_wrap=True,
    )
    return estimate


def comparison_object(result: AuditResult, figures: list[Path]) -> dict[str, Any]:
    """What `--json` prints of a comparison, beside what it prints of any audit."""
    return {
        "figures": [str(path) for path in figures],
        "methods": [
            {
                "method": p.attack,
                "severity": p.severity,
                "draw": p.draw,
                "file": p.file,
                "sha256": p.id,
                "trainings": p.search.trainings if p.search else 0,
                "seconds": p.search.seconds if p.search else 0.0,
            }
            for p in result.perturbations
        ],
        "victims": [
            {"victim": c.pair, "method": c.attack, "severity": c.severity, **c.accuracy.model_dump()}
            for c in result.conditions
        ],
    }


def as_object(result: AuditResult, folder: Path) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "run_dir": str(folder),
        "audit_id": result.audit_id,
        "state": result.state,
        "synthetic": result.dataset.synthetic,
        "verdict": result.finding.verdict,
        "reason": result.finding.reason,
        "sentence": result.finding.sentence,
        "scores": [row.model_dump() for row in result.scores],
    }
