"""Folders of images: layouts, splits by patient, and every refusal word by word."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from audit.data.dataset import groups_in_several_splits
from audit.data.load import load_dataset
from audit.errors import ConfigError
from audit.settings import DataSettings
from tests.class_folders import make_clinic, read, refused, write

LAYOUT = "expected CLASS/IMAGE or train/CLASS/IMAGE, val/CLASS/IMAGE, test/CLASS/IMAGE"


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    return make_clinic(tmp_path)


# ---- layouts


def test_given_splits_are_kept(clinic: Path) -> None:
    write(clinic / "train" / "NORMAL" / "b.png", 7)
    dataset = read(clinic)
    assert (dataset.name, dataset.source, dataset.licence) == ("clinic", "clinic", "not stated")
    assert dataset.class_names == ("DRUSEN", "NORMAL")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [3, 0, 2]
    assert dataset.train.labels.tolist() == [0, 1, 1]
    assert dataset.train.images[:, 0, 0, 0].tolist() == [100, 7, 100]
    assert dataset.val.images.shape == (0, 1, 8, 8)
    assert dataset.train.groups is None
    assert dataset.notes == (
        "split as given by the folders; 5 of 5 file names hold no patient id: each of these images "
        "counts as its own group, so a leak of patients between splits cannot be excluded",
    )


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("training", "validation", "testing"), ("Train", "valid", "TEST"), ("train", "val", "test")],
)
def test_names_of_split_folders(tmp_path: Path, train: str, val: str, test: str) -> None:
    for count, split in enumerate((train, val, test), start=1):
        for name, number in itertools.product("AB", range(count)):
            write(tmp_path / "set" / split / name / f"{number}.png")
    dataset = read(tmp_path / "set")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [2, 4, 6]


def test_litter_is_ignored(clinic: Path) -> None:
    for litter in (".DS_Store", "Thumbs.db", "train/Thumbs.db", "test/NORMAL/._a.png", "test/NORMAL/.hidden"):
        (clinic / litter).write_bytes(b"litter")
    write(clinic / "__MACOSX" / "train" / "DRUSEN" / "a.png")
    assert len(read(clinic).train) == 2


def test_leak_across_given_splits_is_counted_not_named(tmp_path: Path) -> None:
    root = tmp_path / "clinic"
    for name in ("CNV", "DME"):
        write(root / "train" / name / f"{name}-4711-1.png")
        write(root / "test" / name / f"{name}-4711-2.png")
        write(root / "test" / name / f"{name}-{name}99-1.png")
    dataset = read(root)
    assert groups_in_several_splits(dataset) == 1
    assert dataset.notes == (
        "split as given by the folders; patients read from the file names",
        "leak between the given splits: patients or lesions in both test and train: 1 (2 of 4 test images)",
    )
    assert dataset.test.groups is not None
    assert dataset.test.groups.tolist() == [0, 1, 0, 2]
    assert "4711" not in repr(dataset)


def test_plain_classes_are_split_by_patient_alone(tmp_path: Path) -> None:
    """Patients 0 to 19 with two images each; patient 0 stands under both classes."""
    root = tmp_path / "clinic"
    for patient, number in itertools.product(range(20), range(2)):
        name = ("CNV", "DME")[(patient + (number if patient == 0 else 0)) % 2]
        write(root / name / f"{name}-{patient}-{number}.png", patient)
    dataset = read(root)
    assert groups_in_several_splits(dataset) == 0
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [28, 4, 8]
    where = {name: set(dataset.split(name).images[:, 0, 0, 0].tolist()) for name in ("train", "val", "test")}
    assert not where["train"] & where["test"]  # the grey value is the patient
    assert dataset.notes == (
        "split by patient 70% / 10% / 20% with seed 0; patients read from the file names",
    )
    assert read(root).fingerprint == dataset.fingerprint
    assert read(root, seed=1).fingerprint != dataset.fingerprint


def test_split_does_not_depend_on_listing_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "clinic"
    for name, patient in itertools.product(("CNV", "DME"), range(10)):
        write(root / name / f"{name}-{name}{patient}-1.png", patient)
    first = read(root).fingerprint
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(listed(self))))
    assert read(root).fingerprint == first


def test_dates_are_not_taken_for_patients(tmp_path: Path) -> None:
    root = tmp_path / "clinic"
    for name, day in itertools.product(("CNV", "DME"), range(10, 20)):
        write(root / name / f"2021-03-{day}.png", day)
    dataset = read(root)
    assert dataset.train.groups is None
    assert dataset.notes == (
        "split by image 70% / 10% / 20% with seed 0; 20 of 20 file names hold no patient id: each of these "
        "images counts as its own group, so a leak of patients between splits cannot be excluded",
    )


def test_progress_counts_every_file(clinic: Path) -> None:
    calls: list[tuple[int, int]] = []
    settings = DataSettings(path=clinic, image_size=8)
    dataset = load_dataset(settings, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (4, 4) and calls == sorted(calls)
    assert str(clinic.parent) not in f"{dataset.source} {dataset.name} {dataset.notes}"


# ---- refusals


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path / "nothing")
    assert str(refusal.value) == (
        f"{tmp_path / 'nothing'}: no such folder; give the folder that holds the class or split folders"
    )


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "clinic").mkdir()
    refused(tmp_path / "clinic", f"clinic: no images; {LAYOUT}")


def test_one_class(tmp_path: Path) -> None:
    write(tmp_path / "clinic" / "CNV" / "a.png")
    refused(
        tmp_path / "clinic",
        "clinic: one class only (CNV); an audit compares classes: give at least two",
    )


def test_empty_class_folder(clinic: Path) -> None:
    (clinic / "train" / "CNV").mkdir()
    refused(
        clinic,
        "clinic/train/CNV: no images in this class folder; add images of the class or remove the folder",
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_class_without_images_in_a_split(clinic: Path, split: str) -> None:
    shutil.rmtree(clinic / split / "NORMAL")
    refused(clinic, f"clinic: class NORMAL has no {split} image; add images of NORMAL to the {split} split")


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_split_folder(clinic: Path, split: str) -> None:
    shutil.rmtree(clinic / split)
    refused(clinic, f"clinic: no {split} folder; add {split}/CLASS/IMAGE")


def test_split_folder_twice(clinic: Path) -> None:
    write(clinic / "training" / "NORMAL" / "a.png")
    refused(clinic, "clinic/train: the train split has two folders; keep one")


def test_folder_beside_the_splits(clinic: Path) -> None:
    write(clinic / "extra" / "a.png")
    refused(clinic, "clinic/extra: stands beside the split folders; move it out of the data folder")


def test_one_patient_cannot_stand_on_both_sides(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / "clinic" / "CNV" / f"CNV-1-{number}.png")
        write(tmp_path / "clinic" / "DME" / f"DME-{number + 2}-1.png")
    refused(
        tmp_path / "clinic",
        "clinic: class CNV cannot stand in both train and test (patients or single images: 1); "
        "add patients of CNV or give train and test folders",
    )


@pytest.mark.parametrize("where", ["train/NORMAL", "train", "."])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("notes.txt", "not an image (.txt); move it out of the data folder"),
        ("README", "not an image (no file extension); move it out of the data folder"),
    ],
)
def test_other_files(clinic: Path, where: str, name: str, problem: str) -> None:
    (clinic / where / name).write_bytes(b"something")
    shown = "/".join(part for part in ("clinic", where, name) if part != ".")
    refused(clinic, f"{shown}: {problem}")


@pytest.mark.parametrize("name", ["scan.dcm", "scan.DICOM"])
def test_what_only_says_that_it_is_dicom(clinic: Path, name: str) -> None:
    (clinic / "train" / "NORMAL" / name).write_bytes(b"something")
    refused(
        clinic,
        f"clinic/train/NORMAL/{name}: not a DICOM file (no DICM mark at byte 128); export it again or remove it, "
        "whatever its name says",
    )


@pytest.mark.parametrize("where", ["train", "."])
def test_image_outside_the_class_folders(clinic: Path, where: str) -> None:
    write(clinic / where / "a.png")
    shown = "/".join(part for part in ("clinic", where, "a.png") if part != ".")
    refused(clinic, f"{shown}: an image outside the class folders; {LAYOUT}")


def test_folder_inside_a_class_folder(clinic: Path) -> None:
    write(clinic / "train" / "NORMAL" / "left" / "a.png")
    refused(clinic, f"clinic/train/NORMAL/left: a folder inside a class folder; {LAYOUT}")


# ---- real files


def test_real_oct_samples_are_split_by_patient(shared_data: Path) -> None:
    dataset = read(shared_data / "oct-kermany1000" / "sample_jpeg", 32)
    assert dataset.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert dataset.channels == 1
    assert groups_in_several_splits(dataset) == 0
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [44, 4, 12]
    assert dataset.notes[0].endswith("patients read from the file names")


def test_real_derm_samples_are_colour(shared_data: Path) -> None:
    dataset = read(shared_data / "derm-isic7" / "sample_jpeg", 32)
    assert dataset.channels == 3
    assert len(dataset.class_names) == 7
    assert dataset.train.groups is None
