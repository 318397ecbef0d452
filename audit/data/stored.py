"""Images at the resolution of their files, for looks at single pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from audit.data.dataset import SPLITS, ImageDataset
from audit.data.load import load_dataset
from audit.data.npz import stored_edge
from audit.settings import DataSettings

PROBE = 224  # pixels: the size at which files of unknown size are read first
LARGEST = 512  # pixels of an edge
MOST_VALUES = 600_000_000  # of all images, pixels times channels: bytes of memory
SMALLEST = 8

Progress = Callable[[int, int], None]


def load_as_stored(
    settings: DataSettings,
    progress: Progress | None = None,
    unpacking: Progress | None = None,
    probe: ImageDataset | None = None,
) -> ImageDataset:
    """The data set of `settings` with the short edge of its files, by the median, in place of `settings.image_size`: at
    most 512 pixels, and less where the images are many. Phantoms come as the settings say. `probe`: the same data at
    some size, where they were read already. Raises as `load_dataset`."""
    if settings.path is None:
        return probe or load_dataset(settings, progress, unpacking)
    path = Path(settings.path).expanduser()
    if path.is_file() and path.suffix.lower() == ".npz":
        edge = min(max(stored_edge(path), SMALLEST), LARGEST)
    else:
        probe = probe or load_dataset(settings.model_copy(update={"image_size": PROBE}), progress, unpacking)
        edge = fitting_edge(probe)
    if probe is not None and probe.image_size == (edge, edge):
        return probe
    return load_dataset(settings.model_copy(update={"image_size": edge}), progress, unpacking)


def fitting_edge(dataset: ImageDataset) -> int:
    """Pixels of the edge that suits the files of a data set and the memory."""
    assert dataset.files is not None  # arrays and phantoms do not come here
    edges = np.concatenate([dataset.files.sizes[split].min(axis=1) for split in SPLITS])
    affordable = int((MOST_VALUES / (max(len(edges), 1) * dataset.channels)) ** 0.5)
    return max(min(int(np.median(edges)), LARGEST, affordable), SMALLEST)
