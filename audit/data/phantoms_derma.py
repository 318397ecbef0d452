"""Synthetic skin pictures in colour, on varied skin tones. They look like the field, they are not of anyone.

Coordinates: `x`, `y` in [-1, 1]; colours are RGB fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator

CLASSES = ("pigmented macule", "erythema", "ulcer", "tumor", "leukoderma")

LIGHT_SKIN = np.array([0.96, 0.82, 0.73])
DARK_SKIN = np.array([0.34, 0.22, 0.16])


@dataclass(frozen=True)
class Skin:
    """What two pictures of one synthetic patient share."""

    tone: Floats  # RGB
    roughness: float
    hairs: int


def draw_skin(rng: Rng) -> Skin:
    """A patient, from very light to dark skin."""
    share = rng.random()
    tone = LIGHT_SKIN + share * (DARK_SKIN - LIGHT_SKIN) + rng.normal(0, 0.015, 3)
    return Skin(tone, rng.uniform(0.01, 0.035), int(rng.integers(0, 9)))


def draw_lesion(label: str, skin: Skin, size: int, rng: Rng) -> Floats:
    """One picture of class `label`: (3, size, size) in [0, 1]."""
    axis = np.linspace(-1, 1, size)
    x, y = axis[None, :], axis[:, None]
    picture = skin.tone[:, None, None] * (1 + skin.roughness * cloud(size, 10, rng))
    picture = add_marks(picture, x, y, rng)
    distance = irregular_distance(x, y, rng)
    picture = LESIONS[label](picture, distance, x, y, size, rng)
    picture = add_hairs(picture, x, y, skin.hairs, rng)
    return photographed(picture, x, y, rng)


def add_marks(picture: Floats, x: Floats, y: Floats, rng: Rng) -> Floats:
    """Freckles, pale scars and red spots that mean nothing, in every class: a colour alone is no diagnosis."""
    for factor in (np.array([0.55, 0.45, 0.40]), np.array([1.5, 1.6, 1.7]), np.array([1.1, 0.6, 0.6])):
        for _ in range(rng.integers(0, 4)):
            reach = np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)) / rng.uniform(0.06, 0.16)
            coloured = np.minimum(picture * factor[:, None, None], 1)
            picture = blend(picture, coloured, inside(reach, 0.1) * rng.uniform(0.5, 1.0))
    return picture


def irregular_distance(x: Floats, y: Floats, rng: Rng) -> Floats:
    """Distance from the lesion's centre in units of its own, uneven radius: inside where < 1."""
    dx, dy = x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5)
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.75, 1.3)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    angle = np.arctan2(across, along)
    radius = rng.uniform(0.28, 0.5) * np.ones_like(angle)
    for wave in (2, 3, 5):
        radius = radius * (1 + rng.uniform(0.02, 0.10) * np.sin(wave * angle + rng.uniform(0, 2 * np.pi)))
    return np.asarray(np.hypot(along * stretch, across / stretch) / radius)


def cloud(size: int, cells: int, rng: Rng) -> Floats:
    """Smooth noise, about unit deviation, with `cells` lumps across the picture."""
    coarse = rng.normal(0, 1, (cells + 1, cells + 1))
    place = np.linspace(0, cells, size)
    low = np.minimum(place.astype(int), cells - 1)
    part = place - low
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part) * 1.5


def inside(distance: Floats, softness: float) -> Floats:
    """1 inside, 0 outside, with an edge of the given softness."""
    return np.asarray(1 / (1 + np.exp((distance - 1) / softness)))


def blend(picture: Floats, colour: Floats, weight: Floats) -> Floats:
    """Paint `colour` (3,) or (3, H, W) over the picture where `weight` (H, W) is high."""
    paint = colour if colour.ndim == 3 else colour[:, None, None]
    return picture + weight * (paint - picture)


def macule(picture: Floats, distance: Floats, x: Floats, y: Floats, size: int, rng: Rng) -> Floats:
    """A flat, even, darker brown patch with a sharp border."""
    brown = picture * np.array([0.52, 0.42, 0.36])[:, None, None] * rng.uniform(0.8, 1.1)
    return blend(picture, brown, inside(distance, 0.04))


