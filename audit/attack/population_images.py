"""What each candidate makes of the search's images: perturbed, and preprocessed where the search knows that its
victims will preprocess."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audit.attack.edit_table import EditTable, carriers
from audit.attack.perturbation import Perturbation
from audit.attack.surrogate_task import SurrogateTask
from audit.data.dataset import Images
from audit.results import NO_DEFENCE
from audit.training.preprocessing import preprocessing

FIT_SEED = 0  # of a preprocessing that draws random numbers: equal for all candidates


@dataclass(frozen=True)
class PopulationImages:
    """Floats in [0, 1] on the device; P candidates."""

    members: int
    train: Callable[[Tensor], Tensor]  # places (B,) among the training images -> (B, P, C, H, W)
    held: Tensor  # (M, P, C, H, W), held-out images without an edit
    held_perturbed: Tensor  # (M, P, C, H, W), every one of them with the edits of its class


def population_images(
    task: SurrogateTask, perturbations: Sequence[Perturbation], device: str, dtype: torch.dtype
) -> PopulationImages:
    """The images of a population of candidates."""
    make = edited if task.preprocessing == NO_DEFENCE else edited_and_preprocessed
    return make(task, perturbations, device, dtype)


def edited(
    task: SurrogateTask, perturbations: Sequence[Perturbation], device: str, dtype: torch.dtype
) -> PopulationImages:
    """Edits are written batch by batch: the training images exist once, whatever the number of candidates."""
    images = scaled(task.train_images, device, dtype)
    labels = torch.from_numpy(task.train_labels).to(device)
    table = EditTable.of(perturbations, device, dtype)
    carry = carriers(perturbations, task.train_labels).to(device)
    held, held_labels = scaled(task.held_images, device, dtype), torch.from_numpy(task.held_labels).to(device)
    everywhere = torch.ones(len(held), len(perturbations), dtype=torch.bool, device=device)
    whole = EditTable.of([p.on_all_images for p in perturbations], device, dtype)

    def train(places: Tensor) -> Tensor:
        return table.apply(images[places], labels[places], carry[places])

    return PopulationImages(
        len(perturbations),
        train,
        held[:, None].expand(-1, len(perturbations), -1, -1, -1),
        whole.apply(held, held_labels, everywhere),
    )


def edited_and_preprocessed(
    task: SurrogateTask, perturbations: Sequence[Perturbation], device: str, dtype: torch.dtype
) -> PopulationImages:
    """A preprocessing works on bytes and may be fitted on all of a candidate's images: they are made once, and
    kept as bytes, for each candidate."""
    trained, held, held_perturbed = [], [], []
    for perturbation in perturbations:
        images = perturbation.apply(task.train_images, task.train_labels)
        preprocess = preprocessing(task.preprocessing).fit(images, task.train_labels, FIT_SEED)
        trained.append(preprocess(images))
        held.append(preprocess(task.held_images))
        whole = perturbation.on_all_images.apply(task.held_images, task.held_labels)
        held_perturbed.append(preprocess(whole))
    kept = torch.from_numpy(np.stack(trained, axis=1)).to(device)
    return PopulationImages(
        len(perturbations),
        lambda places: kept[places].to(dtype).div_(255),
        scaled(np.stack(held, axis=1), device, dtype),
        scaled(np.stack(held_perturbed, axis=1), device, dtype),
    )


def scaled(images: Images, device: str, dtype: torch.dtype) -> Tensor:
    """uint8 -> floats in [0, 1] on the device."""
    return torch.from_numpy(images).to(device).to(dtype).div_(255)
