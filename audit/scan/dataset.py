"""The scan of a data set: its training and validation images, in words, with the names of affected files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from audit.data.dataset import ImageDataset, Labels, counts_by_class
from audit.recipe import Record
from audit.results import DatasetRecord, Environment
from audit.scan.findings import finding_records, maps, strength_of
from audit.scan.frames import Frame
from audit.scan.grouping import Group
from audit.scan.isolation import CONTRAST
from audit.scan.limits import PLANS, detection_limits
from audit.scan.record import EDITS, FindingKind, ScanRecord, ScanStatus, ShortcutFinding
from audit.scan.scan import FALSE_ALARM_RATE, Progress, Scan, look_at

SCAN_FILE = "scan.json"
SCANNED = ("train", "val")  # test images are for measuring alone
NAMED = 3  # findings in the sentence
FEWEST = 2  # images of a class; fewer have nothing in common


class NamedFinding(Record):
    """One finding by name, with the files that carry it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    class_name: str = Field(alias="class")
    kind: FindingKind
    row: int
    col: int
    value: list[float]  # C numbers in [0, 1]
    share: float | None
    strength: float | None
    images: list[str]  # as they were given, or "train image 17"; of the finding's class


class ScanReport(Record):
    """`scan.json`. Holds file names as they were given, so that the files can be found: for the eyes of those who
    hold the data. Results of audits hold none."""

    schema_version: int = 1
    created: str  # ISO 8601, UTC
    command: str
    dataset: DatasetRecord
    findings: list[NamedFinding]  # as `scan.findings`, by name
    scan: ScanRecord
    environment: Environment
    seconds: float


@dataclass(frozen=True)
class DatasetScan:
    """A scan of a data set: the record that travels, the names that do not, and what the repair works by."""

    record: ScanRecord
    named: list[NamedFinding]
    scan: Scan | None  # None: not run


def scan_dataset(
    dataset: ImageDataset, progress: Progress | None = None, measure_limits: bool = True
) -> DatasetScan:
    """Look for shortcuts in the training and validation images of a data set. `progress(done, total)` counts images,
    those of the measured limits included."""
    parts = [name for name in SCANNED if len(dataset.split(name))]
    own = {name: own_pixels(dataset, name) for name in parts}
    labels = np.concatenate([dataset.split(name).labels[own[name]] for name in parts])
    classes = len(dataset.class_names)
    if np.bincount(labels, minlength=classes).min() < FEWEST:
        return DatasetScan(not_run(dataset, parts), [], None)
    images = np.concatenate([dataset.split(name).images[own[name]] for name in parts])
    groups = joined_groups([dataset.split(name).groups for name in parts], list(own.values()))
    total = len(labels) * (1 + len(PLANS) if measure_limits else 1)

    def told(before: int) -> Progress | None:
        return None if progress is None else lambda done, _: progress(before + done, total)

    look = look_at(images, labels, groups, classes, told(0))
    scan = look.scan
    findings = finding_records(scan)
    record = ScanRecord(
        status=status_of(findings),
        sentence=sentence(findings, dataset),
        images=len(labels),
        image_size=dataset.image_size,
        false_alarm_rate=FALSE_ALARM_RATE,
        strength=strength_of(scan.groups, scan.frames, scan.scanned, None),
        findings=findings,
        maps=maps(scan),
        limits=limits(dataset, len(labels) < sum(len(dataset.split(name)) for name in parts)),
        detection=detection_limits(look, told(len(labels))) if measure_limits else [],
    )
    positions = [(name, int(i)) for name in parts for i in np.flatnonzero(own[name])]
    return DatasetScan(record, named_findings(scan, findings, dataset, positions), scan)


def own_pixels(dataset: ImageDataset, split: str) -> npt.NDArray[np.bool_]:
    """(N,): images that were not enlarged. Interpolation makes isolated pixels of its own."""
    size = min(dataset.image_size)
    if dataset.files is not None:
        found: npt.NDArray[np.bool_] = dataset.files.sizes[split].min(axis=1) >= size
        return found
    enlarged = dataset.stored_size is not None and min(dataset.stored_size) < size
    return np.full(len(dataset.split(split)), not enlarged)


def joined_groups(groups: Sequence[Labels | None], own: Sequence[npt.NDArray[np.bool_]]) -> Labels | None:
    """Of the images that are scanned; None where any split has none."""
    known = [part[which] for part, which in zip(groups, own, strict=True) if part is not None]
    return np.concatenate(known) if len(known) == len(groups) else None


