"""Label tables: layouts that people have, and every refusal word by word."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.data.assembly import Intake, assemble
from audit.data.dataset import ImageDataset
from audit.data.table import Columns, LabelTable, read_table
from audit.data.table_listing import find_table, list_table
from audit.errors import DataError
from tests.class_folders import write

HAM = "lesion_id,image_id,dx,dx_type\nHAM_1,ISIC_1,nv,histo\nHAM_1,ISIC_2,nv,histo\nHAM_2,ISIC_3,mel,histo\n"
ONE_HOT = "image,MEL,NV,BCC\nISIC_1,0.0,1.0,0.0\nISIC_2,1.0,0.0,0.0\n"


def table(folder: Path, text: str | bytes, columns: Columns | None = None) -> LabelTable:
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, "eyes/labels.csv", columns or Columns())


def refused(folder: Path, text: str | bytes, columns: Columns | None = None) -> str:
    with pytest.raises(DataError) as problem:
        table(folder, text, columns)
    assert "\n" not in str(problem.value) and "HAM_" not in str(problem.value)
    return str(problem.value)


def rows(found: LabelTable) -> list[tuple[str, str, str | None, str | None]]:
    return [(row.image, row.label, row.group, row.split) for row in found.rows]


# ---- layouts


def test_ham10000(tmp_path: Path) -> None:
    found = table(tmp_path, HAM)
    assert rows(found) == [
        ("ISIC_1", "nv", "HAM_1", None),
        ("ISIC_2", "nv", "HAM_1", None),
        ("ISIC_3", "mel", "HAM_2", None),
    ]
    assert found.notes == (
        "classes from column dx of the label table",
        "patients or lesions from column lesion_id of the label table",
    )
    assert "HAM_1" not in repr(found)


def test_isic_one_hot(tmp_path: Path) -> None:
    found = table(tmp_path, ONE_HOT)
    assert rows(found) == [("ISIC_1", "NV", None, None), ("ISIC_2", "MEL", None, None)]
    assert found.notes == ("classes from 3 one-hot columns of the label table",)


def test_own_columns(tmp_path: Path) -> None:
    text = "scan;befund;auge;fold\n a.png ; CNV ;p1;training\nb.png;DME;p2;TEST\n"
    found = table(tmp_path, text, Columns("scan", "Befund", "auge", "fold"))
    assert rows(found) == [("a.png", "CNV", "p1", "train"), ("b.png", "DME", "p2", "test")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators(tmp_path: Path, encoding: str, separator: str) -> None:
    text = f'image{separator}label\r\n\r\n"a,b.png"{separator}naïve\r\nc.png{separator}網膜{separator}\r\n'
    assert rows(table(tmp_path, text.encode(encoding))) == [
        ("a,b.png", "naïve", None, None),
        ("c.png", "網膜", None, None),
    ]


def test_windows_code_page_is_said(tmp_path: Path) -> None:
    found = table(tmp_path, "image,label\na,Ulkus\nb,gutartig für\n".encode("cp1252"))
    assert found.rows[1].label == "gutartig für"
    assert found.notes[0] == "the label table is not UTF-8 and was read as Windows code page 1252"


def test_a_patient_is_coarser_than_a_lesion(tmp_path: Path) -> None:
    found = table(tmp_path, "image,label,lesion_id,patient_id\na,x,l1,p1\nb,y,l2,\n")
    assert [row.group for row in found.rows] == ["p1", None]
    assert found.notes[-1] == "1 of 2 rows of the label table name no patient or lesion"


def test_repeated_rows_count_once(tmp_path: Path) -> None:
    found = table(tmp_path, "image,label\na,x\na,x\nb,y\n")
    assert len(found.rows) == 2
    assert found.notes[-1] == "1 rows of the label table say again what another says"


# ---- refusals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; list one image per row under a header"),
        ("image,label\n", "no rows under the header; list one image per row"),
        (b"PK\x03\x04", "a spreadsheet or archive, not CSV; save it as CSV (UTF-8)"),
        ("a\0b", "NUL bytes, so no text; save the table as CSV (UTF-8)"),
        ("image,Label,label\na,x,y\n", "two columns are called 'Label'; give every column its own name"),
        ("image,label\na,x,y\n", "line 2 has 3 fields, the header 2; mend the line"),
        ("image,label\na\n", "line 2 has 1 fields, the header 2; mend the line"),
        ("image,label\na,\n", "line 2 has no class in column label; fill it in or remove the row"),
        ("image,label\n,x\n", "line 2 names no image; fill it in or remove the row"),
        ("image,label\na,x\nb,y\na,z\n", "lines 2 and 4 name the same image and differ; keep one of them"),
        (
            "number,label\n1,x\n",
            "no column of image names among number, label; name it with --set data.columns.image=NAME",
        ),
        (
            "image,findings\na,x\n",
            "no column of classes among image, findings; name it with --label-column NAME",
        ),
        ("image,MEL,NV\na,1,1\nb,0,1\n", "line 2 marks 2 classes with 1; exactly one of MEL, NV must be"),
        ("image,label,split\na,x,left\n", "line 2 names the split 'left'; use train, val or test"),
        (
            "image,label\n" + "".join(f"{n},{n}\n" for n in range(11)),
            "11 classes in 11 rows; name the column of the class with --label-column",
        ),
        ('image,label\na,"x\n', "line 2 is no valid CSV (unexpected end of data); save the table again"),
    ],
)
def test_refusals(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refused(tmp_path, text) == f"eyes/labels.csv: {message}"


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path, HAM, Columns(label="diagnose")) == (
        "eyes/labels.csv: no label column 'diagnose' (--label-column); the columns are lesion_id, image_id, dx, dx_type"
    )
    assert refused(tmp_path, HAM, Columns(group="patient")) == (
        "eyes/labels.csv: no group column 'patient' (--group-column); the columns are lesion_id, image_id, dx, dx_type"
    )


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12).map(str.strip)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8))
@settings(deadline=None)
def test_what_a_writer_wrote_reads_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["image", "label", "patient_id"])
    wanted = []
    for number, (label, group) in enumerate(cells):
        writer.writerow([f"image {number}", label or "none", group])
        wanted.append((f"image {number}", label or "none", group or None, None))
    folder = tmp_path_factory.mktemp("table")
    assert rows(table(folder, stream.getvalue())) == wanted


def read_anything(folder: Path, content: bytes) -> str:
    """Read bytes as a table: "accepted", or "refused" by a DataError."""
    try:
        table(folder, content)
    except DataError as refusal:
        assert str(refusal).startswith("eyes/labels.csv: ")
        return "refused"
    return "accepted"


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_arbitrary_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("table")
    assert read_anything(folder, content) in ("accepted", "refused")
    assert read_anything(folder, b"image,label\n" + content) in ("accepted", "refused")


# ---- with images


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """HAM10000's layout: two folders of images, one table."""
    root = tmp_path / "ham"
    for number in range(1, 9):
        write(root / f"part_{number % 2}" / f"ISIC_{number}.jpg", 20 * number)
    lines = [f"HAM_{(n + 1) // 2},ISIC_{n},{'nv' if n < 5 else 'mel'}\n" for n in range(1, 9)]
    (root / "HAM10000.csv").write_text("lesion_id,image_id,dx\n" + "".join(lines))
    return root


