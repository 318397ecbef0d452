"""ZIP archives: every refusal word by word, nothing written outside, whatever the bytes."""

from __future__ import annotations

import io
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.data.archive import Quotas, unpack
from audit.errors import DataError

LINK = 0o120777 << 16
PIXELS = bytes(range(256)) * 8


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of plain files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def with_info(name: str, content: bytes, change: Callable[[zipfile.ZipInfo], None]) -> bytes:
    """An archive of one file whose directory entry was changed before it was written."""
    info = zipfile.ZipInfo("a")
    info.filename = name  # past ZipInfo's own cleaning
    change(info)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(info, content)
    return stream.getvalue()


def refused(content: bytes, tmp_path: Path, quotas: Quotas | None = None) -> str:
    """The message; nothing is left in the folder, nothing stands beside it."""
    work = tmp_path / "work"
    folder = work / "in"
    folder.mkdir(parents=True, exist_ok=True)
    archive = tmp_path / "eyes.zip"
    archive.write_bytes(content)
    with pytest.raises(DataError) as problem:
        unpack(archive, folder, quotas or Quotas())
    assert list(work.rglob("*")) == [folder]
    assert archive.read_bytes() == content
    assert "\n" not in str(problem.value)
    return str(problem.value)


# ---- what is accepted


def test_files_arrive_as_they_were(tmp_path: Path) -> None:
    members = {"train/A/1.png": PIXELS, "train/B/é 2.png": b"", "test/A/3.png": b"x"}
    (tmp_path / "eyes.zip").write_bytes(packed(members))
    folder = tmp_path / "out"
    folder.mkdir()
    seen: list[tuple[int, int]] = []
    found = unpack(tmp_path / "eyes.zip", folder, Quotas(), lambda done, total: seen.append((done, total)))
    assert found.root == folder and (found.files, found.bytes, found.notes) == (3, 2049, ())
    arrived = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert arrived == members
    assert seen[-1] == (2049, 2049)
    assert all(p.stat().st_mode & 0o077 == 0 for p in folder.rglob("*") if p.is_file()), "for the owner only"


@pytest.mark.parametrize(
    ("members", "root"),
    [
        (["eyes/train/A/1.png"], "eyes"),
        (["eyes/A/1.png", "eyes/B/1.png"], "eyes"),
        (["eyes/1.png", "eyes/labels.csv"], "eyes"),
        (["A/1.png", "B/1.png"], ""),
        (["A/1.png"], ""),
    ],
)
def test_one_folder_around_everything_is_stripped(tmp_path: Path, members: list[str], root: str) -> None:
    (tmp_path / "eyes.zip").write_bytes(packed(dict.fromkeys(members, b"x")))
    folder = tmp_path / "out"
    folder.mkdir()
    assert unpack(tmp_path / "eyes.zip", folder, Quotas()).root == folder / root


def test_litter_stays_packed_and_is_counted(tmp_path: Path) -> None:
    litter = ["__MACOSX/A/._1.png", "A/.DS_Store", "A/Thumbs.db", ".git/config", "A/._2.png"]
    (tmp_path / "eyes.zip").write_bytes(packed(dict.fromkeys(["A/1.png", *litter], b"x")))
    folder = tmp_path / "out"
    folder.mkdir()
    found = unpack(tmp_path / "eyes.zip", folder, Quotas())
    assert found.notes == ("5 hidden files and leftovers of operating systems in the ZIP were ignored",)
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["1.png"]


def test_names_that_are_not_utf8_are_said(tmp_path: Path) -> None:
    content = packed({"A/x.png": b"1"}).replace(b"A/x.png", b"A/\x82.png")  # code page 437: é
    (tmp_path / "eyes.zip").write_bytes(content)
    folder = tmp_path / "out"
    folder.mkdir()
    found = unpack(tmp_path / "eyes.zip", folder, Quotas())
    assert found.notes == ("1 file names in the ZIP are not marked as UTF-8 and were read as code page 437",)
    assert (folder / "A" / "é.png").read_bytes() == b"1"


# ---- what is refused

OUT = "a path that could lead out of the archive; pack the folder again"


