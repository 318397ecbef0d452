"""DICOM: every real file read or refused, right grey values, no identifier anywhere."""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import LoadImage
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from audit.data.dicom import IDENTIFYING, DicomReader, read_facts, read_frames
from audit.errors import DataError

NAME = "Doe^Jane"


def dicom(pixels: np.ndarray, **tags: object) -> Dataset:
    """A secondary capture with the given pixels (H, W) or (H, W, 3), uint8 or uint16."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = "1.2.3"
    ds.PatientName, ds.PatientID = NAME, "4711"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    ds.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, 0
    ds.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def saved(folder: Path, ds: Dataset, name: str = "a.dcm") -> Path:
    ds.save_as(folder / name, enforce_file_format=True)
    return folder / name


def read(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    [(array, remarks)] = read_frames(path, f"eyes/{path.name}", [0])
    return array, remarks


def refused(path: Path, max_pixels: int = 10**7) -> str:
    with pytest.raises(DataError) as problem:
        facts = read_facts(path, f"eyes/{path.name}", b"salt", max_pixels)
        list(read_frames(path, f"eyes/{path.name}", range(facts.frames), max_pixels))
    assert NAME not in str(problem.value) and "4711" not in str(problem.value)
    return str(problem.value)


GREY8 = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
GREY16 = np.array([[0, 100, 200], [300, 400, 65535]], dtype=np.uint16)


# ---- grey values


def test_eight_bit_stays_byte_for_byte_and_rows_stay_rows(tmp_path: Path) -> None:
    array, remarks = read(saved(tmp_path, dicom(GREY8)))
    assert array.dtype == np.uint8 and array.tolist() == GREY8.tolist() and remarks == ()


def test_sixteen_bit_without_a_window_by_the_full_range(tmp_path: Path) -> None:
    array, remarks = read(saved(tmp_path, dicom(GREY16)))
    assert array.tolist() == [[0, 0, 1], [1, 2, 255]]
    assert remarks == ("DICOM of 16 bit without a window, scaled by their full range to 8 bit",)


def test_twelve_bits_stored_of_sixteen(tmp_path: Path) -> None:
    pixels = np.array([[0, 4095]], dtype=np.uint16)
    array, _ = read(saved(tmp_path, dicom(pixels, BitsStored=12, HighBit=11)))
    assert array.tolist() == [[0, 255]]


def test_window_by_hand(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2: width 201 around 200 maps 99.5 to the lowest and 299.5 to the highest value."""
    array, remarks = read(saved(tmp_path, dicom(GREY16, WindowCenter=200, WindowWidth=201)))
    assert array.tolist() == [[0, 1, 128], [255, 255, 255]]
    assert remarks == ("DICOM of 16 bit, shown through its window, scaled to 8 bit",)


def test_rescale_before_the_window(tmp_path: Path) -> None:
    """Stored 300 is 2 · 300 − 400 = 200: the middle of the window."""
    ds = dicom(GREY16, WindowCenter=200, WindowWidth=201, RescaleSlope=2, RescaleIntercept=-400)
    assert read(saved(tmp_path, ds))[0].tolist() == [[0, 0, 0], [128, 255, 255]]


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    array, remarks = read(saved(tmp_path, dicom(GREY8, PhotometricInterpretation="MONOCHROME1")))
    assert array.tolist() == (255 - GREY8).tolist()
    assert remarks == ("DICOM of MONOCHROME1, inverted: white is high",)


def test_voi_lut(tmp_path: Path) -> None:
    lut = Dataset()
    lut.LUTDescriptor = [4, 0, 8]
    lut.LUTData = np.array([10, 20, 30, 255], dtype="<u2").tobytes()
    pixels = np.array([[0, 1, 2, 3, 9]], dtype=np.uint8)
    array, _ = read(saved(tmp_path, dicom(pixels, VOILUTSequence=[lut])))
    assert array.tolist() == [[10, 20, 30, 255, 255]]


def test_window_of_a_functional_group(tmp_path: Path) -> None:
    """Enhanced objects (Ophthalmic Tomography) keep it there."""
    window, group = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = 200, 201
    group.FrameVOILUTSequence = [window]
    ds = dicom(GREY16, SharedFunctionalGroupsSequence=[group])
    assert read(saved(tmp_path, ds))[0].tolist() == [[0, 1, 128], [255, 255, 255]]


