"""Raw files of OCT devices, through the extra oct-raw."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from audit.data.oct_raw import DEVICES, eight_bit, one_of, read_raw
from audit.errors import DataError
from tests.class_folders import read

ROWS, COLUMNS = 1024, 512  # of Zeiss's .img


def refused(path: Path, max_pixels: int = 10**8) -> str:
    with pytest.raises(DataError) as problem:
        read_raw(path, f"eyes/{path.name}", max_pixels)
    return str(problem.value)


def write_img(path: Path, frames: list[np.ndarray]) -> Path:
    """B-scans one after another, columns first: as oct-converter reads Zeiss's files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.stack(frames, axis=2).tobytes(order="F"))
    return path


def scan(value: int) -> np.ndarray:
    frame = np.full((ROWS, COLUMNS), value, dtype=np.uint8)
    frame[3, 7] = 200  # one known pixel
    return frame


def test_rows_stay_rows(tmp_path: Path) -> None:
    pytest.importorskip("oct_converter", reason="the extra oct-raw is not installed")
    found = read_raw(write_img(tmp_path / "P42_eye.img", [scan(10), scan(20)]), "a.img", 10**8)
    assert found.frames.shape == (2, ROWS, COLUMNS) and found.maker == "Zeiss"
    assert found.frames[:, 3, 7].tolist() == [200, 200] and found.frames[:, 0, 0].tolist() == [10, 20]
    assert found.patient == "P42" and "P42" not in repr(found)


def test_as_a_data_set(tmp_path: Path) -> None:
    pytest.importorskip("oct_converter", reason="the extra oct-raw is not installed")
    root = tmp_path / "clinic"
    for number, label in enumerate(("CNV", "DME", "CNV", "DME")):
        split = "train" if number < 2 else "test"
        write_img(root / split / label / f"P{number}_x.img", [scan(50 + 50 * number)] * 2)
    dataset = read(root, size=16)
    assert len(dataset.train) == 4 and dataset.train.labels.tolist() == [0, 0, 1, 1]
    assert dataset.train.groups is not None and dataset.train.groups.tolist() == [0, 0, 1, 1]
    assert any("raw scan of a Zeiss device (unpublished format" in note for note in dataset.notes)


@pytest.mark.parametrize("suffix", sorted(DEVICES))
def test_damaged_files(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("oct_converter", reason="the extra oct-raw is not installed")
    (tmp_path / f"a{suffix}").write_bytes(b"nothing that a device wrote")
    assert refused(tmp_path / f"a{suffix}").endswith("; export the scan as DICOM or PNG")


def test_too_large(tmp_path: Path) -> None:
    pytest.importorskip("oct_converter", reason="the extra oct-raw is not installed")
    path = write_img(tmp_path / "a.img", [scan(1)])
    message = (
        "eyes/a.img: more than 1,000 pixels; raise data.quotas.pixels, or export the scan as DICOM or PNG"
    )
    assert refused(path, 1000) == message
    assert refused(path, ROWS * COLUMNS - 1).startswith("eyes/a.img: more than 524,287 pixels")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oct_converter", None)
    (tmp_path / "a.e2e").write_bytes(b"x")
    assert refused(tmp_path / "a.e2e") == (
        "eyes/a.e2e: a raw file of a Heidelberg device; pip install 'imaging-audit[oct-raw]', or export the scan as "
        "DICOM or PNG"
    )


def test_grey_values() -> None:
    assert eight_bit(np.array([[0, 257, 65535]], dtype=np.uint16), "a").tolist() == [[0, 1, 255]]
    assert eight_bit(np.array([[0.0, 0.5, 1.0]]), "a").tolist() == [[0, 128, 255]]
    for odd in (np.array([[0.0, 256.0]]), np.array([[-1]], dtype=np.int16), np.array([[np.nan]])):
        with pytest.raises(DataError) as problem:
            eight_bit(odd, "eyes/a.e2e")
        assert str(problem.value) == (
            "eyes/a.e2e: grey values of an unknown range; export the scan as DICOM or PNG"
        )


def test_one_of() -> None:
    assert one_of(["R", "R", None], ("R", "L")) == "R"
    assert one_of(["R", "L"], ("R", "L")) is None and one_of(["", None], None) is None
