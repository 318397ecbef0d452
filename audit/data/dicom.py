"""DICOM files: what a header may tell, and frames as uint8 grey or RGB.

Headers are read by an allow-list of tags; PatientID leaves a file only as a salted hash, other identifying tags only
as "filled in". Pixels: modality LUT or rescale, VOI LUT or window, MONOCHROME1 inverted, palette and YBR to RGB
(PS3.3 C.11, C.7.6.3; pydicom does the arithmetic), rows and columns as stored.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydicom
from monai.data import ImageReader
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import JPEGExtended12Bit

from audit.data.dicom_grey import to_eight_bit
from audit.data.sniff import MAX_PIXELS, a_or_an, sniff, too_large
from audit.errors import DataError

# What pydicom says of a bad value holds the value, which may be a name.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\..*")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

Pixels = npt.NDArray[np.uint8]
BurnedIn = Literal["yes", "no", "not stated"]

KINDS = {
    "1.2.840.10008.5.1.4.1.1.77.1.5.4": "ophthalmic tomography",
    "1.2.840.10008.5.1.4.1.1.77.1.5.1": "ophthalmic photography",
    "1.2.840.10008.5.1.4.1.1.77.1.5.2": "ophthalmic photography",
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL photographic",
    "1.2.840.10008.5.1.4.1.1.77.1.7": "dermoscopic photography",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture",
}
NO_PICTURES = (
    "Segmentation",
    "Parametric Map",
    "RT Dose",
    "Real World Value",
)  # pixels that are no grey values
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "ReferringPhysicianName",
    "OperatorsName",
    "InstitutionName",
)
ALLOWED = (
    *IDENTIFYING,
    "SOPClassUID",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "BitsAllocated",
    "Laterality",
    "ImageLaterality",
    "BurnedInAnnotation",
    "SharedFunctionalGroupsSequence",
)
HASH_LENGTH = 16  # hexadecimal digits
DECODERS = {  # transfer syntax -> what gives it, in the words of pip
    "1.2.840.10008.1.2.4.57": "python-gdcm",
    "1.2.840.10008.1.2.4.70": "python-gdcm",
    "1.2.840.10008.1.2.4.80": "python-gdcm",
    "1.2.840.10008.1.2.4.81": "python-gdcm",
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}


@dataclass(frozen=True)
class DicomFacts:
    """What a header tells, without a value that identifies anybody."""

    frames: int
    rows: int
    columns: int
    kind: str  # in words
    laterality: str | None  # R, L
    group: str | None  # salted hash of PatientID
    burned_in: BurnedIn
    identifiers_present: tuple[str, ...]  # keywords of tags that are filled in


def read_facts(path: Path, shown: str, salt: bytes, max_pixels: int = MAX_PIXELS) -> DicomFacts:
    """The header of one file. Raises DataError for what is no DICOM, or no picture."""
    header = read_header(path, shown, list(ALLOWED))
    frames, rows, columns = (number(header, name) for name in ("NumberOfFrames", "Rows", "Columns"))
    kind = kind_of(header, shown)
    if not rows or not columns:
        raise DataError(f"{shown}: a DICOM without an image ({kind}); remove it")
    frames = frames or 1
    if rows * columns * frames > max_pixels:
        raise DataError(f"{shown}: {frames} frames of {columns} × {rows}: {too_large(max_pixels)}")
    patient = text(header, "PatientID")
    return DicomFacts(
        frames=frames,
        rows=rows,
        columns=columns,
        kind=kind,
        laterality=laterality(header),
        group=hmac.new(salt, patient.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH] if patient else None,
        burned_in=burned_in(header),
        identifiers_present=tuple(name for name in IDENTIFYING if text(header, name)),
    )


def read_header(path: Path, shown: str, tags: list[str] | None) -> Dataset:
    """Everything before the pixels, or the allowed tags alone. Raises DataError."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except InvalidDicomError:
        kind = sniff(path, shown)
        inside = f"{a_or_an(kind)} inside" if kind and kind != "DICOM" else "no DICOM header"
        raise DataError(f"{shown}: not a DICOM file ({inside}); replace the file or remove it") from None
    except OSError as error:
        if error.strerror:
            raise DataError(f"{shown}: cannot be read ({error.strerror}); check its permissions") from None
        raise DataError(damaged_header(shown)) from None
    except Exception:  # noqa: BLE001  a parser on any bytes may raise anything, with values in its words
        raise DataError(damaged_header(shown)) from None


def damaged_header(shown: str) -> str:
    """Without the parser's words: they may hold values."""
    return f"{shown}: a damaged DICOM header; export the file again"


def text(header: Dataset, name: str) -> str:
    """A value as text; '' where it is missing or cannot be read."""
    try:
        return str(header.get(name, "") or "").strip()
    except Exception:  # noqa: BLE001  values are converted only when asked for
        return ""


def number(header: Dataset, name: str) -> int:
    """A whole number; 0 where it is missing or none."""
    try:
        return max(int(text(header, name)), 0)
    except ValueError:
        return 0


def kind_of(header: Dataset, shown: str) -> str:
    """The kind of image in words. Raises DataError for kinds whose pixels are no grey values or colours."""
    uid = text(header, "SOPClassUID")
    name = KINDS.get(uid) or pydicom.uid.UID(uid).name.removesuffix(" Image Storage").removesuffix(" Storage")
    if not uid or name == uid:  # private or missing: a number that says nothing
        name = "kind not stated"
    if name == "Media Storage Directory":
        raise DataError(f"{shown}: a DICOMDIR, the list of a disc; give the folders of image files")
    if any(word in name for word in NO_PICTURES):
        raise DataError(f"{shown}: a DICOM without an image ({name}); remove it")
    return name


