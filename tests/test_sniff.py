"""What files really are."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from audit.data.sniff import check_type, sniff_bytes
from audit.errors import DataError


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(path: Path, max_pixels: int = 1000) -> str:
    with pytest.raises(DataError) as problem:
        check_type(path, f"eyes/{path.name}", max_pixels)
    return str(problem.value)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".jpg", "JPEG"),
        (".png", "PNG"),
        (".tif", "TIFF"),
        (".bmp", "BMP"),
        (".gif", "GIF"),
        (".webp", "WebP"),
    ],
)
def test_real_images(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("L", (7, 5), 9).save(path)
    assert sniff_bytes(path.read_bytes()[:512]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (bytes(128) + b"DICM", "DICOM"),
        (b"PK\x03\x04", "ZIP archive"),
        (bytes(257) + b"ustar", "tar archive"),
        (b"<!DOCTYPE html>", "HTML page"),
        (b"\xef\xbb\xbf\n <HTML lang=de>", "HTML page"),
        (b"<?xml version='1.0'?>", "XML text"),
        (b"image,label\n", "text"),
        (b"", ""),
        (b"\x00\x01", ""),
    ],
)
def test_by_the_first_bytes(head: bytes, kind: str) -> None:
    assert sniff_bytes(head) == kind


@given(st.binary(max_size=600))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    assert isinstance(sniff_bytes(head), str)


def test_an_image_under_another_name_is_a_remark(tmp_path: Path) -> None:
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert check_type(tmp_path / "a.jpg", "a.jpg") == "named JPEG but PNG inside"
    Image.new("L", (7, 5)).save(tmp_path / "b.JPEG")
    assert check_type(tmp_path / "b.JPEG", "b.JPEG") == ""


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    assert refused(written(tmp_path / "a.jpg", b"<html><body>404")) == (
        "eyes/a.jpg: holds a web page, not an image (a failed download?); fetch the image again"
    )
    assert refused(written(tmp_path / "a.png", b"PK\x03\x04....")) == (
        "eyes/a.png: is a ZIP archive, not a PNG; replace the file or remove it"
    )
    assert refused(written(tmp_path / "a.bmp", b"%PDF-1.7")) == (
        "eyes/a.bmp: is a PDF, not a BMP; replace the file or remove it"
    )
    assert refused(written(tmp_path / "b.jpg", b"")) == (
        "eyes/b.jpg: is an empty file, not a JPEG; replace the file or remove it"
    )
    assert refused(written(tmp_path / "c.jpg", b"hello")) == (
        "eyes/c.jpg: is plain text, not a JPEG; replace the file or remove it"
    )
    assert refused(tmp_path / "none.jpg") == (
        "eyes/none.jpg: cannot be read (No such file or directory); replace the file or remove it"
    )


def test_image_bombs_are_refused_by_their_header(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    Image.new("1", (100, 20)).save(path)
    assert check_type(path, "big.png", 2000) == ""
    assert refused(path, 1999) == (
        "eyes/big.png: 100 × 20: more than 1,999 pixels; scale the image down, or raise data.quotas.pixels"
    )
    content = bytearray(path.read_bytes())
    content[16:24] = (2**30).to_bytes(4, "big") * 2  # 1e18 pixels, says the header
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    assert refused(written(tmp_path / "bomb.png", bytes(content))).endswith(
        "more than 1,000 pixels; scale the image down, or raise data.quotas.pixels"
    )