def test_palette(tmp_path: Path) -> None:
    ds = dicom(np.array([[0, 1], [1, 0]], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for colour, values in (("Red", [0, 65535]), ("Green", [257 * 7, 0]), ("Blue", [0, 257 * 9])):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [2, 0, 16])
        data = np.array(values, dtype="<u2").tobytes()
        setattr(ds, f"{colour}PaletteColorLookupTableData", data)
    array, _ = read(saved(tmp_path, ds))
    assert array.tolist() == [[[0, 7, 0], [255, 0, 9]], [[255, 0, 9], [0, 7, 0]]]


def test_ybr_becomes_rgb(tmp_path: Path) -> None:
    pixels = np.array([[[76, 85, 255]]], dtype=np.uint8)  # red in YBR (BT.601, full range)
    array, _ = read(saved(tmp_path, dicom(pixels, PhotometricInterpretation="YBR_FULL")))
    assert np.abs(array.astype(int) - [[[254, 0, 0]]]).max() <= 2


def test_through_monai_the_axes_stay(tmp_path: Path) -> None:
    path = saved(tmp_path, dicom(GREY8))
    image = LoadImage(reader=DicomReader("a.dcm"), image_only=True)(path)
    assert np.asarray(image).tolist() == GREY8.tolist()


# ---- headers


def test_facts(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3), dtype=np.uint8)
    ds = dicom(pixels, ImageLaterality="R", BurnedInAnnotation="YES", AccessionNumber="A1")
    facts = read_facts(saved(tmp_path, ds), "a.dcm", b"salt")
    assert (facts.frames, facts.rows, facts.columns) == (1, 2, 3)
    assert (facts.kind, facts.laterality, facts.burned_in) == ("secondary capture", "R", "yes")
    assert facts.identifiers_present == ("PatientName", "PatientID", "AccessionNumber")
    assert facts.group is not None and len(facts.group) == 16 and "4711" not in repr(facts)
    other = read_facts(saved(tmp_path, dicom(pixels), "b.dcm"), "b.dcm", b"salt")
    assert other.group == facts.group, "the same patient"
    assert read_facts(tmp_path / "b.dcm", "b.dcm", b"pepper").group != facts.group, "another salt"
    nobody = read_facts(saved(tmp_path, dicom(pixels, PatientID=""), "c.dcm"), "c.dcm", b"salt")
    assert nobody.group is None and nobody.burned_in == "not stated"


# ---- refusals


