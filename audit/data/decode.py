"""Image files in: every format as uint8 at training resolution, or a refusal that names the file."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from audit.data.dataset import Images
from audit.data.npz import fit_square
from audit.errors import DataError

Progress = Callable[[int, int], None]

ONE_PAGE = frozenset({"TIFF", "PNG"})  # formats whose further pages would be lost unseen
MAX_THREADS = 8  # Pillow and torch release the interpreter lock while they decode and resize
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)

CUT = "not square: the central square of the short edge was kept"
ENLARGED = "smaller than the wanted size and enlarged (bilinear)"
SIXTEEN_BIT = "16-bit grey, scaled to 8 bit by the full range (0..65535 to 0..255)"
ALPHA = "with an alpha channel, which was dropped"


@dataclass(frozen=True)
class ImageFile:
    """One image file: `shown` is its path from the data folder on, as messages name it."""

    path: Path
    shown: str
    class_name: str


def decode_images(
    files: Sequence[ImageFile], image_size: int, channels: int | None, progress: Progress | None
) -> tuple[Images, tuple[str, ...]]:
    """(N, C, size, size) uint8 in the order of `files`, and notes on what was converted."""
    decode = _make_decoder(image_size, channels)
    pixels = np.empty((len(files), 0, image_size, image_size), dtype=np.uint8)
    remarks: Counter[str] = Counter()
    pool = ThreadPoolExecutor(max_workers=min(MAX_THREADS, os.cpu_count() or 1))
    try:
        for done, (image, found) in enumerate(pool.map(decode, files)):
            if done == 0:
                pixels = np.empty((len(files), *image.shape), dtype=np.uint8)
            if len(image) != pixels.shape[1]:
                raise DataError(_mixed(files[done], files[0], len(image)))
            pixels[done] = image
            remarks.update(found)
            if progress is not None:
                progress(done + 1, len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    return pixels, tuple(f"{n} of {len(files)} images {remark}" for remark, n in sorted(remarks.items()))


def _mixed(file: ImageFile, first: ImageFile, channels: int) -> str:
    grey, colour = (file, first) if channels == 1 else (first, file)
    return (
        f"{grey.shown} is grey but {colour.shown} is colour; convert them to one kind, "
        f"or pass --set data.channels=1 or --set data.channels=3"
    )


def _make_decoder(image_size: int, channels: int | None) -> Callable[[ImageFile], tuple[Images, list[str]]]:
    """A function from file to ((C, size, size) uint8, remarks), safe to call from several threads."""
    from monai.data import PILReader

    # PILReader itself, not LoadImage around it: LoadImage tries its other readers on a damaged file, and
    # one of them takes anything for a DICOM. reverse_indexing=False keeps (row, column).
    def decode(file: ImageFile) -> tuple[Images, list[str]]:
        remarks: list[str] = []
        reader = PILReader(lambda image: _eight_bit(image, file, channels, remarks), reverse_indexing=False)
        try:
            array = np.array(reader.get_data(reader.read(file.path))[0])
        except UNREADABLE as error:
            raise DataError(_unreadable(file, error)) from error
        image = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        height, width = image.shape[1:]
        remarks += [CUT] * (height != width) + [ENLARGED] * (min(height, width) < image_size)
        return fit_square(image[None], image_size)[0], remarks

    return decode


def _eight_bit(image: Image.Image, file: ImageFile, channels: int | None, remarks: list[str]) -> Image.Image:
    """Any Pillow image, turned upright by its EXIF tag, as mode L or RGB; equal RGB channels become L."""
    if image.format in ONE_PAGE and getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{file.shown}: holds several pages; save each page as an image of its own")
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        image = _scaled(image, file)
        remarks.append(SIXTEEN_BIT)
    if image.has_transparency_data:
        remarks.append(ALPHA)
    if image.mode not in ("L", "LA", "1"):
        image = image.convert("RGB")
    if channels is not None:
        return image.convert("L" if channels == 1 else "RGB")
    array = np.asarray(image)
    is_grey = image.mode != "RGB" or bool((array == array[..., :1]).all())
    return image.convert("L") if is_grey else image


def _scaled(image: Image.Image, file: ImageFile) -> Image.Image:
    """16-bit grey to 8 bit over the full range; Pillow's own conversion would clip at 255."""
    array = np.asarray(image)
    if array.dtype.kind == "f" or array.min() < 0 or array.max() > 65535:
        raise DataError(f"{file.shown}: pixels of more than 16 bit; save the image with 8 or 16 bit")
    return Image.fromarray(np.rint(array / 257).astype(np.uint8))


def _unreadable(file: ImageFile, error: Exception) -> str:
    reason = "no known image format" if isinstance(error, UnidentifiedImageError) else str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror  # the full text would show the path of somebody's home
    return f"{file.shown}: cannot be read ({reason}); replace the file or remove it"
