"""What a gate leaves behind: JUnit, Markdown, SARIF, from names that try to be markup."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from audit.errors import ConfigError
from audit.gate.file_findings import read_file_findings
from audit.gate.judge import judge
from audit.gate.record import FileFinding, GateResult
from reports.gate_files import junit, markdown, sarif, write_gate_files
from tests.gate_parts import ATTACKED, CLEAN_KEY, rules, snapshot

NASTY = 'a|b<script>alert("x")</script>\n`c`\x00'
FOUND = [
    FileFinding(
        rule="unreadable", title="Unreadable files", level="error", message="cut off", file="a b/ä.png"
    )
]


def verdict(shares: list[float], **changes: object) -> GateResult:
    given = {"name": "attacked", "measure": "accuracy", "attack": "evoshift", "tolerance": 0.1}
    clean = {"name": "clean", "measure": "accuracy", "attack": "clean", "tolerance": 0.1}
    new = snapshot({CLEAN_KEY: [0.9] * 3, ATTACKED: shares}, **changes)
    base = snapshot({CLEAN_KEY: [0.9] * 3, ATTACKED: [0.6] * 3}, "base")
    return judge(new, base, rules(given, clean))


def test_one_case_per_check() -> None:
    suite = ElementTree.fromstring(junit(verdict([0.3] * 3)))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "2", "failures": "1", "errors": "0", "skipped": "0"
    }  # fmt: skip
    cases = [(case.get("classname"), case.get("name"), [child.tag for child in case]) for case in suite]
    assert cases == [
        ("attacked", "net, adam, none; evoshift, 1 pixel", ["failure"]),
        ("clean", "net, adam, none; clean", []),
    ]
    text = suite[0][0].text or ""
    assert text.startswith("this audit 30.0 %, baseline 60.0 %, judged −30.0 (")
    assert text.endswith("n = 400 test images, 3 or more seeds, tolerated ≥ −10.0")


def test_inconclusive_is_red_to_whoever_knows_pass_and_fail_only() -> None:
    suite = ElementTree.fromstring(junit(verdict([0.5] * 3)))
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")
    assert suite[0][0].get("type") == "inconclusive"


def test_markdown_is_found_again_and_holds_every_number() -> None:
    text = markdown(verdict([0.3] * 3))
    lines = text.splitlines()
    assert lines[0] == "<!-- audit-gate -->"
    assert lines[1] == "### ❌ Robustness gate: fail"
    row = next(line for line in lines if line.startswith("| ❌ fail"))
    assert "| **attacked**; net, adam, none; evoshift, 1 pixel | 30.0 % | 60.0 % | −30.0 (" in row
    assert "**Synthetic phantoms: nothing here says anything about patients.**" in lines
    assert lines[-1] == "For research use. Not a medical device."


def test_names_are_no_markup() -> None:
    found = verdict([0.3] * 3, dataset=NASTY, fingerprint="f" * 64)
    text = markdown(found)
    assert "<script>" not in text and "a\\|b&lt;script&gt;" in text
    broken = found.model_copy(update={"checks": [], "sentence": f"ERROR: {NASTY}", "verdict": "error"})
    message = ElementTree.fromstring(junit(broken))[0][0].get("message")
    assert message is not None and "<script>" in message and "\x00" not in message


def test_sarif_fits_its_schema() -> None:
    schema = pytest.importorskip("sarif_pydantic", reason="sarif-pydantic is not installed")
    content = sarif(FOUND, "1.0")
    read = schema.Sarif.model_validate(content)
    (result,) = read.runs[0].results
    assert (result.rule_id, result.message.text) == ("unreadable", "cut off")
    assert result.locations[0].physical_location.artifact_location.uri == "a%20b/%C3%A4.png"


def test_sarif_is_written_only_where_files_were_asked_for(tmp_path: Path) -> None:
    found = verdict([0.6] * 3)
    assert [path.name for path in write_gate_files(found, tmp_path)] == ["gate.json", "gate.xml", "gate.md"]
    assert write_gate_files(found, tmp_path, FOUND)[-1].name == "gate.sarif"
    write_gate_files(found, tmp_path)
    assert not (tmp_path / "gate.sarif").exists(), "findings of an earlier call"
    assert GateResult.model_validate_json((tmp_path / "gate.json").read_text()) == found


def test_findings_of_a_check_and_of_a_scan(tmp_path: Path) -> None:
    check = tmp_path / "check.json"
    row = {
        "name": "unreadable",
        "title": "Unreadable files",
        "status": "fail",
        "remedy": "mend",
        "images": ["a.png"],
    }
    check.write_text(json.dumps({"checks": [row, {**row, "status": "pass"}]}))
    assert [(f.file, f.level, f.message) for f in read_file_findings(check)] == [
        ("a.png", "error", "Unreadable files; mend")
    ]
    scan = tmp_path / "scan.json"
    one = {"class": "CNV", "kind": "pixel", "row": 3, "col": 4, "images": ["b.png", "train image 17"]}
    scan.write_text(json.dumps({"findings": [one, {**one, "kind": "border", "images": ["c.png"]}]}))
    assert [(f.file, f.level, f.message) for f in read_file_findings(scan)] == [
        ("b.png", "error", "pixel at row 3, column 4 tells class CNV"),
        ("c.png", "warning", "border at row 3, column 4 tells class CNV"),
    ]
    remedy = "give check.json of audit check, or scan.json of audit scan"
    for name, content, why in (
        ("x.json", "[]", "neither a check nor a scan"),
        ("y.json", "{}", "neither a check nor a scan"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigError) as refused:
            read_file_findings(tmp_path / name)
        assert str(refused.value) == f"{tmp_path / name}: {why}; {remedy}"
    with pytest.raises(ConfigError) as refused:
        read_file_findings(tmp_path / "none.json")
    assert (
        str(refused.value)
        == f"{tmp_path / 'none.json'}: cannot be read (No such file or directory); {remedy}"
    )
