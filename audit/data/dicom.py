"""What a DICOM header says of an image, read from a list of allowed tags.

Identifying values are looked at only to say that a tag is filled in, and PatientID to make a salted hash;
neither is kept, and no message repeats what stands in a file. Unique identifiers (UIDs) are not read.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset, uid
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from audit.errors import DataError

MAX_PIXELS = 200_000_000  # rows * columns * frames of one file
KINDS = {
    uid.OphthalmicTomographyImageStorage: "ophthalmic tomography",
    uid.OphthalmicPhotography8BitImageStorage: "ophthalmic photography",
    uid.OphthalmicPhotography16BitImageStorage: "ophthalmic photography",
    uid.VLPhotographicImageStorage: "VL photographic",
    uid.DermoscopicPhotographyImageStorage: "dermoscopic photography",
    uid.SecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage: "secondary capture",
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage: "secondary capture",
}
UNKNOWN_KIND = "kind not known"
NO_IMAGES = ("RT Image Storage", "VL Whole Slide Microscopy Image Storage")  # beams; tiles, not frames
PHOTOMETRIC = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
    3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
}
# The direct identifiers of PS3.15 table E.1-1 that stand at the top of an image's header, and full dates.
IDENTIFYING = (
    *("PatientName", "PatientID", "OtherPatientIDs", "OtherPatientIDsSequence", "OtherPatientNames"),
    *("PatientBirthName", "PatientBirthDate", "PatientBirthTime", "PatientMotherBirthName"),
    *("PatientAddress", "PatientTelephoneNumbers", "PatientComments", "MedicalRecordLocator"),
    *("MilitaryRank", "ResponsiblePerson", "AccessionNumber", "StudyID", "AdmissionID"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("ReferringPhysicianName", "PhysiciansOfRecord", "PerformingPhysicianName", "OperatorsName"),
    *("NameOfPhysiciansReadingStudy", "RequestingPhysician", "DeviceSerialNumber", "ImageComments"),
    *("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime"),
)
SHAPE = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored")
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
CHECKED = ("SOPClassUID", "PhotometricInterpretation", *SHAPE)
ALLOWED = (*CHECKED, *IDENTIFYING, *GROUPS, "Laterality", "ImageLaterality", "BurnedInAnnotation")
FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)
INTEGER_PIXELS = 0x7FE00010
EXPORT = "export it again or remove it"


@dataclass(frozen=True)
class DicomFacts:
    """What a header says. Holds no identifying value.

    `kind` is the kind of image in words; `laterality` "R", "L" or None; `group` 16 hexadecimal digits made
    from PatientID and a salt, None without an id (everybody called "anonymous" is one group); `burned_in`
    "yes", "no" or "not stated"; `identifiers_present` the keywords of identifying tags that are filled in.
    """

    frames: int
    rows: int
    columns: int
    kind: str
    photometric: str
    laterality: str | None
    group: str | None
    burned_in: str
    identifiers_present: tuple[str, ...]


def read_facts(path: Path, shown: str, salt: bytes, max_pixels: int = MAX_PIXELS) -> DicomFacts:
    """The facts of one file, from its header alone. Raises DataError for what is no readable image.

    `salt` keys the hash of PatientID: the same salt gives the same group for the same patient.
    """
    header, _ = read_header(path, shown, ALLOWED, max_pixels)
    with refusing(f"{shown}: its DICOM header is damaged; {EXPORT}"):
        filled = tuple(keyword for keyword in IDENTIFYING if _is_filled(header, keyword))
        patient = str(header.PatientID).strip() if "PatientID" in filled else ""
        burned_in = {"YES": "yes", "NO": "no"}.get(str(header.get("BurnedInAnnotation", "")).upper())
        return DicomFacts(
            frames=frame_count(header),
            rows=int(header.Rows),
            columns=int(header.Columns),
            kind=_kind(header),
            photometric=str(header.PhotometricInterpretation),
            laterality=_laterality(header),
            group=hmac.new(salt, patient.encode(), hashlib.sha256).hexdigest()[:16] if patient else None,
            burned_in=burned_in or "not stated",
            identifiers_present=filled,
        )


def read_header(
    path: Path, shown: str, keywords: tuple[str, ...], max_pixels: int = MAX_PIXELS
) -> tuple[Dataset, bool]:
    """The tags `keywords` (which include CHECKED) of a file whose header says that it is a readable image,
    and whether the pixels lie in the file as its transfer syntax (in `file_meta`) says.

    Raises DataError, which repeats nothing of the file.
    """
    keep_quiet()
    with refusing(f"{shown}: its DICOM header is damaged; {EXPORT}"):
        try:
            meta = read_file_meta_info(path)
            _refuse_other_objects(str(meta.get("MediaStorageSOPClassUID", "")), shown)
            syntax = meta.get("TransferSyntaxUID")
            if not syntax:
                raise DataError(f"{shown}: its DICOM header names no transfer syntax; {EXPORT}")
            if syntax.name == syntax:
                raise DataError(f"{shown}: its transfer syntax is unknown here; export it uncompressed")
            if syntax == uid.DeflatedExplicitVRLittleEndian:
                _refuse_deflated_bomb(path, shown, 2 * max_pixels)
            with path.open("rb") as file:
                header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*keywords])
                start = file.read(6)
                pixels_at = _next_tag(start, syntax)
        except InvalidDicomError:
            raise DataError(
                f"{shown}: not a DICOM file (no DICM mark at byte 128); {EXPORT}, whatever its name says"
            ) from None
        except OSError as error:
            raise DataError(f"{shown}: cannot be read ({error.strerror}); check the file") from None
        _refuse_other_objects(str(header.get("SOPClassUID", "")), shown)
        _refuse_pixels(header, pixels_at, shown)
        _refuse_size(header, shown, max_pixels)
        declared = (syntax.is_implicit_VR, syntax.is_little_endian)
        as_declared = header.original_encoding == declared and pixels_at is not None
    return header, as_declared and (syntax.is_implicit_VR or start[4:] in (b"OB", b"OW"))


def frame_count(header: Dataset) -> int:
    """How many frames a header announces: at least 1. Raises ValueError for what is no number."""
    return int(header.get("NumberOfFrames") or 1)


@contextmanager
def refusing(message: str) -> Iterator[None]:
    """Turn whatever a parser raises on bad bytes into DataError(message), without its cause.

    pydicom's own messages and chained tracebacks quote the header, so that they could show a patient's name.
    """
    try:
        yield
    except DataError:
        raise
    except Exception:  # noqa: BLE001 - parsers of damaged bytes raise nearly everything
        raise DataError(message) from None


def keep_quiet() -> None:
    """Silence pydicom's warnings and log for good: they quote values of the header.

    Once for all instead of around each call, because changing filters there and back is not safe in threads.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    rule = ("ignore", None, Warning, re.compile(r"pydicom(\.|$)"), 0)
    if rule not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")


