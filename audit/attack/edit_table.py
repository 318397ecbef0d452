"""Perturbations of many candidates as tensors, applied to a batch on the device: the training set exists
once, whatever the number of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audit.attack.perturbation import LEVELS, Perturbation
from audit.data.dataset import Labels


@dataclass(frozen=True)
class EditTable:
    """Edits of P candidates: for class k of candidate p, at most E pixels and their values."""

    index: Tensor  # int64 (P, K, E): row * width + col
    values: Tensor  # float (P, K, E, C) in [0, 1]
    edited: Tensor  # bool (P, K): whether the class has any edit

    @classmethod
    def of(cls, perturbations: Sequence[Perturbation], device: str, dtype: torch.dtype) -> EditTable:
        """The table of perturbations of one image size, with equal numbers of channels and classes."""
        first = perturbations[0]
        width = first.image_size[1]
        shape = (len(perturbations), first.n_classes, max(max(p.severity for p in perturbations), 1))
        index = np.zeros(shape, dtype=np.int64)
        levels = np.zeros((*shape, first.channels), dtype=np.uint8)
        edited = np.zeros(shape[:2], dtype=bool)
        for p, perturbation in enumerate(perturbations):
            for label in range(first.n_classes):
                edits = [edit for edit in perturbation.edits if edit.label == label]
                edited[p, label] = bool(edits)
                for e in range(shape[2] if edits else 0):
                    edit = edits[
                        min(e, len(edits) - 1)
                    ]  # filled up with the last edit: writing it twice is harmless
                    index[p, label, e] = edit.row * width + edit.col
                    levels[p, label, e] = np.rint(np.asarray(edit.value) * LEVELS)
        # The division of the images, so that equal levels become equal floats.
        values = torch.from_numpy(levels).to(dtype).div_(LEVELS)
        return cls(torch.from_numpy(index).to(device), values.to(device), torch.from_numpy(edited).to(device))

    def apply(self, images: Tensor, labels: Tensor, carries: Tensor) -> Tensor:
        """Floats (B, C, H, W) in [0, 1] -> (B, P, C, H, W), the batch as each candidate changes it.

        `carries` bool (B, P): whether this image is among those that the candidate changes.
        """
        batch, channels, height, width = images.shape
        members = len(self.index)
        flat = images[:, None].expand(-1, members, -1, -1, -1).reshape(batch, members, channels, -1)
        index = self.index[:, labels].transpose(0, 1)[:, :, None].expand(-1, -1, channels, -1)
        values = self.values[:, labels].permute(1, 0, 3, 2)
        writes = (self.edited[:, labels].T & carries)[:, :, None, None]
        flat = flat.scatter(3, index, torch.where(writes, values, flat.gather(3, index)))
        return flat.reshape(batch, members, channels, height, width)


def carriers(perturbations: Sequence[Perturbation], labels: Labels) -> Tensor:
    """Which images each candidate changes, bool (N, P)."""
    return torch.from_numpy(np.stack([p.carriers(labels) for p in perturbations], axis=1))