def erythema(picture: Floats, distance: Floats, x: Floats, y: Floats, size: int, rng: Rng) -> Floats:
    """A diffuse reddening that fades into the skin."""
    red = picture * np.array([1.12, 0.55, 0.55])[:, None, None]
    patchy = inside(distance * 0.8, 0.22) * (1 + 0.2 * cloud(size, 8, rng))
    return blend(picture, red, np.clip(patchy, 0, 1) * rng.uniform(0.55, 0.9))


def ulcer(picture: Floats, distance: Floats, x: Floats, y: Floats, size: int, rng: Rng) -> Floats:
    """A dark red and yellow bed in a pale raised rim."""
    mixed = np.clip(0.5 + 0.5 * cloud(size, 7, rng), 0, 1)
    bed = blend(
        np.broadcast_to(np.array([0.42, 0.07, 0.07])[:, None, None], picture.shape),
        np.array([0.78, 0.66, 0.30]),
        mixed * 0.7,
    )
    rim = np.exp(-(((distance - 1.08) / 0.16) ** 2))
    picture = blend(picture, np.minimum(picture * np.array([1.25, 0.95, 0.9])[:, None, None], 1), rim)
    return blend(picture, bed, inside(distance, 0.05))


def tumor(picture: Floats, distance: Floats, x: Floats, y: Floats, size: int, rng: Rng) -> Floats:
    """A raised nodule: shaded like a ball under a side light, several colours, a bright reflection."""
    height = np.sqrt(np.clip(1 - distance**2, 0, None))
    light = rng.uniform(0, 2 * np.pi)
    shade = 0.65 + 0.35 * height + 0.45 * (np.cos(light) * x + np.sin(light) * y) * (distance < 1)
    colours = np.clip(0.5 + 0.6 * cloud(size, 5, rng), 0, 1)
    nodule = blend(
        np.broadcast_to(np.array([0.62, 0.33, 0.33])[:, None, None], picture.shape),
        np.array([0.22, 0.13, 0.18]),
        colours,
    )
    picture = blend(picture, nodule * shade, inside(distance, 0.03))
    glint = (
        np.exp(-(((distance - 0.45) / 0.35) ** 2)) * np.clip(np.cos(np.arctan2(y, x) - light), 0, None) ** 12
    )
    return blend(picture, np.array([1.0, 0.97, 0.95]), 0.8 * glint * (distance < 1))


def leukoderma(picture: Floats, distance: Floats, x: Floats, y: Floats, size: int, rng: Rng) -> Floats:
    """A patch that has lost its pigment."""
    pale = np.array([0.98, 0.92, 0.88]) * rng.uniform(0.94, 1.0)
    return blend(picture, pale, inside(distance, 0.05) * rng.uniform(0.75, 0.95))


LESIONS = dict(zip(CLASSES, (macule, erythema, ulcer, tumor, leukoderma), strict=True))


def add_hairs(picture: Floats, x: Floats, y: Floats, count: int, rng: Rng) -> Floats:
    """Dark curved strands."""
    for _ in range(count):
        turn, offset, bend = rng.uniform(0, np.pi), rng.uniform(-1, 1), rng.uniform(-0.3, 0.3)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        strand = np.exp(-(((across - offset - bend * along**2) / 0.018) ** 2))
        picture = blend(picture, np.array([0.16, 0.11, 0.09]), strand * rng.uniform(0.5, 0.9))
    return picture


def photographed(picture: Floats, x: Floats, y: Floats, rng: Rng) -> Floats:
    """Uneven light, white balance, exposure and sensor noise."""
    light = 1 + rng.uniform(-0.35, 0.35) * x + rng.uniform(-0.35, 0.35) * y
    balance = rng.uniform(0.9, 1.1, 3)[:, None, None]
    noisy = picture * light * balance * rng.uniform(0.55, 1.15) + rng.normal(0, 0.025, picture.shape)
    return np.clip(noisy, 0, 1)
