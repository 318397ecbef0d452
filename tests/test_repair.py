"""`audit repair`: marked pixels filled from around them, all else as it was, and never in place."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from audit.data.dataset import Images
from audit.data.repaired import repair_summary
from audit.errors import ConfigError, DataError
from audit.repair import Observed, RepairRecord, repair_data
from audit.scan.marks import fill
from audit.scan.places import Fit
from audit.settings import DataSettings
from tests.dicom_files import make_dicom
from tests.planted import balanced_labels, textured

PLACES = {0: (5, 21), 1: (25, 7)}  # white pixels, one for each class
SIZE, COUNT = 32, 80


def marked_images(channels: int = 1, seed: int = 0) -> tuple[Images, Images, np.ndarray]:
    """(clean, marked, labels): every image of a class carries that class's white pixel."""
    labels = balanced_labels(COUNT, 2)
    clean = textured(COUNT, SIZE, channels, seed)
    marked = clean.copy()
    for label, (row, col) in PLACES.items():
        marked[labels == label, :, row, col] = 255
    return clean, marked, labels


def write_marked_npz(folder: Path) -> Path:
    """A .npz file whose training images are marked and whose test images are not."""
    _, marked, labels = marked_images()
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "ward.npz",
        train_images=marked[:, 0],
        train_labels=labels,
        test_images=textured(COUNT, SIZE, seed=1)[:, 0],
        test_labels=labels,
        class_names=np.array(["DRUSEN", "NORMAL"]),
    )
    return folder / "ward.npz"


def write_marked_folder(root: Path, suffix: str, channels: int = 1) -> Path:
    """train/ (marked) and test/ (clean) of two classes, one picture in a subfolder."""
    _, marked, labels = marked_images(channels)
    for split, images in (("train", marked), ("test", textured(COUNT, SIZE, channels, seed=1))):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = root / split / ("DRUSEN", "NORMAL")[label] / f"{split}_{i}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(path, quality=100)
    return root


def repair(source: Path, out: Path, as_stored: bool = True, **changes: object) -> RepairRecord | None:
    settings = DataSettings.model_validate({"path": source, "cache": False, **changes})
    return repair_data(settings, as_stored, out, "audit repair", Observed())


def digests(root: Path) -> dict[str, str]:
    """Of all files below a folder, or of a file."""
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root.parent)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "changes.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def mean_around(image: np.ndarray, row: int, col: int) -> np.ndarray:
    """By hand: the mean of the eight neighbours, rounded; the halves to even."""
    around = image[row - 1 : row + 2, col - 1 : col + 2].astype(float)
    return np.rint((around.sum((0, 1)) - image[row, col]) / 8)


def assert_repaired(after: np.ndarray, before: np.ndarray, label: int) -> None:
    """One picture (H, W) or (H, W, C): its marked pixel is the mean of its neighbours, the others are as they were."""
    row, col = PLACES[label]
    assert np.array_equal(after[row, col], mean_around(before, row, col))
    changed = before.copy()
    changed[row, col] = after[row, col]
    assert np.array_equal(after, changed)


# ---- copies


def test_arrays_are_repaired_where_they_are_marked_and_nowhere_else(tmp_path: Path) -> None:
    source = write_marked_npz(tmp_path)
    before = digests(source)
    record = repair(source, tmp_path / "out")
    assert digests(source) == before
    assert record is not None
    assert (record.before.status, record.after.status) == ("fail", "pass")
    assert (record.images, record.pixels) == (COUNT, COUNT)
    with np.load(source) as old, np.load(tmp_path / "out" / "ward.npz") as new:
        assert sorted(new.files) == sorted(old.files)
        assert np.array_equal(new["test_images"], old["test_images"])
        assert new["class_names"].tolist() == ["DRUSEN", "NORMAL"]
        for label, was, now in zip(
            old["train_labels"], old["train_images"], new["train_images"], strict=True
        ):
            assert_repaired(now, was, label)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_without_a_mark_are_copied_byte_for_byte(tmp_path: Path, channels: int) -> None:
    source = write_marked_folder(tmp_path / "ward", ".png", channels)
    before = digests(source)
    record = repair(source, tmp_path / "out")
    assert record is not None
    assert record.data == "ward"
    assert digests(source) == before
    after = digests(tmp_path / "out" / "ward")
    assert after.keys() == before.keys()
    same = {name for name in before if before[name] == after[name]}
    assert same == {name for name in before if "/test/" in name}
    for name in before.keys() - same:
        was, now = (np.asarray(Image.open(root / name)) for root in (tmp_path, tmp_path / "out"))
        assert_repaired(now, was, int("NORMAL" in name))


