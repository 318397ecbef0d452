"""From what a scan found to records: where, how often, how strong, drawn on the mean image of the class."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from audit.data.dataset import Images
from audit.scan.frames import Frame
from audit.scan.grouping import FEW, Group
from audit.scan.isolation import mirrored
from audit.scan.marks import marked_at
from audit.scan.record import ShortcutFinding
from audit.scan.scan import Scan
from audit.scan.significance import Scanned
from audit.scan.strength import balanced_accuracy, enough_images
from audit.scan.tallies import LEVELS

MOST_PIXELS = 64  # of one finding, that the classifier sees
MAP_EDGE = 256  # pixels of a map, about
MARK, PADDED = (
    (213, 94, 0),
    (0, 114, 178),
)  # vermillion and blue of Okabe and Ito: told apart by the colour-blind

Floats = npt.NDArray[np.float64]


def finding_records(scan: Scan) -> list[ShortcutFinding]:
    """Edits first, then padding and borders."""
    return [edit_record(one, scan.scanned) for one in scan.groups] + [
        frame_record(one, scan.scanned) for one in scan.frames
    ]


def edit_record(found: Group, scanned: Scanned) -> ShortcutFinding:
    """A group of pixels of one class."""
    (top, left), (bottom, right) = np.min(found.pixels, axis=0), np.max(found.pixels, axis=0)
    strongest = found.spikes[0]
    own = scanned.labels == found.label
    low_contrast = found.kind == "low-contrast"
    return ShortcutFinding(
        label=found.label,
        kind=found.kind,
        row=int(top),
        col=int(left),
        height=int(bottom - top + 1),
        width=int(right - left + 1),
        pixels=len(found.pixels),
        moves=strongest.candidate.family == "jittered",
        value=usual_value(found, scanned),
        contrast=contrast(found, scanned),
        share=None if low_contrast else strongest.share,
        others=None if low_contrast else strongest.others,
        images=None if low_contrast else int((found.carriers & own).sum()),
        strength=strength_of([found], [], scanned, found.label),
    )


def frame_record(found: Frame, scanned: Scanned) -> ShortcutFinding:
    """A region of padding or a border of one class."""
    own = scanned.labels == found.label
    return ShortcutFinding(
        label=found.label,
        kind=found.kind,
        row=found.top,
        col=found.left,
        height=found.height,
        width=found.width,
        pixels=int(found.where.sum()),
        value=[found.value / (LEVELS - 1)] * scanned.images.shape[1],
        share=found.share,
        others=found.others,
        images=int((found.carriers & own).sum()),
        strength=strength_of([], [found], scanned, found.label),
    )


def usual_value(found: Group, scanned: Scanned) -> list[float]:
    """(C,) in [0, 1]: median of the strongest pixel over the images of the class that carry it."""
    own = scanned.labels == found.label
    seen = [
        scanned.images[carriers & own, :, row, col]
        for row, col, carriers in marked_at(scanned.images, found.spikes[0].candidate)
    ]
    levels: Floats = np.median(np.concatenate(seen), axis=0)
    return [round(float(level) / (LEVELS - 1), 4) for level in levels]


def contrast(found: Group, scanned: Scanned) -> float:
    """Grey levels by which the strongest pixel differs from the mean of its neighbours, on the median; for low contrast
    what it differs by from the same in the other classes."""
    candidate = found.spikes[0].candidate
    if candidate.family == "low-contrast":
        return round(candidate.excess, 1)
    own = scanned.labels == found.label
    differences = [
        np.abs(unlike_neighbours(scanned.images[carriers & own], row, col)[:, candidate.channel])
        for row, col, carriers in marked_at(scanned.images, candidate)
    ]
    return round(float(np.median(np.concatenate(differences))), 1)


def unlike_neighbours(images: Images, row: int, col: int) -> Floats:
    """(N, C): pixel minus the mean of its eight neighbours, in grey levels."""
    height, width = images.shape[2:]
    rows = [mirrored(r, height) for r in (row - 1, row, row + 1)]
    cols = [mirrored(c, width) for c in (col - 1, col, col + 1)]
    around = images[:, :, rows][:, :, :, cols].astype(np.float64)
    here = around[:, :, 1, 1]
    found: Floats = here - (around.sum(axis=(2, 3)) - here) / 8
    return found


def strength_of(edits: list[Group], frames: list[Frame], scanned: Scanned, label: int | None) -> float | None:
    """Balanced accuracy of a classifier that sees the flagged pixels only: of one class against the others, or with
    `label` None of all classes. None where a class has too few images."""
    labels = scanned.labels if label is None else (scanned.labels == label).astype(np.int64)
    classes = scanned.classes if label is None else 2
    numbers = [pixel_numbers(one, scanned) for one in edits] + [frame_numbers(one, scanned) for one in frames]
    if not numbers or not enough_images(labels, classes):
        return None
    return balanced_accuracy(np.concatenate(numbers, axis=1), labels, scanned.groups, classes)[0]


def pixel_numbers(found: Group, scanned: Scanned) -> Floats:
    """(N, numbers): value and contrast of each flagged pixel; of those that move, of the pixel that stands out most."""
    columns = []
    for spike in found.spikes[:MOST_PIXELS]:
        mark = spike.candidate
        places = [(row, col) for row, col, _ in marked_at(scanned.images[:1], mark)]
        unlike = np.stack([unlike_neighbours(scanned.images, *place) for place in places])  # (places, N, C)
        values = np.stack([scanned.images[:, :, row, col] for row, col in places]).astype(np.float64)
        most = np.abs(unlike).argmax(axis=0)[None]
        columns += [np.take_along_axis(part, most, axis=0)[0] for part in (values, unlike)]
    return np.concatenate(columns, axis=1)


def frame_numbers(found: Frame, scanned: Scanned) -> Floats:
    """(N, 1): share of the region that is padding; of a border, whether it is there."""
    if found.kind == "border":
        return found.carriers[:, None].astype(np.float64)
    share: Floats = scanned.padded[:, found.where].mean(axis=1, keepdims=True)
    return share


def maps(scan: Scan) -> list[str]:
    """(K,) PNG in base64: the mean image of each class, with a ring around each marked pixel, a box around patches
    and text, and padding shaded."""
    return [class_map(scan, label) for label in range(scan.scanned.classes)]


def class_map(scan: Scan, label: int) -> str:
    """One of `maps`."""
    members = scan.scanned.images[scan.scanned.labels == label]
    mean = np.rint(members.mean(axis=0)).astype(np.uint8)
    grey = mean[0] if len(mean) == 1 else np.rint(mean.mean(axis=0)).astype(np.uint8)
    zoom = max(1, round(MAP_EDGE / max(grey.shape)))
    picture = np.repeat(np.repeat(grey, zoom, axis=0), zoom, axis=1)
    colour = np.stack([picture] * 3, axis=-1).astype(np.float64)
    for frame in scan.frames:
        if frame.label == label:
            shaded = np.repeat(np.repeat(frame.where, zoom, axis=0), zoom, axis=1)
            colour[shaded] = 0.5 * colour[shaded] + 0.5 * np.array(PADDED)
    drawn = Image.fromarray(np.rint(colour).astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for one in (group for group in scan.groups if group.label == label):
        if len(one.pixels) <= FEW:
            for row, col in one.pixels:
                x, y, radius = (col + 0.5) * zoom, (row + 0.5) * zoom, 1.5 * zoom + 3
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=MARK, width=2)
            continue
        for row, col in one.pixels:
            pen.rectangle((col * zoom, row * zoom, (col + 1) * zoom - 1, (row + 1) * zoom - 1), fill=MARK)
        (top, left), (bottom, right) = np.min(one.pixels, axis=0), np.max(one.pixels, axis=0)
        box = ((left - 1) * zoom, (top - 1) * zoom, (right + 2) * zoom, (bottom + 2) * zoom)
        pen.rectangle([float(side) for side in box], outline=MARK, width=2)
    file = io.BytesIO()
    drawn.quantize(64).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
