"""The scan of a data set: its training and validation images, in words, with the names of affected files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.inputs import CheckInput
from audit.data.dataset import ImageDataset, counts_by_class
from audit.recipe import Record
from audit.results import DatasetRecord, Environment
from audit.scan.findings import finding_records, maps, strength_of
from audit.scan.frames import Frame
from audit.scan.grouping import Group
from audit.scan.isolation import CONTRAST
from audit.scan.record import EDITS, ScanRecord, ScanStatus, ShortcutFinding
from audit.scan.scan import FALSE_ALARM_RATE, Progress, Scan, scan_images

SCAN_FILE = "scan.json"
SCANNED = ("train", "val")  # test images are for measuring alone
NAMED = 3  # findings in the sentence


class AffectedImages(Record):
    """Who carries one finding."""

    finding: int  # position in `findings`
    images: list[str]  # files as they were given, or "train image 17"; of the finding's class


class ScanReport(Record):
    """`scan.json`. Holds file names as they were given, so that the files can be found: for the eyes of those who
    hold the data. Results of audits hold none."""

    schema_version: int = 1
    created: str  # ISO 8601, UTC
    command: str
    dataset: DatasetRecord
    scan: ScanRecord
    affected: list[AffectedImages]
    environment: Environment


@dataclass(frozen=True)
class DatasetScan:
    """A scan of a data set: the record that travels, the names that do not, and what the repair works by."""

    record: ScanRecord
    affected: list[AffectedImages]
    scan: Scan


def scan_dataset(dataset: ImageDataset, progress: Progress | None = None) -> DatasetScan:
    """Look for shortcuts in the training and validation images of a data set."""
    parts = [dataset.split(name) for name in SCANNED if len(dataset.split(name))]
    groups = [part.groups for part in parts]
    scan = scan_images(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        None if any(g is None for g in groups) else np.concatenate([g for g in groups if g is not None]),
        len(dataset.class_names),
        progress,
    )
    findings = finding_records(scan)
    record = ScanRecord(
        status=status_of(findings),
        sentence=sentence(findings, dataset),
        images=sum(len(part) for part in parts),
        false_alarm_rate=FALSE_ALARM_RATE,
        strength=strength_of(scan.groups, scan.frames, scan.scanned, None),
        findings=findings,
        maps=maps(scan),
        limits=limits(dataset),
    )
    return DatasetScan(record, affected(scan, dataset), scan)


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


def affected(scan: Scan, dataset: ImageDataset) -> list[AffectedImages]:
    """Names of the images of the class that carry each finding, in the order of `finding_records`."""
    files = dataset.files
    named = CheckInput(dataset, None if files is None else files.names)
    found: list[Group | Frame] = [*scan.groups, *scan.frames]
    return [
        AffectedImages(
            finding=number,
            images=[
                named.shown(int(i))
                for i in np.flatnonzero(one.carriers & (scan.scanned.labels == one.label))
                if one.kind != "low-contrast"
            ],
        )
        for number, one in enumerate(found)
    ]


def limits(dataset: ImageDataset) -> list[str]:
    """What this scan can not see, in words."""
    height, width = dataset.image_size
    counts = counts_by_class(dataset.train, len(dataset.class_names))
    fewest = min(counts)
    return [
        f"The images were scanned at {height} x {width} pixels, as they are trained on: a mark of one pixel in a "
        "larger file may be averaged away.",
        f"A mark is told from chance by about eight images of a class or more; the smallest class has {fewest} "
        "training images. Rarer marks are missed.",
        f"Marks that differ from their neighbours by fewer than {CONTRAST} of 255 grey levels are found only where "
        "most images of a class carry them at one position and with one value or change; fainter ones are missed.",
        "Marks that move by more than one pixel, and those that take another value in each image, are missed.",
        "Marks that all classes carry alike give no class away and are not reported; nor are patterns spread over the "
        "whole picture, such as a colour cast or a blur.",
        "Test images were not looked at. A scan that finds nothing is no proof that there is nothing.",
    ]
