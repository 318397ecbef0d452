"""Synthetic retinal OCT B-scans, drawn layer by layer. They look like the modality, they are not of anyone.

Coordinates: `u` in [-1, 1] across the width, `v` in [0, 1] down the depth; heights and thicknesses are
fractions of the image height, half-widths are in units of `u`. Grey values are fractions of white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]  # float32 throughout: half the time of float64
Rng = np.random.Generator

CLASSES = ("NORMAL", "DRUSEN", "CNV", "DME")

# Reflectivity by depth from the inner limiting membrane (0) to the pigment epithelium (1): nerve fibres
# bright, ganglion cells and inner plexiform grey, inner nuclear dark, outer plexiform grey, outer nuclear
# dark, ellipsoid zone bright.
DEPTHS = np.array([0.00, 0.10, 0.14, 0.36, 0.40, 0.50, 0.54, 0.60, 0.64, 0.84, 0.88, 0.95, 1.00])
GREYS = np.array([0.80, 0.75, 0.52, 0.48, 0.30, 0.30, 0.50, 0.48, 0.24, 0.26, 0.75, 0.80, 0.60])
VITREOUS = 0.04
FLUID = 0.08
EPITHELIUM = 0.95
EPITHELIUM_HALF_THICKNESS = 0.022
CHOROID = 0.55
CHOROID_DECAY = 0.16  # e-folding depth
PUSHED_UP = 0.6  # share of an elevation of the epithelium that reaches the inner surface


@dataclass(frozen=True)
class Anatomy:
    """What the scans of one synthetic patient share."""

    thickness: float  # of the retina, away from the pit
    pit_depth: float  # share of the thickness lost in the foveal pit
    pit_width: float
    curvature: float
    reflectivity: Floats  # factor on each layer's grey value


@dataclass(frozen=True)
class Surfaces:
    """Depth of the boundaries in each column, (W,) each, from the top: inner limiting membrane, pigment
    epithelium, and the bed on which the epithelium lies where nothing lifts it."""

    membrane: Floats
    epithelium: Floats
    bed: Floats


def draw_scan(label: str, size: int, patient: Rng, rng: Rng) -> Floats:
    """One B-scan of class `label`: (1, size, size), fractions of white, before the sensor's noise."""
    anatomy = draw_anatomy(patient)
    u = np.linspace(-1, 1, size, dtype=np.float32)
    v = np.linspace(0.5 / size, 1 - 0.5 / size, size, dtype=np.float32)[:, None]
    fovea = rng.uniform(-0.5, 0.5)
    surfaces = draw_surfaces(label, anatomy, u, fovea, rng)
    image = layered(v, surfaces, anatomy)
    if label == "CNV":
        image = fill_neovascularization(image, u, v, surfaces, rng)
    if label == "DME":
        image = carve_cysts(image, u, v, surfaces, fovea, rng)
    band = np.exp(-(((v - surfaces.epithelium) / EPITHELIUM_HALF_THICKNESS) ** 2))
    image = image + band * (EPITHELIUM - image)
    return acquired(image * vessel_shadows(u, v, surfaces, rng), rng)[None]


def draw_anatomy(rng: Rng) -> Anatomy:
    """A patient."""
    return Anatomy(
        thickness=rng.uniform(0.22, 0.32),
        pit_depth=rng.uniform(0.45, 0.7),
        pit_width=rng.uniform(0.16, 0.28),
        curvature=rng.uniform(-0.10, 0.14),
        reflectivity=rng.uniform(0.85, 1.15, len(GREYS)),
    )


def draw_surfaces(label: str, anatomy: Anatomy, u: Floats, fovea: float, rng: Rng) -> Surfaces:
    """Where the scan stands in the picture, and what the disease does to its layers."""
    bed = rng.uniform(0.58, 0.83) + rng.uniform(-0.14, 0.14) * u + anatomy.curvature * u**2
    lifted = ELEVATIONS[label](u, fovea, rng) if label in ELEVATIONS else np.zeros_like(u)
    thickness = retinal_thickness(label, anatomy, u, fovea, rng)
    return Surfaces(bed - PUSHED_UP * lifted - thickness, bed - lifted, bed)


def drusen(u: Floats, fovea: float, rng: Rng) -> Floats:
    """Height of the epithelium over several small domes, (W,)."""
    lifted = np.zeros_like(u)
    count = int(rng.integers(4, 7))
    for slot in np.linspace(
        -0.85, 0.85, count
    ).tolist():  # in slots, for domes that run together would be a CNV
        centre, width = slot + rng.uniform(-0.1, 0.1), rng.uniform(0.09, 0.14)
        lifted = np.maximum(lifted, rng.uniform(0.055, 0.09) * np.exp(-(((u - centre) / width) ** 2)))
    return lifted


