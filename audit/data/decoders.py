"""Decoders of compressed DICOM pixels: one library, imagecodecs, as a plugin of pydicom.

GDCM, which pydicom would take first, ends the whole process on a damaged JPEG lossless stream; here a stream
is checked against the header before it is decoded, and every failure is an exception.
"""

from __future__ import annotations

import importlib.metadata
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import get_decoder

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

PACKAGE = "imagecodecs"
PLUGIN_SYNTAXES = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
DECODER_DEPENDENCIES = dict.fromkeys(PLUGIN_SYNTAXES, (PACKAGE,))  # pydicom asks a plugin for it
WITHOUT_PLUGIN = (uid.RLELossless, uid.DeflatedExplicitVRLittleEndian)
CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000: SOC, SIZ
END = b"\xff\xd9"  # EOI and EOC; cannot stand inside compressed data
NO_FRAME_HEADER = frozenset({0xC4, 0xC8, 0xCC})  # among C0 to CF: tables, and reserved


@dataclass(frozen=True)
class DecoderRow:
    """Whether pixels of one transfer syntax can be read: `through` which package, else what to `install`."""

    transfer_syntax: str
    available: bool
    through: str | None
    install: str | None


def decoders() -> list[DecoderRow]:
    """One row for each compressed transfer syntax that the product reads."""
    rows = [_row(syntax, PACKAGE, is_available(syntax)) for syntax in PLUGIN_SYNTAXES]
    return rows + [_row(syntax, "pydicom", True) for syntax in WITHOUT_PLUGIN]


def plugin_for(syntax: uid.UID) -> str | None:
    """pydicom's name of the decoder of `syntax` ("" for uncompressed pixels), None where there is none."""
    if syntax in PLUGIN_SYNTAXES:
        return PACKAGE if is_available(syntax) else None
    if syntax == uid.RLELossless:
        return "pydicom"
    return "" if syntax in uid.UncompressedTransferSyntaxes else None


def is_available(syntax: str) -> bool:
    """Whether imagecodecs was built with the codec of this transfer syntax. pydicom asks for it by name."""
    if syntax in uid.JPEGLSTransferSyntaxes:
        return bool(imagecodecs.JPEGLS.available)
    codec = imagecodecs.JPEG2K if syntax in uid.JPEG2000TransferSyntaxes else imagecodecs.JPEG8
    return bool(codec.available)


def decode_frame(stream: bytes, runner: DecodeRunner) -> bytearray:
    """The pixels of one compressed frame, as pydicom wants them of a plugin: bytes in row order, colour by
    pixel. Raises ValueError where the stream is cut short or does not hold what the header says.
    """
    syntax, samples = runner.transfer_syntax, runner.samples_per_pixel
    if coded_shape(stream) != (runner.rows, runner.columns, samples):
        raise ValueError("the compressed image has another size than the header says")
    pixels = _decompress(stream, syntax, samples)
    if pixels.size != runner.rows * runner.columns * samples:
        raise ValueError("another number of pixels than the header says")
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in (
        PhotometricInterpretation.YBR_ICT,
        PhotometricInterpretation.YBR_RCT,
    ):
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return bytearray(np.ascontiguousarray(pixels).tobytes())


def _decompress(stream: bytes, syntax: str, samples: int) -> npt.NDArray[np.generic]:
    if syntax in uid.JPEG2000TransferSyntaxes:
        return np.asarray(imagecodecs.jpeg2k_decode(stream))
    if syntax in uid.JPEGLSTransferSyntaxes:
        return np.asarray(imagecodecs.jpegls_decode(stream))
    # the same space twice means no conversion here: pydicom converts by what the header says
    space = "RGB" if samples == 3 else "GRAYSCALE"
    return np.asarray(imagecodecs.jpeg8_decode(stream, colorspace=space, outcolorspace=space))


def coded_shape(stream: bytes | bytearray) -> tuple[int, int, int]:
    """(rows, columns, samples per pixel) as the stream itself says, before memory is taken for them.

    JPEG (baseline, extended, lossless), JPEG-LS and JPEG 2000. Raises ValueError for other bytes and for a
    stream without an end.
    """
    start = stream.find(CODESTREAM) if stream[:2] != b"\xff\xd8" else -1
    try:
        shape, after = _shape_2000(stream, start) if start >= 0 else _shape_jpeg(stream)
    except (struct.error, IndexError) as error:
        raise ValueError("the compressed image has no frame header") from error
    if stream.find(END, after) < 0:
        raise ValueError("the compressed image is cut short")
    return shape


def _shape_2000(stream: bytes | bytearray, start: int) -> tuple[tuple[int, int, int], int]:
    right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    (samples,) = struct.unpack_from(">H", stream, start + 40)
    return (bottom - top, right - left, samples), start + 42


def _shape_jpeg(stream: bytes | bytearray) -> tuple[tuple[int, int, int], int]:
    position = 2
    while True:
        while stream[position + 1] == 0xFF:  # fill bytes
            position += 1
        mark, code, length = struct.unpack_from(">BBH", stream, position)
        if mark != 0xFF or length < 2:
            raise ValueError("the compressed image has no frame header")
        if code == 0xF7 or (0xC0 <= code <= 0xCF and code not in NO_FRAME_HEADER):
            rows, columns, samples = struct.unpack_from(">HHB", stream, position + 5)
            return (rows, columns, samples), position + 2 + length
        position += 2 + length


def _row(syntax: uid.UID, package: str, available: bool) -> DecoderRow:
    through = f"{package} {importlib.metadata.version(package)}" if available else None
    return DecoderRow(syntax.name, available, through, None if available else package)


def _register() -> None:
    for syntax in PLUGIN_SYNTAXES:
        decoder = get_decoder(syntax)
        if PACKAGE not in decoder.available_plugins:
            decoder.add_plugin(PACKAGE, (__name__, decode_frame.__name__))


_register()
