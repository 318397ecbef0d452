"""Real DICOM files: 205 awkward ones and 9 made of real pixels, read or refused; damaged copies never crash."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import generate_frames

from audit.data.dicom import IDENTIFYING, DicomFacts, read_facts
from audit.data.dicom_pixels import read_frames
from audit.errors import DataError

NO_PHOTOGRAPH = "no photograph or scan but DICOM "
READ_BEYOND_THE_MANIFEST = {  # its decoders failed on the first and its reader on the second
    "pydicom/JPEG-lossy.dcm",
    "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm",
}
SMALL = (  # of each kind of compression, the smallest files
    "pydicom/SC_rgb_small_odd.dcm",
    "pydicom/SC_rgb_small_odd_jpeg.dcm",
    "pydicom/JPEGLSNearLossless_08.dcm",
    "pydicom/SC_rgb_jls_lossy_line.dcm",
    "pydicom/SC_rgb_jpeg_gdcm.dcm",
    "pydicom/SC_rgb_rle_2frame.dcm",
    "pydicom/SC_rgb_gdcm_KY.dcm",
    "pydicom/image_dfl.dcm",
    "pydicom/MR_small_bigendian.dcm",
    "pydicom/MR_small_implicit.dcm",
    "pydicom/JPGExtended.dcm",
    "pydicom/dicomdirtests/77654033/CR1/6154",
)


def outcome(path: Path) -> tuple[DicomFacts | None, str, list[np.ndarray]]:
    """Facts, what was said (refusal or remarks), and the frames."""
    images: list[np.ndarray] = []
    said: list[str] = []
    facts = None
    try:
        facts = read_facts(path, "shown", b"salt")
        for pixels, remarks in read_frames(path, "shown", range(facts.frames)):
            images.append(pixels)
            said += remarks
    except DataError as refusal:
        return facts, str(refusal), []
    assert len(images) == facts.frames
    for pixels in images:
        assert pixels.dtype == np.uint8
        assert pixels.shape in ((facts.rows, facts.columns), (facts.rows, facts.columns, 3))
    return facts, "; ".join(said), images


def identifiers(path: Path) -> set[str]:
    """Values of identifying tags and unique identifiers of a file, whole and in words of four letters or more."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        elements = list(dataset.iterall())
    except Exception:  # noqa: BLE001 - a file that pydicom cannot read tells no identifier
        return set()
    of_patients = {
        str(element.value)
        for element in elements
        if element.VR in ("PN", "DA")
        or element.keyword in IDENTIFYING
        or element.keyword.endswith("InstanceUID")
    }
    words = {word for value in of_patients for word in value.replace("^", " ").split()}
    return {word for word in of_patients | words if len(word) >= 4 and word != "None"}


def test_every_real_file_is_read_or_refused(
    shared_data: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    folder = shared_data / "dicom-real"
    with (folder / "manifest.csv").open(newline="") as file:
        manifest = {row["file"]: row for row in csv.DictReader(file)}
    read = looked_for = 0
    for name, row in manifest.items():
        path = folder / name
        facts, said, images = outcome(path)
        assert facts is None or set(facts.identifiers_present) <= set(IDENTIFYING)
        own_words = said.replace("JPEG 2000 Image Compression", "").replace("DICOM", "")
        told = f"{own_words} {facts and astuple(replace(facts, identifiers_present=()))}"
        looked_for += len(identifiers(path))
        for identifier in identifiers(path):
            assert identifier not in told, name
        if images:
            read += 1
            assert row["decode"].startswith("ok") or name in READ_BEYOND_THE_MANIFEST, name
        else:
            assert said.startswith("shown: ") and "\n" not in said
            accepted = NO_PHOTOGRAPH not in said
            assert not (accepted and row["decode"].startswith("ok")), f"{name}: {said}"
    assert (len(manifest), read) == (205, 111)
    assert looked_for > 1000
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pydicom/MR_truncated.dcm", "(uncompressed, damaged or cut short)"),
        ("pydicom/JPEG2000-embedded-sequence-delimiter.dcm", "(JPEG 2000 Image Compression, damaged"),
        ("pydicom/no_meta.dcm", "not a DICOM file (no DICM mark at byte 128)"),
        ("pydicom/zipMR.gz", "not a DICOM file (no DICM mark at byte 128)"),
        ("pydicom/dicomdirtests/DICOMDIR", "a DICOMDIR, which lists files and holds no image"),
        ("pydicom/meta_missing_tsyntax.dcm", "its DICOM header names no transfer syntax"),
        ("pydicom/liver_1frame.dcm", "no photograph or scan but DICOM Segmentation"),
        ("pydicom-data/parametric_map_float.dcm", "no photograph or scan but DICOM Parametric Map"),
        ("pydicom/badVR.dcm", "no photograph or scan but DICOM RT Dose"),
        ("pydicom/waveform_ecg.dcm", "no photograph or scan but DICOM 12-lead ECG Waveform"),
        ("pydicom/rtplan.dcm", "no photograph or scan but DICOM RT Plan"),
        ("pydicom/UN_sequence.dcm", "a DICOM file without pixel data"),
    ],
)
def test_real_files_are_refused_for_the_right_reason(shared_data: Path, name: str, reason: str) -> None:
    assert reason in outcome(shared_data / "dicom-real" / name)[1]


@pytest.mark.parametrize(
    ("one", "other", "tolerance"),
    [
        ("pydicom-data/emri_small.dcm", "pydicom-data/emri_small_RLE.dcm", 0),
        ("pydicom-data/emri_small.dcm", "pydicom-data/emri_small_big_endian.dcm", 0),
        ("pydicom-data/emri_small.dcm", "pydicom-data/emri_small_jpeg_2k_lossless.dcm", 0),
        ("pydicom-data/emri_small.dcm", "pydicom-data/emri_small_jpeg_ls_lossless.dcm", 0),
        ("pydicom-data/emri_small.dcm", "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm", 0),
        ("pydicom/MR_small.dcm", "pydicom/MR_small_jp2klossless.dcm", 0),
        ("pydicom/MR_small.dcm", "pydicom/MR_small_jpeg_ls_lossless.dcm", 0),
        ("pydicom/MR_small.dcm", "pydicom/MR_small_implicit.dcm", 0),
        ("pydicom-data/SC_rgb.dcm", "pydicom/SC_rgb_jpeg_gdcm.dcm", 0),
        ("pydicom-data/SC_rgb.dcm", "pydicom/SC_rgb_rle.dcm", 0),
        ("pydicom-data/SC_rgb.dcm", "pydicom-data/SC_rgb_16bit.dcm", 0),
        ("pydicom/SC_rgb_jpeg_dcmd.dcm", "pydicom/SC_rgb_jpeg.dcm", 1),
    ],
)
def test_the_same_image_in_several_codings(shared_data: Path, one: str, other: str, tolerance: int) -> None:
    first, second = (outcome(shared_data / "dicom-real" / name)[2] for name in (one, other))
    assert len(first) == len(second) > 0
    difference = np.abs(np.stack(first).astype(int) - np.stack(second))
    assert difference.max() <= tolerance


# ---- OCT and dermatology


@cache
def derived(folder: Path, name: str) -> list[np.ndarray]:
    return outcome(folder / f"{name}.dcm")[2]


def test_oct_volumes_agree(shared_data: Path) -> None:
    folder = shared_data / "dicom-derived"
    facts, said, volume = outcome(folder / "opt_4frame_explicit.dcm")
    assert facts is not None
    assert (facts.kind, facts.frames, facts.laterality) == ("ophthalmic tomography", 4, "R")
    assert (np.shape(volume), said) == ((4, 496, 512), "")
    for lossless in ("opt_4frame_rle", "opt_4frame_j2k_lossless"):
        np.testing.assert_array_equal(derived(folder, lossless), volume)
    difference = np.abs(np.stack(derived(folder, "opt_4frame_jpeg_baseline")).astype(int) - volume)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.05  # rounding of the inverse transform
    np.testing.assert_array_equal(derived(folder, "opt_1frame_monochrome1"), volume[:1])


def test_oct_frames_equal_the_jpegs_they_were_made_of(shared_data: Path) -> None:
    """The JPEG streams in the file are the original files, here decoded by Pillow."""
    path = shared_data / "dicom-derived" / "opt_4frame_jpeg_baseline.dcm"
    streams = generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=4)
    known = np.stack([np.asarray(Image.open(io.BytesIO(stream))) for stream in streams])
    assert np.abs(known.astype(int) - np.stack(derived(path.parent, path.stem))).max() <= 1


@pytest.mark.parametrize(
    ("name", "source", "tolerance"),
    [
        ("vl_photographic_jpeg_baseline", "Vascular_lesion/ISIC_0024402.jpg", 2),
        ("dermoscopic_photography_jpeg_baseline", "Dermatofibroma/ISIC_0025154.jpg", 2),
        ("dermoscopic_photography_rgb", "Dermatofibroma/ISIC_0025154.jpg", 1),
    ],
)
def test_skin_images_equal_their_jpegs(shared_data: Path, name: str, source: str, tolerance: int) -> None:
    """pydicom turns YCbCr to RGB by rounding floats, libjpeg by integers: up to 2 grey levels."""
    known = np.asarray(Image.open(shared_data / "derm-isic7" / "sample_jpeg" / source)).astype(int)
    (pixels,) = derived(shared_data / "dicom-derived", name)
    assert pixels.shape == known.shape == (450, 600, 3)
    assert np.abs(known - pixels).max() <= tolerance


def test_a_cut_volume_is_refused(shared_data: Path) -> None:
    facts, said, images = outcome(shared_data / "dicom-derived" / "opt_4frame_jpeg_truncated.dcm")
    assert facts is not None and facts.frames == 4 and not images
    assert said == (
        "shown: its pixel data cannot be decoded (JPEG Baseline (Process 1), damaged or cut short); "
        "export it again or remove it"
    )


# ---- damaged copies


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SMALL),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0.02, 1),
)
def test_damaged_copies_are_read_or_refused(
    shared_data: Path, tmp_path: Path, name: str, flips: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray((shared_data / "dicom-real" / name).read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(data[: int(kept * len(data))])
    facts, said, images = outcome(damaged)
    assert len(images) > 0 or (said.startswith("shown: ") and "\n" not in said)
    assert facts is not None or not images
