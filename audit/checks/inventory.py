"""What is there: files, counts, licence, what headers hold of a person."""

from __future__ import annotations

import math
import re
from collections import Counter

from audit.checks.inputs import CheckInput
from audit.checks.record import SHOWN_IMAGES, CheckResult
from audit.data.dataset import counts_by_class
from audit.data.npz import LICENCE_NOT_STATED

MAX_IMBALANCE = 10  # largest class to smallest; beyond, oversampling repeats single images in most batches
MIN_TRAIN = 20  # images of a class; fewer say little of its variety
MIN_TEST = 30  # images of a class; at 90 % accuracy the interval is then 22 points wide
Z = 1.959964


def unreadable(data: CheckInput) -> CheckResult:
    """Files that were skipped, and why."""
    name, title = "unreadable", "Unreadable files"
    if data.names is None:
        return CheckResult(name=name, title=title, status="not run", sentence="arrays, not files")
    total = sum(len(names) for names in data.names.values()) + len(data.excluded)
    if not data.excluded:
        return CheckResult(
            name=name, title=title, status="pass", sentence=f"all {total} images could be read"
        )
    reasons = Counter(reason for _, reason in data.excluded)
    return CheckResult(
        name=name,
        title=title,
        status="fail",
        sentence=f"{len(data.excluded)} of {total} files cannot be read ({len(reasons)} reasons)",
        remedy="mend or remove these files; --set data.unreadable=skip leaves them out and says so in the report",
        header=["reason", "files"],
        details=[[reason, str(count)] for reason, count in reasons.most_common()],
        images=[shown for shown, _ in data.excluded[:SHOWN_IMAGES]],
        affected=len(data.excluded),
    )


def counts(data: CheckInput) -> CheckResult:
    """Images by class and split, patients by split; imbalance."""
    dataset = data.dataset
    classes = len(dataset.class_names)
    by_split = {name: counts_by_class(dataset.split(name), classes) for name in data.splits}
    rows = [[name, *[str(by_split[s][k]) for s in data.splits]] for k, name in enumerate(dataset.class_names)]
    groups = [dataset.split(name).groups for name in data.splits]
    rows.append(
        ["patients or lesions", *["unknown" if g is None else str(len(set(g.tolist()))) for g in groups]]
    )
    train = by_split["train"]
    ratio = max(train) / max(min(train), 1)
    found = f"{classes} classes, {', '.join(f'{sum(by_split[s])} {s}' for s in data.splits)} images"
    found += f"; largest to smallest training class {ratio:.1f} to 1"
    uneven = ratio > MAX_IMBALANCE
    return CheckResult(
        name="counts",
        title="Images by class and split",
        status="warn" if uneven else "pass",
        sentence=found,
        remedy="add images of the rare classes, and read balanced accuracy" if uneven else "",
        header=["class", *data.splits],
        details=rows,
    )


def small_classes(data: CheckInput) -> CheckResult:
    """Too few images to learn from, or to measure on."""
    dataset = data.dataset
    train, test = (
        counts_by_class(dataset.split(name), len(dataset.class_names)) for name in ("train", "test")
    )
    few = [
        [name, str(train[k]), str(test[k]), f"± {100 * half_width(0.9, test[k]):.0f} points"]
        for k, name in enumerate(dataset.class_names)
        if train[k] < MIN_TRAIN or test[k] < MIN_TEST
    ]
    least = f"at least {min(train)} training and {min(test)} test images of each class"
    if not few:
        return CheckResult(name="small-classes", title="Size of classes", status="pass", sentence=least)
    return CheckResult(
        name="small-classes",
        title="Size of classes",
        status="fail" if min(train) < 2 or min(test) < 2 else "warn",
        sentence=(
            f"{len(few)} of {len(train)} classes have fewer than {MIN_TRAIN} training or {MIN_TEST} test images: a "
            f"recall of 90 % in the smallest is known to ± {100 * half_width(0.9, min(test)):.0f} points at best"
        ),
        remedy="add images of these classes, or read their recall as a rough figure",
        header=["class", "train", "test", "recall of 90 % known to"],
        details=few,
    )


def half_width(share: float, count: int) -> float:
    """Half of Wilson's 95 % interval of a share measured on `count` images."""
    if count == 0:
        return 1.0
    squared = Z * Z / count
    return math.sqrt(squared * share * (1 - share) + squared * squared / 4) / (1 + squared)


def licence(data: CheckInput) -> CheckResult:
    """Whether the images may be used, as far as it is said."""
    said = data.dataset.licence
    known = said != LICENCE_NOT_STATED
    limited = known and re.search(r"\bNC\b|non-?commercial", said, re.IGNORECASE) is not None
    remedy = "find out what the images may be used for; --set data.licence=.. puts it into the report"
    if limited:
        remedy = "do not use results on these images commercially"
    return CheckResult(
        name="licence",
        title="Licence",
        status="warn" if limited or not known else "pass",
        sentence=said if known else "not stated in the data",
        remedy=remedy if limited or not known else "",
    )


def synthetic(data: CheckInput) -> CheckResult:
    """Computed images say nothing about patients."""
    if not data.dataset.synthetic:
        return CheckResult(
            name="synthetic",
            title="Synthetic images",
            status="pass",
            sentence="read from files, not computed here",
        )
    return CheckResult(
        name="synthetic",
        title="Synthetic images",
        status="warn",
        sentence="synthetic phantoms: no number says anything about patients or devices",
        remedy="audit real images before you conclude anything",
    )


def identity(data: CheckInput) -> CheckResult:
    """What DICOM headers hold of a person. Pixels and file names are not looked at."""
    title = "Patient identity (PHI)"
    if data.identifying is None or data.burned_in is None:
        return CheckResult(
            name="identity",
            title=title,
            status="not run",
            sentence="no DICOM headers; file names and text in the pixels are not looked at",
        )
    files = sum(data.burned_in.values())
    said = data.burned_in.get("yes", 0)
    unsaid = data.burned_in.get("not stated", 0)
    tags = [[tag, str(count)] for tag, count in data.identifying.items()]
    sentence = (
        f"{len(tags)} identifying tags are filled in ({', '.join(tag for tag, _ in tags)})"
        if tags
        else "no identifying tag is filled in"
    )
    sentence += f"; names in the pixels: said for {said}, not stated for {unsaid} of {files} files"
    found = bool(tags) or bool(said) or bool(unsaid)
    return CheckResult(
        name="identity",
        title=title,
        status="warn" if found else "pass",
        sentence=sentence,
        remedy="remove identifying tags before the files are passed on, and look at the images for names: nothing of a "
        "header stands in any output of an audit"
        if found
        else "",
        header=["tag", "files"],
        details=tags,
    )