def not_run(dataset: ImageDataset, parts: Sequence[str]) -> ScanRecord:
    """Too few images that were not enlarged."""
    size = min(dataset.image_size)
    if dataset.files is not None:
        edges = np.concatenate([dataset.files.sizes[name].min(axis=1) for name in parts])
        small = int(edges.min())
    else:
        small = min(dataset.stored_size or dataset.image_size)
    total = sum(len(dataset.split(name)) for name in parts)
    why = f"a class has fewer than {FEWEST} images"
    if small < size:
        why = (
            f"images smaller than {size} pixels were enlarged, which makes isolated pixels of its own; "
            f"scan them as they are: audit scan --size {small}"
        )
    return ScanRecord(
        status="not run",
        sentence=why,
        images=0,
        image_size=dataset.image_size,
        false_alarm_rate=FALSE_ALARM_RATE,
        limits=[f"None of the {total} images was looked at."],
    )


def status_of(findings: list[ShortcutFinding]) -> ScanStatus:
    """Edits fail; padding and borders, which come of the acquisition, warn."""
    if any(finding.kind in EDITS for finding in findings):
        return "fail"
    return "warn" if findings else "pass"


def sentence(findings: list[ShortcutFinding], dataset: ImageDataset) -> str:
    """The result in plain words."""
    size = " x ".join(str(edge) for edge in dataset.image_size)
    if not findings:
        return (
            f"no pixels found that images of one class share and others do not, at {size} pixels; "
            "smaller, rarer or fainter marks may still be there: see the limits"
        )
    edits = [finding for finding in findings if finding.kind in EDITS]
    frames = len(findings) - len(edits)
    parts = []
    if edits:
        classes = len({finding.label for finding in edits})
        shown = "; ".join(in_words(finding, dataset.class_names) for finding in edits[:NAMED])
        more = f"; and {len(edits) - NAMED} more" if len(edits) > NAMED else ""
        marks = "1 mark gives" if len(edits) == 1 else f"{len(edits)} marks give"
        parts.append(f"{marks} away {classes} of {len(dataset.class_names)} classes: {shown}{more}")
    if frames:
        shown = "; ".join(
            in_words(finding, dataset.class_names) for finding in findings if finding.kind not in EDITS
        )
        parts.append(f"padding or borders that go with a class, as of the acquisition: {shown}")
    return ". ".join(parts)


def in_words(finding: ShortcutFinding, class_names: tuple[str, ...]) -> str:
    """One finding: "pixel of CNV at row 12, column 40 (100 % of its images, others at most 0 %)"."""
    place = f"{finding.kind} of {class_names[finding.label]} at row {finding.row}, column {finding.col}"
    if finding.height * finding.width > 1:
        place += f", {finding.height} x {finding.width} pixels"
    if finding.share is None or finding.others is None:
        return f"{place} (on the mean of the class; which images carry it is not known)"
    return f"{place} ({100 * finding.share:.3g} % of its images, other classes at most {100 * finding.others:.2g} %)"


def named_findings(
    scan: Scan, findings: list[ShortcutFinding], dataset: ImageDataset, positions: list[tuple[str, int]]
) -> list[NamedFinding]:
    """The findings by name, with the images of the class that carry each. `positions`: split and place in it of each
    scanned image."""
    names = None if dataset.files is None else dataset.files.names
    found: list[Group | Frame] = [*scan.groups, *scan.frames]
    named = []
    for one, finding in zip(found, findings, strict=True):
        carriers = np.flatnonzero(one.carriers & (scan.scanned.labels == one.label))
        places = [] if one.kind == "low-contrast" else [positions[int(i)] for i in carriers]
        named.append(
            NamedFinding(
                class_name=dataset.class_names[finding.label],
                kind=finding.kind,
                row=finding.row,
                col=finding.col,
                value=finding.value,
                share=finding.share,
                strength=finding.strength,
                images=[names[split][i] if names else f"{split} image {i + 1}" for split, i in places],
            )
        )
    return named


def limits(dataset: ImageDataset, some_enlarged: bool) -> list[str]:
    """What this scan can not see, in words."""
    height, width = dataset.image_size
    counts = counts_by_class(dataset.train, len(dataset.class_names))
    fewest = min(counts)
    left_out = (
        [f"Images smaller than {height} x {width} pixels were enlarged and are left out of the scan."]
        if some_enlarged
        else []
    )
    return [
        *left_out,
        f"The images were scanned at {height} x {width} pixels: a mark of one pixel in a larger file may be averaged "
        "away.",
        f"A mark is told from chance by about eight images of a class or more; the smallest class has {fewest} "
        "training images. Rarer marks are missed.",
        f"Marks that differ from their neighbours by fewer than {CONTRAST} of 255 grey levels are found only where "
        "most images of a class carry them at one position and with one value or change; fainter ones are missed.",
        "Marks that move by more than one pixel, and those that take another value in each image, are missed.",
        "Marks that all classes carry alike give no class away and are not reported; nor are patterns spread over the "
        "whole picture, such as a colour cast or a blur.",
        "Test images were not looked at. A scan that finds nothing is no proof that there is nothing.",
    ]
