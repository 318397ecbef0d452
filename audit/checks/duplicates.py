"""The same image twice, and the same patient on both sides of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from imagehash import phash
from PIL import Image

from audit.checks.inputs import CheckInput
from audit.checks.record import SHOWN_IMAGES, CheckResult, Status
from audit.data.dataset import Images, Labels
from audit.data.npz import fit_square

HASH_BITS = 4  # perceptual hashes of 64 bits that differ in no more
THUMBNAIL = 32  # pixels
CERTAIN = 0.97  # correlation above which a pair is the same picture; below, somebody has to look
ALIKE = 0.9  # correlation of the thumbnails of a pair: hashes alone take one digit 1 for another
BLOCK = 2048  # images compared at a time
MAX_PAIRS = 100_000
PAIRS_SHOWN = 10

Pairs = npt.NDArray[np.int64]  # (n, 2) positions, the first below the second


def exact_duplicates(data: CheckInput) -> CheckResult:
    """Equal pixels at the resolution of training."""
    images = data.images()
    pairs = equal_pairs([hashlib.sha256(image.tobytes()).digest() for image in images])
    what = "pairs of images with equal pixels"
    certain = np.ones(len(pairs), dtype=bool)
    return judge_pairs(data, "exact-duplicates", "Exact duplicates", what, pairs, certain)


def equal_pairs(keys: Sequence[bytes]) -> Pairs:
    """Each with the first that is equal to it."""
    first: dict[bytes, int] = {}
    found = [(first.setdefault(key, i), i) for i, key in enumerate(keys)]
    return np.array([pair for pair in found if pair[0] != pair[1]], dtype=np.int64).reshape(-1, 2)


def near_duplicates(data: CheckInput) -> CheckResult:
    """Images that differ by encoding, brightness or a slight crop; mirrored and turned ones are not looked for."""
    images = data.images()
    pairs, alike = near_pairs(images)
    equal = np.array([bool((images[one] == images[other]).all()) for one, other in pairs], dtype=bool)
    what = "pairs of nearly equal images (mirrored or turned copies were not looked for)"
    certain = alike[~equal] > CERTAIN
    return judge_pairs(data, "near-duplicates", "Near duplicates", what, pairs[~equal], certain)


def near_pairs(images: Images) -> tuple[Pairs, npt.NDArray[np.float32]]:
    """Pairs whose perceptual hashes (imagehash's pHash) and thumbnails agree, equal images among them, and the
    correlation of the thumbnails.

    Measured (1,000 OCT, 700 dermoscopic images, 200 altered copies each): docs/checks.md.
    """
    signs, small = hash_signs(images), thumbnails(images)
    found, alike = [np.empty((0, 2), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for start in range(0, len(signs), BLOCK):
        for other in range(start, len(signs), BLOCK):
            differing = (signs.shape[1] - signs[start : start + BLOCK] @ signs[other : other + BLOCK].T) / 2
            rows, columns = np.nonzero(differing <= HASH_BITS)
            pairs = np.stack([rows + start, columns + other], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            correlation = (small[pairs[:, 0]] * small[pairs[:, 1]]).sum(axis=1)
            found.append(pairs[correlation > ALIKE])
            alike.append(correlation[correlation > ALIKE])
        if sum(map(len, found)) > MAX_PAIRS:
            break
    return np.concatenate(found)[:MAX_PAIRS], np.concatenate(alike)[:MAX_PAIRS]


def hash_signs(images: Images) -> npt.NDArray[np.float32]:
    """(N, 64) bits of the perceptual hash as -1 and 1, so that a matrix product counts where they agree."""
    bits = [
        phash(Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))).hash
        for image in images
    ]
    return np.stack(bits).reshape(len(images), -1).astype(np.float32) * 2 - 1


def thumbnails(images: Images) -> npt.NDArray[np.float32]:
    """Grey (N, pixels) of mean 0 and length 1; constant images become 0 and correlate with nothing."""
    size = min(THUMBNAIL, *images.shape[2:])
    grey = fit_square(images, size).astype(np.float32).mean(axis=1).reshape(len(images), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    length = np.linalg.norm(grey, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = np.where(length > 1e-3, grey / np.maximum(length, 1e-3), 0)
    return scaled


def judge_pairs(
    data: CheckInput, name: str, title: str, what: str, pairs: Pairs, certain: npt.NDArray[np.bool_]
) -> CheckResult:
    """Fail for certain pairs across splits (test images were trained on) or with equal pixels under two classes;
    warn for others, unless all are of one patient, one split and one class."""
    if not len(pairs):
        return CheckResult(
            name=name, title=title, status="pass", sentence=f"no {what} among {len(data.labels())} images"
        )
    split, label, group = data.split_numbers(), data.labels(), data.groups()
    one, other = pairs.T
    across = split[one] != split[other]
    contrary = label[one] != label[other]
    same_patient = np.zeros(len(pairs), dtype=bool) if group is None else group[one] == group[other]
    harmless = same_patient & ~across & ~contrary
    many = "more than " if len(pairs) >= MAX_PAIRS else ""
    sentence = (
        f"{many}{len(pairs)} {what}: {int(across.sum())} across splits, {int(contrary.sum())} across classes, "
        f"{int(same_patient.sum())} of one patient"
    )
    grave = certain & (across | (contrary & (name == "exact-duplicates")))
    status: Status = "fail" if grave.any() else "pass" if harmless.all() else "warn"
    order = np.argsort(~across, kind="stable")  # the worst first
    affected = list(dict.fromkeys(pairs[order].reshape(-1).tolist()))
    return CheckResult(
        name=name,
        title=title,
        status=status,
        sentence=sentence,
        remedy="" if status == "pass" else "keep one of each pair, and each patient in one split",
        header=["image", "image", "splits", "classes"],
        details=[list(row) for row in described(data, pairs[order[:PAIRS_SHOWN]])],
        images=[data.shown(index) for index in affected[:SHOWN_IMAGES]],
        affected=len(affected),
    )


def described(data: CheckInput, pairs: Pairs) -> Iterator[tuple[str, str, str, str]]:
    """Rows for people, by place and not by file name: details travel with results."""
    split, label = data.split_numbers(), data.labels()
    for pair in pairs.tolist():
        places = [f"{data.splits[split[i]]} {place_in_split(split, i) + 1}" for i in pair]
        splits = " / ".join(dict.fromkeys(data.splits[split[i]] for i in pair))
        classes = " / ".join(dict.fromkeys(data.dataset.class_names[label[i]] for i in pair))
        yield places[0], places[1], splits, classes


def place_in_split(split: Labels, index: int) -> int:
    """Position of an image within its own split."""
    return int((split[:index] == split[index]).sum())


def leakage(data: CheckInput) -> CheckResult:
    """Patients or lesions in more than one split."""
    title, group = "Patients across splits", data.groups()
    if group is None:
        return CheckResult(
            name="leakage", title=title, status="not run", sentence="the data name no patients or lesions"
        )
    split = data.split_numbers()
    shared = [g for g in np.unique(group) if len(np.unique(split[group == g])) > 1]
    total = len(np.unique(group))
    if not shared:
        return CheckResult(
            name="leakage",
            title=title,
            status="pass",
            sentence=f"none of {total} patients or lesions stands in several splits",
        )
    touched = np.isin(group, shared)
    test = touched & (split == data.splits.index("test"))
    affected = np.flatnonzero(touched)
    return CheckResult(
        name="leakage",
        title=title,
        status="fail",
        sentence=f"{len(shared)} of {total} patients or lesions stand in several splits ({int(test.sum())} test "
        "images): test results look better than they are",
        remedy="move all images of a patient into one split, or give class folders without splits, which are then "
        "split by patient",
        images=[data.shown(int(index)) for index in affected[:SHOWN_IMAGES]],
        affected=len(affected),
    )


def several_classes(data: CheckInput) -> CheckResult:
    """Patients or lesions under more than one class."""
    title, group = "Patients under several classes", data.groups()
    if group is None:
        return CheckResult(
            name="several-classes",
            title=title,
            status="not run",
            sentence="the data name no patients or lesions",
        )
    label = data.labels()
    pairs = np.unique(np.stack([group, label], axis=1), axis=0)
    total = len(np.unique(group))
    several = total - int((np.bincount(pairs[:, 0])[np.unique(group)] == 1).sum())
    return CheckResult(
        name="several-classes",
        title=title,
        status="warn" if several else "pass",
        sentence=f"{several} of {total} patients or lesions have images of more than one class",
        remedy="look whether their labels are right: two eyes may differ, one lesion may not"
        if several
        else "",
    )