def read(root: Path, columns: Columns | None = None) -> ImageDataset:
    found = find_table(sorted(root.iterdir()))
    assert found is not None
    return assemble(list_table(root, root.name, found, columns or Columns()), Intake(image_size=8))


def images_refused(root: Path) -> str:
    with pytest.raises(DataError) as problem:
        read(root)
    return str(problem.value)


def test_images_and_table_become_a_data_set(clinic: Path) -> None:
    dataset = read(clinic)
    assert dataset.class_names == ("mel", "nv")
    assert sum(len(dataset.split(s)) for s in ("train", "val", "test")) == 8
    groups = [set(g.tolist()) for s in ("train", "test") if (g := dataset.split(s).groups) is not None]
    assert not groups[0] & groups[1], "lesions stay together"
    for split in ("train", "val", "test"):
        part = dataset.split(split)
        assert [int(value) > 90 for value in part.images[:, 0, 0, 0]] == [label == 0 for label in part.labels]
    assert "HAM_1" not in repr(dataset) + str(dataset.notes)
    assert dataset.notes[-1].endswith("with seed 0; patients read from the label table")


def test_splits_of_the_table_are_kept(clinic: Path) -> None:
    lines = ["image,label,split"]
    for n in range(1, 9):
        lines.append(f"part_{n % 2}/ISIC_{n}.jpg,{'ab'[n % 2]},{'train' if n < 7 else 'test'}")
    (clinic / "HAM10000.csv").write_text("\n".join(lines))
    dataset = read(clinic)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (6, 0, 2)
    assert dataset.notes[1].startswith("split as given by the label table; 8 of 8 images hold no patient id")


