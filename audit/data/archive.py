"""A user's ZIP, unpacked into a private folder, or refused before and while anything is written.

Nothing of an archive is believed: names may climb out of the folder, sizes may lie, members may be links, encrypted,
archives again, or two megabytes that unpack to two terabytes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audit.data.listing import is_litter
from audit.data.sniff import ARCHIVES, HEAD, sniff_bytes
from audit.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
CHUNK = 1 << 20
RATIO_FROM = 1 << 20  # bytes unpacked; below, a high ratio is only a blank image
UTF8_NAMES = 0x800  # flag bit of a member whose name is UTF-8
ENCRYPTED = 0x1
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
"""What zipfile raises on bad bytes; RuntimeError: a member that says it is encrypted."""


@dataclass(frozen=True)
class Quotas:
    """What an archive may hold."""

    max_files: int = 200_000
    max_bytes: int = 20 * 2**30  # unpacked, all together
    max_file_bytes: int = 2 * 2**30
    max_ratio: float = 200  # unpacked to packed
    max_path: int = 240  # characters
    max_depth: int = 16  # folders


@dataclass(frozen=True)
class Unpacked:
    """What came out."""

    root: Path  # the folder that holds the data: one folder around everything is stripped
    files: int
    bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """One file of an archive, with the name under which it will be written."""

    info: zipfile.ZipInfo
    name: str  # with /, in NFC
    shown: str  # archive and name, harmless on a terminal


def unpack(
    archive: Path, folder: Path, quotas: Quotas, progress: Callable[[int, int], None] | None = None
) -> Unpacked:
    """Unpack `archive` into the empty `folder`; hidden files and litter stay packed. The archive is only read.

    `progress(done, total)` counts bytes. Raises DataError in one line; then nothing is left in `folder`.
    """
    shown = harmless(archive.name)
    try:
        with zipfile.ZipFile(archive) as opened:
            members, notes = checked_members(opened, shown, quotas)
            total = sum(member.info.file_size for member in members)
            refuse_short_disk(folder, shown, total)
            written = 0
            for member in members:
                written += extract(opened, member, folder, quotas, written, shown)
                if progress is not None:
                    progress(written, total)
    except DataError:
        empty(folder)
        raise
    except DAMAGED as error:
        empty(folder)
        raise DataError(damaged(shown, error)) from error
    except BaseException:  # interrupted: no half file that looks whole
        empty(folder)
        raise
    return Unpacked(data_root(folder), len(members), written, notes)


def checked_members(
    opened: zipfile.ZipFile, shown: str, quotas: Quotas
) -> tuple[list[Member], tuple[str, ...]]:
    """The files to unpack, judged by the archive's directory alone, and notes for the report."""
    infos = opened.infolist()
    if len(infos) > quotas.max_files:
        raise DataError(f"{shown}: {len(infos):,} files; {quota('files', f'{quotas.max_files:,}')}")
    members, ignored, names = [], 0, set()
    for info in infos:
        refuse_link(info, shown)
        name = checked_name(info, shown, quotas)
        if info.is_dir():
            continue
        if any(is_litter(part) for part in name.split("/")):
            ignored += 1
            continue
        if name.casefold() in names:
            raise DataError(
                f"{shown}/{harmless(name)}: stands twice in the archive; give every file its own name"
            )
        names.add(name.casefold())
        member = Member(info, name, f"{shown}/{harmless(name)}")
        refuse_bomb(member, quotas)
        members.append(member)
    if not members:
        raise DataError(f"{shown}: no files inside; pack the folder that holds the class or split folders")
    total = sum(member.info.file_size for member in members)
    if total > quotas.max_bytes:
        raise DataError(f"{shown}: {size(total)} unpacked; {quota('bytes', size(quotas.max_bytes))}")
    refuse_overlap(opened, members, shown)
    odd = sum(not m.info.flag_bits & UTF8_NAMES and not m.name.isascii() for m in members)
    notes = [f"{ignored} hidden files and leftovers of operating systems in the ZIP were ignored"] * bool(
        ignored
    )
    notes += [f"{odd} file names in the ZIP are not marked as UTF-8 and were read as code page 437"] * bool(
        odd
    )
    return members, tuple(notes)


