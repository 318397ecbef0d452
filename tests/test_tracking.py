"""What other trackers are told equals results.json; repeating it adds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.errors import ConfigError
from audit.results import AuditResult
from audit.tracking import cell_name, check_target, export
from tests.results_factory import example_result


@pytest.fixture
def run(tmp_path: Path) -> tuple[AuditResult, Path]:
    """A result and its run directory."""
    result, folder = example_result(), tmp_path / "run"
    result.save(folder / "results.json")
    (folder / "report.pdf").write_bytes(b"%PDF-")
    (folder / "cells").mkdir()
    for cell in result.cells:
        (folder / "cells" / f"{cell.id}.json").write_text(cell.model_dump_json())
    return result, folder


def test_mlflow_holds_every_training_with_its_numbers(
    run: tuple[AuditResult, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra track is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    result, folder = run
    place = (tmp_path / "mlruns").as_uri()
    said = export(result, folder, f"mlflow:{place}")
    client = mlflow.MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name(said.removeprefix("mlflow: "))
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id], max_results=1000)}
    assert set(runs) == {result.audit_id, *map(cell_name, result.cells)}
    assert len(runs) == 1 + len(result.cells)
    assert [a.path for a in client.list_artifacts(runs[result.audit_id].info.run_id)] == [
        "report.pdf",
        "results.json",
    ]
    for cell in result.cells:
        told = runs[cell_name(cell)]
        assert told.data.params["model"] == cell.recipe.model and told.data.tags["audit.cell"] == cell.id
        if cell.measures is not None:
            assert told.data.metrics["accuracy"] == pytest.approx(cell.measures.accuracy)
            readings = client.get_metric_history(told.info.run_id, "epoch_test_accuracy")
            assert [r.value for r in readings] == [e.test_accuracy for e in cell.measures.epochs]
    export(result, folder, f"mlflow:{place}")
    assert len(client.search_runs([experiment.experiment_id], max_results=1000)) == len(runs)


def test_a_server_that_is_not_there(
    run: tuple[AuditResult, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="the extra track is not installed")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError) as refusal:
        export(*run, "mlflow:http://127.0.0.1:9")
    assert str(refusal.value).startswith("--track: mlflow: API request to http://127.0.0.1:9")
    assert str(refusal.value).endswith(
        "; name a server, e.g. --track mlflow:http://localhost:5000, or set MLFLOW_TRACKING_URI"
    )


def test_tensorboard_holds_the_curves(run: tuple[AuditResult, Path], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra track is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, folder = run
    assert export(result, folder, f"tensorboard:{tmp_path / 'tb'}") == f"tensorboard: {tmp_path / 'tb'}"
    cell = next(cell for cell in result.cells if cell.measures is not None)
    assert cell.measures is not None
    log = EventAccumulator(str(tmp_path / "tb" / result.audit_id / cell_name(cell)))
    log.Reload()
    told = [(e.step, pytest.approx(e.value)) for e in log.Scalars("epoch/test_accuracy")]
    assert [(e.epoch, e.test_accuracy) for e in cell.measures.epochs] == told
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "tb").rglob("*")}
    export(result, folder, f"tensorboard:{tmp_path / 'tb'}")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "tb").rglob("*")} == before


def test_unknown_tracker() -> None:
    with pytest.raises(ConfigError) as refusal:
        check_target("wandb:x")
    assert str(refusal.value) == "--track: unknown tracker 'wandb'; write mlflow[:URI] or tensorboard[:DIR]"


@pytest.mark.parametrize("kind", ["mlflow", "tensorboard"])
def test_missing_extra(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError(kind)

    monkeypatch.setitem(__import__("audit.tracking").tracking.EXTRAS, kind, missing)
    with pytest.raises(ConfigError) as refusal:
        check_target(kind)
    assert str(refusal.value) == (
        f'--track: {kind} is not installed; pip install "imaging-audit[track]", or leave --track out'
    )
