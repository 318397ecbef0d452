"""From a user's folder or ZIP to checks and an audit: the commands, and nothing identifying in what they write."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pypdf import PdfReader

from audit.data.load import load_dataset
from audit.settings import DataSettings
from tests.class_folders import make_clinic, write
from tests.command_line import Command, make_command
from tests.dicom_files import make_dicom
from tests.tiny_audit import as_options

NAME, NUMBER = "Mustermann", "MM4711"


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def zipped(root: Path) -> Path:
    target = root.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, Path(root.name, path.relative_to(root)))
    return target


def written() -> list[Path]:
    return sorted(path for path in Path.cwd().rglob("*") if path.is_file())


# ---- audit check


def test_check_of_a_zip(tmp_path: Path, audit: Command) -> None:
    root = make_clinic(tmp_path)
    for number in range(3):
        write(root / "train" / "NORMAL" / f"{number}.png", 40 * number + 20, size=(12, 8))
    outcome = audit("check", zipped(root), "--json", "--size", 8, "--out", "found")
    assert outcome.code == 3, "equal pixels in train and test"
    found = json.loads(outcome.out)
    by_name = {check["name"]: check["status"] for check in found["checks"]}
    assert found["worst"] == "fail" and by_name["exact-duplicates"] == "fail"
    assert by_name["unreadable"] == "pass" and by_name["leakage"] == "not run"
    assert [path.name for path in written()] == ["check.json", "contact-sheet.png"]
    assert json.loads(Path("found/check.json").read_text())["checks"] == found["checks"]
    with Image.open("found/contact-sheet.png") as sheet:
        assert min(sheet.size) > 100
    assert "fail: do not audit these data" in outcome.err


def test_check_lists_what_cannot_be_read_and_goes_on(tmp_path: Path, audit: Command) -> None:
    root = make_clinic(tmp_path)
    (root / "train" / "NORMAL" / "page.png").write_text("<html>404")
    outcome = audit("check", root, "--json", "--size", 8)
    assert outcome.code == 3
    unreadable = next(c for c in json.loads(outcome.out)["checks"] if c["name"] == "unreadable")
    assert unreadable["images"] == ["clinic/train/NORMAL/page.png"]
    assert unreadable["details"] == [
        ["holds a web page, not an image (a failed download?); fetch the image again", "1"]
    ]


def test_too_few_left(tmp_path: Path, audit: Command) -> None:
    root = make_clinic(tmp_path)
    (root / "test" / "NORMAL" / "test_a.png").write_bytes(b"")
    outcome = audit("check", root, "--size", 8)
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1] == (
        "audit: clinic: class NORMAL has no test image; add images of NORMAL to the test split (skipped as "
        "unreadable: 1 files, first clinic/test/NORMAL/test_a.png: is an empty file, not a PNG; replace the file or "
        "remove it)"
    )
    assert written() == []


def test_check_of_phantoms_says_synthetic(audit: Command) -> None:
    options = [part for name in ("n_train=80", "n_test=80") for part in ("--set", f"data.{name}")]
    outcome = audit("check", "oct", "--size", 24, "--json", *options)
    found = json.loads(outcome.out)
    assert outcome.code == 0 and found["dataset"]["synthetic"] is True
    assert "(synthetic phantoms)" in outcome.err


def test_a_damaged_zip(tmp_path: Path, audit: Command) -> None:
    (tmp_path / "eyes.zip").write_bytes(b"PK\x03\x04 cut short")
    outcome = audit("check", tmp_path / "eyes.zip")
    assert (outcome.code, outcome.err.splitlines()[-1]) == (
        3,
        "audit: eyes.zip: not a readable ZIP archive (damaged or cut short); pack the folder again",
    )


def test_a_table_that_is_not_there(tmp_path: Path, audit: Command) -> None:
    outcome = audit("check", make_clinic(tmp_path), "--table", "none.csv")
    assert (outcome.code, outcome.err.splitlines()[-1]) == (
        2,
        "audit: data.table: none.csv does not exist; name a .csv file here or in the data folder",
    )


def test_an_unknown_frame_policy(tmp_path: Path, audit: Command) -> None:
    outcome = audit("check", make_clinic(tmp_path), "--set", "data.frames=first")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == (
        "audit: data.frames: unknown frame policy 'first'; use all, middle or every-N (every-4: frames 1, 5, 9, ..)"
    )


# ---- an audit of DICOM files with names in their headers


def make_dicom_clinic(folder: Path) -> Path:
    """Two classes of bright and dark eyes, two frames a file, names in every header."""
    root = folder / "clinic"
    generator = np.random.default_rng(0)
    for number in range(24):
        label = number % 2
        frames = generator.integers(60 + 100 * label, 90 + 100 * label, (2, 16, 20)).astype(np.uint8)
        target = root / ("CNV", "DME")[label]
        target.mkdir(parents=True, exist_ok=True)
        make_dicom(
            target / (f"{number:02d}.dcm" if number % 3 else f"{number:02d}"),
            frames,
            BurnedInAnnotation="NO",
            PatientName=f"{NAME}^Erika",
            PatientID=f"{NUMBER}-{number}",
            PatientBirthDate="19640812",
            AccessionNumber=f"ACC{NUMBER}",
        )
    return root


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_an_audit_of_dicom_files_tells_nobody_s_name(tmp_path: Path, audit: Command, packed: bool) -> None:
    root = make_dicom_clinic(tmp_path)
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()
    }
    data = zipped(root) if packed else root
    options = as_options()
    outcome = audit("run", "oct", "--data", data, "--json", "--out", "run", *options)
    assert outcome.code == 0, outcome.err
    checked = audit("check", data, "--size", 16, "--out", "checks")
    assert checked.code in (0, 3)
    result = json.loads(Path("run/results.json").read_text())
    assert sum(sum(counts) for counts in result["dataset"]["counts"].values()) == 48
    assert sum(n for n in result["dataset"]["groups"].values()) == 24, "frames stay with their patient"
    assert any(
        "24 files of several frames (48 frames in all): all used" in n for n in result["dataset"]["notes"]
    )
    phi = next(check for check in result["checks"] if check["name"] == "identity")
    assert phi["status"] == "warn" and "PatientName" in phi["sentence"] and phi["images"] == []
    told = outcome.out + outcome.err + checked.out + checked.err
    for path in written():
        told += str(path) + path.read_bytes().decode("latin-1")
    for page in PdfReader("run/report.pdf").pages:
        told += page.extract_text()
    for secret in (NAME, NUMBER, "Erika", "19640812"):
        assert secret not in told
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before, "only read"


def test_frames_in_the_middle_alone(tmp_path: Path, audit: Command) -> None:
    outcome = audit(
        "check", make_dicom_clinic(tmp_path), "--size", 8, "--json", "--set", "data.frames=middle"
    )
    dataset = json.loads(outcome.out)["dataset"]
    assert sum(sum(counts) for counts in dataset["counts"].values()) == 24


def test_the_shared_dicom_files_as_classes(shared_data: Path, tmp_path: Path, audit: Command) -> None:
    """Their placeholder names appear nowhere."""
    root = tmp_path / "clinic"
    for number, path in enumerate(sorted((shared_data / "dicom-derived").glob("*.dcm"))):
        target = root / ("OCT" if path.name.startswith("opt") else "SKIN")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / f"{number}.dcm")
    outcome = audit("check", root, "--set", "data.channels=1", "--json", "--size", 32)
    found = json.loads(outcome.out)
    unreadable = next(check for check in found["checks"] if check["name"] == "unreadable")
    assert unreadable["affected"] == 1, "the truncated one"
    told = outcome.out + outcome.err + "".join(p.read_bytes().decode("latin-1") for p in written())
    for path in root.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        for value in (str(header.PatientName), header.PatientID):
            assert value not in told


# ---- what else the commands offer


def test_padded_squares(tmp_path: Path, audit: Command) -> None:
    """20 x 10 white images as 10 x 10: half of the pixels are black bars, and nothing is cut off."""
    root = tmp_path / "clinic"
    for split, name in (("train", "A"), ("train", "B"), ("test", "A"), ("test", "B")):
        write(root / split / name / "x.png", 255, size=(20, 10))
    settings = DataSettings(path=root, image_size=10, square="pad", cache=False)
    image = load_dataset(settings).train.images[0, 0]
    assert (
        abs(image.mean() - 127.5) < 0.2 and image[5].tolist() == [255] * 10 and image[0].tolist() == [0] * 10
    )
    cut = load_dataset(settings.model_copy(update={"square": "crop"})).train.images[0, 0]
    assert cut.min() == 255


def test_download_of_an_unknown_set(audit: Command) -> None:
    outcome = audit("data", "download", "mnist")
    assert (outcome.code, outcome.err) == (
        2,
        "audit: audit data download: unknown data set 'mnist'; choose from oct, derma\n",
    )


def test_doctor(audit: Command) -> None:
    found = json.loads(audit("doctor", "--json").out)
    decoders = {part["name"]: part["available"] for part in found["decoders"]}
    assert len(decoders) >= 10 and all(decoders.values()), "imagecodecs brings them all"
    assert found["environment"]["cores"] >= 1
    shown = audit("doctor").out
    assert "JPEG 2000" in shown and "oct-raw: raw files of OCT devices" in shown
