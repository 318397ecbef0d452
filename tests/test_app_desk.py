"""What users of the application can do, without a browser: queue, worker, quotas, who sees what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps import views
from apps.accounts import Accounts
from apps.desk import Desk, csv_cell, scores_csv
from apps.handlers import chosen
from apps.shelf import SHORTCUT_MAP, NotYoursError
from apps.terms import overrides
from apps.work import without_paths
from audit.errors import ConfigError
from audit.run_lock import held
from tests.app_parts import CHOICES, kept_cells, state_of, tiny, wait_for, worker, zipped
from tests.results_factory import example_result


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tiny(tmp_path / "data"))


def class_folders(root: Path, n: int = 16) -> Path:
    """Grey images in two class folders: bright and dark halves; a white pixel in the dark half of all of one class."""
    rng = np.random.default_rng(0)
    for name, half in (("left & <b>", slice(0, 12)), ("right", slice(12, 24))):
        (root / name).mkdir(parents=True)
        for i in range(n):
            image = rng.integers(0, 60, (24, 24), dtype=np.uint8)
            image[:, half] += 120
            if name == "right":
                image[20, 3] = 255
            Image.fromarray(image).save(root / name / f"p{i}.png")
    return root


# ---- the whole way


def test_from_images_to_a_report(desk: Desk, tmp_path: Path) -> None:
    upload = zipped(class_folders(tmp_path / "images"), tmp_path / "my images.zip")
    audit_id = desk.create("ann", "upload", upload)
    assert not upload.exists(), "moved out of the page's cache"
    with worker(desk.settings.data):
        wait_for(lambda: state_of(desk, audit_id) == "check done")
        check = desk.data_check("ann", audit_id)
        assert check is not None and check.dataset.class_names == ["left & <b>", "right"]
        html = views.checks(check, desk.find("ann", audit_id).checks)
        assert "left &amp; &lt;b&gt;" in html and "<b>right" not in html and "data:image/png" in html
        assert "<td>right</td><td>pixel</td><td>20</td><td>3</td>" in html and "data:image/svg+xml" in html
        assert "<script" not in (desk.find("ann", audit_id).checks / SHORTCUT_MAP).read_text()
        desk.estimate_plan("ann", audit_id, "quick", CHOICES)
        wait_for(lambda: state_of(desk, audit_id) == "estimate done")
        cost = desk.estimate("ann", audit_id)
        assert cost is not None and cost["trainings"] == 4  # clean, EvoShift, shortcut, random
        desk.start("ann", audit_id)
        wait_for(lambda: state_of(desk, audit_id) == "audit done")
    result = desk.results("ann", audit_id)
    assert result is not None and result.state == "complete"
    status = desk.status("ann", audit_id)
    assert (status.done, status.total, status.verdict) == (4, 4, result.finding.verdict)
    assert result.config["operator"] == "ann"
    for name in ("report.pdf", "report.html", "results.json", "scores.csv"):
        assert desk.file("ann", audit_id, name).stat().st_size > 100
    assert str(tmp_path) not in desk.file("ann", audit_id, "results.json").read_text()
    lines = desk.file("ann", audit_id, "scores.csv").read_text().splitlines()
    assert len(lines) == 1 + len(result.conditions)
    shown = views.verdict(result) + views.scores(result) + views.condition(result, "0")
    assert escape(result.finding.sentence) in shown and "left &amp; &lt;b&gt;" in shown
    with pytest.raises(ConfigError, match="has begun; start a new one"):
        desk.choose("ann", audit_id, "quick", CHOICES)


# ---- what stops and goes on


def test_cancelled_it_keeps_what_is_done_and_goes_on(desk: Desk) -> None:
    audit_id = desk.create("ann", "phantom:oct")
    folder = desk.find("ann", audit_id)
    folder.set_job("check", "done")
    desk.choose("ann", audit_id, "quick", CHOICES)
    desk.start("ann", audit_id)
    with worker(desk.settings.data):
        wait_for(lambda: desk.status("ann", audit_id).done >= 1)
        desk.cancel("ann", audit_id)
        wait_for(lambda: state_of(desk, audit_id) == "audit cancelled")
        kept = kept_cells(folder)
        assert kept
        desk.start("ann", audit_id)
        wait_for(lambda: state_of(desk, audit_id) == "audit done")
    assert all(file.read_bytes() == content for file, content in kept.items())


def test_a_killed_worker_s_audit_is_taken_up_by_the_next(desk: Desk) -> None:
    audit_id = desk.create("ann", "phantom:oct")
    folder = desk.find("ann", audit_id)
    folder.set_job("check", "done")
    desk.choose("ann", audit_id, "quick", CHOICES)
    desk.start("ann", audit_id)
    with worker(desk.settings.data) as first:
        wait_for(lambda: desk.status("ann", audit_id).done >= 1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    wait_for(lambda: not folder.is_worked_on())  # a job ends with its worker
    assert state_of(desk, audit_id) == "audit working", "nobody was there to say otherwise"
    with worker(desk.settings.data):
        wait_for(lambda: state_of(desk, audit_id) == "audit done")


def test_waiting_it_is_cancelled_at_once(desk: Desk) -> None:
    audit_id = desk.create("ann", "phantom:oct")
    assert desk.status("ann", audit_id).position == 1
    desk.cancel("ann", audit_id)
    assert state_of(desk, audit_id) == "check cancelled"
    assert desk.status("ann", audit_id).position is None


def test_a_second_worker_has_nothing_to_do(tmp_path: Path) -> None:
    tiny(tmp_path)
    with held(tmp_path):
        second = subprocess.run([sys.executable, "-m", "apps.worker", str(tmp_path)], timeout=60, check=False)
    assert second.returncode == 0, "it ended by itself"


# ---- the queue


def test_the_first_audit_of_each_comes_before_the_second_of_any(desk: Desk) -> None:
    ann = [desk.create("ann", "phantom:oct") for _ in range(3)]
    bob = desk.create("bob", "phantom:oct")
    assert desk.queue.waiting("looks") == [ann[0], bob, ann[1], ann[2]]
    assert desk.status("bob", bob).position == 2
    assert [desk.status("ann", one).position for one in ann] == [1, 3, 4]


def test_what_is_under_way_is_not_asked_for_twice(desk: Desk) -> None:
    audit_id = desk.create("ann", "phantom:oct")
    desk.queue.enqueue(desk.find("ann", audit_id), "check")
    assert desk.queue.waiting("looks") == [audit_id]
    with pytest.raises(ConfigError) as refusal:
        desk.start("ann", audit_id)
    assert str(refusal.value) == "something is under way for this audit; wait for its end or cancel it"


# ---- who sees what


def test_an_audit_of_somebody_else_is_no_audit(desk: Desk) -> None:
    audit_id = desk.create("ann", "phantom:oct")
    actions = [
        desk.status,
        desk.cancel,
        desk.start,
        desk.delete,
        desk.data_check,
        desk.results,
        desk.estimate,
    ]
    for action in actions:
        with pytest.raises(NotYoursError) as refusal:
            action("bob", audit_id)
        assert str(refusal.value) == "no such audit"
    for odd in ("", "..", "../ann", "0" * 20, "0" * 19 + "/"):
        with pytest.raises(NotYoursError):
            desk.status("ann", odd)
    assert [one.id for one in desk.history("ann")] == [audit_id]
    assert desk.history("bob") == []
    with pytest.raises(ConfigError, match="no such file"):
        desk.file("ann", audit_id, "../about.json")


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.txt", b"x", "text.txt: neither a ZIP nor a .npz; put the images into one ZIP"),
        ("big.zip", b"x" * 2_100_000, "big.zip: 2 MB; the server takes 1 MB at most"),
    ],
)
def test_uploads_that_are_refused_at_once(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    desk = Desk(tiny(tmp_path / "data", upload_mb=1))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        desk.create("ann", "upload", tmp_path / name)
    assert str(refusal.value) == message
    assert desk.history("ann") == []


def test_a_full_quota_is_said_before_anything_is_kept(tmp_path: Path) -> None:
    desk = Desk(tiny(tmp_path / "data", quota_mb=1))
    audit_id = desk.create("ann", "phantom:oct")
    (desk.find("ann", audit_id).path / "big").write_bytes(b"x" * 2_100_000)
    with pytest.raises(ConfigError) as refusal:
        desk.create("ann", "phantom:oct")
    assert str(refusal.value) == "your audits fill 2 MB of 1 MB; delete some of them first"
    desk.create("bob", "phantom:oct")
    desk.cancel("ann", audit_id)
    desk.delete("ann", audit_id)
    desk.create("ann", "phantom:oct")


def test_bad_archives_are_refused_by_name_and_without_paths(desk: Desk, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 not a zip")
    empty = zipped(class_folders(tmp_path / "few", n=1), tmp_path / "few.zip")
    ids = [desk.create("ann", "upload", file) for file in (broken, empty)]
    with worker(desk.settings.data):
        wait_for(lambda: all(state_of(desk, one) == "check refused" for one in ids))
    for one, name in zip(ids, ("broken.zip", "few"), strict=True):
        job = desk.status("ann", one).job
        assert job is not None and job.message.startswith(name)
        assert str(tmp_path) not in job.message and "Traceback" not in job.message
        assert escape(job.message) in views.state(desk.status("ann", one))


def test_remedies_are_those_of_the_page(desk: Desk) -> None:
    folder = desk.find("ann", desk.create("ann", "phantom:oct"))
    said = f"{folder.run}: begun by another version of this program; choose another --out, or say --fresh to begin anew"
    assert without_paths(said, folder, desk.settings) == (
        "this audit: begun by another version of this program; start a new audit"
    )


def test_names_of_code_are_no_choice() -> None:
    for name, value in (("models", "os:system"), ("filters", "nothing"), ("severities", 11)):
        with pytest.raises(ValueError, match=f"{value} cannot be chosen here"):
            overrides(**{**CHOICES, name: [value]})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="models: choose at least one"):
        overrides(**{**CHOICES, "models": []})  # type: ignore[arg-type]


def test_sources_that_are_not_offered(desk: Desk) -> None:
    for source in ("folder:secret", "phantom:x", "/etc"):
        with pytest.raises(ConfigError) as refusal:
            desk.create("ann", source)
        assert str(refusal.value) == f"{source}: no such source; choose one on the page"
    with pytest.raises(ConfigError) as refusal:
        desk.create("ann", "upload")
    assert str(refusal.value) == "no file: choose a ZIP or .npz first"
    with pytest.raises(ConfigError) as refusal:
        desk.create("ann", "")
    assert str(refusal.value) == "nothing is chosen; choose images of this server first"


def test_without_images_there_is_nothing_to_plan() -> None:
    with pytest.raises(ConfigError) as refusal:
        chosen("")
    assert str(refusal.value) == "there are no images yet; choose them in the step Data first"


# ---- kept and swept


def test_old_audits_are_deleted_and_young_ones_kept(tmp_path: Path) -> None:
    desk = Desk(tiny(tmp_path / "data", keep_days=1))
    old, young = desk.create("ann", "phantom:oct"), desk.create("ann", "phantom:oct")
    for file in desk.find("ann", old).path.iterdir():
        os.utime(file, (0, 0))
    cache = desk.settings.data / "cache"
    cache.mkdir()
    for name, age in (("old.png", (0, 0)), ("young.png", None)):
        (cache / name).touch()
        os.utime(cache / name, age)
    assert desk.shelf.sweep() == 1
    assert [file.name for file in cache.iterdir()] == ["young.png"]
    assert [one.id for one in desk.history("ann")] == [young]


# ---- users


def test_passwords_are_hashed_and_there_is_no_default_user(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    assert accounts.read() == {} and not accounts.knows("admin", "admin")
    accounts.add("ann", "correct horse")
    assert accounts.knows("ann", "correct horse")
    assert not accounts.knows("ann", "correct horsf") and not accounts.knows("bob", "correct horse")
    stored = (tmp_path / "users.json").read_text()
    assert json.loads(stored)["ann"].startswith("$argon2id$") and "correct" not in stored
    assert (tmp_path / "users.json").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError) as refusal:
        accounts.add("ann", "short")
    assert str(refusal.value) == "user ann: the password has 5 signs; take at least 10"
    with pytest.raises(ConfigError) as refusal:
        accounts.add("Ann/..", "correct horse")
    assert str(refusal.value) == "user 'Ann/..': small letters, digits, . _ - only, at most 32"


# ---- pages


def test_csv_is_no_formula_and_one_cell_per_value() -> None:
    assert csv_cell("=1+1") == "'=1+1" and csv_cell('a "b", c') == '"a ""b"", c"'
    lines = scores_csv(example_result()).splitlines()
    assert lines[0].startswith("model,optimizer,defence,attack") and len(lines) == 1 + len(
        example_result().conditions
    )


def test_audits_of_other_images_are_not_compared() -> None:
    first = example_result()
    other = first.model_copy(update={"dataset": first.dataset.model_copy(update={"fingerprint": "0"})})
    assert "cannot be compared" in views.comparison(first, other)
    other = first.model_copy(update={"protocol_version": 1})
    assert "other rules" in views.comparison(first, other)
    config = {**first.config, "search": {"generations": 99}}
    assert "in other ways" in views.comparison(first, first.model_copy(update={"config": config}))
    shown = views.comparison(first, first)
    scored = sum(not row.is_baseline for row in first.scores)
    assert shown.count("<tr>") == 1 + len(first.conditions) + scored
    assert shown.count("<td>same</td>") == len(first.conditions) + scored
