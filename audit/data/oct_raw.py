"""Raw files of OCT devices (Heidelberg .e2e, Topcon .fds and .fda, Zeiss .img) through the package oct-converter.

An extra: `pip install 'imaging-audit[oct-raw]'`. The formats are not published and the package reads what was found out
about them; the report says so. Names and birth dates that it finds stay in its objects, which are dropped here.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.data.dataset import Images
from audit.errors import DataError

DEVICES = {  # suffix -> maker, class of oct_converter.readers
    ".e2e": ("Heidelberg", "E2E"),
    ".fds": ("Topcon", "FDS"),
    ".fda": ("Topcon", "FDA"),
    ".img": ("Zeiss", "IMG"),
}
EXPORT = "export the scan as DICOM or PNG"


@dataclass(frozen=True)
class RawScan:
    """All B-scans of a file: (frames, rows, columns) uint8; `patient` never leaves audit.data."""

    frames: Images
    maker: str
    laterality: str | None  # R, L
    patient: str | None = field(repr=False)


def read_raw(path: Path, shown: str, max_pixels: int) -> RawScan:
    """Read one file. Raises DataError for what cannot be read, and without the package."""
    maker, name = DEVICES[path.suffix.lower()]
    try:
        from oct_converter import readers
    except ImportError:
        raise DataError(
            f"{shown}: a raw file of a {maker} device; pip install 'imaging-audit[oct-raw]', or {EXPORT}"
        ) from None
    if path.stat().st_size > 4 * max_pixels:  # at most 4 bytes for a pixel: read as a whole below
        raise DataError(f"{shown}: more than {max_pixels:,} pixels; raise data.quotas.pixels, or {EXPORT}")
    try:
        # It prints and warns with what stands in the file, which may be a name.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(readers, name)(path).read_oct_volume()
    except Exception:  # noqa: BLE001  a parser of unpublished formats may raise anything
        raise DataError(f"{shown}: no readable raw file of a {maker} device; {EXPORT}") from None
    volumes = found if isinstance(found, list) else [found]
    frames = [np.asarray(frame) for volume in volumes for frame in volume.volume]
    if not frames or len({frame.shape for frame in frames}) > 1:
        raise DataError(f"{shown}: no B-scans, or B-scans of several sizes; {EXPORT}")
    if sum(frame.size for frame in frames) > max_pixels:
        raise DataError(f"{shown}: more than {max_pixels:,} pixels; raise data.quotas.pixels, or {EXPORT}")
    return RawScan(
        frames=np.stack([eight_bit(frame, shown) for frame in frames]),
        maker=maker,
        laterality=one_of((volume.laterality for volume in volumes), ("R", "L")),
        patient=one_of((volume.patient_id for volume in volumes), None),
    )


def eight_bit(frame: npt.NDArray[Any], shown: str) -> Images:
    """(rows, columns) as uint8: 8 bit as they are, 16 bit by their full range, fractions from 0 to 1 by 255."""
    if frame.dtype == np.uint8:
        grey: Images = frame
        return grey
    if frame.dtype == np.uint16:
        return np.asarray(np.rint(frame / 257), dtype=np.uint8)
    if frame.dtype.kind == "f" and np.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1:
        return np.asarray(np.rint(frame * 255), dtype=np.uint8)
    raise DataError(f"{shown}: grey values of an unknown range; {EXPORT}")


def one_of(values: Iterable[object], allowed: tuple[str, ...] | None) -> str | None:
    """The one value that all volumes agree on; None where they do not or have none."""
    found = {str(value) for value in values if value not in (None, "")}
    if len(found) != 1:
        return None
    [value] = found
    return value if allowed is None or value in allowed else None
