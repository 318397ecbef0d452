"""DICOM pixels: every step to 8 bit by hand, orientation, decoders, and damaged pixel data refused."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from monai.transforms import LoadImage
from pydicom import uid

from audit.data.decoders import coded_shape, decoders
from audit.data.dicom_pixels import BAD_WINDOW, INVERTED, PADDING, SEVERAL_WINDOWS, DicomReader, read_frames
from audit.errors import DataError
from tests.dicom_files import item, make_dicom

EXPORT = "export it again or remove it"
RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6)
DEEP = np.array([[0, 1000, 2048], [3000, 4094, 4095]], np.uint16)


def first(path: Path) -> tuple[list[object], tuple[str, ...]]:
    pixels, remarks = next(read_frames(path, f"clinic/{path.name}", [0]))
    assert pixels.dtype == np.uint8
    return pixels.tolist(), remarks


def refused(path: Path, message: str, frames: list[int] | None = None) -> None:
    with pytest.raises(DataError) as refusal:
        list(read_frames(path, f"clinic/{path.name}", frames or [0]))
    assert str(refusal.value) == f"clinic/{path.name}: {message}"
    assert refusal.value.__cause__ is None


# ---- grey levels


def test_eight_bits_stay_byte_for_byte(tmp_path: Path) -> None:
    assert first(make_dicom(tmp_path / "a.dcm", RAMP * 11)) == ((RAMP * 11).tolist(), ())


def test_eight_of_sixteen_bits_stay_too(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP.astype(np.uint16), BitsStored=8, HighBit=7)
    assert first(path) == (RAMP.tolist(), ())


def test_twelve_bits_without_a_window(tmp_path: Path) -> None:
    """value * 255 / 4095: 1000 gives 62.3, 2048 gives 127.5 (to even: 128), 3000 gives 186.8."""
    pixels, remarks = first(make_dicom(tmp_path / "a.dcm", DEEP, BitsStored=12, HighBit=11))
    assert pixels == [[0, 62, 128], [187, 255, 255]]
    assert remarks == ("DICOM without a window, scaled to 8 bit by the full range of its 12 stored bits",)


def test_the_range_is_not_that_of_one_image(tmp_path: Path) -> None:
    dark = make_dicom(tmp_path / "a.dcm", np.array([[0, 257]], np.uint16))
    assert first(dark)[0] == [[0, 1]]


def test_signed_values(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", np.array([[-32768, 0, 32767]], np.int16))
    assert first(path)[0] == [[0, 128, 255]]


def test_window(tmp_path: Path) -> None:
    """Centre 2048, width 2001 (PS3.3 C.11.2.1.2): 0 at 1047.5, 255 at 3047.5, so 3000 gives 248.9."""
    path = make_dicom(
        tmp_path / "a.dcm", DEEP, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=2001
    )
    assert first(path) == ([[0, 0, 128], [249, 255, 255]], ())


def test_the_first_of_several_windows(tmp_path: Path) -> None:
    path = make_dicom(
        tmp_path / "a.dcm",
        DEEP,
        BitsStored=12,
        HighBit=11,
        WindowCenter=[2048, 100],
        WindowWidth=[2001, 10],
    )
    assert first(path) == ([[0, 0, 128], [249, 255, 255]], (SEVERAL_WINDOWS,))


@pytest.mark.parametrize("tags", [{"WindowCenter": "", "WindowWidth": ""}, {"WindowCenter": 5}])
def test_an_empty_window_is_none(tmp_path: Path, tags: dict[str, object]) -> None:
    assert first(make_dicom(tmp_path / "a.dcm", RAMP, **tags)) == (RAMP.tolist(), ())


def test_an_unusable_window_is_ignored_and_remarked(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP, WindowCenter=0, WindowWidth=0)
    assert first(path) == (RAMP.tolist(), (BAD_WINDOW,))


def test_window_applies_after_rescale(tmp_path: Path) -> None:
    """Stored 100 is 2 * 100 - 50 = 150; LINEAR_EXACT, centre 150, width 100 puts 150 in the middle."""
    path = make_dicom(
        tmp_path / "a.dcm",
        np.array([[75, 100, 125]], np.uint8),
        RescaleSlope=2,
        RescaleIntercept=-50,
        WindowCenter=150,
        WindowWidth=100,
        VOILUTFunction="LINEAR_EXACT",
    )
    assert first(path) == ([[0, 128, 255]], ())


def test_sigmoid_window(tmp_path: Path) -> None:
    """255 / (1 + exp(-4 (v - 100) / 40)): 127.5 at the centre, 224.6 twenty above it."""
    path = make_dicom(
        tmp_path / "a.dcm",
        np.array([[80, 100, 120]], np.uint8),
        WindowCenter=100,
        WindowWidth=40,
        VOILUTFunction="SIGMOID",
    )
    assert first(path)[0] == [[30, 128, 225]]


def test_negative_slope_turns_grey_over(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP, RescaleSlope=-1, RescaleIntercept=0)
    assert first(path)[0] == (255 - RAMP).tolist()


def test_rescale_without_window_keeps_bytes(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP, RescaleSlope="0.37", RescaleIntercept="-3.1")
    assert first(path) == (RAMP.tolist(), ())


def test_no_range_at_all(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP, RescaleSlope=0, RescaleIntercept=7)
    refused(path, f"its window, rescale or palette values are unusable; {EXPORT}")


@pytest.mark.parametrize(
    ("sequence", "bits", "entries"),
    [("ModalityLUTSequence", 16, [0, 4369, 65535]), ("VOILUTSequence", 12, [0, 273, 4095])],
)
def test_lookup_tables(tmp_path: Path, sequence: str, bits: int, entries: list[int]) -> None:
    """4369 of 65535 and 273 of 4095 are 17 of 255; what lies beyond the table is its last entry."""
    table = item(ModalityLUTType="US")
    table.add_new("LUTDescriptor", "US", [3, 0, bits])
    table.add_new("LUTData", "US", entries)
    path = make_dicom(tmp_path / "a.dcm", np.array([[0, 1, 2, 200]], np.uint8), **{sequence: [table]})
    assert first(path)[0] == [[0, 17, 255, 255]]


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="MONOCHROME1")
    assert first(path) == ((255 - RAMP).tolist(), (INVERTED,))


@pytest.mark.parametrize(("photometric", "rest"), [("MONOCHROME1", [155, 55]), ("MONOCHROME2", [100, 200])])
def test_padding_is_black(tmp_path: Path, photometric: str, rest: list[int]) -> None:
    path = make_dicom(
        tmp_path / "a.dcm",
        np.array([[250, 252, 100, 200]], np.uint8),
        PhotometricInterpretation=photometric,
        PixelPaddingValue=250,
        PixelPaddingRangeLimit=255,
    )
    pixels, remarks = first(path)
    assert pixels == [[0, 0, *rest]]
    assert remarks[-1] == PADDING


def test_windows_of_frames(tmp_path: Path) -> None:
    """The shared group gives the rescale, each frame its own window."""

    def window(centre: int):
        voi = item(WindowCenter=centre, WindowWidth=100, VOILUTFunction="LINEAR_EXACT")
        return item(FrameVOILUTSequence=[voi])

    rescale = item(RescaleSlope=1, RescaleIntercept=10, RescaleType="US")
    path = make_dicom(
        tmp_path / "a.dcm",
        np.full((2, 1, 2), 90, np.uint8),
        SharedFunctionalGroupsSequence=[item(PixelValueTransformationSequence=[rescale])],
        PerFrameFunctionalGroupsSequence=[window(100), window(50)],
    )
    found = [pixels.tolist() for pixels, _ in read_frames(path, "a.dcm", [0, 1])]
    assert found == [[[128, 128]], [[255, 255]]]


# ---- colours


def test_rgb_and_both_planar_configurations(tmp_path: Path) -> None:
    colour = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    assert first(make_dicom(tmp_path / "a.dcm", colour)) == (colour.tolist(), ())
    path = make_dicom(tmp_path / "b.dcm", colour, PixelData=colour.transpose(2, 0, 1).tobytes())
    planar = make_dicom(
        tmp_path / "c.dcm", colour, PixelData=colour.transpose(2, 0, 1).tobytes(), PlanarConfiguration=1
    )
    assert first(planar)[0] == colour.tolist() != first(path)[0]


def test_ybr_becomes_rgb(tmp_path: Path) -> None:
    """Y 76, Cb 85, Cr 255 is pure red (ITU-R BT.601, full range), to within one level."""
    path = make_dicom(
        tmp_path / "a.dcm", np.full((2, 2, 3), (76, 85, 255), np.uint8), PhotometricInterpretation="YBR_FULL"
    )
    np.testing.assert_allclose(first(path)[0], np.full((2, 2, 3), (255, 0, 0)), atol=1)


def test_sixteen_bit_colour_is_remarked(tmp_path: Path) -> None:
    pixels, remarks = first(make_dicom(tmp_path / "a.dcm", np.full((2, 2, 3), 25700, np.uint16)))
    assert pixels == [[[100] * 3] * 2] * 2
    assert remarks == ("colour DICOM scaled to 8 bit by the full range of its 16 stored bits",)


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(tmp_path: Path, bits: int) -> None:
    scale, size = (1, np.uint8) if bits == 8 else (256, np.uint16)
    tables = {"Red": [255, 0], "Green": [0, 10], "Blue": [0, 20]}
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in tables.items():
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [2, 0, bits]
        tags[f"{colour}PaletteColorLookupTableData"] = (np.array(table) * scale).astype(size).tobytes()
    path = make_dicom(tmp_path / "a.dcm", np.array([[0, 1]], np.uint8), **tags)
    assert first(path) == ([[[255, 0, 0], [0, 10, 20]]], ())


# ---- frames and orientation


def test_frames_in_the_order_asked_for(tmp_path: Path) -> None:
    volume = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 2, 5), np.uint8)
    path = make_dicom(tmp_path / "a.dcm", volume)
    assert [int(pixels[0, 0]) for pixels, _ in read_frames(path, "a.dcm", [3, 0, 2])] == [3, 0, 2]
    assert list(read_frames(path, "a.dcm", [])) == []
    refused(path, f"has 4 frames, fewer than were asked for; {EXPORT}", frames=[4])


@pytest.mark.parametrize("colour", [False, True])
def test_reader_keeps_row_and_column(tmp_path: Path, colour: bool) -> None:
    image = np.zeros((4, 6, 3) if colour else (4, 6), np.uint8)
    image[1, 4] = 200
    path = make_dicom(tmp_path / "a.dcm", image)
    reader = DicomReader(shown="clinic/a.dcm")
    pixels, meta = reader.get_data(reader.read(path))
    np.testing.assert_array_equal(pixels, image)
    assert meta["spatial_shape"].tolist() == [4, 6]
    loaded = LoadImage(reader=DicomReader(), image_only=True, ensure_channel_first=True)(path)
    assert tuple(loaded.shape) == (3 if colour else 1, 4, 6)
    assert np.argwhere(np.asarray(loaded[0])).tolist() == [[1, 4]]
    assert float(loaded[0, 1, 4]) == 200


def test_reader_takes_one_frame_of_one_file(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", np.stack([RAMP, RAMP + 100]))
    pixels, remarks = DicomReader(frame=1).read([path])
    assert (pixels.tolist(), remarks) == ((RAMP + 100).tolist(), ())
    with pytest.raises(DataError) as refusal:
        DicomReader(shown="clinic/a.dcm").read([path, path])
    assert str(refusal.value) == "clinic/a.dcm: one of 2 files given as one image; give one file per image"


def test_reader_knows_its_files() -> None:
    reader = DicomReader()
    assert reader.verify_suffix("a.DCM") and reader.verify_suffix([Path("a.dcm"), Path("b.dicom")])
    assert not reader.verify_suffix("a.png") and not reader.verify_suffix([Path("a.dcm"), Path("b.png")])


# ---- compressed pixels


LOSSLESS = {
    uid.JPEGLosslessSV1: lambda image: imagecodecs.jpeg8_encode(image, lossless=True),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEG2000Lossless: lambda image: imagecodecs.jpeg2k_encode(image, codecformat="J2K", reversible=True),
    uid.HTJ2KLossless: lambda image: imagecodecs.htj2k_encode(image, reversible=True),
    uid.HTJ2KLosslessRPCL: lambda image: imagecodecs.htj2k_encode(image, reversible=True),
}


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("shape", [(2, 9, 14), (2, 9, 14, 3)], ids=["grey", "colour"])
def test_lossless_codecs_give_back_what_was_stored(
    tmp_path: Path, syntax: uid.UID, shape: tuple[int, ...]
) -> None:
    volume = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = make_dicom(tmp_path / "a.dcm", volume, syntax, [LOSSLESS[syntax](image) for image in volume])
    for frame in (1, 0):
        ((pixels, remarks),) = read_frames(path, "a.dcm", [frame])
        np.testing.assert_array_equal(pixels, volume[frame])
        assert remarks == ()


def test_decoders_are_all_here() -> None:
    rows = decoders()
    names = " / ".join(row.transfer_syntax for row in rows)
    wanted = (
        "JPEG Baseline",
        "JPEG Extended",
        "JPEG Lossless",
        "JPEG-LS",
        "JPEG 2000",
        "High-Throughput",
        "RLE",
    )
    assert [name for name in (*wanted, "Deflated") if name not in names] == []
    assert len(rows) == 13
    for row in rows:
        assert row.available and row.install is None
        assert row.through is not None and row.through.split()[0] in ("imagecodecs", "pydicom")


def test_video_is_not_read(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP, uid.MPEG2MPML, [bytes(10)])
    name = "MPEG2 Main Profile / Main Level"
    refused(path, f"compressed as {name}, which is not read; export it uncompressed")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.100", b"1.2.840.10008.1.2.4.999"))
    refused(path, "its transfer syntax is unknown here; export it uncompressed")


def test_truncated_pixels(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", RAMP)
    path.write_bytes(path.read_bytes()[:-3])
    refused(path, f"its pixel data cannot be decoded (uncompressed, damaged or cut short); {EXPORT}")


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_a_stream_must_be_whole_and_as_large_as_announced(tmp_path: Path, syntax: uid.UID) -> None:
    message = f"its pixel data cannot be decoded ({syntax.name}, damaged or cut short); {EXPORT}"
    stream = LOSSLESS[syntax](np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8))
    assert coded_shape(stream) == (30, 40, 1)
    cut = make_dicom(tmp_path / "a.dcm", np.zeros((30, 40), np.uint8), syntax, [stream[: len(stream) // 2]])
    refused(cut, message)
    other = make_dicom(tmp_path / "b.dcm", np.zeros((40, 30), np.uint8), syntax, [stream])
    refused(other, message)
    with pytest.raises(ValueError, match="no frame header"):
        coded_shape(b"GIF89a")