def test_lesions_from_the_metadata_beside(clinic: Path) -> None:
    hot = "".join(f"ISIC_{n},{float(n < 5)},{float(n >= 5)}\n" for n in range(1, 9))
    (clinic / "HAM10000.csv").rename(clinic / "ISIC_Metadata.csv")
    (clinic / "ISIC_GroundTruth.csv").write_text("image,NV,MEL\n" + hot)
    dataset = read(clinic)
    assert dataset.train.groups is not None
    assert "patients or lesions of 8 of 8 images from ISIC_Metadata.csv" in dataset.notes


def test_images_that_no_row_names_are_counted(clinic: Path) -> None:
    write(clinic / "part_1" / "other.jpg")
    assert "1 images that no row of the label table names were left out" in read(clinic).notes


def test_rows_without_an_image(clinic: Path) -> None:
    (clinic / "part_1" / "ISIC_3.jpg").unlink()
    assert images_refused(clinic) == (
        "ham/HAM10000.csv: 1 of 8 rows name images that are not in ham (line 4); add the images or remove the rows"
    )


def test_two_images_of_one_name(clinic: Path) -> None:
    write(clinic / "part_0" / "ISIC_1.jpg")
    assert images_refused(clinic) == (
        "ham/HAM10000.csv: line 2: ham/part_0/ISIC_1.jpg and ham/part_1/ISIC_1.jpg have the name in the table; give "
        "the path from the data folder on"
    )


def test_two_rows_of_one_image(clinic: Path) -> None:
    with (clinic / "HAM10000.csv").open("a") as stream:
        stream.write("HAM_1,isic_1.JPG,nv\n")
    assert images_refused(clinic) == (
        "ham/HAM10000.csv: lines 2 and 10 name the same file ham/part_1/ISIC_1.jpg; keep one of them"
    )


def test_splits_for_some_rows_only(clinic: Path) -> None:
    text = "".join(f"ISIC_{n},{'ab'[n % 2]},{'train' if n < 7 else ''}\n" for n in range(1, 9))
    (clinic / "HAM10000.csv").write_text("image,label,split\n" + text)
    assert images_refused(clinic) == (
        "ham/HAM10000.csv: 2 rows name no split; give one to all rows or to none"
    )


def test_two_tables(clinic: Path) -> None:
    (clinic / "other.csv").write_text(HAM)
    with pytest.raises(DataError) as problem:
        read(clinic)
    assert str(problem.value) == (
        "HAM10000.csv, other.csv: 2 tables in the data folder; name the one of the labels with --table"
    )


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "labels.csv").write_text(HAM)
    assert images_refused(tmp_path / "set") == (
        "set: no images beside labels.csv; put the table into the folder of the images"
    )


def test_the_real_tables(shared_data: Path) -> None:
    derm = read_table(
        shared_data / "derm-isic7" / "index.csv", "index.csv", Columns(image="file", label="class")
    )
    assert len(derm.rows) == 700 and len({row.label for row in derm.rows}) == 7
    assert {row.split for row in derm.rows} == {"train", "val", "test"}
    header = (shared_data / "oct-kermany1000" / "index.csv").read_text().splitlines()[0]
    assert "patient" in header, header
