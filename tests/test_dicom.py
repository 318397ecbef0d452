"""DICOM headers: facts without identifiers, frame policies, and every refusal word by word."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from audit.data.dicom import read_facts
from audit.errors import DataError
from tests.dicom_files import item, make_dicom

GREY = np.zeros((4, 6), np.uint8)
EXPORT = "export it again or remove it"


def facts(path: Path, salt: bytes = b"salt", **options: int):
    return read_facts(path, f"clinic/CNV/{path.name}", salt, **options)


def refused(path: Path, message: str, **options: int) -> None:
    with pytest.raises(DataError) as refusal:
        facts(path, **options)
    assert str(refusal.value) == f"clinic/CNV/{path.name}: {message}"
    assert refusal.value.__cause__ is None


# ---- facts


def test_facts_of_an_oct_volume(tmp_path: Path) -> None:
    path = make_dicom(
        tmp_path / "a.dcm",
        np.zeros((5, 4, 6), np.uint8),
        PatientID="4711",
        PatientName="Muster^Max",
        PatientBirthDate="19500102",
        AccessionNumber="",
        ImageLaterality="L",
        BurnedInAnnotation="NO",
    )
    found = facts(path)
    assert (found.frames, found.rows, found.columns) == (5, 4, 6)
    assert (found.kind, found.photometric) == ("ophthalmic tomography", "MONOCHROME2")
    assert (found.laterality, found.burned_in) == ("L", "no")
    assert found.group == hmac.new(b"salt", b"4711", hashlib.sha256).hexdigest()[:16]
    assert found.identifiers_present == ("PatientName", "PatientID", "PatientBirthDate")
    for value in ("4711", "Muster", "1950"):
        assert value not in repr(found)


def test_facts_of_a_bare_header(tmp_path: Path) -> None:
    found = facts(make_dicom(tmp_path / "a.dcm", GREY, PatientID="  ", PatientName="^^"))
    assert (found.frames, found.laterality, found.group) == (1, None, None)
    assert (found.burned_in, found.identifiers_present) == ("not stated", ())


def test_groups_follow_patient_and_salt(tmp_path: Path) -> None:
    one, same, other = (
        make_dicom(tmp_path / f"{name}.dcm", GREY, PatientID=patient)
        for name, patient in (("a", "17"), ("b", "17 "), ("c", "18"))
    )
    assert facts(one).group == facts(same).group != facts(other).group
    assert facts(one).group != facts(one, b"other salt").group


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        (uid.OphthalmicPhotography8BitImageStorage, "ophthalmic photography"),
        (uid.OphthalmicPhotography16BitImageStorage, "ophthalmic photography"),
        (uid.VLPhotographicImageStorage, "VL photographic"),
        (uid.DermoscopicPhotographyImageStorage, "dermoscopic photography"),
        (uid.SecondaryCaptureImageStorage, "secondary capture"),
        (uid.MultiFrameTrueColorSecondaryCaptureImageStorage, "secondary capture"),
        (uid.CTImageStorage, "CT Image Storage"),
        (uid.UID("1.2.276.0.99"), "kind not known"),
    ],
)
def test_kinds_in_words(tmp_path: Path, sop_class: uid.UID, kind: str) -> None:
    assert facts(make_dicom(tmp_path / "a.dcm", GREY, sop_class=sop_class)).kind == kind


@pytest.mark.parametrize(
    ("shared", "per_frame", "laterality"),
    [("R", [], "R"), (None, ["L", "L"], "L"), (None, ["L", "R"], None), ("B", [], None), ("U", [], None)],
)
def test_laterality_of_frames(tmp_path: Path, shared: str | None, per_frame: list[str], laterality) -> None:
    def group(side: str):
        return item(FrameAnatomySequence=[item(FrameLaterality=side)])

    path = make_dicom(
        tmp_path / "a.dcm",
        np.zeros((2, 4, 6), np.uint8),
        SharedFunctionalGroupsSequence=[group(shared)] if shared else [],
        PerFrameFunctionalGroupsSequence=[group(side) for side in per_frame],
        Laterality="R" if laterality == "R" else "L",
    )
    assert facts(path).laterality == laterality


def test_laterality_of_the_series(tmp_path: Path) -> None:
    assert facts(make_dicom(tmp_path / "a.dcm", GREY, Laterality="R")).laterality == "R"


@pytest.mark.parametrize(("stated", "found"), [("YES", "yes"), ("NO", "no"), ("", "not stated")])
def test_burned_in(tmp_path: Path, stated: str, found: str) -> None:
    assert facts(make_dicom(tmp_path / "a.dcm", GREY, BurnedInAnnotation=stated)).burned_in == found


# ---- refusals


def test_png_named_as_dicom(tmp_path: Path) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dcm")
    message = f"not a DICOM file (no DICM mark at byte 128); {EXPORT}, whatever its name says"
    refused(tmp_path / "a.dcm", message)
    (tmp_path / "a.dcm").write_bytes(b"")
    refused(tmp_path / "a.dcm", message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "a.dcm", "cannot be read (No such file or directory); check the file")


def test_dicomdir(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, sop_class=uid.MediaStorageDirectoryStorage)
    refused(path, "a DICOMDIR, which lists files and holds no image; remove it")


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        (uid.SegmentationStorage, "Segmentation"),
        (uid.ParametricMapStorage, "Parametric Map"),
        (uid.RTDoseStorage, "RT Dose"),
        (uid.RTImageStorage, "RT Image"),
        (uid.OphthalmicThicknessMapStorage, "Ophthalmic Thickness Map"),
        (uid.EncapsulatedPDFStorage, "Encapsulated PDF"),
        (uid.VLWholeSlideMicroscopyImageStorage, "VL Whole Slide Microscopy Image"),
    ],
)
def test_kinds_that_are_no_photographs(tmp_path: Path, sop_class: uid.UID, name: str) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, sop_class=sop_class)
    refused(path, f"no photograph or scan but DICOM {name}; remove it")


@pytest.mark.parametrize("tag", ["PixelData", "Rows"])
def test_no_pixels(tmp_path: Path, tag: str) -> None:
    refused(make_dicom(tmp_path / "a.dcm", GREY, **{tag: None}), "a DICOM file without pixel data; remove it")


def test_masks_and_maps_by_content(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, BitsAllocated=1, BitsStored=1, HighBit=0)
    refused(path, "no photograph or scan but a mask with 1 bit per pixel; remove it")
    path = make_dicom(tmp_path / "b.dcm", GREY, PixelData=None, FloatPixelData=bytes(96))
    refused(path, "no photograph or scan but a map of floating-point values; remove it")


@pytest.mark.parametrize("tags", [{"BitsAllocated": 24}, {"BitsStored": 12}, {"BitsStored": 1}])
def test_impossible_bits(tmp_path: Path, tags: dict[str, int]) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, **tags)
    refused(path, f"its header gives an impossible number of bits per pixel; {EXPORT}")


@pytest.mark.parametrize("tags", [{"PhotometricInterpretation": "CMYK"}, {"SamplesPerPixel": 4}])
def test_unknown_colours(tmp_path: Path, tags: dict[str, object]) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, **tags)
    refused(path, f"its header gives colours (photometric interpretation) unknown here; {EXPORT}")


def test_image_bombs(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, Rows=60000, Columns=60000, NumberOfFrames=9)
    size = "60000 x 60000 pixels x 9 frames is more than 200000000 pixels"
    refused(path, f"{size}; export fewer frames per file")
    path = make_dicom(tmp_path / "b.dcm", GREY)
    assert facts(path, max_pixels=24).rows == 4
    refused(
        path,
        "4 x 6 pixels x 1 frames is more than 23 pixels; export fewer frames per file",
        max_pixels=23,
    )


def test_deflated_bomb(tmp_path: Path) -> None:
    """A megabyte of zeros deflates to about a kilobyte."""
    path = make_dicom(tmp_path / "a.dcm", GREY, syntax=uid.DeflatedExplicitVRLittleEndian)
    assert facts(path).columns == 6
    data = path.read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path.write_bytes(data[:start] + deflater.compress(bytes(1 << 20)) + deflater.flush())
    refused(path, "inflates to more than 20000 bytes; export fewer frames per file", max_pixels=10_000)


def test_damaged_headers(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY, NumberOfFrames=3)
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x003 ", b"IS\x02\x001A"))
    refused(path, f"its DICOM header is damaged; {EXPORT}")
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x001A", b"IS\x02\x00-3"))
    refused(path, f"holds no frame; {EXPORT}")


def test_no_transfer_syntax(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", GREY)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"))
    refused(path, f"its DICOM header names no transfer syntax; {EXPORT}")
