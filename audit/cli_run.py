"""Commands that train: `audit run`, `audit search`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.cli_data import GroupColumn, LabelColumn, LabelTable, table_overrides
from audit.cli_perform import Wishes, perform
from audit.command_options import (
    AsJson,
    read_baseline,
    read_settings,
    split_list,
    split_numbers,
)

MANY_GENERATIONS = 100_000

# Options that several commands share.
ConfigFile = Annotated[Path | None, typer.Option(help="A YAML file with more settings.")]
MoreSettings = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. training.epochs=10; repeatable.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; default one per core.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="local, ray, or ray:ADDRESS of a cluster (extra: ray).")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Delete what an earlier audit left in the run directory, begin anew.")
]
MaxHours = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        help="Train the largest part of the grid that fits; values are dropped from the end of each list.",
    ),
]
Track = Annotated[
    str | None, typer.Option(help="Export in the end: mlflow[:URI] or tensorboard[:DIR] (extra: track).")
]
Events = Annotated[
    bool, typer.Option("--json-events", help="Every event as a JSON object on stdout, the result last.")
]
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
    engine: EngineName = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Equal bits from equal seeds on a GPU too, slower.")
    ] = False,
    out: RunFolder = None,
    fresh: Fresh = False,
    max_hours: MaxHours = None,
    track: Track = None,
    dry_run: DryRun = False,
    events: Events = False,
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
        "engine": engine,
        "deterministic": deterministic or None,
    }
    overrides = {field: value for field, value in overrides.items() if value is not None}
    overrides |= table_overrides(table, label_column, group_column)
    overrides |= read_baseline(baseline) | read_settings(set_ or [])
    resolved = load_config(audit, profile, config, overrides)
    perform(resolved, Wishes(out, dry_run, as_json, fresh, max_hours, track, events))


def as_plan(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with the same options, which shows its plan and trains nothing."""

    @functools.wraps(command)
    def plan(**options: Any) -> None:
        command(**options, dry_run=True)

    own = inspect.signature(command, eval_str=True)
    left = [option for name, option in own.parameters.items() if name not in ("dry_run", "events", "track")]
    plan.__signature__ = own.replace(parameters=left)  # type: ignore[attr-defined]
    plan.__doc__ = (
        "Show the grid of `audit run` with the same options, its time, memory and energy. Trains nothing."
    )
    return plan


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
    engine: EngineName = None,
    out: RunFolder = None,
    fresh: Fresh = False,
    max_hours: MaxHours = None,
    track: Track = None,
    dry_run: DryRun = False,
    events: Events = False,
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
        "engine": engine,
    }
    overrides = {field: value for field, value in overrides.items() if value is not None}
    kind = data if data in shipped() else "oct"
    if data not in shipped():
        overrides |= {"data.path": data, "data.channels": None}
    resolved = load_config(kind, profile, config, overrides | read_settings(set_ or []))
    told = Wishes(out, dry_run, as_json, fresh=fresh, max_hours=max_hours, track=track, events=events)
    perform(resolved, replace(told, comparison=True))
