"""`audit gate`, `audit baseline accept`, `audit compare` on real audits of seconds."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from audit.cli_gate import with_seeds
from audit.errors import ConfigError
from audit.gate.compare import compare
from audit.gate.judge import judge
from audit.gate.rules import load_rules
from audit.gate.snapshot import load_snapshot
from audit.gate.words import interval
from audit.results import AuditResult
from audit.terminal_gate import show_comparison, show_gate
from tests.command_line import Command, make_command
from tests.tiny_audit import PATIENT, as_options, write_npz

LENIENT = "rules: [{name: fall, measure: accuracy, attack: shortcut, tolerance: 1.0}]\n"
STRICT = """
spread: {clean: 0.02, attacked: 0.3, weight: 4}
rules: [{name: fall, measure: accuracy, attack: clean, tolerance: 0.05}]
"""
UNSURE = """
spread: {clean: 0.7, attacked: 0.7, weight: 4}
rules: [{name: fall, measure: accuracy, attack: clean, tolerance: 0.85}]
"""
ONLY_SHORTCUT = {"controls__methods": ["shortcut"], "search__enabled": False}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two audits of the same images: `one`, and `two` with one epoch more. Three seeds."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_npz(folder / "data.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", None)
        for name, epochs in (("one", 1), ("two", 2)):
            options = as_options(training__epochs=epochs, seeds=[0, 1, 2], workers=1, **ONLY_SHORTCUT)
            patch.setattr(
                "sys.argv",
                ["audit", "run", "oct", "--data", str(data), *options, "--out", str(folder / name)],
            )
            with pytest.raises(SystemExit) as leaving:
                from audit.cli import main

                main()
            assert not leaving.value.code
    yield folder


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_same_audit_again_passes(audit: Command, runs: Path, tmp_path: Path) -> None:
    accepted = audit("baseline", "accept", runs / "one", "--out", tmp_path / "b.json")
    assert accepted.out == f"{tmp_path / 'b.json'}: data, 2 conditions of 3 or more trainings\n"
    assert accepted.err == ""
    assert PATIENT not in (tmp_path / "b.json").read_text()
    rules = written(tmp_path / "r.yaml", STRICT)
    options = ("--baseline", tmp_path / "b.json", "--rules", rules, "--out", tmp_path / "gate", "--json")
    found = audit("gate", runs / "one", *options)
    told = json.loads(found.out)
    assert (found.code, told["verdict"]) == (0, "pass")
    result = AuditResult.load(runs / "one" / "results.json")
    clean = next(c for c in result.conditions if c.attack == "clean").accuracy.estimate
    first = told["checks"][0]
    assert first["value"] == first["reference"] == pytest.approx(clean)
    assert first["judged"]["low"] == first["judged"]["high"] == 0.0
    assert first["reason"] == "the same trainings as in the baseline, answer for answer"
    assert [Path(name).name for name in told["files"]] == ["gate.json", "gate.xml", "gate.md"]
    assert json.loads((tmp_path / "gate" / "gate.json").read_text())["sentence"] == told["sentence"]


def test_another_recipe_against_a_run_directory(audit: Command, runs: Path, tmp_path: Path) -> None:
    rules = written(tmp_path / "r.yaml", LENIENT)
    found = audit("gate", runs / "two", "--baseline", runs / "one", "--rules", rules, "--out", tmp_path / "g")
    assert found.code == 0
    assert found.out.endswith("PASS: 1 check, none beyond its limit\n")
    assert "Training differs: training.epochs 1 → 2." in found.out
    text = (tmp_path / "g" / "gate.md").read_text()
    assert text.startswith("<!-- audit-gate -->\n### ✅ Robustness gate: pass\n")
    suite = ElementTree.fromstring((tmp_path / "g" / "gate.xml").read_text())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "0")
    case = suite.find("testcase")
    assert case is not None and case.get("name") == "small-cnn, adam, none; shortcut, 1 pixel"


def test_more_seeds_are_trained_where_they_would_decide(audit: Command, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "two", tmp_path / "two")
    rules = written(tmp_path / "r.yaml", UNSURE)
    arguments = ("gate", tmp_path / "two", "--baseline", runs / "one", "--rules", rules, "--json")
    before = audit(*arguments)
    first = json.loads(before.out)["checks"][0]
    assert (before.code, first["status"]) == (5, "inconclusive")
    assert first["reason"] == f"the interval holds the limit; {first['more_seeds']} more seeds would decide"
    few = audit(*arguments, "--auto-seeds", 1)
    assert "audit: training more seeds (3)\n" in few.err
    assert json.loads(few.out)["looks"] == 2
    result = AuditResult.load(tmp_path / "two" / "results.json")
    assert {cell.seed for cell in result.cells} == {0, 1, 2, 3}
    assert result.command.endswith("--seeds 0,1,2,3")
    assert json.loads(few.out)["checks"][0]["judged"]["high"] < first["judged"]["high"]
    enough = audit(*arguments, "--auto-seeds", 50)
    assert (enough.code, json.loads(enough.out)["verdict"]) == (0, "pass")
    assert AuditResult.load(tmp_path / "two" / "results.json").command.count("--seeds") == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("audit run oct", "audit run oct --seeds 0,1,2"),
        ("audit run oct --seeds 0 --out run", "audit run oct --out run --seeds 0,1,2"),
        ("audit run oct --seeds=0,1 --seeds 0", "audit run oct --seeds 0,1,2"),
        ("audit run oct --set 'seeds=[0, 1]' --set a.b=2", "audit run oct --set=a.b=2 --seeds 0,1,2"),
        ("audit run oct --set=seeds=[0] --data 'a b.zip'", "audit run oct --data 'a b.zip' --seeds 0,1,2"),
    ],
)
def test_the_command_of_an_extended_audit_names_its_seeds_once(command: str, expected: str) -> None:
    assert with_seeds(command, [0, 1, 2]) == expected
    assert with_seeds(expected, [0, 1, 2]) == expected


def test_an_unfinished_audit_is_an_error_that_says_how_to_go_on(
    audit: Command, runs: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(runs / "one", begun)
    for name in ("results.json", "complete.json"):
        (begun / name).unlink()
    found = audit("gate", begun, "--baseline", runs / "one")
    message = f"{begun}: interrupted, 6 of 6 trainings done; go on with: audit resume {begun}"
    assert (found.code, found.out) == (4, f"ERROR: {message}\n")
    suite = ElementTree.fromstring((begun / "gate" / "gate.xml").read_text())
    assert suite.get("errors") == "1" and message in suite[0][0].get("message", "")
    accepted = audit("baseline", "accept", begun)
    assert (accepted.code, accepted.err) == (4, f"audit: {message}\n")


def test_no_baseline_and_no_audit(audit: Command, runs: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    missing = audit("gate", runs / "one", "--baseline", nowhere, "--out", tmp_path / "g")
    remedy = "write one with: audit baseline accept RUN"
    assert (missing.code, missing.out) == (
        2,
        f"ERROR: {nowhere}: no baseline here; {remedy} --out {nowhere}\n",
    )
    none = audit("gate", runs / "one", "--out", tmp_path / "g")
    assert (none.code, none.out) == (
        2, "ERROR: no baseline: rules with a tolerance need one; give --baseline FILE or RUN\n"
    )  # fmt: skip
    assert json.loads((tmp_path / "g" / "gate.json").read_text())["verdict"] == "error"
    empty = audit("gate", nowhere, "--baseline", runs / "one")
    assert (empty.code, empty.out) == (
        2, f"ERROR: {nowhere}: no run directory; audit runs lists those in runs/\n"
    )  # fmt: skip
    assert not nowhere.exists()
    rules = audit(
        "gate", runs / "one", "--baseline", runs / "one", "--rules", nowhere, "--out", tmp_path / "g"
    )
    assert (rules.code, rules.out) == (
        2, f"ERROR: {nowhere}: cannot be read (No such file or directory); check the path given to --rules\n"
    )  # fmt: skip


def changed(runs: Path, path: Path, **changes: Any) -> Path:
    """A copy of an audit whose results say something else."""
    content = json.loads((runs / "one" / "results.json").read_text())
    for name, value in changes.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    path.mkdir()
    (path / "results.json").write_text(json.dumps(content))
    return path


def test_other_data_other_protocol_crashed_trainings(audit: Command, runs: Path, tmp_path: Path) -> None:
    other = changed(runs, tmp_path / "data", dataset={"fingerprint": "0" * 64})
    found = audit("gate", other, "--baseline", runs / "one")
    assert found.code == 2 and found.out.startswith(
        "ERROR: other data: data (000000000000) and, in the baseline, data ("
    )
    older = changed(runs, tmp_path / "protocol", protocol_version=1)
    found = audit("gate", older, "--baseline", runs / "one")
    assert found.code == 2 and found.out.startswith(
        "ERROR: other protocol: version 1 and, in the baseline, 2"
    )
    cells = json.loads((runs / "one" / "results.json").read_text())["cells"]
    cells[-1] |= {"status": "failed", "failure": "out of memory", "measures": None, "predictions": []}
    crashed = changed(runs, tmp_path / "crashed", cells=cells, state="incomplete")
    rules = written(tmp_path / "r.yaml", LENIENT)
    found = audit("gate", crashed, "--baseline", runs / "one", "--rules", rules)
    assert found.code == 4
    assert found.out.splitlines()[-1] == (
        "ERROR: 1 of 1 checks; fall (small-cnn, adam, none; shortcut, 1 pixel): this audit: 1 training failed (seed 2: "
        "out of memory)"
    )
    accepted = audit("baseline", "accept", crashed)
    assert accepted.code == 2 and accepted.err.endswith(
        "1 training failed (small-cnn, shortcut, seed 2: out of memory); a baseline needs all: resume the audit first\n"
    )


def test_a_baseline_that_was_changed_by_hand_is_refused(audit: Command, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    audit("baseline", "accept", runs / "one", "--out", path)
    text = path.read_text()
    remedy = "write one with: audit baseline accept RUN"
    cases = {
        text.replace('"accuracy": ', '"accuracy": 0'): f"{path}: no baseline file (not JSON); {remedy}",
        text.replace('"under_fitted": false', '"under_fitted": true').replace('"under_fitted": null', ""):
            f"{path}: sha256: the file was changed after it was accepted; {remedy}",
        text.replace('"device": "cpu"', '"device": "tpu"'):
            f"{path}: sha256: the file was changed after it was accepted; {remedy}",
        text.replace('"schema_version": 1', '"schema_version": 9'):
            f"{path}: schema_version: 9 is of another version; {remedy}",
        "[1]": f"{path}: no baseline file; {remedy}",
    }  # fmt: skip
    for content, message in cases.items():
        if content == text:
            continue
        path.write_text(content)
        with pytest.raises(ConfigError) as refused:
            load_snapshot(path)
        assert str(refused.value) == message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=60).map(lambda t: json.dumps({"kind": "audit baseline", t: t}).encode())
)
def test_any_file_is_a_baseline_or_one_clear_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="audit baseline accept RUN") as refused:
        load_snapshot(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_two_audits_side_by_side(audit: Command, runs: Path, tmp_path: Path) -> None:
    found = audit("compare", runs / "one", runs / "two", "--out", tmp_path / "c.svg", "--json")
    told = json.loads(found.out)
    one, two = (AuditResult.load(runs / name / "results.json") for name in ("one", "two"))
    assert [row["attack"] for row in told["rows"]] == ["clean", "shortcut"]
    for row, first, second in zip(told["rows"], one.conditions, two.conditions, strict=True):
        assert row["first"] == pytest.approx(first.accuracy.estimate)
        assert row["second"] == pytest.approx(second.accuracy.estimate)
        assert row["difference"]["estimate"] == pytest.approx(row["first"] - row["second"])
    assert told["notes"] == ["Training differs: training.epochs 1 → 2."]
    assert "small-cnn, adam, none; clean" in (tmp_path / "c.svg").read_text()
    shown = audit("compare", runs / "one", runs / "one")
    assert shown.code == 0 and shown.out.count(" same ") == 2
    bad = audit("compare", runs / "one", runs / "two", "--out", tmp_path / "c.gif")
    assert (bad.code, bad.err) == (
        2, "audit: --out: c.gif: unknown kind of figure; write a name that ends in .svg, .pdf, .png\n"
    )  # fmt: skip


def test_small_and_wide_terminals_hold_the_same_numbers(runs: Path) -> None:
    one, two = load_snapshot(runs / "one"), load_snapshot(runs / "two")
    result, compared = judge(two, one, load_rules(None)), compare(one, two)
    for width in (80, 160):
        console = Console(width=width, force_terminal=True, record=True, file=io.StringIO())
        show_gate(console, result)
        show_comparison(console, compared)
        text = console.export_text()
        clean = next(check for check in result.checks if check.rule == "clean accuracy")
        assert f"{100 * clean.value:.1f} %" in text and clean.subject in text
        for row in compared.rows:
            assert interval(row.measure, row.difference) in text
