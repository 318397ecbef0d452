"""Label tables: every refusal word by word."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from audit.data.table import Columns, read_table
from audit.errors import ConfigError, DataError
from tests.label_tables import PLAIN, read, refused, save

# ---- refusals: what is no table


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"  \n", codecs.BOM_UTF8])
def test_empty_file(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data, "empty; give a header line and one line per image")


def test_header_only(tmp_path: Path) -> None:
    refused(tmp_path, "image,label\n\n", "no rows below the header; give one line per image")


@pytest.mark.parametrize("magic", [b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1")])
def test_spreadsheet(tmp_path: Path, magic: bytes) -> None:
    refused(tmp_path, magic + b"etc", "a spreadsheet or an archive, not a text table; save it as CSV (UTF-8)")


@pytest.mark.parametrize("data", [b"image,label\na,\0x\n", "image,label\na,x\n".encode("utf-16-le")])
def test_nul_bytes(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data, "holds NUL bytes, so it is no text table; save it as CSV (UTF-8)")


@pytest.mark.parametrize(
    "data",
    [
        b"image,label\na,\x81\x8d\n",  # undefined in Windows-1252
        codecs.BOM_UTF8 + b"image,label\na,\xff\n",
        codecs.BOM_UTF16_LE + b"i\0m",
    ],
)
def test_unknown_encoding(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data, "in an unknown encoding; save it as CSV (UTF-8)")


def test_no_file(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.csv", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError) as refusal:
            read_table(path, "no.csv")
        assert str(refusal.value) == (
            f"no.csv: cannot be read ({reason}); check that it is a file and its permissions"
        )


def test_too_many_bytes(tmp_path: Path) -> None:
    refused(
        tmp_path,
        PLAIN,
        "58 bytes, more than the 57 that are read; keep only the columns of image, label, patient and split",
        max_bytes=57,
    )
    assert len(read(tmp_path, PLAIN, max_bytes=58).rows) == 3


def test_too_many_rows(tmp_path: Path) -> None:
    refused(tmp_path, PLAIN, "more than 2 rows, the most that are read; split the table", max_rows=2)
    assert len(read(tmp_path, PLAIN, max_rows=3).rows) == 3


def test_one_column(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "image|label\na|x\n",
        "one column only; separate the columns by commas, semicolons or tabs",
    )


@pytest.mark.parametrize("line", ["ISIC_0000001,benign,Miller", "scan.png,benign,Miller", "7,benign,Miller"])
def test_no_header(tmp_path: Path, line: str) -> None:
    refused(
        tmp_path,
        f"{line}\n{line}\n",
        "the first line holds values, not names of columns; add a header line such as image,label",
    )


def test_one_name_for_two_columns(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "image,label,age,Label\na,x,5,y\n",
        "columns 2 and 4 have the same name; rename one",
    )


# ---- refusals: columns


def test_no_known_columns(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "Bild;Befund;Alter\na;x;61\n",
        "no column for the image or the label is recognised (columns found: Bild, Befund, Alter); "
        "give --image-column and --label-column",
    )


def test_no_label_column(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "image,Befund,,id 47110815\na,x,1,2\n",
        "no column for the label is recognised (columns found: image, Befund, column 3, column 4); "
        "give --label-column",
    )


def test_no_image_column_among_many(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(25)]
    refused(
        tmp_path,
        ",".join(["label", *names]) + "\n" + "x," * 26 + "\n",
        f"no column for the image is recognised (columns found: label, {', '.join(names[:19])}, and 6 more); "
        f"give --image-column",
    )


def test_long_and_odd_names_stay_on_one_short_line(tmp_path: Path) -> None:
    refused(
        tmp_path,
        f'image,"a\nb",{"x" * 70}\na,1,2\n',
        f"no column for the label is recognised (columns found: image, a?b, {'x' * 60}…); "
        f"give --label-column",
    )


def test_several_columns_for_one_thing(tmp_path: Path) -> None:
    for header, what, choices in (
        ("image,filename,label,x,y", "image", "image, filename"),
        ("image,label,x,class,y", "label", "label, class"),
        ("image,label,patient,x,subject", "patient", "patient, subject"),
        ("image,label,split,x,set", "split", "split, set"),
    ):
        option = "group" if what == "patient" else what
        refused(
            tmp_path,
            f"{header}\n1,2,3,4,5\n",
            f"several columns may hold the {what} ({choices}); say which with --{option}-column",
        )


def test_given_column_is_not_there(tmp_path: Path) -> None:
    for columns, name, option in (
        (Columns(image="bild"), "bild", "--image-column"),
        (Columns(label="befund"), "befund", "--label-column"),
        (Columns(group="pid"), "pid", "--group-column"),
        (Columns(split="teil"), "teil", "--split-column"),
    ):
        refused(
            tmp_path,
            PLAIN,
            f"no column {name} (columns found: file, class, patient); give one of them with {option}",
            columns,
        )


def test_one_column_for_two_things(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, PLAIN, Columns(label="class", group="CLASS"))
    assert str(refusal.value) == (
        "--label-column and --group-column: both are class; give each a column of its own"
    )


@pytest.mark.parametrize("marks", ["0,0", "1,1", "1.0,1.0"])
def test_one_hot_row_without_exactly_one_mark(tmp_path: Path, marks: str) -> None:
    count = 2 if "1" in marks else 0
    refused(
        tmp_path,
        f"image,MEL,NV\na,1,0\n\nb,{marks}\n",
        f"line 4 marks {count} of the classes MEL, NV with 1; mark exactly one",
    )


def test_one_hot_with_other_values(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "image,MEL,NV\na,0.2,0.8\n",
        "line 2 holds something other than 0 and 1 in column MEL; give 0 or 1, or the column of labels with "
        "--label-column",
    )


# ---- refusals: rows


@pytest.mark.parametrize(("row", "count"), [("b.png,DME", 2), ("b.png,DME,71,left,", 5)])
def test_row_of_another_length(tmp_path: Path, row: str, count: int) -> None:
    refused(
        tmp_path,
        f"file,class,patient\n\na.png,CNV,71\n{row}\n",
        f"line 4 has {count} fields but the header has 3; check the separators and quotes of this line",
    )


def test_quote_that_is_not_closed(tmp_path: Path) -> None:
    refused(
        tmp_path,
        'image,label\na,x\nb,"y\nc,z\n',
        "line 3 cannot be read (a quote is not closed); check its quotes",
    )


def test_text_behind_a_quote(tmp_path: Path) -> None:
    refused(
        tmp_path,
        'image,label\n\na,"x" y\n',
        "line 3 cannot be read (text behind a closing quote); check its quotes",
    )


def test_endless_field(tmp_path: Path) -> None:
    refused(
        tmp_path,
        f"image,label\na,{'x' * 131073}\n",
        "line 2 cannot be read (field larger than field limit (131072)); check its quotes",
    )


@pytest.mark.parametrize(("row", "what"), [("a.png, ,71", "label"), (" ,CNV,71", "image")])
def test_empty_image_or_label(tmp_path: Path, row: str, what: str) -> None:
    refused(tmp_path, f"{PLAIN}{row}\n", f"line 5 has no {what}; fill it in or remove the line")


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\x07", "\x85", "\u2028"])
@pytest.mark.parametrize(("row", "what"), [('"a{}b",CNV,71', "image"), ('b,"CNV{}DME",71', "label")])
def test_line_break_in_image_or_label(tmp_path: Path, mark: str, row: str, what: str) -> None:
    refused(
        tmp_path,
        f"{PLAIN}{row.format(mark)}\n",
        f"line 5 has a line break or control character in its {what}; check the quotes of this line",
    )


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("a,DME,71,train", "labels"),
        ("a,CNV,72,train", "patients or lesions"),
        ("a,CNV,71,test", "splits"),
    ],
)
def test_contradiction(tmp_path: Path, row: str, what: str) -> None:
    refused(
        tmp_path,
        f"image,label,patient,split\na,CNV,71,train\nb,CNV,71,train\n{row}\n",
        f"lines 2 and 4 give one image different {what}; keep the right one",
    )


def test_too_many_classes(tmp_path: Path) -> None:
    rows = [f"{number},c{number % 101}" for number in range(202)]
    refused(
        tmp_path,
        "\n".join(["image,label", *rows]),
        "column label holds 101 different labels in 202 rows, so it is probably not the label; "
        "name the right one with --label-column",
    )
    assert len(read(tmp_path, "\n".join(["image,label", *rows[:100], *rows[101:201]])).rows) == 200


def test_as_many_classes_as_rows(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "image,Patient\na,1\nb,2\nc,3\n",
        "column Patient holds 3 different labels in 3 rows, so it is probably not the label; "
        "name the right one with --label-column",
        Columns(label="patient"),
    )


def test_other_words_in_the_split_column(tmp_path: Path) -> None:
    text = "image,label,Split\na,x,train\nb,x,holdout\n"
    message = "line 3 holds no split in column Split; give train, val or test in every line, or "
    refused(tmp_path, text, f"{message}rename the column")
    refused(tmp_path, text, f"{message}leave out --split-column", Columns(split="split"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    save(tmp_path, PLAIN).chmod(0)
    with pytest.raises(DataError, match=r"^labels.csv: cannot be read \(Permission denied\); check that it"):
        read_table(tmp_path / "labels.csv", "labels.csv")
