"""Image files in: every format as uint8 at training resolution, or a refusal that names the file."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from audit.data.dataset import Images
from audit.data.listing import DICOM, PICTURE, RAW, ImageFile
from audit.data.npz import fit_square
from audit.data.sniff import check_type
from audit.errors import DataError

if TYPE_CHECKING:
    from audit.data.assembly import Intake

Progress = Callable[[int, int], None]
Pixels = npt.NDArray[np.uint8]

ONE_PAGE = frozenset({"TIFF", "PNG"})  # formats whose further pages would be lost unseen
BATCH = 64  # files that a thread takes at a time
WAITING_BYTES = 1 << 25  # decoded images that a thread keeps for resizing
MAX_THREADS = 8  # Pillow and torch release the interpreter lock while they decode and resize
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)

CUT = "not square: the central square of the short edge was kept"
PADDED = "not square: black bars were added along the long edges"
ENLARGED = "smaller than the wanted size and enlarged (bilinear)"
SIXTEEN_BIT = "16-bit grey, scaled to 8 bit by the full range (0..65535 to 0..255)"
ALPHA = "with an alpha channel, which was dropped"


@dataclass(frozen=True)
class Decoded:
    """What came out, in the order of the files without the excluded ones."""

    images: Images  # (N, C, size, size)
    kept: list[int]  # (N,) positions in the list of files
    sizes: npt.NDArray[np.int64]  # (N, 2) height and width in the file
    notes: tuple[str, ...]  # on what was converted
    excluded: tuple[tuple[str, str], ...]  # shown, reason: unreadable files that were skipped


@dataclass(frozen=True)
class One:
    """One image at training resolution."""

    pixels: Pixels  # (C, size, size)
    size: tuple[int, int]  # height and width in the file
    remarks: list[str]


Outcome = list[One] | DataError


def decode_images(files: Sequence[ImageFile], intake: Intake, progress: Progress | None) -> Decoded:
    """All images of `files`, decoded in parallel, each DICOM file once. Raises DataError naming the first file that
    cannot be read, unless `intake` skips such files."""
    jobs = [list(frames) for _, frames in groupby(files, key=lambda file: file.path)]
    batches = [jobs[start : start + BATCH] for start in range(0, len(jobs), BATCH)]
    collected = Collected(files, intake.image_size)
    import torch

    # Each of these threads is a worker: torch's own threads under them would only get in each other's way.
    pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), "decode", torch.set_num_threads, (1,))
    try:
        outcomes = pool.map(lambda batch: decode_batch(batch, intake), batches)
        for batch, found in zip(batches, outcomes, strict=True):
            for job, outcome in zip(batch, found, strict=True):
                collected.add(job, outcome)
            if progress is not None:
                progress(collected.seen, len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    return collected.decoded()


class Collected:
    """Images as they come in, in one array that is made once their channels are known."""

    def __init__(self, files: Sequence[ImageFile], image_size: int) -> None:
        self.files, self.image_size = files, image_size
        self.pixels = np.empty((len(files), 0, image_size, image_size), dtype=np.uint8)
        self.kept: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.remarks: Counter[str] = Counter()
        self.excluded: list[tuple[str, str]] = []
        self.seen = 0

    def add(self, job: Sequence[ImageFile], outcome: Outcome) -> None:
        """The images of one file, or why there are none."""
        if isinstance(outcome, DataError):
            self.excluded.append((job[0].shown, str(outcome).removeprefix(f"{job[0].shown}: ")))
        else:
            for offset, one in enumerate(outcome):
                self.add_one(self.seen + offset, one)
        self.seen += len(job)

    def add_one(self, position: int, one: One) -> None:
        if not self.kept:
            self.pixels = np.empty((len(self.files), *one.pixels.shape), dtype=np.uint8)
        if len(one.pixels) != self.pixels.shape[1]:
            raise DataError(mixed(self.files[position], self.files[self.kept[0]], len(one.pixels)))
        self.pixels[len(self.kept)] = one.pixels
        self.kept.append(position)
        self.sizes.append(one.size)
        self.remarks.update(one.remarks)

    def decoded(self) -> Decoded:
        count = len(self.kept)
        return Decoded(
            images=self.pixels[:count],
            kept=self.kept,
            sizes=np.array(self.sizes, dtype=np.int64).reshape(count, 2),
            notes=tuple(f"{n} of {count} images {remark}" for remark, n in sorted(self.remarks.items())),
            excluded=tuple(self.excluded),
        )


def mixed(file: ImageFile, first: ImageFile, channels: int) -> str:
    """The refusal of grey among colour."""
    grey, colour = (file, first) if channels == 1 else (first, file)
    return (
        f"{grey.shown} is grey but {colour.shown} is colour; convert them to one kind, "
        f"or pass --set data.channels=1 or --set data.channels=3"
    )


def decode_batch(jobs: Sequence[Sequence[ImageFile]], intake: Intake) -> list[Outcome]:
    """The images of some files, or why there are none. Images of one shape are resized together: MONAI's transforms
    cost as much for one image as for thirty."""
    fitting = Fitting(intake)
    outcomes: list[list[Slot] | DataError] = []
    for job in jobs:
        try:
            pictures = READERS[job[0].kind](job, intake)
            outcomes.append([fitting.slot(image, remarks) for image, remarks in pictures])
        except DataError as refusal:
            if intake.unreadable == "refuse":
                raise
            outcomes.append(refusal)
    fitting.flush()
    return [found if isinstance(found, DataError) else [slot.done() for slot in found] for found in outcomes]


class Slot:
    """Where one image will be once its shape was resized."""

    def __init__(self, size: tuple[int, int], remarks: list[str]) -> None:
        self.size, self.remarks = size, remarks
        self.pixels: Pixels | None = None

    def done(self) -> One:
        """The image; `Fitting.flush` has been called."""
        assert self.pixels is not None
        return One(self.pixels, self.size, self.remarks)


class Fitting:
    """Images waiting to be made square and resized, by shape."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.waiting: dict[tuple[int, ...], list[tuple[Slot, Pixels]]] = {}
        self.bytes = 0

    def slot(self, image: Pixels, remarks: list[str]) -> Slot:
        """Take in one image (H, W) or (H, W, 3)."""
        channels_first = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        height, width = channels_first.shape[1:]
        edge = max(height, width) if self.intake.square == "pad" else min(height, width)
        if height != width:
            remarks.append(PADDED if self.intake.square == "pad" else CUT)
        if edge < self.intake.image_size:
            remarks.append(ENLARGED)
        slot = Slot((int(height), int(width)), remarks)
        self.waiting.setdefault(channels_first.shape, []).append((slot, channels_first))
        self.bytes += image.nbytes
        if self.bytes > WAITING_BYTES:
            self.flush()
        return slot

    def flush(self) -> None:
        """Resize all that waits."""
        for group in self.waiting.values():
            images = np.stack([image for _, image in group])
            resized = fit_square(images, self.intake.image_size, self.intake.square)
            for (slot, _), pixels in zip(group, resized, strict=True):
                slot.pixels = pixels
        self.waiting, self.bytes = {}, 0


