"""A repaired copy of a data set on disk: files without a mark byte for byte, the others with the marked pixels filled
and every other pixel as it was."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from audit.data.dataset import SPLITS, ImageDataset
from audit.data.listing import DICOM, PICTURE, kind_of
from audit.errors import DataError
from audit.scan.marks import Flagged, fill, marked
from audit.scan.places import Fit

FRAME = re.compile(r", frame ([0-9]+)$")
LOSSLESS = frozenset({".png", ".tif", ".tiff", ".bmp"})
CHUNK = 256  # images of an array filled at a time

Square = Any  # "crop" or "pad", as the settings say
Pixels = list[tuple[int, int, str]]


@dataclass(frozen=True)
class Change:
    """Pixels of one image that were filled; in the resolution of the file."""

    image: str  # as it was given
    file: str  # in the copy
    top: int
    left: int
    height: int
    width: int
    reason: str


def marked_pixels(dataset: ImageDataset, flagged: list[Flagged]) -> Iterator[tuple[str, int, Pixels]]:
    """(split, position, marked (row, col, reason) at the resolution of the scan) of each image that carries a mark, in
    whichever class and split: labels are not looked at."""
    for split in SPLITS:
        images = dataset.split(split).images
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            of_image: dict[int, dict[tuple[int, int], str]] = {}
            for one in flagged:
                for offset, row, col in np.argwhere(marked(chunk, one.marks)).tolist():
                    of_image.setdefault(offset, {}).setdefault((row, col), one.reason)
            for offset in sorted(of_image):
                yield (
                    split,
                    start + offset,
                    [(*place, why) for place, why in sorted(of_image[offset].items())],
                )


def repair_arrays(
    source: Path, target: Path, dataset: ImageDataset, flagged: list[Flagged], square: Square
) -> list[Change]:
    """A copy of a MedMNIST-style .npz file."""
    with np.load(source, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files if archive[key].dtype.kind != "O"}
    changes = []
    for split, position, pixels in marked_pixels(dataset, flagged):
        images = arrays[f"{split}_images"]
        fit = Fit(images.shape[1], images.shape[2], dataset.image_size[0], square)
        images[position] = filled(images[position], fit, pixels)
        name = f"{split} image {position + 1}"
        changes += [change(name, target.name, fit, pixel) for pixel in pixels]
    np.savez_compressed(target, **arrays)
    return changes


def repair_files(
    source: Path,
    target: Path,
    dataset: ImageDataset,
    flagged: list[Flagged],
    square: Square,
    progress: Callable[[int, int], None] | None = None,
) -> list[Change]:
    """A copy of a folder of images. JPEG files that change become PNG: compressing them again would change all of
    their pixels."""
    assert dataset.files is not None
    shutil.copytree(source, target)
    by_file: dict[str, dict[int, Pixels]] = {}
    for split, position, pixels in marked_pixels(dataset, flagged):
        shown = dataset.files.names[split][position]
        name, frame = without_frame(shown)
        by_file.setdefault(name, {})[frame] = pixels
    changes = []
    for done, (name, frames) in enumerate(by_file.items(), start=1):
        path = target.joinpath(*Path(name).parts[1:])  # names start with that of the data folder
        changes += repair_file(path, name, frames, dataset.image_size[0], square)
        if progress is not None:
            progress(done, len(by_file))
    return changes


def without_frame(shown: str) -> tuple[str, int]:
    """("a.dcm", 2) of "a.dcm, frame 3"."""
    found = FRAME.search(shown)
    return (shown[: found.start()], int(found[1]) - 1) if found else (shown, 0)


def repair_file(
    path: Path, shown: str, frames: Mapping[int, Pixels], size: int, square: Square
) -> list[Change]:
    """Fill the marks of one file of the copy. Raises DataError for raw scans, which can not be written."""
    kind = kind_of(path, shown)
    if kind == DICOM:
        return repair_dicom(path, shown, frames, size, square)
    if kind != PICTURE:
        raise DataError(f"{shown}: a raw scan cannot be repaired; export its images as PNG or DICOM first")
    return repair_picture(path, shown, frames[0], size, square)


def repair_picture(path: Path, shown: str, pixels: Pixels, size: int, square: Square) -> list[Change]:
    """A picture of any format that Pillow reads, upright."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode in ("P", "CMYK", "YCbCr"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        elif image.mode == "1":
            image = image.convert("L")
        values, mode = np.asarray(image), image.mode
    fit = Fit(values.shape[0], values.shape[1], size, square)
    repaired = Image.fromarray(filled(values, fit, pixels))
    assert repaired.mode == mode or mode.startswith("I")
    new = path if path.suffix.lower() in LOSSLESS else path.with_suffix(".png")
    if new != path:
        if new.exists():
            raise DataError(f"{shown}: {new.name} is there already; rename one of the two images")
        path.unlink()
    repaired.save(new)
    file = str(Path(shown).with_name(new.name))
    return [change(shown, file, fit, pixel) for pixel in pixels]


def repair_dicom(
    path: Path, shown: str, frames: Mapping[int, Pixels], size: int, square: Square
) -> list[Change]:
    """A DICOM file, uncompressed, marked as derived and under a new instance UID, as the standard asks of a changed
    image (PS3.3 C.7.6.1.1.2)."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    header = pydicom.dcmread(path)
    if header.file_meta.TransferSyntaxUID.is_compressed:
        header.decompress()
    stored = header.pixel_array.copy()
    several = int(header.get("NumberOfFrames", 1) or 1) > 1
    changes = []
    for frame, pixels in frames.items():
        values = stored[frame] if several else stored
        fit = Fit(values.shape[0], values.shape[1], size, square)
        values[...] = filled(values, fit, pixels)
        name = f"{shown}, frame {frame + 1}" if several else shown
        changes += [change(name, shown, fit, pixel) for pixel in pixels]
    if header.get("PlanarConfiguration"):
        header.PlanarConfiguration = 0
    header.PixelData = stored.tobytes()
    header["PixelData"].VR = "OW" if header.BitsAllocated > 8 else "OB"
    header.SOPInstanceUID = generate_uid(entropy_srcs=[str(header.SOPInstanceUID), "repaired"])
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.ImageType = ["DERIVED", *list(header.get("ImageType", ["ORIGINAL", "PRIMARY"]))[1:]]
    header.save_as(path, implicit_vr=False, little_endian=True)
    return changes


def filled(image: npt.NDArray[Any], fit: Fit, pixels: Pixels) -> npt.NDArray[Any]:
    """A copy of one image (H, W) or (H, W, C) with these pixels of the scan filled from around them."""
    channels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    stack = channels[None].copy()
    fill(stack, fit.holes([(row, col) for row, col, _ in pixels])[None])
    return stack[0, 0] if image.ndim == 2 else np.ascontiguousarray(stack[0].transpose(1, 2, 0))


def change(image: str, file: str, fit: Fit, pixel: tuple[int, int, str]) -> Change:
    """One pixel of the scan as a row of the list."""
    row, col, reason = pixel
    top, left, bottom, right = fit.box(row, col)
    return Change(image, file, top, left, max(bottom - top, 0), max(right - left, 0), reason)
