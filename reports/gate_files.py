"""What a gate leaves for others to read: gate.json, JUnit XML, Markdown, SARIF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from audit.gate.record import FileFinding, GateCheck, GateResult
from audit.gate.words import interval, limit, numbers, titled, value
from reports.files import whole_file

MARKER = "<!-- audit-gate -->"  # by which a pull request's comment is found and updated
SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "error": "⚠️"}
UNDECIDED = ("inconclusive", "error")
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write_gate_files(
    result: GateResult, folder: Path, findings: Sequence[FileFinding] | None = None
) -> list[Path]:
    """Write all of them into `folder`; SARIF only where findings with files were looked for. Returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "gate.json": result.model_dump_json(indent=1),
        "gate.xml": junit(result),
        "gate.md": markdown(result),
    }
    if findings is not None:
        contents["gate.sarif"] = json.dumps(
            sarif(findings, result.audit_version), indent=1, ensure_ascii=False
        )
    else:
        (folder / "gate.sarif").unlink(missing_ok=True)  # of an earlier look at other files
    for name, text in contents.items():
        with whole_file(folder / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return [folder / name for name in contents]


def junit(result: GateResult) -> str:
    """One case per condition and check; an inconclusive one is an error to whoever knows pass and fail only."""
    suite = ElementTree.Element(
        "testsuite",
        name="audit gate",
        tests=str(max(len(result.checks), 1)),
        failures=str(sum(one.status == "fail" for one in result.checks)),
        errors=str(sum(one.status in UNDECIDED for one in result.checks) or int(not result.checks)),
        skipped="0",
        timestamp=result.created[:19],
    )
    for check in result.checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=plain(check.rule), name=plain(check.subject)
        )
        if check.status != "pass":
            tag = "failure" if check.status == "fail" else "error"
            told = ElementTree.SubElement(case, tag, type=check.status, message=plain(check.reason))
            told.text = plain(numbers(check))
    if not result.checks:
        case = ElementTree.SubElement(suite, "testcase", classname="audit gate", name="comparability")
        ElementTree.SubElement(case, "error", type=result.verdict, message=plain(result.sentence))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode")


def plain(text: str) -> str:
    """Without control characters, which XML forbids even escaped."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in text)


def markdown(result: GateResult) -> str:
    """A step summary, and the text of a comment that is found again by its first line."""
    lines = [
        MARKER,
        f"### {SIGNS[result.verdict]} Robustness gate: {result.verdict}",
        "",
        cell(result.sentence),
        "",
    ]
    if result.synthetic:
        lines += ["**Synthetic phantoms: nothing here says anything about patients.**", ""]
    if result.checks:
        head = [
            "",
            "check",
            "this audit",
            "baseline",
            f"judged ({100 * result.confidence:g} %)",
            "tolerated",
            "why",
        ]
        lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(row(check))} |" for check in result.checks]
        lines += [
            "",
            "Differences are this audit minus the baseline, in percentage points, with their interval.",
        ]
    lines += [""] + [f"- {cell(note)}" for note in result.notes]
    if result.audit_id:
        against = (
            f", baseline `{result.baseline_id}` of {result.baseline_created[:10]}"
            if result.baseline_id
            else ""
        )
        data = cell(titled(result.dataset, result.synthetic))
        lines += ["", f"Audit `{result.audit_id}` of {result.audit_created[:10]} on {data}{against}."]
    lines += ["", "For research use. Not a medical device."]
    return "\n".join(lines)


def row(check: GateCheck) -> list[str]:
    """Cells of the table."""
    return [
        f"{SIGNS[check.status]} {check.status}",
        cell(f"**{check.rule}**; {check.subject}"),
        value(check.measure, check.value),
        value(check.measure, check.reference),
        interval(check.measure, check.judged),
        limit(check),
        cell(check.reason),
    ]


def cell(text: str) -> str:
    """Text that is no markup: names of classes and data sets come from files."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.replace("`", "'").splitlines())


def sarif(findings: Sequence[FileFinding], version: str) -> dict[str, object]:
    """SARIF 2.1.0: findings of the data that have a file."""
    titles = {finding.rule: finding.title for finding in findings}
    rules = [{"id": name, "shortDescription": {"text": title}} for name, title in titles.items()]
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": list(titles).index(finding.rule),
            "level": finding.level,
            "message": {"text": finding.message},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(finding.file)}}}],
        }
        for finding in findings
    ]
    driver = {"name": "audit", "version": version, "rules": rules}
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