def dicom_pictures(job: Sequence[ImageFile], intake: Intake) -> Iterator[tuple[Pixels, list[str]]]:
    """The wanted frames of one DICOM file, (H, W) or (H, W, 3) uint8."""
    from audit.data.dicom_pixels import DicomReader

    for file in job:
        reader = DicomReader(file.frame or 0, file.shown, intake.max_pixels)
        pixels, meta = reader.get_data(reader.read(file.path))
        yield np.array(in_channels(Image.fromarray(pixels), intake.channels)), list(meta["remarks"])


def raw_pictures(job: Sequence[ImageFile], intake: Intake) -> Iterator[tuple[Pixels, list[str]]]:
    """The wanted frames of one raw scan."""
    from audit.data.oct_raw import read_raw

    scan = read_raw(job[0].path, job[0].shown, intake.max_pixels)
    for file in job:
        image = Image.fromarray(scan.frames[file.frame or 0])
        yield np.array(in_channels(image, intake.channels)), []


def picture(job: Sequence[ImageFile], intake: Intake) -> Iterator[tuple[Pixels, list[str]]]:
    """The one image of a file of any format that Pillow reads."""
    [file] = job
    from monai.data import PILReader

    remarks = [remark] if (remark := check_type(file.path, file.shown, intake.max_pixels)) else []
    # PILReader itself, not LoadImage around it: LoadImage tries its other readers on a damaged file, and
    # one of them takes anything for a DICOM. reverse_indexing=False keeps (row, column).
    reader = PILReader(lambda image: eight_bit(image, file, intake.channels, remarks), reverse_indexing=False)
    try:
        array = np.array(reader.get_data(reader.read(file.path))[0])
    except UNREADABLE as error:
        raise DataError(unreadable(file, error)) from error
    yield array, remarks


READERS = {PICTURE: picture, DICOM: dicom_pictures, RAW: raw_pictures}


def eight_bit(image: Image.Image, file: ImageFile, channels: int | None, remarks: list[str]) -> Image.Image:
    """Any Pillow image, turned upright by its EXIF tag, as mode L or RGB."""
    if image.format in ONE_PAGE and getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{file.shown}: holds several pages; save each page as an image of its own")
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        image = scaled(image, file)
        remarks.append(SIXTEEN_BIT)
    if image.has_transparency_data:
        remarks.append(ALPHA)
    if image.mode not in ("L", "LA", "1"):
        image = image.convert("RGB")
    return in_channels(image, channels)


def in_channels(image: Image.Image, channels: int | None) -> Image.Image:
    """As mode L or RGB, as asked; equal RGB channels become L where nothing is asked."""
    if channels is not None:
        return image.convert("L" if channels == 1 else "RGB")
    array = np.asarray(image)
    is_grey = image.mode != "RGB" or bool((array == array[..., :1]).all())
    return image.convert("L") if is_grey else image


def scaled(image: Image.Image, file: ImageFile) -> Image.Image:
    """16-bit grey to 8 bit over the full range; Pillow's own conversion would clip at 255."""
    array = np.asarray(image)
    if array.dtype.kind == "f" or array.min() < 0 or array.max() > 65535:
        raise DataError(f"{file.shown}: pixels of more than 16 bit; save the image with 8 or 16 bit")
    return Image.fromarray(np.rint(array / 257).astype(np.uint8))


def unreadable(file: ImageFile, error: Exception) -> str:
    """Why a file cannot be decoded."""
    reason = "no known image format" if isinstance(error, UnidentifiedImageError) else str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror  # the full text would show the path of somebody's home
    return f"{file.shown}: cannot be read ({reason}); replace the file or remove it"
