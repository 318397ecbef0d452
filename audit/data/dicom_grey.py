"""Grey values of DICOM as 8 bit: modality LUT or rescale, VOI LUT or window, MONOCHROME1 (PS3.3 C.11)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing

GROUPS = (  # functional group of enhanced objects -> what of it decides grey values
    ("PixelValueTransformationSequence", ("RescaleSlope", "RescaleIntercept")),
    ("FrameVOILUTSequence", ("WindowCenter", "WindowWidth", "VOILUTFunction")),
)
NEEDED = (
    "BitsStored",
    "PixelRepresentation",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PhotometricInterpretation",
    "PresentationLUTShape",
)


def to_eight_bit(
    array: npt.NDArray[Any], header: Dataset, frame: int
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Stored grey values (H, W) as shown on a screen, uint8, and a remark where values were scaled.

    With a VOI LUT or window: its output range becomes 0 to 255. Without: 8 bit stay as they are, more bits are scaled
    by the full range that they can hold, so that equal values stay equal between images.
    """
    rules = rules_of(header, frame)
    bits = int(rules.get("BitsStored", 8 * array.dtype.itemsize))
    values = apply_modality_lut(array, rules)
    if "VOILUTSequence" in rules:
        shown = apply_voi_lut(np.asarray(values).astype(np.int64), rules, prefer_lut=True)
        low, high = 0.0, float(2 ** int(rules.VOILUTSequence[0].LUTDescriptor[2]) - 1)
        remark: tuple[str, ...] = ("DICOM shown through its VOI LUT, scaled to 8 bit",)
    elif "WindowCenter" in rules and "WindowWidth" in rules:
        shown = apply_windowing(values, rules)
        low, high = output_range(rules, bits)
        remark = () if bits == 8 else (f"DICOM of {bits} bit, shown through its window, scaled to 8 bit",)
    else:
        shown = values
        low, high = output_range(rules, bits)
        remark = (
            ()
            if bits == 8
            else (f"DICOM of {bits} bit without a window, scaled by their full range to 8 bit",)
        )
    scaled = (np.asarray(shown, dtype=np.float64) - low) / max(high - low, 1e-12) * 255
    grey = np.rint(scaled).clip(0, 255).astype(np.uint8)
    if inverted(rules):
        return 255 - grey, (*remark, "DICOM of MONOCHROME1, inverted: white is high")
    return grey, remark


def rules_of(header: Dataset, frame: int) -> Dataset:
    """What decides the grey values of a frame: of the object, of all its frames, of this one; the last wins."""
    rules = Dataset()
    rules.set_original_encoding(*header.original_encoding)  # in which look-up tables are packed
    for name in NEEDED:
        if name in header and header[name].value not in (None, ""):
            rules[name] = header[name]
    shared = list(header.get("SharedFunctionalGroupsSequence", None) or [])[:1]
    own = list(header.get("PerFrameFunctionalGroupsSequence", None) or [])[frame : frame + 1]
    for group in (*shared, *own):
        for sequence, names in GROUPS:
            for item in list(group.get(sequence, None) or [])[:1]:
                for name in names:
                    if name in item and item[name].value not in (None, ""):
                        rules[name] = item[name]
    return rules


def output_range(rules: Dataset, bits: int) -> tuple[float, float]:
    """Lowest and highest value after the modality step, that `apply_windowing` maps a window to."""
    if "ModalityLUTSequence" in rules:
        return 0.0, float(2 ** int(rules.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    low, high = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if rules.get("PixelRepresentation", 0) else (0, 2**bits - 1)
    )
    slope, intercept = float(rules.get("RescaleSlope", 1)), float(rules.get("RescaleIntercept", 0))
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return ends[0], ends[1]


def inverted(rules: Dataset) -> bool:
    """Whether low values are white: pydicom leaves MONOCHROME1 as it is."""
    shape = str(rules.get("PresentationLUTShape", "")).upper()
    return str(rules.get("PhotometricInterpretation", "")) == "MONOCHROME1" and shape != "IDENTITY"
