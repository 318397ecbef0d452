"""`audit scan` and `audit repair` as a shell meets them; images as they are stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.data.load import load_dataset
from audit.data.stored import fitting_edge, load_as_stored
from audit.results import AuditResult
from audit.settings import DataSettings
from tests.class_folders import write
from tests.command_line import Command, make_command
from tests.planted import balanced_labels, textured
from tests.test_repair import COUNT, PLACES, SIZE, write_marked_folder, write_marked_npz
from tests.tiny_audit import as_options


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def clean_npz(folder: Path) -> Path:
    labels = balanced_labels(COUNT, 2)
    np.savez(
        folder / "clean.npz",
        train_images=textured(COUNT)[:, 0], train_labels=labels,
        test_images=textured(COUNT, seed=1)[:, 0], test_labels=labels,
    )  # fmt: skip
    return folder / "clean.npz"


# ---- audit scan


def test_marks_are_data_to_refuse(audit: Command, tmp_path: Path) -> None:
    done = audit("scan", write_marked_npz(tmp_path), "--out", tmp_path / "out", "--json")
    assert done.code == 3
    told = json.loads(done.out)
    assert [
        (f["class"], f["kind"], f["row"], f["col"], f["value"], f["share"]) for f in told["findings"]
    ] == [
        ("DRUSEN", "pixel", *PLACES[0], [1.0], 1.0),
        ("NORMAL", "pixel", *PLACES[1], [1.0], 1.0),
    ]
    assert told["findings"][0]["images"][:2] == ["train image 1", "train image 3"]
    assert told["findings"][0]["strength"] == 1.0
    assert told["dataset"]["image_size"] == [SIZE, SIZE]
    assert json.loads((tmp_path / "out" / "scan.json").read_text())["scan"] == told["scan"]
    for name in ("drusen", "normal"):
        with Image.open(tmp_path / "out" / f"map-{name}.png") as picture:
            assert min(picture.size) >= SIZE
    assert "fail: 2 marks give away 2 of 2 classes" in done.err


def test_files_that_carry_a_mark_are_named(audit: Command, tmp_path: Path) -> None:
    source = write_marked_folder(tmp_path / "ward", ".png")
    told = json.loads(audit("scan", source, "--json").out)
    names = told["findings"][1]["images"]
    assert len(names) == COUNT // 2
    assert names[0] == "ward/train/NORMAL/train_1.png"


def test_a_clean_set_passes_and_says_what_was_not_seen(audit: Command, tmp_path: Path) -> None:
    done = audit("scan", clean_npz(tmp_path), "--json")
    assert done.code == 0
    told = json.loads(done.out)["scan"]
    assert (told["status"], told["findings"]) == ("pass", [])
    assert told["limits"][-1] == (
        "Test images were not looked at. A scan that finds nothing is no proof that there is nothing."
    )
    found = {(d["kind"], d["share"], d["contrast"]): (d["found"], d["planted"]) for d in told["detection"]}
    assert found["pixel", 1.0, 32.0] == (2, 2)
    assert found["pixel", 0.03, 255.0] == (0, 2)  # one image of each class


def test_images_that_would_be_enlarged_are_not_scanned(audit: Command, tmp_path: Path) -> None:
    done = audit("scan", clean_npz(tmp_path), "--size", "64", "--json")
    assert done.code == 4
    told = json.loads(done.out)["scan"]
    assert told["status"] == "not run"
    assert told["sentence"] == (
        "images smaller than 64 pixels were enlarged, which makes isolated pixels of its own; "
        "scan them as they are: audit scan --size 32"
    )
    assert told["limits"] == [f"None of the {COUNT} images was looked at."]


def test_phantoms_are_called_synthetic(audit: Command) -> None:
    done = audit("scan", "oct", "--set", "data.n_train=120", "--set", "data.n_test=40", "--json")
    assert done.code == 0
    assert "synthetic" in json.loads(done.out)["dataset"]["name"]
    assert "synthetic" in done.err


def test_the_check_of_the_data_looks_at_the_images_as_they_are_stored(audit: Command, tmp_path: Path) -> None:
    done = audit("check", write_marked_npz(tmp_path), "--json")  # by default at 64 pixels; these have 32
    assert done.code == 3
    told = json.loads(done.out)
    check = next(check for check in told["checks"] if check["name"] == "shortcuts")
    assert check["status"] == "fail"
    assert told["scan"]["image_size"] == [SIZE, SIZE]
    assert [row[1:4] for row in check["details"]] == [["pixel", "5", "21"], ["pixel", "25", "7"]]


def test_an_audit_tells_of_marks_before_it_trains(audit: Command, tmp_path: Path) -> None:
    options = as_options(data__image_size=SIZE, severities="[0]", seeds="[0]", training__epochs=1)
    done = audit("run", "oct", "--data", write_marked_npz(tmp_path), *options, "--out", tmp_path / "out")
    assert done.code in (0, 4)
    told = done.err.index("shortcut scan, fail: 2 marks give away 2 of 2 classes")
    assert told < done.err.index("small-cnn adam none, clean, seed 0")
    result = AuditResult.load(tmp_path / "out" / "results.json")
    assert result.scan is not None
    assert [finding.row for finding in result.scan.findings] == [5, 25]


def test_an_audit_of_a_repaired_copy_says_so(audit: Command, tmp_path: Path) -> None:
    audit("repair", write_marked_npz(tmp_path), "--out", tmp_path / "copy")
    options = as_options(data__image_size=SIZE, severities="[0]", seeds="[0]", training__epochs=1)
    done = audit("run", "oct", "--data", tmp_path / "copy" / "ward.npz", *options, "--out", tmp_path / "out")
    assert "shortcut scan" not in done.err
    result = AuditResult.load(tmp_path / "out" / "results.json")
    assert result.repair is not None
    assert (result.repair.images, [finding.row for finding in result.repair.findings]) == (COUNT, [5, 25])
    assert result.repair.note in result.dataset.notes
    assert result.scan is not None
    assert result.scan.status == "pass"


# ---- audit repair


def test_repair_and_scan_again(audit: Command, tmp_path: Path) -> None:
    done = audit("repair", write_marked_npz(tmp_path), "--out", tmp_path / "out", "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert (told["images"], told["after"]["status"]) == (COUNT, "pass")
    assert "after:  no pixels found" in done.err
    assert audit("scan", tmp_path / "out" / "ward.npz").code == 0


def test_nothing_to_repair(audit: Command, tmp_path: Path) -> None:
    done = audit("repair", clean_npz(tmp_path), "--out", tmp_path / "out", "--json")
    assert (done.code, json.loads(done.out)) == (0, None)
    assert "the scan found no edits: nothing to repair, and no copy was written\n" in done.err
    assert not (tmp_path / "out").exists()


def test_refusals_are_one_line(audit: Command, tmp_path: Path) -> None:
    source = write_marked_npz(tmp_path)
    done = audit("repair", source, "--out", tmp_path)
    assert done.code == 2
    assert done.err.endswith(f"audit: --out: {tmp_path.name} is not an empty folder; name a new one\n")
    done = audit("repair", "oct", "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.endswith(
        "audit: data: phantoms have no files to repair; name a folder, a ZIP or a .npz file\n"
    )


# ---- the resolution of the files


def test_arrays_are_read_at_their_own_size(tmp_path: Path) -> None:
    settings = DataSettings(path=clean_npz(tmp_path), image_size=64, cache=False)
    assert load_dataset(settings).image_size == (64, 64)
    assert load_as_stored(settings).image_size == (SIZE, SIZE)


@pytest.mark.parametrize(
    ("sizes", "edge"),
    [
        ([(40, 30), (40, 30), (100, 90)], 30),  # the short edge, by the median
        ([(700, 600)] * 3, 512),  # the most
        ([(5, 6)] * 3, 8),  # the least
    ],
)
def test_files_are_read_at_their_median_size(tmp_path: Path, sizes: list[tuple[int, int]], edge: int) -> None:
    for split in ("train", "test"):
        for name in ("DRUSEN", "NORMAL"):
            for i, size in enumerate(sizes):
                write(tmp_path / "ward" / split / name / f"{split}{i}.png", 100, size)
    found = load_as_stored(DataSettings(path=tmp_path / "ward", cache=False))
    assert found.image_size == (edge, edge)


def test_many_images_are_read_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        for name in ("DRUSEN", "NORMAL"):
            write(tmp_path / "ward" / split / name / "a.png", 100, (200, 200))
    dataset = load_dataset(DataSettings(path=tmp_path / "ward", image_size=64, cache=False))
    monkeypatch.setattr("audit.data.stored.MOST_VALUES", 4 * 50 * 50)
    assert fitting_edge(dataset) == 50  # 4 images of 50 x 50
