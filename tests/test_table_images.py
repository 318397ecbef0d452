"""Rows of a label table and the files they mean; the one table of a data folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from audit.data.table import Columns, LabelTable, TableRow, read_table
from audit.data.table_images import MatchedImages, match_images
from audit.data.table_lesions import find_table
from audit.errors import DataError


def table_of(*images: str) -> LabelTable:
    rows = tuple(TableRow(image, "CNV", f"MRN{number}", None) for number, image in enumerate(images))
    return LabelTable(rows, "columns", (), ())


def match(images: list[str], files: list[str]) -> MatchedImages:
    return match_images(
        table_of(*images), {path: Path("/data") / path for path in files}, "clinic/labels.csv"
    )


def refused(images: list[str], files: list[str], message: str) -> None:
    with pytest.raises(DataError) as refusal:
        match(images, files)
    assert str(refusal.value) == f"clinic/labels.csv: {message}"


# ---- which file a row means


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("CNV/1.png", "CNV/1.png"),  # its path
        ("./CNV/1.png", "CNV/1.png"),
        ("CNV\\1.png", "CNV/1.png"),
        ("CNV/1", "CNV/1.png"),
        ("DME/1.png", "new/DME/1.png"),  # the end of its path
        ("1.jpg", "x/1.jpg"),  # its name
        ("ISIC_7", "part/ISIC_7.jpg"),  # its name without suffix
        ("ISIC_7.png", "part/ISIC_7.jpg"),
        ("1.2.840", "1.2.840"),  # a DICOM file named by its UID
        ("1.2.840", "1.2.840.dcm"),
        ("isic_7.JPG", "part/ISIC_7.jpg"),  # capitals
        ("cnv/1.PNG", "CNV/1.png"),
        ("ISIC_8.JPG", "part/isic_8.png"),
        ("Ärztin.png", unicodedata.normalize("NFD", "Ärztin.png")),  # as a Mac writes it
    ],
)
def test_row_finds_its_file(image: str, file: str) -> None:
    others = ["x/DME/2.png", "other.png", "1.2.841", "part/ISIC_77.jpg"]
    found = match([image], [*others, file])
    assert found.images == ((table_of(image).rows[0], Path("/data") / file, file),)
    assert found.notes == ("4 of 5 image files have no row in the table and were left out",)


@pytest.mark.parametrize(
    ("image", "files", "file"),
    [
        ("1.png", ["1.png", "old/1.png"], "1.png"),  # the whole path before the name
        ("CNV/1.png", ["CNV/1.png", "old/CNV/1.png"], "CNV/1.png"),
        ("CNV/1.png", ["a/CNV/1.png", "a/DME/1.png"], "a/CNV/1.png"),  # the end before the name
        ("CNV/1", ["CNV/1.png", "DME/1.png"], "CNV/1.png"),
        ("a.png", ["x/a.png", "x/a.jpg"], "x/a.png"),  # the name before the name without suffix
        ("a", ["x/a.png", "A.png"], "x/a.png"),  # capitals as written before others
        ("Test/a.png", ["test/a.png", "train/a.png"], "test/a.png"),  # other capitals before other folders
        ("Test/a.png", ["test/A.png", "train/a.png"], "test/A.png"),
    ],
)
def test_stricter_ways_come_first(image: str, files: list[str], file: str) -> None:
    assert [path for _, _, path in match([image], files).images] == [file]


def test_all_rows_and_files_match_in_the_order_of_the_table() -> None:
    found = match(["b", "a"], ["a.png", "b.png"])
    assert [path for _, _, path in found.images] == ["b.png", "a.png"]
    assert found.notes == ()
    assert "MRN" not in repr(found)


def test_other_folders_than_in_the_table_are_counted() -> None:
    found = match(["C:\\scans\\a.png", "b.png", "new/c.png"], ["a.png", "x/b.png", "new/c.png"])
    assert found.notes == ("1 of 3 images were found by name: their folders are not those of the table",)


# ---- refusals


@pytest.mark.parametrize(
    ("image", "files", "first", "second"),
    [
        ("a.png", ["y/a.png", "x/a.png"], "x/a.png", "y/a.png"),
        ("a", ["x/a.png", "x/a.jpg"], "x/a.jpg", "x/a.png"),
        ("z/a.png", ["x/a.png", "y/a.png"], "x/a.png", "y/a.png"),
        ("A.png", ["x/a.png", "y/a.png"], "x/a.png", "y/a.png"),
    ],
)
def test_two_files_for_one_row(image: str, files: list[str], first: str, second: str) -> None:
    refused(
        [image],
        files,
        f"image {image} may be {first} or {second}; give its path in the table or take one file away",
    )


def test_two_rows_for_one_file() -> None:
    refused(
        ["CNV/1.png", "DME/1.png"],
        ["CNV/1.png"],
        "CNV/1.png and DME/1.png both mean the file CNV/1.png; keep one row, or give paths in the table",
    )


@pytest.mark.parametrize(
    ("images", "files", "message"),
    [
        (["a", "b"], ["a.png"], "1 of 2 rows have no image file (b)"),
        (["a", "b", "c", "d"], [], "4 of 4 rows have no image file (a, b, c, ...)"),
        (["1.2.840"], ["1.2.841"], "1 of 1 rows have no image file (1.2.840)"),
        (["..", "/"], ["a.png"], "2 of 2 rows have no image file (.., /)"),
        (["x" * 70], ["a.png"], f"1 of 1 rows have no image file ({'x' * 60}…)"),
    ],
)
def test_rows_without_a_file(images: list[str], files: list[str], message: str) -> None:
    refused(images, files, f"{message}; add the images or remove the rows")


# ---- the one table of a folder


def entries(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_text("image,label\n")
    return list(folder.iterdir())


def test_the_one_table(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert find_table(entries(tmp_path, "a.png", "README.txt", "._labels.csv"), "clinic") is None
    assert find_table(entries(tmp_path, "labels.TSV"), "clinic") == tmp_path / "labels.TSV"


@pytest.mark.parametrize(
    "beside", ["ISIC_2019_Training_Metadata.csv", "isic_2019_training_lesiongroupings.csv"]
)
def test_ground_truth_before_its_metadata(tmp_path: Path, beside: str) -> None:
    found = find_table(entries(tmp_path, beside, "ISIC_2019_Training_GroundTruth.csv"), "clinic")
    assert found == tmp_path / "ISIC_2019_Training_GroundTruth.csv"


def test_metadata_alone_are_the_table(tmp_path: Path) -> None:
    assert (
        find_table(entries(tmp_path, "HAM10000_metadata.csv"), "clinic") == tmp_path / "HAM10000_metadata.csv"
    )


def test_several_tables(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    folder.mkdir()
    names = ("b.csv", "a.tsv", "X_GroundTruth.csv", "X_Metadata.csv")
    with pytest.raises(DataError) as refusal:
        find_table(entries(folder, *names), folder.name)
    assert str(refusal.value) == (
        "clinic: several tables (X_GroundTruth.csv, a.tsv, b.csv); say which holds the labels with --table"
    )


# ---- real files


@pytest.mark.parametrize(
    ("name", "columns", "count"),
    [
        ("derm-isic7", Columns(image="file", label="class"), 56),
        ("derm-isic7", Columns(image="isic_id", label="class"), 47),  # 9 file names end in _downsampled
        ("oct-kermany1000", Columns(label="class"), 60),
    ],
)
def test_real_samples_are_found_by_name(shared_data: Path, name: str, columns: Columns, count: int) -> None:
    """The folder of a sample is its class, so that the label found can be held against it."""
    folder = shared_data / name / "sample_jpeg"
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.jp*g"))}
    table = read_table(shared_data / name / "index.csv", f"{name}/index.csv", columns)
    names = {path.stem for path in files.values()} | {path.name for path in files.values()}
    present = LabelTable(tuple(row for row in table.rows if row.image in names), table.layout, (), ())
    found = match_images(present, files, f"{name}/index.csv")
    assert len(found.images) == count
    assert all(row.label.replace(" ", "_") == path.split("/")[0] for row, _, path in found.images)
    with pytest.raises(
        DataError, match=rf"^{name}/index.csv: {len(table.rows) - count} of {len(table.rows)} rows"
    ):
        match_images(table, files, f"{name}/index.csv")
