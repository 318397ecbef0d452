"""Small DICOM files for tests, written with pydicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate


def make_dicom(
    path: Path,
    pixels: np.ndarray,
    syntax: uid.UID = uid.ExplicitVRLittleEndian,
    frames: Sequence[bytes | bytearray] | None = None,
    sop_class: str = uid.OphthalmicTomographyImageStorage,
    **tags: object,
) -> Path:
    """Write `pixels`: (rows, columns), (frames, rows, columns), or the same with 3 for RGB at the end.

    `frames` are the compressed streams where `syntax` is a compressed one; `tags` replace or add to the header,
    None takes away.
    """
    colour = pixels.shape[-1] == 3 and pixels.ndim > 2
    shape = pixels.shape[:-1] if colour else pixels.shape
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.MediaStorageSOPClassUID = sop_class
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    header.SOPClassUID, header.SOPInstanceUID = sop_class, "1.2.3.4"
    header.Rows, header.Columns = shape[-2:]
    if len(shape) == 3:
        header.NumberOfFrames = shape[0]
    header.SamplesPerPixel = 3 if colour else 1
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        header.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    header.BitsAllocated, header.BitsStored, header.HighBit = bits, bits, bits - 1
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    if frames is not None:
        header.PixelData = encapsulate([bytes(frame) for frame in frames])
    else:
        header.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    header["PixelData"].VR = "OB" if frames is not None or bits == 8 else "OW"
    for keyword, value in tags.items():
        if value is None:
            del header[keyword]
        else:
            setattr(header, keyword, value)
    header.save_as(path, enforce_file_format=True)
    return path


def item(**tags: object) -> Dataset:
    """One item of a sequence."""
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset
