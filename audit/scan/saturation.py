"""Padding: saturated regions that hang together with the edge of a picture (wedges of a registered OCT scan, black
frames, dark corners of a dermatoscope). What they tell of the class is a matter of acquisition, not of an edit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from audit.data.dataset import Images

BLACK, WHITE = 2, 253  # grey levels at which a pixel counts as saturated; JPEG spreads a few around 0 and 255

Mask = npt.NDArray[np.bool_]


def padding(images: Images) -> Mask:
    """(N, H, W): saturated in all channels and connected to the edge of the picture.

    Single pixels and lines at the edge are no padding: they may be edits.
    """
    found = np.zeros((len(images), *images.shape[2:]), dtype=bool)
    for saturated in (images <= BLACK, images >= WHITE):
        found |= connected_to_edge(np.all(saturated, axis=1))
    return found


def connected_to_edge(saturated: Mask) -> Mask:
    """The part of `saturated` (N, H, W) that hangs together with 3 × 3 saturated pixels at the edge."""
    solid = saturated.copy()
    height, width = solid.shape[1:]
    around = np.pad(saturated, ((0, 0), (1, 1), (1, 1)), mode="edge")
    for row in range(3):
        for col in range(3):
            solid &= around[:, row : row + height, col : col + width]
    seed = np.zeros_like(solid)
    for edge in (np.s_[:, :2], np.s_[:, -2:], np.s_[:, :, :2], np.s_[:, :, -2:]):
        seed[edge] = solid[edge]
    within_image = np.zeros((3, 3, 3), dtype=bool)
    within_image[1] = ndimage.generate_binary_structure(2, 1)
    grown_out: Mask = ndimage.binary_propagation(seed, structure=within_image, mask=saturated)
    return grown_out