def test_what_is_no_dicom(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dcm")
    assert refused(tmp_path / "a.dcm") == (
        "eyes/a.dcm: not a DICOM file (a PNG inside); replace the file or remove it"
    )
    (tmp_path / "b.dcm").write_bytes(b"\x00\x01\x02")
    assert refused(tmp_path / "b.dcm") == (
        "eyes/b.dcm: not a DICOM file (no DICOM header); replace the file or remove it"
    )
    assert refused(tmp_path / "none.dcm") == (
        "eyes/none.dcm: cannot be read (No such file or directory); check its permissions"
    )


def test_no_image_inside(tmp_path: Path) -> None:
    ds = dicom(GREY8)
    del ds.Rows, ds.Columns, ds.PixelData
    assert refused(saved(tmp_path, ds)) == (
        "eyes/a.dcm: a DICOM without an image (secondary capture); remove it"
    )
    ds = dicom(GREY8)
    del ds.PixelData
    assert refused(saved(tmp_path, ds)) == (
        "eyes/a.dcm: damaged or missing DICOM pixels; export the file again"
    )


def test_pixels_cut_short(tmp_path: Path) -> None:
    ds = dicom(GREY8)
    ds.Rows = 300
    assert refused(saved(tmp_path, ds)) == (
        "eyes/a.dcm: damaged or missing DICOM pixels; export the file again"
    )


def test_too_many_pixels(tmp_path: Path) -> None:
    assert refused(saved(tmp_path, dicom(GREY8, NumberOfFrames=5)), 59) == (
        "eyes/a.dcm: 5 frames of 4 × 3: more than 59 pixels; scale the image down, or raise data.quotas.pixels"
    )


def test_pixels_that_are_no_picture(tmp_path: Path) -> None:
    ds = dicom(np.zeros((2, 2), dtype=np.uint32))
    assert refused(saved(tmp_path, ds)) == (
        "eyes/a.dcm: a DICOM without a picture of 8 or 16 bit, grey or colour (secondary capture); remove it"
    )
    ds = dicom(GREY8, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    assert refused(saved(tmp_path, ds)) == ("eyes/a.dcm: a DICOM without an image (Segmentation); remove it")
    ds = dicom(GREY8, SOPClassUID="1.2.840.10008.1.3.10")
    assert refused(saved(tmp_path, ds)) == (
        "eyes/a.dcm: a DICOMDIR, the list of a disc; give the folders of image files"
    )


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, seed: int, cut: bool) -> None:
    generator = np.random.default_rng(seed)
    stream = io.BytesIO()
    dicom(GREY8).save_as(stream, enforce_file_format=True)
    content = np.frombuffer(stream.getvalue(), dtype=np.uint8).copy()
    content[generator.integers(0, len(content), 6)] = generator.integers(0, 256, 6)
    path = tmp_path_factory.mktemp("damaged") / "a.dcm"
    path.write_bytes(content[: generator.integers(len(content))].tobytes() if cut else content.tobytes())
    try:
        facts = read_facts(path, "a.dcm", b"salt", 10**6)
        for array, _ in read_frames(path, "a.dcm", range(min(facts.frames, 2)), 10**6):
            assert array.dtype == np.uint8
    except DataError as refusal:
        assert str(refusal).startswith("a.dcm: ") and "\n" not in str(refusal)


# ---- real files


@pytest.fixture(scope="module")
def identifiers(shared_data: Path) -> set[str]:
    """Every identifying value in the shared files, of some length."""
    found = set()
    for path in [*(shared_data / "dicom-real").rglob("*"), *(shared_data / "dicom-derived").rglob("*.dcm")]:
        if path.is_file():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
                    values = [str(header.get(name, "")) for name in IDENTIFYING]
                except Exception:  # noqa: BLE001
                    continue
            found |= {value for value in values if len(value) > 4}
    assert len(found) > 20
    return found


def test_every_real_file_is_read_or_refused(
    shared_data: Path, identifiers: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    root = shared_data / "dicom-real"
    with (root / "manifest.csv").open(encoding="utf-8") as stream:
        manifest = list(csv.DictReader(stream))
    outcomes: Counter[str] = Counter()
    told = []
    for row in manifest:
        path = root / row["file"]
        try:
            facts = read_facts(path, path.name, b"salt")
            for array, remarks in read_frames(path, path.name, range(min(facts.frames, 2))):
                assert array.dtype == np.uint8 and array.shape[:2] == (facts.rows, facts.columns)
                told += list(remarks)
            told.append(repr(facts))
            outcomes["read"] += 1
        except DataError as refusal:
            told.append(str(refusal))
            outcomes["refused"] += 1
            picture = row["decode"].startswith("ok") and row["bits"] in ("8", "16")
            not_free = path.name == "JPGExtended.dcm"  # JPEG of 12 bit: only a GPL decoder reads it
            assert not picture or not_free, f"{row['file']}: {refusal}"
    assert sum(outcomes.values()) == len(manifest) == 205
    assert outcomes["read"] == 106
    told.append(capfd.readouterr().out)
    for value in identifiers:
        assert not any(value in line for line in told), "an identifier got out"


def test_derived_files_agree_with_each_other_and_with_their_source(shared_data: Path) -> None:
    folder = shared_data / "dicom-derived"

    def frames(name: str, count: int) -> list[np.ndarray]:
        return [array for array, _ in read_frames(folder / name, name, range(count))]

    explicit = frames("opt_4frame_explicit.dcm", 4)
    assert [array.shape for array in explicit] == [(496, 512)] * 4
    for name in ("opt_4frame_rle.dcm", "opt_4frame_j2k_lossless.dcm"):
        assert all((a == b).all() for a, b in zip(frames(name, 4), explicit, strict=True))
    assert (frames("opt_1frame_monochrome1.dcm", 1)[0] == explicit[0]).all()
    for decoded, kept in zip(frames("opt_4frame_jpeg_baseline.dcm", 4), explicit, strict=True):
        difference = np.abs(decoded.astype(int) - kept)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.04  # two JPEG decoders
    rgb = frames("dermoscopic_photography_rgb.dcm", 1)[0].astype(int)
    assert np.abs(frames("dermoscopic_photography_jpeg_baseline.dcm", 1)[0] - rgb).mean() < 1.5
    facts = read_facts(folder / "opt_4frame_explicit.dcm", "a", b"salt")
    assert (facts.kind, facts.frames, facts.laterality) == ("ophthalmic tomography", 4, "R")
    assert refused(folder / "opt_4frame_jpeg_truncated.dcm") == (
        "eyes/opt_4frame_jpeg_truncated.dcm: damaged or missing DICOM pixels; export the file again"
    )