def test_every_change_is_listed_with_its_place_and_reason(tmp_path: Path) -> None:
    repair(write_marked_folder(tmp_path / "ward", ".png"), tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert len(rows) == COUNT
    assert rows[0] == {
        "image": "ward/train/DRUSEN/train_0.png",
        "file": "ward/train/DRUSEN/train_0.png",
        "top": "5",
        "left": "21",
        "height": "1",
        "width": "1",
        "reason": "pixel of DRUSEN at row 5, column 21 (100 % of its images, other classes at most 0 %)",
    }


def test_jpeg_files_become_png_so_that_their_other_pixels_stay(tmp_path: Path) -> None:
    source = write_marked_folder(tmp_path / "ward", ".jpg")
    assert repair(source, tmp_path / "out") is not None
    copy = tmp_path / "out" / "ward" / "train" / "DRUSEN"
    assert {path.suffix for path in copy.iterdir()} == {".png"}
    was = np.asarray(Image.open(source / "train" / "DRUSEN" / "train_0.jpg"))
    now = np.asarray(Image.open(copy / "train_0.png"))
    box = np.argwhere(was != now)
    assert len(box) > 0
    # JPEG spreads a pixel over its block of 8 x 8; what was flagged lies around it.
    assert np.abs(box - PLACES[0]).max() <= 8
    assert rows_of(tmp_path / "out")[0]["file"] == "ward/train/DRUSEN/train_0.png"


def test_a_label_table_still_names_the_files_of_the_copy(tmp_path: Path) -> None:
    _, marked, labels = marked_images(3)
    root = tmp_path / "ward"
    (root / "images").mkdir(parents=True)
    lines = ["image,diagnosis"]
    for i, (image, label) in enumerate(zip(marked, labels, strict=True)):
        Image.fromarray(image.transpose(1, 2, 0)).save(root / "images" / f"a{i}.jpg", quality=98)
        lines.append(f"a{i}.jpg,{('mel', 'nv')[label]}")
    (root / "labels.csv").write_text("\n".join(lines))
    record = repair(root, tmp_path / "out")
    assert record is not None
    assert record.after.images == record.before.images
    assert (tmp_path / "out" / "ward" / "labels.csv").read_text() == "\n".join(lines)


def test_a_zip_is_repaired_as_the_folder_in_it(tmp_path: Path) -> None:
    write_marked_folder(tmp_path / "ward", ".png")
    shutil.make_archive(str(tmp_path / "ward"), "zip", tmp_path, "ward")
    record = repair(tmp_path / "ward.zip", tmp_path / "out")
    assert record is not None
    assert record.data == "ward"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["changes.csv", "repair.json", "ward"]
    copies = sorted((tmp_path / "out" / "ward").rglob("*.png"))
    assert len(copies) == 2 * COUNT


def test_dicom_copies_say_that_they_are_derived(tmp_path: Path) -> None:
    _, marked, labels = marked_images()
    root = tmp_path / "ward"
    for i, (image, label) in enumerate(zip(marked, labels, strict=True)):
        path = root / ("DRUSEN", "NORMAL")[label] / f"{i}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        tags = {"PatientID": f"P{i}", "WindowCenter": 128, "WindowWidth": 256}
        make_dicom(path, image[0], ImageType=["ORIGINAL", "PRIMARY"], **tags)
    record = repair(root, tmp_path / "out")
    assert record is not None
    assert record.after.status == "pass"
    for name in (f"{('DRUSEN', 'NORMAL')[label]}/{i}.dcm" for i, label in enumerate(labels)):
        was, now = pydicom.dcmread(root / name), pydicom.dcmread(tmp_path / "out" / "ward" / name)
        assert_repaired(now.pixel_array, was.pixel_array, int(name.startswith("NORMAL")))
        assert list(now.ImageType) == ["DERIVED", "PRIMARY"]
        assert now.SOPInstanceUID != was.SOPInstanceUID
        assert now.file_meta.MediaStorageSOPInstanceUID == now.SOPInstanceUID
        assert (now.WindowCenter, now.PatientID) == (128, was.PatientID)


def test_frames_of_a_dicom_file_are_repaired_one_by_one(tmp_path: Path) -> None:
    _, marked, labels = marked_images()
    root = tmp_path / "ward"
    for label, name in enumerate(("DRUSEN", "NORMAL")):
        (root / name).mkdir(parents=True)
        for volume, half in enumerate(np.split(marked[labels == label][:, 0], 20)):
            make_dicom(root / name / f"{volume}.dcm", half, PatientID=f"{name}{volume}")
    record = repair(root, tmp_path / "out")
    assert record is not None
    was = pydicom.dcmread(root / "NORMAL" / "0.dcm").pixel_array
    now = pydicom.dcmread(tmp_path / "out" / "ward" / "NORMAL" / "0.dcm").pixel_array
    assert now.shape == was.shape == (2, SIZE, SIZE)
    for frame in range(2):
        assert_repaired(now[frame], was[frame], 1)
    assert "ward/NORMAL/0.dcm, frame 2" in {row["image"] for row in rows_of(tmp_path / "out")}


def test_without_edits_nothing_is_written(tmp_path: Path) -> None:
    labels = balanced_labels(COUNT, 2)
    np.savez(
        tmp_path / "ward.npz",
        train_images=textured(COUNT)[:, 0], train_labels=labels,
        test_images=textured(COUNT, seed=1)[:, 0], test_labels=labels,
    )  # fmt: skip
    assert repair(tmp_path / "ward.npz", tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


# ---- refusals


def test_phantoms_have_no_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        repair_data(DataSettings(), True, tmp_path / "out", "audit repair", Observed())
    assert str(refusal.value) == "data: phantoms have no files to repair; name a folder, a ZIP or a .npz file"


def test_a_folder_in_use_is_not_written_to(tmp_path: Path) -> None:
    source = write_marked_npz(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError) as refusal:
        repair(source, tmp_path / "out")
    assert str(refusal.value) == "--out: out is not an empty folder; name a new one"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_never_into_the_data(tmp_path: Path) -> None:
    source = write_marked_folder(tmp_path / "ward", ".png")
    with pytest.raises(ConfigError) as refusal:
        repair(source, source / "copy")
    assert str(refusal.value) == "--out: copy lies inside the data; name a folder outside of them"
    assert not (source / "copy").exists()


def test_enlarged_images_are_not_repaired(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refusal:
        repair(write_marked_npz(tmp_path), tmp_path / "out", as_stored=False, image_size=64)
    assert str(refusal.value).startswith(
        f"{tmp_path / 'ward.npz'}: not scanned: images smaller than 64 pixels were enlarged"
    ) or str(refusal.value).startswith("ward.npz: not scanned: images smaller than 64 pixels were enlarged")
    assert not (tmp_path / "out").exists()


def test_half_a_copy_is_taken_away(tmp_path: Path) -> None:
    source = write_marked_folder(tmp_path / "ward", ".jpg")
    first = source / "train" / "DRUSEN" / "train_0.jpg"
    shutil.copy(
        source / "test" / "DRUSEN" / "test_0.jpg", first.with_suffix(".png")
    )  # in the way of the copy
    with pytest.raises(DataError) as refusal:
        repair(source, tmp_path / "out")
    assert str(refusal.value) == (
        "ward/train/DRUSEN/train_0.jpg: train_0.png is there already; rename one of the two images"
    )
    assert not (tmp_path / "out").exists()


# ---- the way back to the file, and what is filled in


@pytest.mark.parametrize(
    ("height", "width", "square", "pixel", "box"),
    [
        (32, 32, "crop", (5, 7), (5, 7, 6, 8)),
        (64, 64, "crop", (5, 7), (10, 14, 12, 16)),
        (32, 64, "crop", (0, 0), (0, 16, 1, 17)),  # the middle 32 columns are 16 .. 47
        (64, 32, "crop", (3, 31), (19, 31, 20, 32)),
        (32, 64, "pad", (8, 0), (0, 0, 2, 2)),  # 16 rows were added above; one pixel is two of the file
        (32, 64, "pad", (0, 0), (0, 0, 0, 2)),  # in the bar: no pixel of the file
        (48, 48, "crop", (1, 1), (1, 1, 3, 3)),  # 1.5 .. 3 of the file: all pixels that it touches
    ],
)
def test_a_pixel_of_the_scan_in_the_file(
    height: int, width: int, square: str, pixel: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    top, left, bottom, right = Fit(height, width, 32, square).box(*pixel)  # type: ignore[arg-type]
    assert (max(bottom - top, 0), right - left) == (max(box[2] - box[0], 0), box[3] - box[1])
    if bottom > top:
        assert (top, left, bottom, right) == box


def test_holes_are_filled_from_their_rim() -> None:
    images = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    holes = np.zeros((1, 4, 4), dtype=bool)
    holes[0, 0, 0] = holes[0, 2, 2] = True
    fill(images, holes)
    assert images[0, 0, 0, 0] == round((1 + 4 + 5) / 3)
    assert images[0, 0, 2, 2] == (5 + 6 + 7 + 9 + 11 + 13 + 14 + 15) / 8
    whole = np.full((1, 1, 2, 2), 7, np.uint8)
    fill(whole, np.ones((1, 2, 2), dtype=bool))  # nothing to fill from
    assert (whole == 7).all()


# ---- audits of a copy


def test_an_audit_of_the_copy_knows_that_it_is_one(tmp_path: Path) -> None:
    record = repair(write_marked_npz(tmp_path), tmp_path / "out")
    assert record is not None
    summary = repair_summary(tmp_path / "out" / "ward.npz")
    assert summary is not None
    assert (summary.images, summary.pixels) == (COUNT, COUNT)
    assert [finding.kind for finding in summary.findings] == ["pixel", "pixel"]
    assert summary.note.startswith(
        "repaired copy: in 80 of 160 images 80 marked pixels were filled from their"
    )
    assert repair_summary(tmp_path / "ward.npz") is None


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    repair(write_marked_npz(tmp_path), tmp_path / "out")
    file = tmp_path / "out" / "repair.json"
    whole = json.loads(file.read_text())
    file.write_text(json.dumps({**whole, "before": {}}))
    assert repair_summary(tmp_path / "out" / "ward.npz") is None
    file.write_text("{")
    assert repair_summary(tmp_path / "out" / "ward.npz") is None