def _refuse_other_objects(sop_class: str, shown: str) -> None:
    """Refuse what is known to be neither photograph nor scan; a missing or private class may be one."""
    if sop_class == uid.MediaStorageDirectoryStorage:
        raise DataError(f"{shown}: a DICOMDIR, which lists files and holds no image; remove it")
    name = uid.UID(sop_class).name
    if name != sop_class and ("Image Storage" not in name or name in NO_IMAGES):
        raise DataError(
            f"{shown}: no photograph or scan but DICOM {name.removesuffix(' Storage')}; remove it"
        )


def _refuse_pixels(header: Dataset, pixels_at: int | None, shown: str) -> None:
    """Refuse files without pixels, and pixels that are no grey levels or colours."""
    if pixels_at in FLOAT_PIXELS:
        raise DataError(f"{shown}: no photograph or scan but a map of floating-point values; remove it")
    if pixels_at not in (None, INTEGER_PIXELS) or any(not header.get(key) for key in ("Rows", "Columns")):
        raise DataError(f"{shown}: a DICOM file without pixel data; remove it")
    bits, stored = int(header.BitsAllocated), int(header.get("BitsStored") or header.BitsAllocated)
    if bits == 1:
        raise DataError(f"{shown}: no photograph or scan but a mask with 1 bit per pixel; remove it")
    if bits not in (8, 16, 32) or not 2 <= stored <= bits:
        raise DataError(f"{shown}: its header gives an impossible number of bits per pixel; {EXPORT}")
    if header.PhotometricInterpretation not in PHOTOMETRIC.get(int(header.SamplesPerPixel), ()):
        raise DataError(
            f"{shown}: its header gives colours (photometric interpretation) unknown here; {EXPORT}"
        )


def _refuse_size(header: Dataset, shown: str, max_pixels: int) -> None:
    rows, columns, frames = int(header.Rows), int(header.Columns), frame_count(header)
    if frames < 1:
        raise DataError(f"{shown}: holds no frame; {EXPORT}")
    if rows * columns * frames > max_pixels:
        raise DataError(
            f"{shown}: {rows} x {columns} pixels x {frames} frames is more than {max_pixels} pixels; "
            f"export fewer frames per file"
        )


def _refuse_deflated_bomb(path: Path, shown: str, max_bytes: int) -> None:
    """pydicom inflates a deflated file as a whole, so its size is counted before, in small pieces."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(140)  # the length of the file meta information, its first element
        (length,) = struct.unpack("<I", file.read(4))
        file.seek(length, 1)
        while piece := inflater.unconsumed_tail or file.read(1 << 16):
            size += len(inflater.decompress(piece, 1 << 20))
            if size > max_bytes:
                raise DataError(
                    f"{shown}: inflates to more than {max_bytes} bytes; export fewer frames per file"
                )


def _next_tag(start: bytes, syntax: uid.UID) -> int | None:
    """The tag that follows the header, 0 at the end of the file; None where deflation hides it."""
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        return None
    if len(start) < 4:
        return 0
    group, element = struct.unpack_from("<HH" if syntax.is_little_endian else ">HH", start)
    return int(group) << 16 | int(element)


def _kind(header: Dataset) -> str:
    sop_class = uid.UID(str(header.get("SOPClassUID", "")))
    known = sop_class.name != sop_class
    return KINDS.get(sop_class, sop_class.name if known else UNKNOWN_KIND)


def _is_filled(header: Dataset, keyword: str) -> bool:
    if keyword not in header:
        return False
    value = header[keyword].value
    return value is not None and bool(str(value).strip(" ^=\\\0[]"))


def _laterality(header: Dataset) -> str | None:
    """R or L from the image, its frames where they agree, or the series."""
    items = [item for keyword in GROUPS for item in header.get(keyword) or ()]
    anatomy = [part for item in items for part in item.get("FrameAnatomySequence") or ()]
    of_frames = {str(part.get("FrameLaterality")) for part in anatomy}
    stated = header.get("ImageLaterality") or header.get("Laterality")
    if of_frames and not header.get("ImageLaterality"):
        stated = of_frames.pop() if len(of_frames) == 1 else None
    return str(stated) if stated in ("R", "L") else None
