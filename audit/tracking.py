"""A finished audit for other trackers: `--track mlflow[:URI]`, `--track tensorboard[:DIR]`. Extra: `track`.

Everything is exported after the fact, from `results.json` and the run directory, which stay the truth. An export that
is repeated adds only what is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from audit.errors import ConfigError
from audit.results import AuditResult, CellResult

SERVER_MISSING = "name a server, e.g. --track mlflow:http://localhost:5000, or set MLFLOW_TRACKING_URI"
AUDIT_TAG, CELL_TAG = "audit.id", "audit.cell"


def export(result: AuditResult, folder: Path, target: str) -> str:
    """Export to `KIND[:PLACE]` and say where. Raises ConfigError for an unknown kind, a missing extra or a place that
    does not answer."""
    check_target(target)
    kind, _, place = target.partition(":")
    return EXPORTERS[kind](result, folder, place)


def check_target(target: str) -> None:
    """Raises ConfigError before anything is trained."""
    kind = target.partition(":")[0]
    if kind not in EXPORTERS:
        raise ConfigError(f"--track: unknown tracker {kind!r}; write mlflow[:URI] or tensorboard[:DIR]")
    try:
        EXTRAS[kind]()
    except ImportError:
        raise ConfigError(
            f'--track: {kind} is not installed; pip install "imaging-audit[track]", or leave --track out'
        ) from None


def import_mlflow() -> Any:
    """MLflow's client. Raises ImportError."""
    import mlflow

    return mlflow


def import_tensorboard() -> Any:
    """The writer class. Raises ImportError."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter


def to_mlflow(result: AuditResult, folder: Path, place: str) -> str:
    """One experiment per data set, one run per audit with its report, one run below it per training."""
    mlflow = import_mlflow()
    try:
        client = mlflow.MlflowClient(tracking_uri=place or None)
        name = f"audit {result.dataset.name}" + (" (synthetic)" if result.dataset.synthetic else "")
        known = client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else client.create_experiment(name)
        parent = mlflow_run(client, experiment, AUDIT_TAG, result.audit_id, result.audit_id, {})
        if parent is not None:
            for file in ("report.pdf", "results.json"):
                if (folder / file).exists():
                    client.log_artifact(parent, str(folder / file))
            client.set_terminated(parent)
        for cell in result.cells:
            below = {AUDIT_TAG: result.audit_id}
            run = mlflow_run(client, experiment, CELL_TAG, cell.id, cell_name(cell), below)
            if run is not None:
                log_cell(mlflow, client, run, cell, result.created)
                client.log_artifact(run, str(folder / "cells" / f"{cell.id}.json"))
                client.set_terminated(run, "FINISHED" if cell.status == "done" else "FAILED")
    except mlflow.exceptions.MlflowException as error:
        words = str(error).strip().splitlines()[0].split(". ")[0]
        raise ConfigError(f"--track: mlflow: {words}; {SERVER_MISSING}") from None
    return f"mlflow: {name}"


def mlflow_run(
    client: Any, experiment: str, tag: str, value: str, name: str, more: dict[str, str]
) -> str | None:
    """A new run with this tag; None where one is there."""
    if client.search_runs(
        [experiment], filter_string=f"tags.`{tag}` = '{value}' AND attributes.run_name = '{name}'"
    ):
        return None
    return str(client.create_run(experiment, run_name=name, tags={**more, tag: value}).info.run_id)


def log_cell(mlflow: Any, client: Any, run: str, cell: CellResult, created: str) -> None:
    """Parameters, final measures, and every epoch."""
    entities, now = mlflow.entities, round(1000 * datetime.fromisoformat(created).timestamp())
    metrics = [entities.Metric(name, value, now, 0) for name, value in final_measures(cell).items()]
    for reading in cell.measures.epochs if cell.measures else []:
        metrics += [
            entities.Metric(f"epoch_{name}", value, now, reading.epoch)
            for name, value in reading.model_dump(exclude={"epoch"}).items()
        ]
    parameters = [entities.Param(name, str(value)) for name, value in parameters_of(cell).items()]
    for start in range(0, len(metrics), 900):  # of 1,000 that the server takes at once
        client.log_batch(run, metrics=metrics[start : start + 900])
    client.log_batch(run, params=parameters)


def to_tensorboard(result: AuditResult, folder: Path, place: str) -> str:
    """One log per training: curves by epoch, and the final measures as hyperparameter metrics."""
    writer_class = import_tensorboard()
    root = Path(place) if place else folder / "tensorboard"
    for cell in result.cells:
        own = root / result.audit_id / cell_name(cell).replace("/", "-")
        if cell.measures is None or own.exists():
            continue
        with writer_class(str(own)) as writer:
            for reading in cell.measures.epochs:
                for name, value in reading.model_dump(exclude={"epoch"}).items():
                    writer.add_scalar(f"epoch/{name}", value, reading.epoch)
            writer.add_hparams(parameters_of(cell), final_measures(cell), run_name=".")
    return f"tensorboard: {root}"


def cell_name(cell: CellResult) -> str:
    """'small-cnn adam none, evoshift N_p=1, seed 0', and the draw where it is not the first."""
    attack = cell.attack if not cell.severity else f"{cell.attack} N_p={cell.severity}"
    draw = f", draw {cell.draw}" if cell.draw else ""
    return f"{' '.join(cell.pair)}, {attack}, seed {cell.seed}{draw}".replace("'", "")


def parameters_of(cell: CellResult) -> dict[str, str | int | float]:
    """What defines a training."""
    recipe = {k: v for k, v in cell.recipe.model_dump().items() if isinstance(v, str | int | float)}
    return {**recipe, "attack": cell.attack, "severity": cell.severity, "draw": cell.draw, "role": cell.role}


def final_measures(cell: CellResult) -> dict[str, float]:
    """The numbers of `CellMeasures`, and the seconds."""
    measures = cell.measures.model_dump() if cell.measures else {}
    numbers = {k: float(v) for k, v in measures.items() if isinstance(v, int | float)}
    return {**numbers, "seconds": cell.seconds}


Exporter = Callable[[AuditResult, Path, str], str]

EXPORTERS: dict[str, Exporter] = {"mlflow": to_mlflow, "tensorboard": to_tensorboard}
EXTRAS: dict[str, Callable[[], Any]] = {"mlflow": import_mlflow, "tensorboard": import_tensorboard}
