"""Synthetic retinal OCT B-scans, drawn layer by layer. They look like the modality, they are not of anyone.

Coordinates: `u` in [-1, 1] across the width, `v` in [0, 1] down the depth. Grey values are fractions
of white before speckle and sensor noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator

CLASSES = ("NORMAL", "DRUSEN", "CNV", "DME")

# Reflectivity by depth from the inner limiting membrane (0) to the pigment epithelium (1): nerve fibres
# bright, ganglion cells and inner plexiform grey, inner nuclear dark, outer plexiform grey, outer nuclear
# dark, ellipsoid zone bright.
DEPTHS = np.array([0.00, 0.10, 0.14, 0.36, 0.40, 0.50, 0.54, 0.60, 0.64, 0.84, 0.88, 0.95, 1.00])
GREYS = np.array([0.80, 0.75, 0.52, 0.48, 0.30, 0.30, 0.50, 0.48, 0.24, 0.26, 0.75, 0.80, 0.60])
VITREOUS = 0.04
EPITHELIUM = 0.95
EPITHELIUM_HALF_THICKNESS = 0.022
CHOROID = 0.55
CHOROID_DECAY = 0.16  # e-folding depth


@dataclass(frozen=True)
class Anatomy:
    """What two scans of one synthetic patient share."""

    thickness: float  # of the retina, away from the pit
    pit_depth: float  # share of the thickness lost in the foveal pit
    pit_width: float
    curvature: float
    reflectivity: Floats  # factor on each layer's grey value


def draw_anatomy(rng: Rng) -> Anatomy:
    """A patient."""
    return Anatomy(
        thickness=rng.uniform(0.24, 0.32),
        pit_depth=rng.uniform(0.45, 0.7),
        pit_width=rng.uniform(0.16, 0.26),
        curvature=rng.uniform(-0.08, 0.12),
        reflectivity=rng.uniform(0.85, 1.15, len(GREYS)),
    )


def draw_scan(label: str, anatomy: Anatomy, size: int, rng: Rng) -> Floats:
    """One B-scan of class `label`: (1, size, size) in [0, 1]."""
    u = np.linspace(-1, 1, size)
    v = (np.arange(size)[:, None] + 0.5) / size
    fovea = rng.uniform(-0.45, 0.45)
    floor = rng.uniform(0.58, 0.74) + rng.uniform(-0.10, 0.10) * u + anatomy.curvature * u**2
    lifted, beneath = lift_epithelium(label, u, fovea, rng)
    epithelium = floor - lifted
    membrane = floor - 0.6 * lifted - retinal_thickness(label, anatomy, u, fovea, rng)
    image = layered(v, membrane, epithelium, floor, anatomy)
    space = (v > epithelium) & (v < floor)
    image = np.where(space, beneath, image)
    if label == "DME":
        image = carve_cysts(image, u, v, membrane, epithelium, fovea, rng)
    band = np.exp(-(((v - epithelium) / EPITHELIUM_HALF_THICKNESS) ** 2))
    image = image + band * (EPITHELIUM * rng.uniform(0.9, 1.05) - image)
    return acquired(image * vessel_shadows(u, v, membrane, rng), rng)[None]


def lift_epithelium(label: str, u: Floats, fovea: float, rng: Rng) -> tuple[Floats, float]:
    """How far the pigment epithelium stands above its bed, (W,), and the grey value beneath it."""
    if label == "DRUSEN":
        lifted = np.zeros_like(u)
        for centre in spread(rng, int(rng.integers(4, 8))):
            lifted += rng.uniform(0.045, 0.085) * np.exp(-(((u - centre) / rng.uniform(0.06, 0.10)) ** 2))
        return np.minimum(lifted, 0.10), rng.uniform(0.45, 0.6)
    if label == "CNV":
        centre, width = fovea + rng.uniform(-0.25, 0.25), rng.uniform(0.28, 0.48)
        dome = np.maximum(1 - ((u - centre) / width) ** 2, 0) ** rng.uniform(0.5, 0.9)
        ripples = 1 + 0.15 * np.sin(u * rng.uniform(8, 16) + rng.uniform(0, 6))
        fluid = rng.random() < 0.5
        return rng.uniform(0.15, 0.23) * dome * ripples, rng.uniform(0.08, 0.16) if fluid else rng.uniform(
            0.7, 0.9
        )
    return np.zeros_like(u), 0.0


def spread(rng: Rng, count: int) -> Floats:
    """Places across the width that do not crowd."""
    slots = np.linspace(-0.85, 0.85, count)
    return slots + rng.uniform(-0.08, 0.08, count)


def retinal_thickness(label: str, anatomy: Anatomy, u: Floats, fovea: float, rng: Rng) -> Floats:
    """From the inner limiting membrane to the pigment epithelium, (W,)."""
    pit = np.exp(-(((u - fovea) / anatomy.pit_width) ** 2))
    if label == "DME":
        swelling = np.exp(-(((u - fovea) / rng.uniform(0.45, 0.8)) ** 2))
        return anatomy.thickness * (1 + rng.uniform(0.25, 0.55) * swelling)
    return anatomy.thickness * (1 - anatomy.pit_depth * pit)


def layered(v: Floats, membrane: Floats, epithelium: Floats, floor: Floats, anatomy: Anatomy) -> Floats:
    """Vitreous, retina by relative depth, choroid fading below the bed."""
    depth = (v - membrane) / (epithelium - membrane)
    retina = np.interp(depth, DEPTHS, GREYS * anatomy.reflectivity)
    choroid = CHOROID * np.exp(-np.maximum(v - floor, 0) / CHOROID_DECAY)
    return np.where(v < membrane, VITREOUS, np.where(v < epithelium, retina, choroid))


def carve_cysts(
    image: Floats, u: Floats, v: Floats, membrane: Floats, epithelium: Floats, fovea: float, rng: Rng
) -> Floats:
    """Dark round cysts inside the retina, around the fovea."""
    size = len(u)
    for _ in range(rng.integers(4, 8)):
        centre = fovea + rng.normal(0, 0.3)
        column = int(np.clip((centre + 1) / 2 * size, 0, size - 1))
        top, bottom = membrane[column], epithelium[column]
        middle = top + rng.uniform(0.3, 0.7) * (bottom - top)
        height, width = rng.uniform(0.035, 0.07), rng.uniform(0.08, 0.15)
        inside = ((u - centre) / width) ** 2 + ((v - middle) / height) ** 2
        image = np.where((inside < 1) & (v > membrane + 0.02) & (v < epithelium - 0.03), 0.06, image)
    return image


def vessel_shadows(u: Floats, v: Floats, membrane: Floats, rng: Rng) -> Floats:
    """Large vessels darken everything beneath them."""
    shade = np.ones((len(v), len(u)))
    for _ in range(rng.integers(0, 3)):
        stripe = np.exp(-(((u - rng.uniform(-1, 1)) / rng.uniform(0.02, 0.05)) ** 2))
        shade *= 1 - rng.uniform(0.3, 0.6) * stripe * (v > membrane + 0.03)
    return shade


def acquired(image: Floats, rng: Rng) -> Floats:
    """Speckle (multiplicative), detector noise (additive), gain and contrast."""
    looks = rng.uniform(3, 7)
    speckled = image * rng.gamma(looks, 1 / looks, image.shape)
    noisy = speckled + rng.uniform(0.01, 0.06) + rng.normal(0, 0.04, image.shape)
    return np.clip(rng.uniform(0.75, 1.15) * np.maximum(noisy, 0) ** rng.uniform(0.85, 1.2), 0, 1)