@pytest.mark.parametrize(
    "name",
    ["../x.png", "A/../../x.png", "/etc/x.png", "C:/x.png", "A//x.png", "./x.png", "A\\..\\x.png", "A/.."],
)
def test_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    assert refused(packed({name: b"x"}), tmp_path) == f"eyes.zip/{name}: {OUT}"


def test_a_name_cut_at_nul(tmp_path: Path) -> None:
    content = packed({"A/x.png": b"1"}).replace(b"A/x.png", b"A/x\0png")
    assert refused(content, tmp_path) == f"eyes.zip/A/x: {OUT}"


def test_control_signs_are_harmless_in_the_message(tmp_path: Path) -> None:
    found = refused(packed({"A/\x1b[31mred.png": b"x"}), tmp_path)
    assert found == "eyes.zip/A/�[31mred.png: control characters in the name; rename the file"


def test_links(tmp_path: Path) -> None:
    content = with_info("A/x.png", b"/etc/passwd", lambda info: setattr(info, "external_attr", LINK))
    assert refused(content, tmp_path) == "eyes.zip/A/x.png: a link or device; pack the files themselves"


def test_encrypted(tmp_path: Path) -> None:
    content = packed({"A/x.png": b"1"})
    at = content.index(b"PK\x01\x02")
    flagged = content[: at + 8] + b"\x01\x00" + content[at + 10 :]
    assert refused(flagged, tmp_path) == (
        "eyes.zip/A/x.png: encrypted; pack the folder again without a password"
    )


@pytest.mark.parametrize("name", ["A/more.zip", "A/more.TAR", "A/more.tar.gz", "A/more.7z", "A/more.rar"])
def test_archives_inside_by_name(tmp_path: Path, name: str) -> None:
    assert refused(packed({"A/1.png": b"x", name: b"y"}), tmp_path) == (
        f"eyes.zip/{name}: an archive inside the archive; unpack it and pack the folder again"
    )


def test_archives_inside_by_content(tmp_path: Path) -> None:
    assert refused(packed({"A/1.png": b"x", "A/2.png": packed({"a": b"b"})}), tmp_path) == (
        "eyes.zip/A/2.png: an archive inside the archive; unpack it and pack the folder again"
    )


def test_a_name_twice_even_in_other_case(tmp_path: Path) -> None:
    assert refused(packed({"A/x.png": b"1", "a/X.PNG": b"2"}), tmp_path) == (
        "eyes.zip/a/X.PNG: stands twice in the archive; give every file its own name"
    )


def test_too_many_files(tmp_path: Path) -> None:
    content = packed({f"A/{n}.png": b"" for n in range(4)})
    assert refused(content, tmp_path, Quotas(max_files=3)) == (
        "eyes.zip: 4 files; at most 3: raise data.quotas.files if you trust it"
    )


def test_too_many_bytes(tmp_path: Path) -> None:
    content = packed({"A/1.png": bytes(3000), "A/2.png": bytes(3000)})
    assert refused(content, tmp_path, Quotas(max_bytes=4096)) == (
        "eyes.zip: 5.9 KiB unpacked; at most 4.0 KiB: raise data.quotas.bytes if you trust it"
    )
    assert refused(content, tmp_path, Quotas(max_file_bytes=2048)) == (
        "eyes.zip/A/1.png: 2.9 KiB; at most 2.0 KiB: raise data.quotas.file_bytes if you trust it"
    )


def test_a_bomb_by_ratio(tmp_path: Path) -> None:
    content = packed({"A/zero.png": bytes(8 << 20)})
    assert len(content) < 20_000
    assert refused(content, tmp_path) == (
        "eyes.zip/A/zero.png: unpacks to more than 200 times its packed size, as archive bombs do; pack it "
        "without compression"
    )


def test_a_directory_that_lies_about_sizes(tmp_path: Path) -> None:
    content = packed({"A/zero.png": bytes(100_000)})
    at = content.index(b"PK\x01\x02") + 24
    small = content[:at] + struct.pack("<I", 10) + content[at + 4 :]
    assert refused(small, tmp_path).startswith("eyes.zip: ")
    large = content[:at] + struct.pack("<I", 200_000) + content[at + 4 :]
    assert refused(large, tmp_path) == (
        "eyes.zip/A/zero.png: shorter than the archive's directory says; pack the folder again"
    )


