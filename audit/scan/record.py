"""What the shortcut scan says, part of `results.json` and of `scan.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from audit.recipe import Record

FindingKind = Literal["pixel", "patch", "text", "border", "padding", "low-contrast"]
EDITS: tuple[FindingKind, ...] = (
    "pixel",
    "patch",
    "text",
    "low-contrast",
)  # as an attack, a sensor or a stamp leaves
ScanStatus = Literal["pass", "warn", "fail", "not run"]


class ShortcutFinding(Record):
    """Pixels that images of one class share and others do not, at the resolution of the scan.

    Low contrast shows on the mean of a class only: which images carry it is not known, so shares are None.
    """

    label: int  # class
    kind: FindingKind
    row: int  # top left of the box around the flagged pixels
    col: int
    height: int = 1
    width: int = 1
    pixels: int  # flagged, within the box
    moves: bool = False  # by up to a pixel around (row, col), from image to image
    value: list[float]  # C numbers in [0, 1]: the commonest value at the strongest pixel
    contrast: float | None = None  # grey levels between it and its neighbours; None: padding, border
    share: float | None  # of the class's images that carry it
    others: float | None  # the largest share in another class
    images: int | None  # of the class, that carry it
    strength: float | None
    """Balanced accuracy, class against all others, of a classifier that sees these pixels only, on images that it was
    not fitted to; guessing reaches 0.5. None: too few images."""

    def cells(self, class_names: Sequence[str]) -> list[str]:
        """One row of a table: class, kind, row, column, pixels, value, share, others, strength."""
        return [
            class_names[self.label] if self.label < len(class_names) else str(self.label),
            self.kind + (", moves" if self.moves else ""),
            str(self.row),
            str(self.col),
            str(self.pixels),
            ", ".join(f"{255 * level:.0f}" for level in self.value),
            percent(self.share),
            percent(self.others),
            "too few" if self.strength is None else f"{100 * self.strength:.0f} %",
        ]


def percent(share: float | None) -> str:
    """A share of images."""
    return "not known" if share is None else f"{100 * share:.3g} %"


class DetectionLimit(Record):
    """One way to plant, and the classes in which it was found."""

    kind: str
    count: int  # marks in each class
    share: float  # of a class's images
    contrast: float  # grey levels; 255: black or white
    planted: int  # classes
    found: int

    @property
    def words(self) -> tuple[str, str, str]:
        """'black or white pixel', '10 %', '4 of 4'."""
        mark = {"jittered": "pixel that moves by one", "patch": "patch of 3 x 3 pixels"}.get(
            self.kind, "pixel"
        )
        off = f"{mark}, {self.contrast:.0f} of 255 grey levels off"
        colour = f"black or white {mark}" if self.contrast >= 255 else off
        return colour, f"{100 * self.share:.0f} %", f"{self.found} of {self.planted}"


class RepairSummary(Record):
    """What was repaired before an audit, from the copy's `repair.json`."""

    note: str
    images: int  # changed
    pixels: int  # filled, at the resolution of the scan, over all images
    sentence: str  # of the scan before
    findings: list[ShortcutFinding]  # of the scan before


class ScanRecord(Record):
    """One scan of the training and validation images of a data set."""

    status: ScanStatus  # fail: edits; warn: borders and padding that tell a class; pass: neither
    sentence: str  # the result in plain words, with numbers
    images: int  # scanned
    image_size: tuple[int, int] | None = None  # (H, W) pixels, of the rows and columns of the findings
    false_alarm_rate: float  # stated: share of clean data sets in which edits would be reported
    strength: float | None = None  # of all classes, from all flagged pixels; guessing reaches 1 / K
    findings: list[ShortcutFinding] = Field(default_factory=list)
    maps: list[str] = Field(
        default_factory=list
    )  # (K,) PNG in base64: flagged pixels over the class's mean image
    limits: list[str] = Field(default_factory=list)  # what this scan can not see, in words
    detection: list[DetectionLimit] = Field(
        default_factory=list
    )  # measured on these images; empty: not measured, too many images