def neovascularization(u: Floats, fovea: float, rng: Rng) -> Floats:
    """Height of the epithelium over one large, uneven dome, (W,)."""
    centre, width = fovea + rng.uniform(-0.3, 0.3), rng.uniform(0.36, 0.58)
    place = (u - centre) / width
    dome = np.maximum(1 - place**2, 0) ** rng.uniform(0.7, 1.1)
    uneven = 1 + rng.uniform(-0.35, 0.35) * place + 0.12 * np.sin(u * rng.uniform(8, 16) + rng.uniform(0, 6))
    lifted: Floats = rng.uniform(0.16, 0.24) * dome * uneven
    return lifted


ELEVATIONS = {"DRUSEN": drusen, "CNV": neovascularization}


def retinal_thickness(label: str, anatomy: Anatomy, u: Floats, fovea: float, rng: Rng) -> Floats:
    """From the inner limiting membrane to the pigment epithelium, (W,)."""
    if label == "DME":
        swelling = np.exp(-(((u - fovea) / rng.uniform(0.45, 0.8)) ** 2))
        relative = 1 + rng.uniform(0.25, 0.55) * swelling
    else:
        relative = 1 - anatomy.pit_depth * np.exp(-(((u - fovea) / anatomy.pit_width) ** 2))
    thickness: Floats = anatomy.thickness * relative
    return thickness


def layered(v: Floats, surfaces: Surfaces, anatomy: Anatomy) -> Floats:
    """Vitreous, retina by relative depth, choroid fading below the epithelium: (H, W)."""
    depth = (v - surfaces.membrane) / (surfaces.epithelium - surfaces.membrane)
    retina = np.interp(depth, DEPTHS, GREYS * anatomy.reflectivity).astype(np.float32)
    choroid: Floats = CHOROID * np.exp(-np.maximum(v - surfaces.bed, 0) / CHOROID_DECAY)
    tissue = np.where(v < surfaces.epithelium, retina, choroid)
    return np.where(v < surfaces.membrane, np.float32(VITREOUS), tissue)


def fill_neovascularization(image: Floats, u: Floats, v: Floats, surfaces: Surfaces, rng: Rng) -> Floats:
    """What stands beneath the lifted epithelium: dark fluid or bright, uneven hyper-reflective tissue."""
    beneath = (v > surfaces.epithelium) & (v < surfaces.bed)
    if rng.random() < 0.5:
        return np.where(beneath, np.float32(FLUID), image)
    lumps = np.sin(u * rng.uniform(9, 18) + rng.uniform(0, 6)) * np.sin(v * rng.uniform(20, 40))
    return np.where(beneath, np.float32(rng.uniform(0.65, 0.85)) * (1 + 0.2 * lumps), image)


def carve_cysts(image: Floats, u: Floats, v: Floats, surfaces: Surfaces, fovea: float, rng: Rng) -> Floats:
    """Dark round cysts inside the retina, around the fovea."""
    size = len(u)
    within = (v > surfaces.membrane + 0.02) & (v < surfaces.epithelium - 0.03)
    for _ in range(rng.integers(4, 8)):
        centre = float(np.clip(fovea + rng.normal(0, 0.3), -0.9, 0.9))
        column = int((centre + 1) / 2 * (size - 1))
        top, bottom = surfaces.membrane[column], surfaces.epithelium[column]
        middle = top + rng.uniform(0.3, 0.7) * (bottom - top)
        height, width = rng.uniform(0.035, 0.07), rng.uniform(0.08, 0.16)
        reach = ((u - centre) / width) ** 2 + ((v - middle) / height) ** 2
        image = np.where((reach < 1) & within, np.float32(FLUID), image)
    return image


def vessel_shadows(u: Floats, v: Floats, surfaces: Surfaces, rng: Rng) -> Floats:
    """Large vessels darken everything beneath them: factor, (H, W)."""
    shade = np.ones((len(v), len(u)), np.float32)
    for _ in range(rng.integers(0, 3)):
        stripe = np.exp(-(((u - rng.uniform(-1, 1)) / rng.uniform(0.02, 0.05)) ** 2))
        shade *= 1 - rng.uniform(0.3, 0.6) * stripe * (v > surfaces.membrane + 0.03)
    return shade


def acquired(image: Floats, rng: Rng) -> Floats:
    """Speckle (multiplicative), dark current, gain and contrast: (H, W) in [0, 1]."""
    looks = rng.uniform(4, 9)
    speckled = image * rng.standard_gamma(looks, image.shape, np.float32) / looks
    lit = speckled + rng.uniform(0.01, 0.06)
    scan: Floats = np.clip(rng.uniform(0.85, 1.15) * lit ** rng.uniform(0.85, 1.15), 0, 1)
    return scan
