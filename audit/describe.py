"""A data set as it stands in result files: counts, notes, pictures; no identifier of a patient, no file name."""

from __future__ import annotations

import base64
import io
from collections import Counter

import numpy as np
from PIL import Image

from audit.data.dataset import SPLITS, ImageDataset, Images, counts_by_class, groups_in_several_splits
from audit.results import ClassStrip, DatasetRecord, ExampleImage

STRIP = 10  # images of each class on the contact sheet
STRIP_HEIGHT = 96  # pixels at most: a sheet is for looking, and travels in every result file


def describe_dataset(dataset: ImageDataset, examples: list[ExampleImage]) -> DatasetRecord:
    """What was audited, without identifiers."""
    n_classes = len(dataset.class_names)
    splits = {name: dataset.split(name) for name in SPLITS}
    groups = {name: None if s.groups is None else len(np.unique(s.groups)) for name, s in splits.items()}
    return DatasetRecord(
        name=dataset.name,
        synthetic=dataset.synthetic,
        source=dataset.source,
        licence=dataset.licence,
        class_names=list(dataset.class_names),
        image_size=dataset.image_size,
        channels=dataset.channels,
        counts={name: counts_by_class(split, n_classes) for name, split in splits.items()},
        groups=groups,
        groups_in_several_splits=groups_in_several_splits(dataset),
        notes=list(dataset.notes),
        fingerprint=dataset.fingerprint,
        test_labels=[int(label) for label in dataset.test.labels],
        test_groups=None if dataset.test.groups is None else [int(g) for g in dataset.test.groups],
        examples=examples,
        strips=class_strips(dataset),
        means=class_means(dataset),
        excluded=dict(Counter(reason for _, reason in dataset.files.excluded)) if dataset.files else {},
    )


def class_strips(dataset: ImageDataset) -> list[ClassStrip]:
    """Training images of each class, evenly spaced through the split, side by side."""
    strips = []
    for label in range(len(dataset.class_names)):
        own = np.flatnonzero(dataset.train.labels == label)
        chosen = own[np.linspace(0, len(own) - 1, min(STRIP, len(own))).astype(int)]
        shown = [small(dataset.train.images[index]) for index in chosen]
        side_by_side = np.concatenate(shown, axis=2)
        strips.append(ClassStrip(label=label, images=len(chosen), png=png(side_by_side)))
    return strips


def class_means(dataset: ImageDataset) -> list[ClassStrip]:
    """The mean of all training images of each class, at training resolution: edits can be placed on it."""
    means = []
    for label in range(len(dataset.class_names)):
        own = np.flatnonzero(dataset.train.labels == label)
        if len(own):
            mean = np.zeros(dataset.train.images.shape[1:])
            for index in own:  # one image at a time: a selection of a large set would be copied whole
                mean += dataset.train.images[index]
            rounded = np.rint(mean / len(own)).astype(np.uint8)
            means.append(ClassStrip(label=label, images=len(own), png=png(rounded)))
    return means


def small(image: Images) -> Images:
    """(C, H, W) at most STRIP_HEIGHT high, every n-th pixel."""
    step = -(-image.shape[1] // STRIP_HEIGHT)
    return image[:, ::step, ::step]


def png(image: Images) -> str:
    """uint8 (C, H, W) as PNG in base64."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
