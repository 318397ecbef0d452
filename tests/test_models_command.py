"""`audit models`, and models of the command line end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.command_options import read_baseline
from audit.errors import ConfigError
from audit.terminal_models import in_millions
from audit.training.model_costs import listed_names, model_cost
from audit.training.models import MODELS
from audit.training.torchvision_models import FAMILY_OF
from tests.command_line import Command, make_command
from tests.tiny_audit import as_options, write_npz


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def test_the_table(audit: Command) -> None:
    outcome = audit("models")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    row = next(line for line in lines if line.strip().startswith("mnist-cnn"))
    assert row.split() == [
        "mnist-cnn",
        "MNIST",
        "CNN",
        "(thesis",
        "Table",
        "3.2)",
        "7.39",
        "M",
        "74.8",
        "M",
        "6",
        "px",
    ]
    assert lines[-4:] == [
        "torchvision    any other of its classifiers; `audit models --all` lists them",
        "MONAI          --models monai:DenseNet121",
        "timm           --models timm:convnext_tiny              (pip install 'imaging-audit[timm]')",
        "your own       --models package.module:factory          a function (n_classes, channels, (height, width)) "
        "-> nn.Module",
    ]


def test_json(audit: Command) -> None:
    outcome = audit("models", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    rows = {row["name"]: row for row in json.loads(outcome.out)["models"]}
    assert list(rows) == listed_names(everything=False) and list(rows)[: len(MODELS)] == list(MODELS)
    assert rows["small-cnn"] == {
        "name": "small-cnn",
        "title": "small CNN (4 convolutions, batch norm)",
        "parameters": 241_124,
        "multiply_adds": 48_366_080,
        "smallest": 1,
    }


def test_all_names() -> None:
    names = listed_names(everything=True)
    assert set(names) == set(MODELS) | set(FAMILY_OF) and len(names) == len(set(names))


def test_multiply_adds_of_a_small_cnn_by_hand() -> None:
    """9 weights x channels in x channels out x places, pooled after each convolution; then 128 x 4."""
    places = [64 * 64, 32 * 32, 16 * 16, 8 * 8]
    widths = [(1, 32), (32, 64), (64, 128), (128, 128)]
    by_hand = sum(9 * a * b * n for (a, b), n in zip(widths, places, strict=True)) + 128 * 4
    assert model_cost("small-cnn").multiply_adds == by_hand


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet50", 4.09), ("vgg16", 15.47), ("efficientnet_b0", 0.39)]
)
def test_multiply_adds_are_the_published_ones(name: str, billions: float) -> None:
    """GFLOPS of torchvision's documentation, which counts a multiply-add as one."""
    cost = model_cost(name, 1000, 3, (224, 224))
    assert cost.multiply_adds / 1e9 == pytest.approx(billions, abs=0.01)


def test_costs_of_other_models() -> None:
    assert model_cost("monai:resnet10").parameters > 4_000_000
    assert model_cost("tests.own_models:make").parameters == 64 * 64 * 4 + 4


@pytest.mark.parametrize(
    ("count", "shown"), [(241_124, "0.24 M"), (23_508_548, "23.5 M"), (1_058_100_000, "1,058.1 M")]
)
def test_millions(count: int, shown: str) -> None:
    assert in_millions(count) == shown


# ---- names on the command line


def test_baselines_with_a_colon_of_their_own() -> None:
    assert read_baseline("monai:DenseNet121:adam") == {
        "baseline.model": "monai:DenseNet121",
        "baseline.optimizer": "adam",
    }
    with pytest.raises(ConfigError):
        read_baseline("resnet50")


def test_a_stem_that_a_model_does_not_have(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "t.npz")
    options = as_options(models=["vgg11"], training__stem="half", workers=1)
    outcome = audit("run", "oct", "--data", data, *options, "--dry-run")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1] == (
        "audit: model 'vgg11' has no stem 'half'; set training.stem: published, or leave the model out"
    )


def test_an_own_model_on_the_command_line_and_not_in_a_file(audit: Command, tmp_path: Path) -> None:
    data, own = write_npz(tmp_path / "t.npz"), "tests.own_models:make"
    settings = [option for option in as_options(workers=1) if option != "--set"]
    kept = [setting for setting in settings if not setting.startswith(("models=", "baseline."))]
    options = [part for setting in kept for part in ("--set", setting)]
    outcome = audit(
        "run",
        "oct",
        "--data",
        data,
        *options,
        "--models",
        own,
        "--baseline",
        f"{own}:adam",
        "--dry-run",
        "--json",
    )
    assert outcome.code == 0, outcome.err
    assert {cell["recipe"]["model"] for cell in json.loads(outcome.out)["cells"]} == {own}
    Path("sent.yaml").write_text(f"models: [{own}]\n")
    outcome = audit("run", "oct", "--data", data, "--config", "sent.yaml", "--dry-run")
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        outcome.err == f"audit: models: '{own}' is code; it is accepted on the command line only (--models)\n"
    )