def test_files_that_share_their_bytes(tmp_path: Path) -> None:
    content = packed({"A/1.png": PIXELS, "A/2.png": PIXELS})
    second = content.rindex(b"PK\x01\x02") + 42  # the second entry points at the first file's bytes
    assert refused(content[:second] + struct.pack("<I", 0) + content[second + 4 :], tmp_path) == (
        "eyes.zip: files inside share their packed bytes, as archive bombs do; pack it again"
    )


# Named: a packed file holds the time, and parallel workers must collect equal names.
@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"no archive at all", packed({"A/1": b"1"})[:-9]],
    ids=["empty", "start", "text", "cut short"],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    assert refused(content, tmp_path) == (
        "eyes.zip: not a readable ZIP archive (damaged or cut short); pack the folder again"
    )


def test_a_wrong_check_sum(tmp_path: Path) -> None:
    content = packed({"A/1.png": PIXELS}, zipfile.ZIP_STORED).replace(PIXELS, PIXELS[::-1])
    assert refused(content, tmp_path) == (
        "eyes.zip: not a readable ZIP archive (damaged or cut short); pack the folder again"
    )


def test_an_unknown_packing_method(tmp_path: Path) -> None:
    content = packed({"A/1.png": b"1"}, zipfile.ZIP_STORED)
    at, local = content.index(b"PK\x01\x02") + 10, 8
    odd = content[:local] + b"\x63\0" + content[local + 2 : at] + b"\x63\0" + content[at + 2 :]
    assert refused(odd, tmp_path) == (
        "eyes.zip: packed with a method that is not supported; pack the folder again as a plain ZIP"
    )


def test_nothing_inside(tmp_path: Path) -> None:
    assert refused(packed({".hidden": b"x"}), tmp_path) == (
        "eyes.zip: no files inside; pack the folder that holds the class or split folders"
    )


def test_a_path_too_deep_or_long(tmp_path: Path) -> None:
    assert refused(packed({"a/" * 20 + "x.png": b""}), tmp_path) == (
        f"eyes.zip/{'a/' * 20}x.png: a path of 45 characters and 21 levels; at most 240 and 16"
    )
    assert refused(packed({"é" * 130: b""}), tmp_path).endswith(
        "a name longer than disks allow; rename the file"
    )


def test_interrupted_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "eyes.zip").write_bytes(packed({"A/1.png": b"1", "A/2.png": b"2"}))
    folder = tmp_path / "out"
    folder.mkdir()

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "eyes.zip", folder, Quotas(), interrupt)
    assert list(folder.iterdir()) == []


# ---- whatever the bytes


def unpack_anything(content: bytes) -> str:
    """Unpack bytes: "accepted", or "refused" by a DataError; nothing stands outside the folder."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "deep" / "in"
        folder.mkdir(parents=True)
        archive = Path(work) / "any.zip"
        archive.write_bytes(content)
        try:
            unpack(archive, folder, Quotas(max_bytes=1 << 20, max_file_bytes=1 << 20))
            outcome = "accepted"
        except DataError:
            assert list(folder.iterdir()) == []
            outcome = "refused"
        outside = {p for p in Path(work).rglob("*") if not p.is_relative_to(folder)}
        assert outside == {archive, folder.parent}
    return outcome


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_arbitrary_bytes(content: bytes) -> None:
    assert unpack_anything(content) == "refused"


@given(st.dictionaries(st.text(min_size=1, max_size=40), st.binary(max_size=50), min_size=1, max_size=4))
@settings(deadline=None)
def test_arbitrary_names(members: dict[str, bytes]) -> None:
    try:
        content = packed(members)
    except (ValueError, IndexError):  # nothing that a packer writes
        return
    assert unpack_anything(content) in ("accepted", "refused")


@given(st.integers(0, 2**32), st.integers(1, 8))
@settings(deadline=None)
def test_damaged_archives(seed: int, changes: int) -> None:
    generator = random.Random(seed)
    content = bytearray(packed({"train/A/1.png": PIXELS, "test/A/2.png": b"x" * 40}))
    for _ in range(changes):
        content[generator.randrange(len(content))] = generator.randrange(256)
    assert unpack_anything(bytes(content)) in ("accepted", "refused")