def checked_name(info: zipfile.ZipInfo, shown: str, quotas: Quotas) -> str:
    """The member's name in NFC. Raises DataError for one that could leave the folder or that no disk can hold."""
    name = unicodedata.normalize("NFC", info.filename)
    where = f"{shown}/{harmless(name)}"
    parts = name.removesuffix("/").split("/")
    # zipfile cuts a name at NUL and turns backslashes around on Windows only: what was packed counts.
    if "\0" in info.orig_filename or "\\" in name or name.startswith("/") or ":" in parts[0]:
        raise DataError(f"{where}: a path that could lead out of the archive; pack the folder again")
    if any(part in ("", ".", "..") for part in parts):
        raise DataError(f"{where}: a path that could lead out of the archive; pack the folder again")
    if any(unicodedata.category(sign) == "Cc" for sign in name):
        raise DataError(f"{where}: control characters in the name; rename the file")
    if len(name) > quotas.max_path or len(parts) > quotas.max_depth:
        raise DataError(
            f"{where[:80]}: a path of {len(name)} characters and {len(parts)} levels; at most "
            f"{quotas.max_path} and {quotas.max_depth}"
        )
    if any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts):
        raise DataError(f"{where[:80]}: a name longer than disks allow; rename the file")
    return name


def refuse_link(info: zipfile.ZipInfo, shown: str) -> None:
    """Only regular files and folders: a link may point anywhere."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{shown}/{harmless(info.filename)}: a link or device; pack the files themselves")


def refuse_bomb(member: Member, quotas: Quotas) -> None:
    """One member, by what the directory says of it."""
    info = member.info
    if info.flag_bits & ENCRYPTED:
        raise DataError(f"{member.shown}: encrypted; pack the folder again without a password")
    if member.name.lower().endswith(ARCHIVE_SUFFIXES):
        raise DataError(f"{member.shown}: an archive inside the archive; unpack it and pack the folder again")
    if info.file_size > quotas.max_file_bytes:
        raise DataError(
            f"{member.shown}: {size(info.file_size)}; {quota('file_bytes', size(quotas.max_file_bytes))}"
        )
    if info.file_size > RATIO_FROM and info.file_size > quotas.max_ratio * max(info.compress_size, 1):
        raise DataError(
            f"{member.shown}: unpacks to more than {quotas.max_ratio:g} times its packed size, as archive bombs "
            "do; pack it without compression"
        )


def refuse_overlap(opened: zipfile.ZipFile, members: list[Member], shown: str) -> None:
    """Members that share packed bytes are the trick of the strongest bombs."""
    spans = sorted((m.info.header_offset, m.info.compress_size) for m in members)
    for (start, packed), (following, _) in itertools.pairwise(spans):
        if start + packed > following:
            raise DataError(
                f"{shown}: files inside share their packed bytes, as archive bombs do; pack it again"
            )


def refuse_short_disk(folder: Path, shown: str, total: int) -> None:
    """Before anything is written."""
    free = shutil.disk_usage(folder).free
    if total > free:
        raise DataError(
            f"{shown}: needs {size(total)} to unpack and {size(free)} are free; set TMPDIR to a larger disk"
        )


def extract(
    opened: zipfile.ZipFile, member: Member, folder: Path, quotas: Quotas, before: int, shown: str
) -> int:
    """Write one file, counting the bytes that really come: (its number of bytes). `before`: of all files so far."""
    target = folder.joinpath(*member.name.split("/"))
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{member.shown}: a path that could lead out of the archive; pack the folder again")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    written = 0
    with os.fdopen(handle, "wb") as out, opened.open(member.info) as packed:
        while chunk := packed.read(CHUNK):
            if not written and sniff_bytes(chunk[:HEAD]) in ARCHIVES:
                raise DataError(
                    f"{member.shown}: an archive inside the archive; unpack it and pack the folder again"
                )
            written += len(chunk)
            if written > member.info.file_size or before + written > quotas.max_bytes:
                raise DataError(
                    f"{shown}: unpacks to more than its directory says, as archive bombs do; pack it again"
                )
            out.write(chunk)
    if written != member.info.file_size:
        raise DataError(f"{member.shown}: shorter than the archive's directory says; pack the folder again")
    return written


def data_root(folder: Path) -> Path:
    """The folder itself, or the one folder in it where that is all there is and it holds folders or a table."""
    found = list(folder.iterdir())
    if len(found) == 1 and found[0].is_dir():
        inside = list(found[0].iterdir())
        if any(entry.is_dir() or entry.suffix.lower() in (".csv", ".tsv") for entry in inside):
            return found[0]
    return folder


def empty(folder: Path) -> None:
    """Take back what was written."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def damaged(shown: str, error: Exception) -> str:
    """Why an archive cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return f"{shown}: cannot be unpacked ({error.strerror}); check the file and the free space"
    if isinstance(error, NotImplementedError):
        return f"{shown}: packed with a method that is not supported; pack the folder again as a plain ZIP"
    return f"{shown}: not a readable ZIP archive (damaged or cut short); pack the folder again"


def harmless(name: str) -> str:
    """A name without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "�" for sign in name)[:200]


def size(count: int) -> str:
    """'1.5 GiB'."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def quota(name: str, most: str) -> str:
    """What a user may do about a limit."""
    return f"at most {most}: raise data.quotas.{name} if you trust it"
