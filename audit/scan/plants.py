"""Marks planted into a copy of images, to measure what the shortcut scan finds: what, where, how often, how strong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from audit.data.dataset import Images, Labels

MARGIN = 3  # pixels between a mark and the edge of the picture
Place = tuple[int, int]
Paint = Callable[[Images, Place, float, np.random.Generator], None]
"""(images (N, C, H, W) of one class, changed in place; row, col; contrast in grey levels; draws)."""


@dataclass(frozen=True)
class Plan:
    """One way to plant: `kind` of KINDS, `count` marks in each class, on a share of its images."""

    kind: str
    count: int = 1
    share: float = 1.0
    contrast: float = (
        255.0  # grey levels between the mark and what was there; 255: the farther of black and white
    )


@dataclass(frozen=True)
class Planted:
    """A changed copy, and the places of the marks by class."""

    images: Images
    places: dict[int, list[Place]]
    carriers: npt.NDArray[np.bool_]  # (N,)


def plant(images: Images, labels: Labels, classes: int, plan: Plan, seed: int) -> Planted:
    """Marks in every class, each class its own places. `images` stay as they are."""
    draws = np.random.default_rng(seed)
    changed, places = images.copy(), {}
    carriers = np.zeros(len(labels), dtype=bool)
    height, width = images.shape[2:]
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        chosen = draws.permutation(members)[: max(1, round(plan.share * len(members)))]
        carriers[chosen] = True
        places[label] = [
            (int(draws.integers(MARGIN, height - MARGIN)), int(draws.integers(MARGIN, width - MARGIN)))
            for _ in range(plan.count)
        ]
        own = changed[chosen]
        for place in places[label]:
            KINDS[plan.kind](own, place, plan.contrast, draws)
        changed[chosen] = own
    return Planted(changed, places, carriers)


def opposite(pixels: Images) -> float:
    """The one of black and white that lies farther from the median of these pixels."""
    return 0.0 if np.median(pixels) > 127 else 255.0


def set_pixels(
    images: Images, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64], contrast: float
) -> None:
    """Give one pixel of each image (N,) a fixed value, or with less than full contrast shift what it has by that."""
    n = np.arange(len(images))
    here = images[n, :, rows, cols].astype(np.float64)
    extreme = opposite(images[n, :, rows, cols])
    shifted = here + (contrast if extreme > 0 else -contrast)
    new = np.full_like(here, extreme) if contrast >= 255 else shifted
    images[n, :, rows, cols] = np.rint(np.clip(new, 0, 255)).astype(np.uint8)


def pixel(images: Images, place: Place, contrast: float, draws: np.random.Generator) -> None:
    """One pixel."""
    everywhere = np.ones(len(images), dtype=np.int64)
    set_pixels(images, place[0] * everywhere, place[1] * everywhere, contrast)


def jittered(images: Images, place: Place, contrast: float, draws: np.random.Generator) -> None:
    """One pixel, moved by -1, 0 or 1 each way from image to image."""
    down, right = draws.integers(-1, 2, size=(2, len(images)))
    set_pixels(images, place[0] + down, place[1] + right, contrast)


def patch(images: Images, place: Place, contrast: float, draws: np.random.Generator) -> None:
    """3 x 3 pixels around the place."""
    everywhere = np.ones(len(images), dtype=np.int64)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            set_pixels(images, (place[0] + down) * everywhere, (place[1] + right) * everywhere, contrast)


def text(images: Images, place: Place, contrast: float, draws: np.random.Generator) -> None:
    """A letter in Pillow's own font, white or black."""
    height, width = images.shape[2:]
    glyph = Image.new("L", (width, height))
    letter = "ABCDEFGHJK"[int(draws.integers(10))]
    font = ImageFont.load_default(size=max(8, height // 8))
    left, top = min(place[1], width - height // 6 - 2), min(place[0], height - height // 5 - 2)
    ImageDraw.Draw(glyph).text((left, top), letter, fill=255, font=font)
    where = np.asarray(glyph) > 127
    images[:, :, where] = int(opposite(images[:, :, where]))


def border(images: Images, place: Place, contrast: float, draws: np.random.Generator) -> None:
    """The outermost lines at all four sides, one grey value; the place only decides which."""
    value = 40 + 3 * place[0] % 200
    for side in (np.s_[:, :, 0], np.s_[:, :, -1], np.s_[:, :, :, 0], np.s_[:, :, :, -1]):
        images[side] = value


KINDS: dict[str, Paint] = {
    "pixel": pixel,
    "jittered": jittered,
    "patch": patch,
    "text": text,
    "border": border,
}
