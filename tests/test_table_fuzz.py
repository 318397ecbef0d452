"""Label tables made by chance: what is written is read back, bad bytes are refused, no id is told."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.data.table import LabelTable, read_table
from audit.errors import DataError

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SEEDS = (
    b"image,label,patient,split\na.png,CNV,71,train\nb.png,CNV,71,train\nc.png,DME,72,test\n",
    b"lesion_id,image_id,dx\nL1,I1,nv\nL1,I2,nv\nL2,I3,mel\n",
    b"image,MEL,NV\r\nI1,0.0,1.0\r\nI2,1.0,0.0\r\n",
    b'isic_id;diagnosis_1;patient_id;lesion_id\nI1;Benign;;L1\nI2;"Ma""l";P;L1\nI3;Benign;P;\n',
    "image\tlabel\nä\t網膜\nb\t網膜\n".encode("utf-16"),
)


def read_bytes(data: bytes) -> LabelTable:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        path.write_bytes(data)
        return read_table(path, "clinic/labels.csv")


def fuzz_one(data: bytes) -> None:
    """Whatever the bytes are: a sound table, or a DataError of one line that names the file."""
    try:
        table = read_bytes(data)
    except DataError as error:
        message = str(error)
        assert message.startswith("clinic/labels.csv: ")
        assert not CONTROL.search(message)
        assert len(message) < 1800
        return
    images = [row.image for row in table.rows]
    assert images
    assert len(set(images)) == len(images)
    for row in table.rows:
        assert row.image == row.image.strip() != ""
        assert row.label == row.label.strip() != ""
        assert not CONTROL.search(row.image + row.label)
        assert row.group is None or row.group == row.group.strip() != ""
        assert row.split in ("train", "val", "test", None)
    assert all(not CONTROL.search(note) for note in table.notes)


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    fuzz_one(data)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 3), st.binary(max_size=3)), max_size=6),
)
def test_damaged_tables(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for place, length, new in edits:
        data = data[:place] + new + data[place + length :]
    fuzz_one(data)


@given(st.text(alphabet='image,label;split\t"\n\r 01ä\u2028\u3000', max_size=80))
@example('image,label\n"a\n')
def test_arbitrary_text(text: str) -> None:
    fuzz_one(text.encode())


# Text that survives as image or label: something but blanks, and no control character.
plain = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12).filter(str.strip)
free = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(
    labels=st.lists(plain.map(str.strip), min_size=1, max_size=3, unique=True),
    images=st.lists(plain.map(str.strip), min_size=4, max_size=8, unique=True),
    others=st.lists(st.tuples(free, free), min_size=8, max_size=8),
    dialect=st.tuples(
        st.sampled_from([",", ";", "\t"]),
        # csv.writer leaves a lone \r without quotes where lines end in \n
        st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL)]),
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_is_written_is_read(
    labels: list[str],
    images: list[str],
    others: list[tuple[str, str]],
    dialect: tuple[str, tuple[str, int]],
    encoding: str,
) -> None:
    separator, (end, quoting) = dialect
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow(["comment", "image", "label", "patient"])
    rows = [
        (image, labels[number % len(labels)], group.strip() or None)
        for number, (image, (_, group)) in enumerate(zip(images, others, strict=False))
    ]
    for (image, label, _), (comment, group) in zip(rows, others, strict=False):
        writer.writerow([comment, image, label, group])
    table = read_bytes(text.getvalue().encode(encoding))
    assert [(row.image, row.label, row.group) for row in table.rows] == rows


@settings(max_examples=200)
@given(
    st.lists(st.integers(1000, 9999), min_size=3, max_size=6),
    st.integers(0, 400),
    st.integers(0, 60),
    st.sampled_from([b"", b",", b'"', b"\n", b"\xff", b";", b"\0", b"img0.png,other,Q", b"patient"]),
)
@example([1000, 1000, 1000], 0, 26, b"")  # no header
def test_patient_ids_are_never_told(numbers: list[int], place: int, length: int, new: bytes) -> None:
    lines = ["image,label,patient,lesion"]
    lines += [f"img{i}.png,{'ab'[i % 2]},PAT-{number}," for i, number in enumerate(numbers)]
    lines += [f"img0.png,a,PAT-{numbers[0]},"] * 2
    data = "\n".join(lines).encode()
    data = data[:place] + new + data[place + length :]
    try:
        table = read_bytes(data)
    except DataError as error:
        told = f"{error} {error!r} {error.__cause__!r}"
    else:
        told = repr(table)
        images = {f"{row.image} {row.label}" for row in table.rows}
        if any("PAT-" in text for text in images):  # the damage moved an id into another column
            return
    assert "PAT-" not in told
    assert not any(str(number) in told for number in numbers)


@pytest.mark.parametrize("data", SEEDS)
def test_seeds_are_sound(data: bytes) -> None:
    assert len(read_bytes(data).rows) >= 2
