"""What a file really is, by its first bytes: suffixes lie, and so do failed downloads."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from audit.errors import DataError

MAX_PIXELS = 200_000_000
HEAD = 512  # bytes read; a DICOM's mark stands at 128

MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"PK\x05\x06", "ZIP archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"BZh", "bzip2 archive"),
    (b"\xfd7zXZ\0", "xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\x93NUMPY", "numpy array"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
)
IMAGES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
}
ARCHIVES = frozenset(
    {
        "ZIP archive",
        "gzip archive",
        "bzip2 archive",
        "xz archive",
        "7-Zip archive",
        "RAR archive",
        "tar archive",
    }
)


def sniff_bytes(head: bytes) -> str:
    """The kind of a file that begins with `head` (up to 512 bytes): "JPEG", "DICOM", "HTML page" ..; "" unknown."""
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[257:262] == b"ustar":
        return "tar archive"
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "HTML page" if b"html" in text else "XML text"
    if head and not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "text"
    return ""


def sniff(path: Path, shown: str) -> str:
    """`sniff_bytes` of a file; "empty file" where nothing is in it. Raises DataError where it cannot be opened."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        raise DataError(
            f"{shown}: cannot be read ({error.strerror}); replace the file or remove it"
        ) from error
    return sniff_bytes(head) if head else "empty file"


def check_type(path: Path, shown: str, max_pixels: int = MAX_PIXELS) -> str:
    """Refuse what is no image whatever its name says, and images of more than `max_pixels`.

    Returns a remark where the name is of another image format, else "". Raises DataError.
    """
    kind, suffix = sniff(path, shown), path.suffix.lower()
    named = next(
        (image for image, suffixes in IMAGES.items() if suffix in suffixes), suffix.lstrip(".").upper()
    )
    if kind == "HTML page":
        raise DataError(
            f"{shown}: holds a web page, not an image (a failed download?); fetch the image again"
        )
    if kind and kind not in IMAGES:
        raise DataError(f"{shown}: is {a_or_an(kind)}, not {a_or_an(named)}; replace the file or remove it")
    refuse_bomb(path, shown, max_pixels)
    return f"named {named} but {kind} inside" if kind and kind != named else ""


def a_or_an(noun: str) -> str:
    """'a PNG', 'an RAR archive'; a file's kind in a sentence."""
    if noun in ("text", "empty file"):
        return {"text": "plain text", "empty file": "an empty file"}[noun]
    return f"{'an' if noun[:1] in 'AEIOX' or noun.startswith(('RAR', 'HTML')) else 'a'} {noun}"


def refuse_bomb(path: Path, shown: str, max_pixels: int) -> None:
    """By the size in the header, before anything is decoded. Raises DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb warning, below our limit
            with Image.open(path) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise DataError(f"{shown}: {too_large(max_pixels)}") from None
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError):
        return  # the decoder says why
    if width * height > max_pixels:
        raise DataError(f"{shown}: {width} × {height}: {too_large(max_pixels)}")


def too_large(max_pixels: int) -> str:
    """Reason and remedy."""
    return f"more than {max_pixels:,} pixels; scale the image down, or raise data.quotas.pixels"
