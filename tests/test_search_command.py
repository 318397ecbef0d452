"""`audit search`: perturbations by several methods, figures, and what they do to victims."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audit.attack.perturbation import Artefact
from audit.results import AuditResult
from tests.command_line import Command, make_command
from tests.tiny_audit import SETTINGS, squares, write_npz


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


LEFT_OUT = ("severities", "controls.methods", "search.generations", "seeds")
TINY = [
    part
    for field, value in SETTINGS.items()
    if field not in LEFT_OUT
    for part in ("--set", f"{field}={value}")
]
METHODS = ["evoshift", "heuristic", "random", "random-search", "shortcut"]


def test_it_compares_methods_at_equal_budget_and_writes_what_it_found(audit: Command, tmp_path: Path) -> None:
    """Populations of 4, three contenders re-scored once: a budget of 20 is a pilot and three generations,
    4 + 12 + 3 trainings; a fourth would have to pay the race as well."""
    data = write_npz(tmp_path / "tiny.npz")
    outcome = audit(
        "search", data, "--severity", 1, "--method", ",".join(METHODS), "--budget", 20, "--seeds", 0,
        "--augmentation", "crop-flip", *TINY, "--workers", 1, "--json", "--out", "found",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    shown = json.loads(outcome.out)
    assert sorted(m["method"] for m in shown["methods"]) == METHODS
    assert {m["method"]: m["trainings"] for m in shown["methods"] if m["trainings"]} == {
        "evoshift": 19,
        "random-search": 19,
    }
    for made in shown["methods"]:
        artefact = Artefact.load(Path("found") / made["file"])
        assert (artefact.attack, artefact.severity, artefact.sha256) == (made["method"], 1, made["sha256"])
    names = sorted(Path(path).name for path in shown["figures"])
    assert names == ["learning-curve.svg", "overlay.svg", "victims.svg"]
    assert all(Path(path).is_file() for path in shown["figures"])
    assert not (Path("found") / "report.pdf").exists()
    assert not list(Path("found").glob("perturbations/*.jsonl")), "nothing is left to resume"
    result = AuditResult.load(Path("found/results.json"))
    assert {c.attack for c in result.conditions} == {"clean", *METHODS}
    assert {c.recipe.augmentation for c in result.cells} == {"crop-flip"}
    for p in result.perturbations:
        assert p.search is None or p.search.settings["augmentation"] == "crop-flip"
    for word in METHODS:
        assert word in outcome.err
    assert audit("report", "found").code == 0, "a PDF can be had as well"


def test_methods_may_leave_evoshift_out(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "tiny.npz")
    outcome = audit(
        "search", data, "--severity", "1,2", "--method", "shortcut,heuristic", *TINY, "--workers", 1,
        "--json", "--out", "found",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    shown = json.loads(outcome.out)
    assert sorted((m["method"], m["severity"]) for m in shown["methods"]) == [
        ("heuristic", 1), ("heuristic", 2), ("shortcut", 1), ("shortcut", 2),
    ]  # fmt: skip
    assert shown["scores"] == []
    assert audit("report", "found").code == 0


def test_a_perturbation_of_other_images_is_carried_over(audit: Command, tmp_path: Path) -> None:
    """Found on 16 x 16 images, transferred to the same images at 32 x 32: to about twice the coordinates."""
    data = write_npz(tmp_path / "Erika-Mustermann" / "tiny.npz")
    first = audit("search", data, "--method", "shortcut", *TINY, "--workers", 1, "--json", "--out", "small")
    (made,) = json.loads(first.out)["methods"]
    source = Artefact.load(Path("small") / made["file"]).perturbation
    there = tmp_path / "Erika-Mustermann" / "found.json"
    there.write_bytes((Path("small") / made["file"]).read_bytes())
    outcome = audit(
        "search", data, "--method", "shortcut", "--transfer", there, *TINY, "--set", "data.image_size=32",
        "--workers", 1, "--json", "--out", "large",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    files = {m["method"]: m["file"] for m in json.loads(outcome.out)["methods"]}
    assert set(files) == {"shortcut", "transfer"}
    carried = Artefact.load(Path("large") / files["transfer"]).perturbation
    assert carried.image_size == (32, 32)
    for before, after in zip(source.edits, carried.edits, strict=True):
        assert before.label == after.label
        assert abs(after.row - (2 * before.row + 0.5)) < 9 and abs(after.col - (2 * before.col + 0.5)) < 9
    assert "Mustermann" not in (Path("large") / "results.json").read_text()


def test_a_poisoned_test_split_changes_no_perturbation(audit: Command, tmp_path: Path) -> None:
    """Test images of pure noise, and other labels: what the methods find stays the same to the bit."""
    clean = write_npz(tmp_path / "clean.npz")
    with np.load(clean) as arrays:
        content = dict(arrays)
    images, labels = squares(len(content["test_labels"]), seed=99)
    content["test_images"], content["test_labels"] = 255 - images, 1 - labels
    poisoned = tmp_path / "poisoned.npz"
    np.savez(poisoned, **content)
    found = []
    for data in (clean, poisoned):
        outcome = audit(
            "search", data, "--method", "evoshift,random-search,shortcut", "--budget", 20, *TINY,
            "--workers", 1, "--json",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        found.append({m["method"]: m["sha256"] for m in json.loads(outcome.out)["methods"]})
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["oct", "--method", "evoshft"], "controls.methods: unknown method 'evoshft'; did you mean 'evoshift'?"),
        (["oct", "--severity", "x"], "--severity: 'x' is not a whole number; write e.g. --severity 0,1"),
        (["oct", "--severity", "11"], "severities.1: input should be less than or equal to 10, got 11"),
        (["oct", "--budget", "31"],
         "search.budget: 31 surrogate trainings are too few; pilot, one generation and the re-scoring take 32"),
        (["oct", "--budget", "0"], "search.budget: input should be greater than or equal to 1, got 0"),
        (["oct", "--transfer", "gone.json"], "gone.json: cannot be read (No such file or directory); check the path"),
        (["oct", "--set", "controls.methods=[transfer]"],
         "controls: methods: 'transfer' and transfer_from, its artefact, go together; set both"),
        (["gone.npz"], "data.path: gone.npz does not exist; give a folder of images, a ZIP of one, or a MedMNIST-style "
         ".npz file"),
    ],
)  # fmt: skip
def test_refused_questions(audit: Command, arguments: list[str], message: str) -> None:
    outcome = audit("search", *arguments)
    assert outcome.code in (2, 3) and outcome.out == ""
    assert outcome.err.splitlines()[-1] == f"audit: {message}"
    assert not list(Path().iterdir()), "nothing half-written"
