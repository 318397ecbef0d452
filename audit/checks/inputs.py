"""What the checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.data.dataset import SPLITS, ImageDataset, Images, Labels
from audit.scan.record import ScanRecord


@dataclass(frozen=True)
class CheckInput:
    """A data set, with what is known of its files (None: arrays or phantoms)."""

    dataset: ImageDataset
    names: Mapping[str, Sequence[str]] | None = None  # split -> path of each image
    sizes: Mapping[str, npt.NDArray[np.int64]] | None = None  # split -> (N, 2) height and width in the file
    excluded: Sequence[tuple[str, str]] = ()  # unreadable files that were skipped: path, reason
    identifying: Mapping[str, int] | None = None  # DICOM tag -> files in which it is filled in
    burned_in: Mapping[str, int] | None = None  # yes, no, not stated -> DICOM files
    scan: ScanRecord | None = None  # for shortcuts; None: not run

    @property
    def splits(self) -> list[str]:
        """The splits that hold images."""
        return [name for name in SPLITS if len(self.dataset.split(name))]

    def images(self) -> Images:
        """(N, C, H, W) of all splits, in their order."""
        return np.concatenate([self.dataset.split(name).images for name in self.splits])

    def labels(self) -> Labels:
        """(N,) of all splits."""
        return np.concatenate([self.dataset.split(name).labels for name in self.splits])

    def split_numbers(self) -> Labels:
        """(N,) position of the split of each image in `splits`."""
        sizes = [len(self.dataset.split(name)) for name in self.splits]
        return np.repeat(np.arange(len(sizes)), sizes)

    def groups(self) -> Labels | None:
        """(N,) patients or lesions; None where ids are missing."""
        found = [self.dataset.split(name).groups for name in self.splits]
        if any(groups is None for groups in found):
            return None
        return np.concatenate([groups for groups in found if groups is not None])

    def shown(self, index: int) -> str:
        """Name of one image of `images`: its file, or "train image 17" counted from 1."""
        for name in self.splits:
            size = len(self.dataset.split(name))
            if index < size:
                return self.names[name][index] if self.names is not None else f"{name} image {index + 1}"
            index -= size
        raise IndexError(index)

    def original_sizes(self) -> npt.NDArray[np.int64] | None:
        """(N, 2) height and width in the files."""
        if self.sizes is None:
            return None
        return np.concatenate([self.sizes[name] for name in self.splits])
