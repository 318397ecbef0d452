"""Images that show nothing."""

from __future__ import annotations

import numpy as np

from audit.checks.inputs import CheckInput
from audit.checks.record import SHOWN_IMAGES, CheckResult

FLAT = 2.0  # grey levels of standard deviation; a real scan has 20 to 60
SATURATED = 0.5  # share of pixels at 0 or at 255


def empty_images(data: CheckInput) -> CheckResult:
    """Constant, nearly constant, or mostly black or white."""
    images = data.images()
    flat_pixels = images.reshape(len(images), -1)
    flat = flat_pixels.std(axis=1) < FLAT
    black, white = ((flat_pixels == value).mean(axis=1) > SATURATED for value in (0, 255))
    found = np.flatnonzero(flat | black | white)
    kinds = (
        f"{int(flat.sum())} (nearly) constant, {int((black & ~flat).sum())} more than half black, "
        f"{int((white & ~flat).sum())} more than half white"
    )
    if not len(found):
        return CheckResult(
            name="empty-images",
            title="Constant and saturated images",
            status="pass",
            sentence=f"none of {len(images)} images is constant or more than half black or white",
        )
    return CheckResult(
        name="empty-images",
        title="Constant and saturated images",
        status="warn",
        sentence=f"{len(found)} of {len(images)} images: {kinds}",
        remedy="look at them; remove what shows nothing",
        images=[data.shown(int(index)) for index in found[:SHOWN_IMAGES]],
        affected=len(found),
    )
