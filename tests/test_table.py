"""Label tables: layouts, files as people have them, notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.data.table import Columns, TableRow, read_table, split_of
from audit.errors import DataError
from tests.label_tables import HAM, ISIC_2019, NO_COLUMN, NO_GROUP, PLAIN, found, read, save

# ---- layouts


def test_ham10000(tmp_path: Path) -> None:
    table = read(tmp_path, HAM)
    assert table.layout == "HAM10000"
    assert table.rows == (
        TableRow("ISIC_0027419", "bkl", "HAM_0000118", None),
        TableRow("ISIC_0025030", "bkl", "HAM_0000118", None),
        TableRow("ISIC_0026769", "nv", "HAM_0002730", None),
    )
    assert table.notes == ("labels from column dx, lesions from column lesion_id (HAM10000's layout)",)
    assert table.skipped == ()


def test_ham10000_as_pandas_writes_it_with_rows_repeated(tmp_path: Path) -> None:
    """Copies are about where rare classes were multiplied by repeating their rows."""
    lines = HAM.splitlines()
    copied = [lines[0], lines[1], lines[2], lines[3], lines[3], lines[3]]
    text = "\n".join(f"{number - 1 if number else ''},{line}" for number, line in enumerate(copied))
    table = read(tmp_path, text)
    assert table.rows == read(tmp_path, HAM).rows
    assert [where for where, _ in table.skipped] == ["line 5", "line 6"]


def test_isic_archive_groups_by_patient_and_by_lesion_without_one(tmp_path: Path) -> None:
    """Row 2 has no patient, but row 1 says whose lesion L1 is; L2 stands alone; row 4 has neither."""
    text = (
        "isic_id,diagnosis_1,diagnosis_2,lesion_id,patient_id\n"
        "ISIC_1,Benign,Nevus,L1,P1\nISIC_2,Benign,Nevus,L1,\nISIC_3,Malignant,,L2,\nISIC_4,Benign,,,\n"
    )
    table = read(tmp_path, text)
    assert table.layout == "ISIC archive"
    assert found(table) == [
        ("ISIC_1", "Benign", "P1", None),
        ("ISIC_2", "Benign", "P1", None),
        ("ISIC_3", "Malignant", "lesion L2", None),
        ("ISIC_4", "Benign", None, None),
    ]
    assert table.notes == (
        "labels from column diagnosis_1, patients from column patient_id (the ISIC archive's layout)",
        "grouped by patient_id, the coarser one, not by lesion_id",
        "other levels of diagnosis in the table: diagnosis_2 (take one with --label-column)",
        "2 of 4 images without a patient id are grouped by column lesion_id",
        f"1 of 4 images have no patient id: each of these images {NO_GROUP}",
    )


def test_isic_archive_prefers_diagnosis(tmp_path: Path) -> None:
    text = "isic_id,diagnosis_1,diagnosis\nA,Benign,nevus\nB,Benign,nevus\nC,Malignant,melanoma\n"
    table = read(tmp_path, text)
    assert [row.label for row in table.rows] == ["nevus", "nevus", "melanoma"]
    assert table.notes[0] == "labels from column diagnosis (the ISIC archive's layout)"


def test_isic_one_hot(tmp_path: Path) -> None:
    table = read(tmp_path, ISIC_2019)
    assert table.layout == "one-hot"
    assert [(row.image, row.label) for row in table.rows] == [
        ("ISIC_0000000", "NV"),
        ("ISIC_0000001", "NV"),
        ("ISIC_0000002", "MEL"),
    ]
    assert table.notes == (
        "labels from the 0/1 columns MEL, NV, BCC, AK, BKL, DF, VASC, SCC, UNK",
        NO_COLUMN,
        "no image is marked BCC, AK, BKL, DF, VASC, SCC, UNK: not a class here",
    )


def test_one_hot_of_other_fields_beside_metadata(tmp_path: Path) -> None:
    text = "image,CNV,DME,age,eye,patient\na,0,1,61,left,1\nb,1,0,0,right,1\nc,1,0,1,left,0\n"
    table = read(tmp_path, text)
    assert found(table) == [("a", "DME", "1", None), ("b", "CNV", "1", None), ("c", "CNV", "0", None)]
    assert table.notes == ("labels from the 0/1 columns CNV, DME, patients from column patient",)


@pytest.mark.parametrize(
    ("image", "label", "group", "split"),
    [
        ("image", "label", "patient", "split"),
        ("File", "Class", "Patient ID", "SET"),
        ("FILENAME", "DIAGNOSIS", "patient_id", "fold"),
        ("path", "dx", "PatientID", "Split"),
        ("image_id", "target", "group", "set"),
        ("Image Name", "category", "subject", "Fold"),
        ("isic_id", "target", "Lesion-ID", "split"),
    ],
)
def test_names_that_speak(tmp_path: Path, image: str, label: str, group: str, split: str) -> None:
    table = read(tmp_path, f"age,{image},{label},{group},{split}\n5,a,CNV,7,Train\n6,b,CNV,8,valid\n")
    assert found(table) == [("a", "CNV", "7", "train"), ("b", "CNV", "8", "val")]


def test_given_columns_win_over_the_layout(tmp_path: Path) -> None:
    table = read(tmp_path, HAM, Columns(label="LOCALIZATION", group="sex"))
    assert table.layout == "columns"
    assert found(table)[2] == ("ISIC_0026769", "scalp", "male", None)
    assert table.notes == ("labels from column localization, groups from column sex",)


def test_patient_wins_over_group_and_lesion(tmp_path: Path) -> None:
    text = "image,label,group,lesion_id,patient_id\na,x,1,2,3\nb,x,1,2,3\nc,y,4,5,3\n"
    table = read(tmp_path, text)
    assert [row.group for row in table.rows] == ["3", "3", "3"]
    assert table.notes == (
        "labels from column label, patients from column patient_id",
        "grouped by patient_id, the coarser one, not by group or lesion_id",
    )


def test_no_group_column(tmp_path: Path) -> None:
    table = read(tmp_path, "image,label\na,x\nb,x\n")
    assert [row.group for row in table.rows] == [None, None]
    assert table.notes == ("labels from column label", NO_COLUMN)


def test_empty_group_is_counted(tmp_path: Path) -> None:
    table = read(tmp_path, "image,label,patient\na,x,\nb,x,7\nc,y,  \n")
    assert [row.group for row in table.rows] == [None, "7", None]
    assert table.notes[1] == f"2 of 3 images have no patient id: each of these images {NO_GROUP}"


def test_fold_numbers_are_no_splits(tmp_path: Path) -> None:
    table = read(tmp_path, "image,label,fold\na,x,0\nb,x,1\n")
    assert [row.split for row in table.rows] == [None, None]
    assert table.notes == (
        "labels from column label",
        NO_COLUMN,
        "column fold holds no train, val or test and was not used",
    )


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"),
        (" Training ", "train"),
        ("val", "val"),
        ("VALID", "val"),
        ("validation", "val"),
        ("Test", "test"),
        ("testing", "test"),
        ("", None),
        ("0", None),
        ("trains", None),
    ],
)
def test_words_for_splits(text: str, split: str | None) -> None:
    assert split_of(text) == split


# ---- lesions in ISIC's second table


@pytest.mark.parametrize(
    "beside", ["ISIC_2019_Training_Metadata.csv", "isic_2019_training_LesionGroupings.CSV"]
)
def test_lesions_beside_the_ground_truth(tmp_path: Path, beside: str) -> None:
    path = save(tmp_path, ISIC_2019, "ISIC_2019_Training_GroundTruth.csv")
    save(tmp_path, "image,age_approx,lesion_id\nISIC_0000002,55,B\nISIC_0000000,,A\nISIC_0000001,,\n", beside)
    table = read_table(path, "isic/ISIC_2019_Training_GroundTruth.csv")
    assert [row.group for row in table.rows] == ["A", None, "B"]
    assert table.notes[1:3] == (
        f"lesions from column lesion_id of {beside}, by image",
        f"1 of 3 images have no lesion id: each of these images {NO_GROUP}",
    )


def test_metadata_without_lesions_are_left_alone(tmp_path: Path) -> None:
    path = save(tmp_path, ISIC_2019, "X_GroundTruth.csv")
    save(tmp_path, "image,age_approx\nISIC_0000000,55\n", "X_Metadata.csv")
    assert read_table(path, "X_GroundTruth.csv").notes[1] == NO_COLUMN


def test_metadata_with_two_lesions_of_one_image(tmp_path: Path) -> None:
    path = save(tmp_path, ISIC_2019, "X_GroundTruth.csv")
    save(tmp_path, "image,lesion_id\nISIC_0000000,A\nISIC_0000000,B\n", "X_Metadata.csv")
    with pytest.raises(DataError) as refusal:
        read_table(path, "isic/X_GroundTruth.csv")
    assert str(refusal.value) == (
        "isic/X_Metadata.csv: line 3 gives an image a second lesion; keep the right one"
    )


# ---- files as people have them


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_line_ends_encodings(tmp_path: Path, separator: str, end: str, encoding: str) -> None:
    inner = separator.replace("\t", ",")  # a label may hold a separator but no tab
    lines = [
        separator.join(["image", f'"short{separator} name"', "label"]),
        separator.join([" ä.png ", '"1"', f'"naïve{inner} 網膜"']),
        separator.join(["b.png", '"2"', ' "say ""x"" "']),
        separator.join(["c", '"1\n2"', f"z{separator}"]),
        separator.join(["d", "4", "z"]),
        "",
    ]
    table = read(tmp_path, end.join(lines).encode(encoding))
    assert [(row.image, row.label) for row in table.rows] == [
        ("ä.png", f"naïve{inner} 網膜"),
        ("b.png", 'say "x"'),
        ("c", "z"),
        ("d", "z"),
    ]


def test_separator_is_chosen_by_the_names_in_the_header(tmp_path: Path) -> None:
    text = "image,label,score a;b;c;d;e\nx,CNV,1;2;3\ny,CNV,1;2\n"
    assert [row.label for row in read(tmp_path, text).rows] == ["CNV", "CNV"]


def test_blank_lines_trailing_separators_and_an_index_column(tmp_path: Path) -> None:
    text = "\n,image,label,,\n0,a,x,,\n\n,,,,\n1,b,x\n  \n2,c,y,,,,\n"
    assert [(row.image, row.label) for row in read(tmp_path, text).rows] == [
        ("a", "x"),
        ("b", "x"),
        ("c", "y"),
    ]


def test_windows_1252_is_said(tmp_path: Path) -> None:
    table = read(tmp_path, "image,label\na,Nävus\nb,Nävus\n".encode("cp1252"))
    assert [row.label for row in table.rows] == ["Nävus", "Nävus"]
    assert table.notes[1] == (
        "the table is not UTF-8 and was read as Windows-1252: check the names of the classes"
    )


def test_repeated_row_is_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, PLAIN + "\na.png,CNV,71\n")
    assert len(table.rows) == 3
    assert table.skipped == (("line 6", "the same image and label as line 2"),)
    assert table.notes[-1] == "rows left out because they repeat an image with its label: 1"


def test_repeated_row_in_another_fold_or_spelling_of_its_split(tmp_path: Path) -> None:
    for first, second in (("0", "1"), ("train", "Training")):
        table = read(tmp_path, f"image,label,fold\na,x,{first}\nb,x,{first}\na,x,{second}\n")
        assert [row.image for row in table.rows] == ["a", "b"]


def test_labels_that_differ_in_capitals_are_said(tmp_path: Path) -> None:
    table = read(tmp_path, "image,label\na,Melanoma\nb,melanoma \nc,nevus\nd,nevus\n")
    assert {row.label for row in table.rows} == {"Melanoma", "melanoma", "nevus"}
    assert table.notes[-1] == (
        "labels that differ only in capitals count as different classes: Melanoma, melanoma"
    )


def test_group_is_not_in_the_repr(tmp_path: Path) -> None:
    table = read(tmp_path, "image,label,patient\na,x,MRN-4711\nb,x,MRN-4711\n")
    assert table.rows[0].group == "MRN-4711"
    assert "4711" not in repr(table)


# ---- real tables


def test_real_dermatology_table(shared_data: Path) -> None:
    columns = Columns(image="file", label="class", group="group", split="split")
    table = read_table(shared_data / "derm-isic7" / "index.csv", "derm-isic7/index.csv", columns)
    assert table.rows[0] == TableRow("ISIC_0024468.jpg", "Actinic keratosis", "4", "val")
    assert len(table.rows) == 700
    assert len({row.label for row in table.rows}) == 7
    assert len({row.group for row in table.rows}) == 611
    assert [sum(row.split == split for row in table.rows) for split in ("train", "val", "test")] == [
        490,
        70,
        140,
    ]
    assert table.notes == ("labels from column class, groups from column group, splits from column split",)


def test_real_oct_table(shared_data: Path) -> None:
    path = shared_data / "oct-kermany1000" / "index.csv"
    table = read_table(path, "oct-kermany1000/index.csv", Columns(label="class"))
    assert len(table.rows) == 1000
    assert len({row.group for row in table.rows}) == 633
    assert table.notes == (
        "labels from column class, patients from column patient_id, splits from column split",
    )
    with pytest.raises(DataError) as refusal:
        read_table(path, "oct-kermany1000/index.csv")
    assert str(refusal.value) == (
        "oct-kermany1000/index.csv: several columns may hold the label (label, class); "
        "say which with --label-column"
    )
