"""Synthetic skin pictures in colour, on varied skin tones. They look like the field, they are not of anyone.

Coordinates: `x`, `y` in [-1, 1] across and down the picture; colours are RGB fractions of white.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]  # float32 throughout: half the time of float64
Rng = np.random.Generator

CLASSES = ("pigmented macule", "erythema", "ulcer", "tumor", "leukoderma")


def rgb(red: float, green: float, blue: float) -> Floats:
    """A colour that broadcasts over (3, H, W)."""
    return np.array([red, green, blue], np.float32)[:, None, None]


LIGHT_SKIN = rgb(0.90, 0.75, 0.66)
DARK_SKIN = rgb(0.34, 0.22, 0.16)
DEPIGMENTED = rgb(1.0, 0.94, 0.89)
PIGMENT = rgb(0.50, 0.40, 0.34)  # factors on the skin's colour
REDDENED = rgb(1.12, 0.52, 0.52)
FRECKLE = rgb(0.60, 0.50, 0.45)
SCAR = rgb(1.30, 1.38, 1.42)
GRANULATION = rgb(0.45, 0.07, 0.07)  # the bed of an ulcer
FIBRIN = rgb(0.82, 0.70, 0.32)
RIM = rgb(1.25, 1.0, 0.97)
FLESH = rgb(0.66, 0.36, 0.36)
VIOLET = rgb(0.24, 0.14, 0.20)
GLINT = rgb(1.0, 0.97, 0.95)
HAIR = rgb(0.14, 0.10, 0.08)


@dataclass(frozen=True)
class Skin:
    """What the pictures of one synthetic patient share."""

    tone: Floats  # (3, 1, 1)
    roughness: float
    hairs: int


@dataclass(frozen=True)
class Lesion:
    """Where a lesion lies, each (H, W), in units of its own uneven radius: inside where `distance` < 1.

    `x` and `y` are offsets from its centre.
    """

    distance: Floats
    x: Floats
    y: Floats


def draw_picture(label: str, size: int, patient: Rng, rng: Rng) -> Floats:
    """One picture of class `label`: (3, size, size), fractions of white, before the sensor's noise."""
    skin = draw_skin(patient)
    x = np.linspace(-1, 1, size, dtype=np.float32)[None, :]
    y = x.T
    picture = skin.tone * (1 + skin.roughness * cloud(size, 10, rng))
    picture = add_marks(picture, x, y, rng)
    picture = LESIONS[label](picture, place_lesion(x, y, rng), rng)
    picture = add_hairs(picture, x, y, skin.hairs, rng)
    return photographed(picture, x, y, rng)


def draw_skin(rng: Rng) -> Skin:
    """A patient, from very light to dark skin, from olive to flushed."""
    tone = LIGHT_SKIN + np.float32(rng.random()) * (DARK_SKIN - LIGHT_SKIN)
    flush = rng.uniform(-0.06, 0.24)
    return Skin(tone * rgb(1, 1 - flush, 1 - flush), rng.uniform(0.01, 0.035), int(rng.integers(0, 7)))


def place_lesion(x: Floats, y: Floats, rng: Rng) -> Lesion:
    """A stretched, turned outline with waves of its own, its centre anywhere but at the edge."""
    dx, dy = x - rng.uniform(-0.65, 0.65), y - rng.uniform(-0.65, 0.65)
    turn, stretch = rng.uniform(0, math.pi), rng.uniform(0.8, 1.25)
    along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    angle = np.arctan2(across, along)
    radius = np.full_like(angle, rng.uniform(0.30, 0.48))
    for wave in (2, 3, 5):
        radius *= 1 + rng.uniform(0.02, 0.10) * np.sin(wave * angle + rng.uniform(0, math.tau))
    return Lesion(np.hypot(along * stretch, across / stretch) / radius, dx / radius, dy / radius)


def cloud(size: int, cells: int, rng: Rng) -> Floats:
    """Smooth noise (size, size), about unit deviation, with `cells` lumps across the picture."""
    coarse = rng.standard_normal((cells + 1, cells + 1), np.float32) * 1.5
    place = np.linspace(0, cells, size, dtype=np.float32)
    low = np.minimum(place.astype(int), cells - 1)
    part = place - low
    part = part * part * (3 - 2 * part)  # without the creases of a linear mix
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part, np.float32)


def inside(distance: Floats, softness: float) -> Floats:
    """1 inside, 0 outside, falling over `softness` on either side of distance 1."""
    weight: Floats = np.clip((1 - distance) / (2 * softness) + 0.5, 0, 1)
    return weight


def blend(picture: Floats, colour: Floats, weight: Floats) -> Floats:
    """Paint `colour`, (3, 1, 1) or (3, H, W), over the picture where `weight` (H, W) is high."""
    return picture + weight * (colour - picture)


def add_marks(picture: Floats, x: Floats, y: Floats, rng: Rng) -> Floats:
    """Freckles, pale scars and red spots that mean nothing, in every class."""
    factor: Floats = rgb(1, 1, 1)
    for colour in (FRECKLE, SCAR, REDDENED):
        weight = np.zeros(picture.shape[1:], np.float32)
        for _ in range(rng.integers(0, 3)):
            reach = np.hypot(x - rng.uniform(-1, 1), (y - rng.uniform(-1, 1)) * rng.uniform(0.6, 1.6))
            mark = inside(reach / rng.uniform(0.05, 0.11), 0.5) * rng.uniform(0.4, 0.9)
            weight = np.maximum(weight, mark)
        factor = factor * (1 + weight * (colour - 1))
    return picture * factor