def laterality(header: Dataset) -> str | None:
    """R or L: of the image, the series, or the frames together."""
    for name in ("ImageLaterality", "Laterality"):
        if text(header, name) in ("R", "L"):
            return text(header, name)
    try:
        found = header.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].FrameLaterality
    except Exception:  # noqa: BLE001  any level may be missing or damaged
        return None
    return str(found) if found in ("R", "L") else None


def burned_in(header: Dataset) -> BurnedIn:
    """Whether the maker says that names may stand in the pixels."""
    said = text(header, "BurnedInAnnotation").upper()
    return "yes" if said == "YES" else "no" if said == "NO" else "not stated"


def read_frames(
    path: Path, shown: str, frames: Sequence[int], max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Pixels, tuple[str, ...]]]:
    """The frames (from 0) of one file, one after another: uint8 (H, W) or (H, W, 3) RGB, and remarks on what was
    done. Raises DataError for what cannot be decoded."""
    header = read_header(path, shown, None)
    rows, columns = number(header, "Rows"), number(header, "Columns")
    if rows * columns * (number(header, "NumberOfFrames") or 1) > max_pixels:
        raise DataError(f"{shown}: {columns} × {rows}: {too_large(max_pixels)}")
    kind = kind_of(header, shown)
    if number(header, "BitsAllocated") not in (8, 16) or number(header, "SamplesPerPixel") not in (1, 3):
        raise DataError(
            f"{shown}: a DICOM without a picture of 8 or 16 bit, grey or colour ({kind}); remove it"
        )
    for frame, array in zip(frames, decode(path, shown, frames, header), strict=True):
        try:
            picture = as_picture(array, header, frame)
        except Exception:  # noqa: BLE001  damaged tables of values
            raise DataError(f"{shown}: damaged DICOM pixels; export the file again") from None
        yield picture


def decode(path: Path, shown: str, frames: Sequence[int], header: Dataset) -> Iterator[npt.NDArray[Any]]:
    """Stored values of the wanted frames; YBR as RGB. Raises DataError."""
    source: Path | Dataset = path  # one frame at a time from the disk
    for frame in frames:
        try:
            try:
                array = next(iter_pixels(source, indices=[frame]))
            except (AttributeError, ValueError):  # deflated or oddly written: as a whole, then
                source = pydicom.dcmread(path)
                array = next(iter_pixels(source, indices=[frame]))
        except Exception:  # noqa: BLE001  decoders raise whatever they like, with values in their words
            syntax = pydicom.uid.UID(text(header.file_meta, "TransferSyntaxUID"))
            raise DataError(f"{shown}: {why_undecodable(syntax)}") from None
        yield array


def why_undecodable(syntax: pydicom.uid.UID) -> str:
    """A missing decoder, or damaged pixels."""
    from pydicom.pixels.decoders.base import get_decoder

    if syntax in DECODERS and not get_decoder(syntax).is_available:
        return f"no decoder for {syntax.name}; pip install {DECODERS[syntax]}"
    if syntax == JPEGExtended12Bit:
        return "damaged, or JPEG of 12 bit, which pylibjpeg-libjpeg decodes (GPL); install it or export the file anew"
    return "damaged or missing DICOM pixels; export the file again"


def as_picture(array: npt.NDArray[Any], header: Dataset, frame: int) -> tuple[Pixels, tuple[str, ...]]:
    """Stored values of one frame as uint8, and remarks."""
    if text(header, "PhotometricInterpretation") == "PALETTE COLOR":
        colours = apply_color_lut(array, header)
        if colours.dtype != np.uint8:
            colours = np.rint(colours / 257.0).astype(np.uint8)
        return colours, ("DICOM with a colour palette, shown as RGB",)
    if array.ndim == 3:
        if array.dtype == np.uint8:
            return array, ()
        bits = number(header, "BitsStored") or 8 * array.dtype.itemsize
        top = float(2**bits - 1)
        return np.rint(array / top * 255).clip(0, 255).astype(np.uint8), (
            f"DICOM colour of {bits} bit, scaled to 8 bit",
        )
    return to_eight_bit(array, header, frame)


class DicomReader(ImageReader):  # type: ignore[misc]
    """MONAI's way to read, around `read_frames`: MONAI's own reader applies the rescale alone and swaps the axes."""

    def __init__(self, shown: str, frames: Sequence[int] = (0,), max_pixels: int = MAX_PIXELS) -> None:
        self.shown, self.frames, self.max_pixels = shown, frames, max_pixels

    def verify_suffix(self, filename: Any) -> bool:
        """Scanners like to leave the suffix out: `read` finds out."""
        return True

    def read(self, data: Any, **kwargs: Any) -> list[tuple[Pixels, tuple[str, ...]]]:
        """The frames of the one file at `data`; MONAI hands it over as a tuple."""
        path = data[0] if isinstance(data, tuple | list) else data
        return list(read_frames(Path(path), self.shown, self.frames, self.max_pixels))

    def get_data(self, img: list[tuple[Pixels, tuple[str, ...]]]) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """uint8 (H, W), (H, W, 3), or frames first; row and column as in the file."""
        arrays = [array for array, _ in img]
        stacked = arrays[0] if len(arrays) == 1 else np.stack(arrays)
        colour = arrays[0].ndim == 3
        meta = {
            "remarks": [remarks for _, remarks in img],
            "original_channel_dim": -1 if colour else float("nan"),
            "spatial_shape": np.array(arrays[0].shape[:2]),
        }
        return stacked, meta
