"""The command line as its users meet it: what it imports, and every refusal in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit import __version__
from audit.command_options import shareable_command
from audit.results import AuditResult
from tests.class_folders import make_clinic, write
from tests.command_line import READING, ROOT, Command, Outcome, make_command
from tests.tiny_audit import as_options, write_npz

HEAVY = ("torch", "torchvision", "monai", "matplotlib", "sklearn", "reportlab", "gradio", "pydicom")
CELLS = 8  # 2 seeds x (clean, shortcut, random, evoshift)
ACCEPTED = "a folder of images, a ZIP of one, or a MedMNIST-style .npz file"


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def in_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


# ---- cheap to import


def test_version_help_and_refusals_import_nothing_heavy() -> None:
    out = in_python(
        "import sys\n"
        "import audit\n"
        "assert 'numpy' not in sys.modules and 'pydantic' not in sys.modules, 'import audit'\n"
        "from audit.cli import main\n"
        "for arguments in (['--version'], ['--help'], ['run', 'oct', '--models', 'resnet5']):\n"
        "    sys.argv = ['audit', *arguments]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as leaving:\n"
        f"        heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "        print('code', leaving.code, 'heavy', heavy)\n"
    )
    lines = out.splitlines()
    assert lines[:2] == [f"audit {__version__}", "code 0 heavy []"]
    assert lines[-2:] == ["code 0 heavy []", "code 2 heavy []"]


# ---- refusals: one line on stderr, nothing on stdout, nothing on disk


def refused(outcome: Outcome, code: int, message: str, before: str = "") -> None:
    assert outcome == Outcome(code, "", f"{before}audit: {message}\n")
    assert not list(Path.cwd().iterdir()), "a refused command leaves nothing behind"


MODELS = (
    "resnet50, densenet121, resnet18, small-cnn, graynet, colornet, mnist-cnn, cifar-cnn, resnet20, resnet32, "
    "densenet40, or another name of `audit models --all`"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["otc"], "unknown audit 'otc'; did you mean 'oct'?"),
        (["oct", "--models", "xyz"], f"models: unknown model 'xyz'; choose from {MODELS}"),
        (["oct", "--optimizers", "adm"], "optimizers: unknown optimizer 'adm'; did you mean 'adam'?"),
        (["oct", "--normalizations", "x"],
         "normalizations: unknown normalization 'x'; choose from none, csn, csn-image, csn-running"),
        (["oct", "--models", "resnet18,resnet18"], "models: 'resnet18' stands twice; name it once"),
        (["oct", "--models", ","],
         "models: list should have at least 1 item after validation, not 0, got []"),
        (["oct", "--severities", "0,11"],
         "severities.1: input should be less than or equal to 10, got 11"),
        (["oct", "--severities", "0,x"],
         "--severities: 'x' is not a whole number; write e.g. --severities 0,1"),
        (["oct", "--seeds", "--5"], "--seeds: '--5' is not a whole number; write e.g. --seeds 0,1"),
        (["oct", "--seeds", "²"], "--seeds: '²' is not a whole number; write e.g. --seeds 0,1"),
        (["oct", "--baseline", "resnet50"],
         "--baseline: 'resnet50' has no optimizer; write e.g. --baseline resnet50:adam"),
        (["oct", "--baseline", "xyz:adam"], f"baseline.model: unknown model 'xyz'; choose from {MODELS}"),
        (["oct", "--set", "training.epoch=1"], "training.epoch: unknown key; did you mean 'epochs'?"),
        (["oct", "--set", "training.epochs=x"],
         "training.epochs: input should be a valid integer, unable to parse string as an integer, got 'x'"),
        (["oct", "--set", "training.epochs"],
         "--set: 'training.epochs' has no value; write e.g. --set training.epochs=10"),
        (["oct", "--set", "=1"], "--set: '=1' names no setting; write e.g. --set training.epochs=10"),
        (["oct", "--set", "seeds=[1"], "--set: seeds: '[1' is not a YAML value"),
        (["oct", "--set", "name=2021-99-99"], "--set: name: '2021-99-99' is not a YAML value"),
        (["oct", "--set", "x\ny=1"],
         "x\\ny: unknown key; choose from name, profile, operator, data, models, optimizers, normalizations, "
         "augmentations, preprocessings, losses, stoppings, combine_defences, severities, seeds, perturbed, controls, "
         "baseline, search, training, evaluation, device, deterministic, workers, engine"),
        (["oct", "--profile", "quik"], "unknown profile 'quik'; did you mean 'quick'?"),
        (["oct", "--workers", "0"], "workers: input should be greater than or equal to 1, got 0"),
        (["oct", "--config", "gone.yaml"],
         "gone.yaml: cannot be read (No such file or directory); check the path given to --config"),
    ],
)  # fmt: skip
def test_refused_settings(audit: Command, arguments: list[str], message: str) -> None:
    refused(audit("run", *arguments), 2, message)


def test_unknown_option_is_a_usage_error(audit: Command) -> None:
    outcome = audit("run", "oct", "--nonsense")
    assert (outcome.code, outcome.out) == (2, "")
    assert "No such option: --nonsense" in outcome.err
    assert "Traceback" not in outcome.err


def refused_data(audit: Command, data: Path, code: int, message: str) -> None:
    refused(audit("run", "oct", "--data", data, *as_options(data__channels="null")), code, message, READING)


def test_missing_path(audit: Command, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    refused_data(audit, gone, 2, f"data.path: {gone} does not exist; give {ACCEPTED}")


def test_path_of_another_kind(audit: Command, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    shown = tmp_path / "data.csv"
    refused_data(audit, shown, 2, f"data.path: {shown} is of no accepted kind; give {ACCEPTED}")


def test_one_class(audit: Command, tmp_path: Path) -> None:
    write(tmp_path / "clinic" / "CNV" / "a.png")
    refused_data(
        audit, tmp_path / "clinic", 3,
        "clinic: one class only (CNV); an audit compares classes: give at least two",
    )  # fmt: skip


def test_class_without_test_image(audit: Command, tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path)
    shutil.rmtree(clinic / "test" / "NORMAL")
    refused_data(
        audit, clinic, 3,
        "clinic: class NORMAL has no test image; add images of NORMAL to the test split",
    )  # fmt: skip


def test_unreadable_image(audit: Command, tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path)
    (clinic / "train" / "NORMAL" / "scan.png").write_bytes(b"no pixels")
    refused_data(
        audit, clinic, 3,
        "clinic/train/NORMAL/scan.png: is plain text, not a PNG; replace the file or remove it",
    )  # fmt: skip


def test_file_that_is_no_image(audit: Command, tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path)
    (clinic / "train" / "NORMAL" / "notes.txt").write_text("words")
    refused_data(
        audit, clinic, 3,
        "clinic/train/NORMAL/notes.txt: not an image (.txt); move it out of the data folder",
    )  # fmt: skip


def test_grey_and_colour_mixed(audit: Command, tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path)
    write(clinic / "test" / "NORMAL" / "red.png", (255, 0, 0))
    refused_data(
        audit, clinic, 3,
        "clinic/train/DRUSEN/train_a.png is grey but clinic/test/NORMAL/red.png is colour; convert them to "
        "one kind, or pass --set data.channels=1 or --set data.channels=3",
    )  # fmt: skip


def test_broken_npz(audit: Command, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(b"PK broken")
    refused_data(
        audit, tmp_path / "set.npz", 3,
        "set.npz: not a readable .npz file; save it again with numpy.savez_compressed",
    )  # fmt: skip


def test_cuda_asked_for_in_vain(audit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    outcome = audit("run", "oct", "--data", write_npz(tmp_path / "t.npz"), *as_options(device="cuda"))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1] == (
        "audit: device: cuda was asked for but no CUDA device is visible; use --device cpu or auto"
    )
    assert not list(Path.cwd().iterdir())


def test_refused_run_directory(audit: Command, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.doc").write_text("words")
    for out, message in (
        (tmp_path / "precious", "not empty and holds no audit; choose another --out"),
        (tmp_path / "precious" / "thesis.doc", "not a folder; choose another --out"),
    ):
        data = write_npz(tmp_path / "t.npz")
        outcome = audit("run", "oct", "--data", data, *as_options(workers=1), "--out", out)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.splitlines()[-1] == f"audit: {out}: {message}"
    assert [p.name for p in (tmp_path / "precious").iterdir()] == ["thesis.doc"]


def test_report_without_results(audit: Command) -> None:
    refused(audit("report", "gone"), 2, "gone/results.json: no results here; run or resume the audit first")


def test_report_of_damaged_results(audit: Command) -> None:
    Path("run").mkdir()
    Path("run/results.json").write_text("{")
    outcome = audit("report", "run")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("audit: run/results.json: file: Invalid JSON")
    assert outcome.err.count("\n") == 1


def test_a_full_disk_is_one_line(audit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "run/cells/x.json")

    monkeypatch.setattr("audit.store.RunStore.save_cell", full)
    data = write_npz(tmp_path / "t.npz")
    outcome = audit("run", "oct", "--data", data, *as_options(workers=1), "--out", "run")
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err.splitlines()[-1] == (
        "audit: run/cells/x.json: No space left on device; what was finished is kept: mend that and run the same "
        "command again"
    )


# ---- the plan alone


def test_plan_shows_the_grid_and_its_cost_and_writes_nothing(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "t.npz")
    outcome = audit("plan", "oct", "--data", data, *as_options(workers=1))
    assert (outcome.code, outcome.out) == (0, "")
    assert f"{CELLS} trainings and 15 surrogate trainings: about " in outcome.err
    assert "of memory per worker; energy about " in outcome.err
    assert re.search(r"severities +0, 1 *\n", outcome.err) and re.search(r"small-cnn adam +8 ", outcome.err)
    told = json.loads(audit("plan", "oct", "--data", data, *as_options(workers=1), "--json").out)
    estimate = told["estimate"]
    assert set(estimate["cells"]) == {cell["id"] for cell in told["cells"]}
    assert estimate["worker_seconds"] > 0 and estimate["watt_hours"] > 0 and estimate["worker_bytes"] > 2**27
    assert list(Path.cwd().iterdir()) == []


def test_a_grid_that_is_fitted_stays_what_it_was(audit: Command, tmp_path: Path) -> None:
    """Another day the machine is slower: the same command goes on with the same part of the grid."""
    data = write_npz(tmp_path / "t.npz")
    grid = as_options(
        workers=1, severities="[0, 1, 2]", search__enabled=False, controls__methods="[shortcut]", seeds="[0]"
    )
    command = ["run", "oct", "--data", data, *grid, "--max-hours", "1", "--out", "run"]
    assert audit(*command).code == 0
    plan = json.loads(Path("run/plan.json").read_text())
    assert plan["left_out"] == [] and plan["fitted"]["axes"]["severities"] == [0, 1, 2]
    plan["fitted"]["axes"]["severities"] = [0, 1]  # as if the time had been just enough for these
    plan["audit_id"] = "of these"
    Path("run/plan.json").write_text(json.dumps(plan))
    outcome = audit(*command)
    assert outcome.code == 0, outcome.err
    result = AuditResult.load(Path("run/results.json"))
    assert {cell.severity for cell in result.cells} == {0, 1}
    assert "Left out to fit into 1 h: severities 2." in result.limitations
    assert "run: complete, nothing to do (--fresh begins anew)\n" in audit(*command).err


def test_events_come_line_by_line_and_the_result_last(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "t.npz")
    outcome = audit("run", "oct", "--data", data, *as_options(workers=1), "--json-events", "--out", "run")
    assert outcome.code == 0
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [e["event"] for e in events if e["event"] in ("scan", "started", "finished", "result")] == [
        "scan", "started", "finished", "result",
    ]  # fmt: skip
    assert events[-1]["event"] == "result" and events[-1]["report"] == "run/report.pdf"
    assert sum(e["event"] == "cell" and e["status"] == "done" for e in events) == CELLS
    assert sum(e["event"] == "epoch" for e in events) == CELLS, "one epoch each"
    assert {"search", "generation", "perturbation"} <= {e["event"] for e in events}
    assert outcome.out.splitlines()[:-1] == Path("run/events.jsonl").read_text().splitlines()


def test_dry_run_writes_nothing(audit: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "t.npz")
    outcome = audit("run", "oct", "--data", data, *as_options(workers=1), "--dry-run")
    assert (outcome.code, outcome.out) == (0, "")
    assert "t: 64 training and 24 test images, 16 × 16, 2 classes (dark, bright)\n" in outcome.err
    # one search of 2 generations x 4 candidates, and 3 final candidates scored once more
    assert f"{CELLS} trainings and 15 surrogate trainings: about " in outcome.err
    plan = json.loads(audit("run", "oct", "--data", data, *as_options(workers=1), "--dry-run", "--json").out)
    assert len(plan["cells"]) == CELLS
    assert not list(Path.cwd().iterdir())


def test_class_names_are_shown_as_they_are(audit: Command, tmp_path: Path) -> None:
    """Square brackets and colons are markup to rich."""
    data = write_npz(tmp_path / "t.npz", class_names=("[b]dark[/i]", ":smile: 明"))
    outcome = audit("run", "oct", "--data", data, *as_options(workers=1), "--dry-run")
    assert outcome.code == 0
    assert "2 classes ([b]dark[/i], :smile: 明)\n" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--data", "/home/erika/oct/", "--json"], "audit --data oct --json"),
        (["--data=/home/erika/oct.npz"], "audit --data=oct.npz"),
        (["--set", "data.path=../erika/my set.npz"], "audit --set 'data.path=my set.npz'"),
        (["--set=data.path=/a/b=c/d"], "audit --set=data.path=d"),
        (["--models", "resnet50,small-cnn", "--set", "training.epochs=1"],
         "audit --models resnet50,small-cnn --set training.epochs=1"),
    ],
)  # fmt: skip
def test_shareable_command(arguments: list[str], shown: str) -> None:
    assert shareable_command(arguments) == shown


@pytest.mark.parametrize("command", ["run", "search"])
def test_help_shows_the_defaults_it_names(audit: Command, command: str) -> None:
    """Square brackets would be taken for markup and vanish."""
    text = " ".join(audit(command, "--help").out.split())
    wanted = {"run": ("(default resnet50:adam)",), "search": ("(default small-cnn)", "(default 0)")}[command]
    for default in (*wanted, "(default runs/<date>-<dataset>-<id>)"):
        assert default in text