def macule(picture: Floats, lesion: Lesion, rng: Rng) -> Floats:
    """A flat, even, darker brown patch with a sharp border."""
    return blend(picture, picture * PIGMENT * rng.uniform(0.85, 1.15), inside(lesion.distance, 0.08))


def erythema(picture: Floats, lesion: Lesion, rng: Rng) -> Floats:
    """A diffuse reddening that fades into the skin."""
    patchy = inside(lesion.distance * 0.8, 0.5) * (1 + 0.15 * cloud(lesion.distance.shape[0], 8, rng))
    patchy = np.clip(patchy, 0, 1)
    return blend(picture, picture * REDDENED, rng.uniform(0.65, 0.95) * patchy)


def ulcer(picture: Floats, lesion: Lesion, rng: Rng) -> Floats:
    """A crater: a dark red and yellow bed, shaded by its wall, in a bright raised rim."""
    fibrin = np.clip(rng.uniform(0.1, 0.8) + 0.3 * cloud(lesion.distance.shape[0], 11, rng), 0, 0.9)
    wall = 1 - 0.35 * np.clip(side_light(lesion, rng), 0, 1)
    rim = np.exp(-(((lesion.distance - 1.12) / 0.16) ** 2))
    picture = blend(picture, picture * RIM + 0.06, rim)
    return blend(picture, blend(GRANULATION, FIBRIN, fibrin) * wall, inside(lesion.distance, 0.08))


def tumor(picture: Floats, lesion: Lesion, rng: Rng) -> Floats:
    """A raised nodule: lit like a ball from one side, several colours, a bright reflection, a shadow."""
    light = rng.uniform(0, math.tau)
    towards = lesion.x * math.cos(light) + lesion.y * math.sin(light)
    height = np.sqrt(np.clip(1 - lesion.distance**2, 0, None))
    violet = np.clip(rng.uniform(0, 0.9) + 0.4 * cloud(lesion.distance.shape[0], 8, rng), 0, 1)
    nodule = blend(FLESH, VIOLET, violet) * (0.55 + 0.5 * height + 0.5 * towards)
    shadow = 0.4 * inside(np.hypot(lesion.x + 0.3 * math.cos(light), lesion.y + 0.3 * math.sin(light)), 0.3)
    picture = blend(picture * (1 - shadow), nodule, inside(lesion.distance, 0.06))
    glint = np.hypot(lesion.x - 0.4 * math.cos(light), lesion.y - 0.4 * math.sin(light)) / 0.26
    return blend(picture, GLINT, 0.9 * inside(glint, 0.4))


def leukoderma(picture: Floats, lesion: Lesion, rng: Rng) -> Floats:
    """A patch that has lost its pigment."""
    return blend(picture, DEPIGMENTED, inside(lesion.distance, 0.08) * rng.uniform(0.8, 1.0))


def side_light(lesion: Lesion, rng: Rng) -> Floats:
    """About -1 on one side of the lesion to 1 on the other, from a random side, (H, W)."""
    light = rng.uniform(0, math.tau)
    light_side: Floats = lesion.x * math.cos(light) + lesion.y * math.sin(light)
    return light_side


LESIONS = dict(zip(CLASSES, (macule, erythema, ulcer, tumor, leukoderma), strict=True))


def add_hairs(picture: Floats, x: Floats, y: Floats, count: int, rng: Rng) -> Floats:
    """Dark bent strands, each of its own length."""
    covered = np.zeros(picture.shape[1:], np.float32)
    for _ in range(count):
        turn, bend = rng.uniform(0, math.pi), rng.uniform(-0.4, 0.4)
        dx, dy = x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)
        along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
        strand = np.clip(1.5 - np.abs(across - bend * along**2) / 0.02, 0, 1)
        strand *= np.abs(along) < rng.uniform(0.3, 0.8)
        covered = np.maximum(covered, strand * rng.uniform(0.5, 0.9))
    return blend(picture, HAIR, covered)


def photographed(picture: Floats, x: Floats, y: Floats, rng: Rng) -> Floats:
    """Uneven light (a slope, and a lit or shaded place), white balance, exposure: (3, H, W) in [0, 1]."""
    light = 1 + rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y
    spot = np.hypot(x - rng.uniform(-0.7, 0.7), y - rng.uniform(-0.7, 0.7)) / rng.uniform(0.5, 1.0)
    warmer = rng.uniform(-0.1, 0.1)
    lamp = light + rng.uniform(-0.35, 0.35) * rgb(1 + warmer, 1, 1 - warmer) * np.exp(-(spot**2))
    warmth, tint = rng.uniform(-0.15, 0.15), rng.uniform(-0.07, 0.07)
    balance = rgb(1 + warmth, 1 + tint, 1 - warmth) * rng.uniform(0.55, 1.0)
    photograph: Floats = np.clip(picture * balance * lamp, 0, 1)
    return photograph
