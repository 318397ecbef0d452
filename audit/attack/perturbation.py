"""Class-wise few-pixel perturbation (method §2, thesis 2.5.1): an immutable artefact."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from audit.data.dataset import Images, Labels
from audit.errors import DataError
from audit.results import Edit, Record, SearchRecord
from audit.store import write_atomic

LEVELS = 255  # grey levels above zero: values are multiples of 1/255, as the images are


class Perturbation(Record):
    """`x[:, row, col] = value` for every training image of each edit's class.

    Positions inside one class are distinct; two classes never share the same (position, value).
    """

    image_size: tuple[int, int]  # (height, width), pixels
    channels: Literal[1, 3]
    n_classes: int
    edits: tuple[Edit, ...]
    fraction: float = Field(1.0, gt=0, le=1)  # share of each class's images that carry the edits
    carrier_seed: int = 0  # which of them do

    @model_validator(mode="after")
    def _check(self) -> Perturbation:
        places: set[tuple[int, int, int]] = set()
        marks: dict[tuple[int, int, tuple[float, ...]], int] = {}
        for edit in self.edits:
            self._check_edit(edit)
            place = (edit.label, edit.row, edit.col)
            if place in places:
                raise ValueError(f"class {edit.label} edits position ({edit.row}, {edit.col}) twice")
            places.add(place)
            mark = (edit.row, edit.col, tuple(edit.value))
            if marks.setdefault(mark, edit.label) != edit.label:
                raise ValueError(f"classes {marks[mark]} and {edit.label} share {mark}")
        return self

    def _check_edit(self, edit: Edit) -> None:
        height, width = self.image_size
        if not 0 <= edit.label < self.n_classes:
            raise ValueError(f"class {edit.label} is not one of 0..{self.n_classes - 1}")
        if not (0 <= edit.row < height and 0 <= edit.col < width):
            raise ValueError(f"position ({edit.row}, {edit.col}) is outside {height} x {width}")
        if len(edit.value) != self.channels:
            raise ValueError(f"a value has {self.channels} channels, got {len(edit.value)}")
        if any(not 0 <= v <= 1 or abs(v * LEVELS - round(v * LEVELS)) > 1e-6 for v in edit.value):
            raise ValueError(f"values are multiples of 1/{LEVELS} in [0, 1], got {edit.value}")

    @property
    def severity(self) -> int:
        """N_p, the most pixels that any class has edited; 0 without edits."""
        return max((sum(e.label == k for e in self.edits) for k in range(self.n_classes)), default=0)

    @property
    def id(self) -> str:
        """SHA-256 of everything above."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def carriers(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """Which of the images carry their class's edits, (N,): `fraction` of each class, at least one image,
        drawn by `carrier_seed`. Depends on the labels alone, so the same split gives the same images."""
        if self.fraction == 1:
            return np.ones(len(labels), dtype=bool)
        carry = np.zeros(len(labels), dtype=bool)
        for label in range(self.n_classes):
            members = np.flatnonzero(labels == label)
            order = np.random.default_rng((self.carrier_seed, label)).permutation(members)
            carry[order[: max(round(self.fraction * len(members)), 1)]] = True
        return carry

    @property
    def on_all_images(self) -> Perturbation:
        """The same edits, carried by every image of their class."""
        return self.model_copy(update={"fraction": 1.0})

    def apply(self, images: Images, labels: Labels) -> Images:
        """A changed copy of uint8 (N, C, H, W) images; the input is never touched."""
        perturbed = images.copy()
        carry = self.carriers(labels)
        for edit in self.edits:
            perturbed[carry & (labels == edit.label), :, edit.row, edit.col] = to_levels(edit.value)
        return perturbed

    def overlay(self, images: Images, label: int) -> Images:
        """All images with the edits of class `label`, whatever their own class (for alpha_N, 2.13)."""
        return self.on_all_images.apply(images, np.full(len(images), label, dtype=np.int64))

    def changed(self, images: Images, labels: Labels) -> npt.NDArray[np.bool_]:
        """Which images really change, (N,): a pixel written over an equal pixel changes nothing."""
        differs = np.zeros(len(images), dtype=bool)
        carry = self.carriers(labels)
        for edit in self.edits:
            own = carry & (labels == edit.label)
            differs[own] |= (images[own, :, edit.row, edit.col] != to_levels(edit.value)).any(axis=1)
        return differs


def to_levels(value: Sequence[float]) -> npt.NDArray[np.uint8]:
    """[0, 1] -> uint8 levels."""
    levels: Images = np.rint(np.asarray(value) * LEVELS).astype(np.uint8)
    return levels


def make_perturbation(
    wanted: Sequence[tuple[int, float, float, Sequence[float]]],
    image_size: tuple[int, int],
    channels: int,
    n_classes: int,
) -> Perturbation:
    """Edits (class, row, col, value) as a valid perturbation.

    Positions are rounded and clipped into the image, values to the 1/255 grid. Where a class already
    edits that position, or another class holds the same (position, value), the edit moves to the nearest
    position that is free.
    """
    height, width = image_size
    used: set[tuple[int, int, int]] = set()
    marks: set[tuple[int, int, tuple[float, ...]]] = set()
    edits = []
    for label, row, col, value in wanted:
        levels = tuple(round(min(max(float(v), 0.0), 1.0) * LEVELS) / LEVELS for v in value)
        start = (int(np.clip(np.rint(row), 0, height - 1)), int(np.clip(np.rint(col), 0, width - 1)))
        place = next(
            (r, c)
            for r, c in positions_by_distance(start, image_size)
            if (label, r, c) not in used and (r, c, levels) not in marks
        )
        used.add((label, *place))
        marks.add((*place, levels))
        edits.append(Edit(label=label, row=place[0], col=place[1], value=list(levels)))
    colour: Literal[1, 3] = 1 if channels == 1 else 3
    return Perturbation(image_size=image_size, channels=colour, n_classes=n_classes, edits=tuple(edits))


def positions_by_distance(start: tuple[int, int], image_size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """`start` first, then its surroundings, nearest first; the whole image only when they are full."""
    row, col = start
    height, width = image_size
    near = [
        (r, c)
        for r in range(max(row - 3, 0), min(row + 4, height))
        for c in range(max(col - 3, 0), min(col + 4, width))
    ]
    near.sort(key=lambda place: ((place[0] - row) ** 2 + (place[1] - col) ** 2, place))
    yield from near
    yield from itertools.product(range(height), range(width))


class Artefact(Record):
    """A perturbation on disk: what it is, where it comes from, and the hash of both."""

    schema_version: int = 1
    attack: str
    severity: int
    draw: int
    dataset_fingerprint: str
    perturbation: Perturbation
    search: SearchRecord | None
    sha256: str

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_atomic(path, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, path: Path) -> Artefact:
        """Read and verify an artefact. Raises DataError naming the file."""
        try:
            artefact = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
        except (ValidationError, UnicodeDecodeError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "not text"
            raise DataError(f"{path}: not a perturbation ({reason}); delete it and run again") from None
        if artefact.sha256 != artefact.perturbation.id:
            raise DataError(f"{path}: edits do not match their hash; delete the file and run again")
        return artefact
