"""Frames of DICOM files as uint8, row by row as they lie in the file, and the MONAI reader around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from monai.data import ImageReader
from pydicom import Dataset, uid
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.pixels.utils import iter_pixels

from audit.data.dataset import Images
from audit.data.decoders import PACKAGE, PLUGIN_SYNTAXES, plugin_for
from audit.data.dicom import (
    CHECKED,
    EXPORT,
    GROUPS,
    MAX_PIXELS,
    frame_count,
    read_header,
    refusing,
)
from audit.errors import DataError

Values = npt.NDArray[Any]

SUFFIXES = frozenset({".dcm", ".dicom"})
TRANSFORMS = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
COLOURS = ("Red", "Green", "Blue")
KEYWORDS = (
    *CHECKED,
    *GROUPS,
    *TRANSFORMS,
    *("PlanarConfiguration", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in COLOURS),
)
PIXEL_KEYWORDS = (*KEYWORDS, "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData")
FRAME_MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
FAR = 1e9  # beyond every stored value: what a window makes of it is the end of the window's range

NO_WINDOW = "DICOM without a window, scaled to 8 bit by the full range of its {bits} stored bits"
COLOUR = "colour DICOM scaled to 8 bit by the full range of its {bits} stored bits"
SEVERAL_WINDOWS = "DICOM with several windows, the first applied"
BAD_WINDOW = "DICOM with an unusable window, which was ignored"
INVERTED = "DICOM stored as MONOCHROME1 and inverted, so that high is bright"
PADDING = "DICOM with padding around the image, set to black"


def read_frames(
    path: Path, shown: str, frames: Sequence[int], max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Images, tuple[str, ...]]]:
    """Decode the frames numbered `frames` (from 0), one at a time: (pixels, remarks) of each.

    Pixels are uint8 (rows, columns) grey or (rows, columns, 3) RGB, high is bright. 8 stored bits without a
    window stay byte for byte; more become 8 by the full range of the stored bits, never by what one image
    happens to hold. Remarks are sentences about what was done. Raises DataError for what cannot be read.
    """
    header, as_declared = read_header(path, shown, KEYWORDS, max_pixels)
    syntax = header.file_meta.TransferSyntaxUID
    plugin = _find_plugin(syntax, shown)
    failed = (
        f"{shown}: its pixel data cannot be decoded ({_kind_of_data(syntax)}, damaged or cut short); {EXPORT}"
    )
    with refusing(f"{shown}: its DICOM header is damaged; {EXPORT}"):
        wanted = [frame for frame in frames if 0 <= frame < frame_count(header)]
        if len(wanted) < len(frames):
            raise DataError(f"{shown}: has {frame_count(header)} frames, fewer than were asked for; {EXPORT}")
    decoded = _decode(path, shown, plugin, wanted, as_declared)
    for frame in wanted:
        with refusing(failed):
            stored = next(decoded)
        with refusing(f"{shown}: its window, rescale or palette values are unusable; {EXPORT}"):
            image = _to_eight_bit(stored, _header_of_frame(header, frame))
        yield image


class DicomReader(ImageReader):  # type: ignore[misc]
    """MONAI reader of one frame (number `frame`, from 0) of a DICOM file, through `read_frames`.

    Keeps (row, column), where MONAI's PydicomReader swaps them. `shown` names the file in messages (its name
    without one). Raises DataError as `read_frames` does.
    """

    def __init__(self, frame: int = 0, shown: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        super().__init__()
        self.frame, self.shown, self.max_pixels = frame, shown, max_pixels

    def verify_suffix(self, filename: Sequence[PathLike[str]] | PathLike[str] | str) -> bool:
        """Whether all names end as DICOM files do."""
        return all(path.suffix.lower() in SUFFIXES for path in _paths(filename))

    def read(
        self, data: Sequence[PathLike[str]] | PathLike[str] | str, **_: object
    ) -> tuple[Images, tuple[str, ...]]:
        """(pixels, remarks) of the frame of one file. Raises DataError, also for several files at once."""
        paths = _paths(data)
        shown = self.shown or paths[0].name
        if len(paths) > 1:
            raise DataError(f"{shown}: one of {len(paths)} files given as one image; give one file per image")
        return next(read_frames(paths[0], shown, [self.frame], self.max_pixels))

    def get_data(self, img: tuple[Images, tuple[str, ...]]) -> tuple[Images, dict[str, Any]]:
        """uint8 (rows, columns) or (rows, columns, 3), and MONAI's metadata: shape, channels, remarks."""
        pixels, remarks = img
        return pixels, {
            "spatial_shape": np.array(pixels.shape[:2]),
            "original_channel_dim": float("nan") if pixels.ndim == 2 else -1,
            "remarks": remarks,
        }


def _paths(names: Sequence[PathLike[str]] | PathLike[str] | str) -> list[Path]:
    return [Path(names)] if isinstance(names, str | PathLike) else [Path(name) for name in names]


def _kind_of_data(syntax: uid.UID) -> str:
    return "uncompressed" if syntax in uid.UncompressedTransferSyntaxes else syntax.name


