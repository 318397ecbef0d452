"""`audit ci init`: workflows that fit the published schemas, and whose steps really run, offline, on phantoms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.errors import ConfigError
from audit.pipelines import Pipeline, write_pipeline
from tests.command_line import Command, make_command

SCHEMAS = {"github": ("vendor.github-workflows", None), "gitlab": ("vendor.gitlab-ci", "gitlab-ci")}
SMALL = """
profile: quick
data: {image_size: 16, n_train: 96, n_test: 48}
models: [small-cnn]
baseline: {model: small-cnn}
optimizers: [adam]
normalizations: [none]
seeds: [0, 1, 2]
controls: {methods: [shortcut]}
search: {enabled: false}
training: {epochs: 2}
evaluation: {bootstrap: 200, explained_images: 0}
"""
RULES = """
rules:
  - {name: attacked, measure: accuracy, attack: shortcut, tolerance: 0.3}
  - {name: shortcuts, measure: shortcut_findings, tolerance: 0}
"""
GH = """#!/bin/sh
echo "$@" >> "$GH_LOG"
case "$1" in run) echo "$LAST" ;; esac
"""


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def workflow(service: str, root: Path) -> dict[str, Any]:
    path = root / (".github/workflows/audit.yml" if service == "github" else ".gitlab-ci.yml")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("service", SCHEMAS)
def test_workflows_fit_the_published_schema(service: str, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    written, kept = write_pipeline(Pipeline(service), tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in written[1:]] == [
        "audit.yaml",
        "audit-gate.yaml",
    ]
    assert kept == []
    assert not any(
        "@" in path.read_text().replace("uses: actions/", "").replace("@v", "") for path in written
    )
    schema, transform = SCHEMAS[service]
    more = ["--data-transform", transform] if transform else []
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more, str(written[0])]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.strip()) == (0, "ok -- validation done"), checked.stdout


def test_what_is_there_is_kept(audit: Command, tmp_path: Path) -> None:
    first = audit("ci", "init", "github", "--schedule", "5 4 * * 2", "--max-age-days", 20)
    assert first.out.splitlines() == [
        ".github/workflows/audit.yml written", "audit.yaml written", "audit-gate.yaml written",
        "next: audit run oct --config audit.yaml --out audit-run; audit baseline accept audit-run; commit "
        "audit-baseline.json with these files",
    ]  # fmt: skip
    here = tmp_path / "here"
    text = (here / ".github/workflows/audit.yml").read_text()
    assert '- cron: "5 4 * * 2"' in text and "'20 days ago'" in text
    (here / "audit.yaml").write_text(SMALL)
    again = audit("ci", "init", "github")
    assert (again.code, again.err) == (
        2,
        "audit: .github/workflows/audit.yml: is there already; say --force to write it anew, or choose another --out\n",
    )
    forced = audit("ci", "init", "github", "--force", "--json")
    assert json.loads(forced.out) == {
        "written": [".github/workflows/audit.yml"], "kept": ["audit.yaml", "audit-gate.yaml"]
    }  # fmt: skip
    assert (here / "audit.yaml").read_text() == SMALL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service": "gitlob"}, "unknown service 'gitlob'; did you mean 'gitlab'?"),
        ({"audit": "octt"}, "--audit: unknown audit 'octt'; did you mean 'oct'?"),
        (
            {"schedule": "monday"},
            "--schedule: 'monday' is not a cron line of five fields; write e.g. --schedule '17 3 * * 1'",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Pipeline(**{"service": "github", **changes})
    assert str(refused.value) == message


def test_settings_that_would_fail_at_night_fail_at_once(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text("epochs: 3\n")
    with pytest.raises(ConfigError, match="epochs: unknown key"):
        write_pipeline(Pipeline("github"), tmp_path)
    assert not (tmp_path / ".github").exists()


def repository(tmp_path: Path, service: str) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "audit.yaml").write_text(SMALL)
    (root / "audit-gate.yaml").write_text(RULES)
    write_pipeline(Pipeline(service), root)
    return root


def shell(script: str, root: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """As a runner does: bash that stops at the first failure; nothing is fetched from anywhere."""
    tools = root.parent / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {
        "PATH": path,
        "PIP_NO_INDEX": "1",
        "OMP_NUM_THREADS": "1",
        "GH_LOG": str(root.parent / "gh.log"),
        **more,
    }
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=root, env={**os.environ, **given}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_steps_for_github_run(tmp_path: Path) -> None:
    root = repository(tmp_path, "github")
    summary = tmp_path / "summary.md"
    jobs = workflow("github", root)["jobs"]
    steps = [step for step in jobs["audit"]["steps"] if "run" in step]
    names = [step["name"].split(",")[0] for step in steps]
    assert names == [
        "Install",
        "Audit",
        "Gate",
        "Summary",
        "Offer this audit as the next baseline",
        "Comment",
    ]

    def outcomes() -> dict[str, subprocess.CompletedProcess[str]]:
        given = {"GITHUB_STEP_SUMMARY": str(summary), "NUMBER": "7", "GH_TOKEN": "x"}
        return {name: shell(step["run"], root, **given) for name, step in zip(names, steps, strict=True)}

    first = outcomes()
    codes = {name: done.returncode for name, done in first.items()}
    assert codes == {name: 2 if name == "Gate" else 0 for name in names}, {
        n: d.stderr for n, d in first.items()
    }
    assert first["Gate"].stdout.startswith("ERROR: audit-baseline.json: no baseline here;")
    (root / "audit-gate" / "audit-baseline.json").rename(root / "audit-baseline.json")  # reviewed, committed
    second = outcomes()
    assert {done.returncode for done in second.values()} == {0}
    assert second["Gate"].stdout.endswith("PASS: 2 checks, none beyond its limit\n")
    told = summary.read_text()
    assert told.count("<!-- audit-gate -->") == 2 and "### ✅ Robustness gate: pass" in told
    assert "Synthetic phantoms" in told
    log = (tmp_path / "gh.log").read_text().splitlines()
    assert log == ["pr comment 7 --body-file audit-gate/gate.md --edit-last --create-if-none"] * 2
    kept = next(step for step in jobs["audit"]["steps"] if "upload-artifact" in step.get("uses", ""))["with"][
        "path"
    ]
    assert all((root / path).exists() for path in kept.split())


def test_an_audit_that_is_too_old_is_noticed_on_github(tmp_path: Path) -> None:
    root = repository(tmp_path, "github")
    script = workflow("github", root)["jobs"]["age"]["steps"][0]["run"]
    old = shell(script, root, LAST="2020-01-01T00:00:00Z")
    assert (old.returncode, old.stdout) == (
        1,
        "::error::the last scheduled audit began 2020-01-01T00:00:00Z, more than 9 days ago: enable the workflow again "
        "under Actions\n",
    )
    assert shell(script, root, LAST="2999-01-01T00:00:00Z").returncode == 0
    none = shell(script, root, LAST="")
    assert (none.returncode, none.stdout) == (0, "::warning::no scheduled audit yet\n")


@pytest.mark.slow
def test_the_steps_for_gitlab_run(tmp_path: Path) -> None:
    root = repository(tmp_path, "gitlab")
    job = workflow("gitlab", root)["audit"]
    script, after = "\n".join(job["script"]), "\n".join(job["after_script"])
    first = shell(script, root, CI_PIPELINE_SOURCE="schedule")
    assert first.returncode == 2 and "ERROR: audit-baseline.json: no baseline here;" in first.stdout, (
        first.stderr
    )
    assert shell(after, root).returncode == 0
    (root / "audit-gate" / "audit-baseline.json").rename(root / "audit-baseline.json")
    second = shell(script, root, CI_PIPELINE_SOURCE="schedule")
    assert second.returncode == 0 and "PASS: 2 checks" in second.stdout, second.stderr
    assert (root / job["artifacts"]["reports"]["junit"]).is_file()
    age = workflow("gitlab", root)["audit-age"]["script"][0]
    assert shell(age, root).returncode == 0
    (root / "audit-last" / "date").write_text("2020-01-01T00:00:00Z\n")
    old = shell(age, root)
    assert (old.returncode, old.stdout) == (
        1,
        "the last scheduled audit began 2020-01-01T00:00:00Z, more than 9 days ago: look at Build > Pipeline "
        "schedules\n",
    )