def _find_plugin(syntax: uid.UID, shown: str) -> str:
    plugin = plugin_for(syntax)
    if plugin is None and syntax in PLUGIN_SYNTAXES:
        raise DataError(f"{shown}: no decoder here for {syntax.name}; install {PACKAGE}")
    if plugin is None:
        raise DataError(f"{shown}: compressed as {syntax.name}, which is not read; export it uncompressed")
    return plugin


def _decode(path: Path, shown: str, plugin: str, frames: list[int], as_declared: bool) -> Iterator[Values]:
    """Stored values of frames, one at a time from the file; from memory where pydicom cannot seek in it."""
    if not frames:  # pydicom takes no frames for all frames
        return
    if as_declared:
        yield from iter_pixels(path, indices=frames, decoding_plugin=plugin)
        return
    source = pydicom.dcmread(path, specific_tags=[*PIXEL_KEYWORDS])
    if "PixelData" not in source:
        raise DataError(f"{shown}: a DICOM file without pixel data; remove it")
    yield from iter_pixels(source, indices=frames, decoding_plugin=plugin)


def _header_of_frame(header: Dataset, frame: int) -> Dataset:
    """The header with rescale and window of one frame taken up from the functional groups."""
    flat = header.group_dataset(0x0028)
    flat.file_meta = header.file_meta
    shared, frames = (header.get(keyword) or [] for keyword in GROUPS)
    for group in [*shared[:1], *frames[frame : frame + 1]]:
        for macro in FRAME_MACROS:
            for item in (group.get(macro) or [])[:1]:
                flat.update(item)
    for keyword in TRANSFORMS:
        if keyword in flat and flat[keyword].value in (None, ""):
            del flat[keyword]
    return flat


def _to_eight_bit(stored: Values, header: Dataset) -> tuple[Images, tuple[str, ...]]:
    photometric, bits = str(header.PhotometricInterpretation), int(header.BitsStored)
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(stored, header)
        return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8), ()
    if stored.ndim == 3:
        return _scaled(stored, 0, 2**bits - 1), (COLOUR.format(bits=bits),) * (bits != 8)
    grey, remarks = _grey(stored, header, bits)
    if photometric == "MONOCHROME1":
        grey, remarks = 255 - grey, (*remarks, INVERTED)
    padding = _padding(stored, header)
    if padding is not None and padding.any():
        grey[padding], remarks = 0, (*remarks, PADDING)
    return grey, remarks


def _grey(stored: Values, header: Dataset, bits: int) -> tuple[Images, tuple[str, ...]]:
    """Modality LUT or rescale, then VOI LUT or window, then 0 to 255 over the range these can give."""
    values = apply_modality_lut(stored, header)
    window, remarks = _window(header)
    if header.get("VOILUTSequence"):
        depth = int(header.VOILUTSequence[0].LUTDescriptor[2])
        return _scaled(apply_voi(values, header), 0, 2**depth - 1), ()
    if window:
        with np.errstate(over="ignore"):  # in the sigmoid of FAR
            low, high = apply_windowing(np.array([-FAR, FAR]), header)
            return _scaled(apply_windowing(values, header), low, high), remarks
    low, high = _full_range(header, bits)
    if bits > 8:
        remarks = (*remarks, NO_WINDOW.format(bits=bits))
    return _scaled(values, low, high), remarks


def _window(header: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Whether the header has a window that can be applied, and what to remark on it."""
    if "WindowCenter" not in header or "WindowWidth" not in header:
        return False, ()
    width = header.WindowWidth
    first = float(width[0] if header["WindowWidth"].VM > 1 else width)
    exact = header.get("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID")
    if not (first > 0 if exact else first >= 1):
        return False, (BAD_WINDOW,)
    return True, (SEVERAL_WINDOWS,) if header["WindowWidth"].VM > 1 else ()


def _full_range(header: Dataset, bits: int) -> tuple[float, float]:
    """The least and greatest value that stored bits can mean, after the modality LUT or rescale."""
    if header.get("ModalityLUTSequence"):
        return 0, 2 ** int(header.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    low = -(2 ** (bits - 1)) if header.PixelRepresentation == 1 else 0
    ends = apply_modality_lut(np.array([low, low + 2**bits - 1]), header)
    return float(ends.min()), float(ends.max())


def _padding(stored: Values, header: Dataset) -> npt.NDArray[np.bool_] | None:
    """Where grey values lie in the header's padding range (PS3.3 C.7.5.1.1.2): no part of the image."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return None
    last = header.get("PixelPaddingRangeLimit", first)
    inside: npt.NDArray[np.bool_] = (stored >= min(first, last)) & (stored <= max(first, last))
    return inside


def _scaled(values: Values, low: float, high: float) -> Images:
    """`low` to 0 and `high` to 255, linear, rounded, clipped; `low` may be the greater of the two."""
    if not np.isfinite(high - low) or low == high:
        raise ValueError("no range of values")
    levels = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
