"""Where a trained network looks: Grad-CAM (Selvaraju et al. 2017) with MONAI, mean maps per class as in thesis
2.8.1 (Fig. 2-4b), and how much of them lies on the edited pixels.

Two readings are useful, and what is measured follows from the images handed in. Clean *test images*: how much
of the saliency lies where the class carried its edits in training and where nothing stands now (the thesis's
reading). *Training images as trained*: how much of it lies on the edits themselves.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules import pooling

from audit.attack.perturbation import Perturbation
from audit.data.dataset import Labels
from audit.training.reading import scaled
from audit.training.sampling import evaluation_batches

if TYPE_CHECKING:
    from monai.visualize import GradCAM

Maps = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """A feature map inside a network: the module's name and the map's size."""

    name: str
    height: int  # positions
    width: int


@dataclass(frozen=True)
class Saliency:
    """One map per image, for the score of its own class."""

    maps: Maps  # (N, H, W): each sums to 1, or is zero everywhere
    labels: Labels  # (N,)
    layer: Layer

    @property
    def radius(self) -> int:
        """Pixels: the smallest radius whose window covers, round any pixel, the whole cell of the feature map
        that the pixel lies in. Finer than that Grad-CAM does not see."""
        _, height, width = self.maps.shape
        cell: int = max(math.ceil(height / self.layer.height), math.ceil(width / self.layer.width), 1)
        return cell - 1


@dataclass(frozen=True)
class MeanSaliency:
    """Mean maps per class, over the images whose map is not zero."""

    maps: Maps  # (K, H, W): each sums to 1; zero where no image of the class has a map
    images: tuple[int, ...]  # (K,) averaged over
    zero_maps: tuple[int, ...]  # (K,) left out: no feature speaks for the class there
    layer: Layer
    radius: int  # pixels, see `Saliency.radius`


@dataclass(frozen=True)
class ShareOnEdits:
    """Share of saliency within `radius` pixels of the edits of each image's class.

    Beside it what a uniform map would have there: a share is large only in comparison. None for a class
    without edits; no share either for one without maps. The shares are means over `images`, from which an
    interval can be drawn by resampling `by_image`.
    """

    radius: int  # pixels, in both directions: windows are squares of side 2 * radius + 1
    shares: tuple[float | None, ...]  # (K,) in [0, 1]
    uniform: tuple[float | None, ...]  # (K,) in [0, 1]
    images: tuple[int, ...]  # (K,) with a map that is not zero
    by_image: Floats  # (N,), nan where the map is zero or the class has no edits


def mean_saliency(
    network: nn.Module,
    images: Tensor,
    labels: Labels,
    n_classes: int,
    target_layer: str | None = None,
    batch_size: int = 256,
) -> MeanSaliency:
    """Mean Grad-CAM per class; arguments and errors as in `saliency`."""
    return mean_maps(saliency(network, images, labels, target_layer, batch_size), n_classes)


def mean_maps(found: Saliency, n_classes: int) -> MeanSaliency:
    """Mean of the maps of each class."""
    seen = found.maps.sum(axis=(1, 2)) > 0
    members = [(found.labels == label) for label in range(n_classes)]
    means = [
        found.maps[own & seen].mean(axis=0, dtype=np.float64)
        if (own & seen).any()
        else np.zeros(found.maps.shape[1:])
        for own in members
    ]
    return MeanSaliency(
        maps=np.stack(means).astype(np.float32),
        images=tuple(int((own & seen).sum()) for own in members),
        zero_maps=tuple(int((own & ~seen).sum()) for own in members),
        layer=found.layer,
        radius=found.radius,
    )


def saliency(
    network: nn.Module,
    images: Tensor,
    labels: Labels,
    target_layer: str | None = None,
    batch_size: int = 256,
    positions: int = 2,
) -> Saliency:
    """Grad-CAM of each image for the logit of its label, enlarged bilinearly and scaled to sum 1.

    `images` uint8, or floats in [0, 255], (N, C, H, W) on the network's device; `labels` int64 (N,).
    `target_layer`: name of a module with output (N, channels, h, w) that runs once per pass; by default
    `last_feature_map`. Batches are those of `predict`, as some networks read an image by its batch.

    All happens on a copy in evaluation mode: the network keeps its mode, gradients and hooks. Raises ValueError
    where there is no image or no such layer, or where a map is not finite.
    """
    if len(images) == 0:
        raise ValueError("no image to explain")
    batches = evaluation_batches(len(images), batch_size)
    watched = copy.deepcopy(network).eval().requires_grad_(False)
    first = scaled(images[batches[0].to(images.device)])
    layer = last_feature_map(watched, first, target_layer, positions)
    grad_cam = _grad_cam(watched, layer)
    maps = np.empty((len(images), *images.shape[2:]), dtype=np.float32)
    for batch in batches:
        inputs = scaled(images[batch.to(images.device)]).requires_grad_()
        own = torch.from_numpy(labels[batch.numpy()]).to(images.device)
        with torch.enable_grad():
            raw = grad_cam(inputs, class_idx=0, labels=own)
        maps[batch.numpy()] = _to_unit_sum(raw[:, 0].detach().cpu().numpy())
    _let_go(grad_cam, watched)
    return Saliency(maps, labels.copy(), layer)


def _to_unit_sum(maps: npt.NDArray[np.floating]) -> Maps:
    """Each of (N, H, W) over its sum; zero maps stay zero. Raises ValueError on what is not finite."""
    totals = maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    if not np.isfinite(totals).all():
        raise ValueError("saliency is not finite; has the training diverged?")
    scaled_maps: Maps = (maps / np.where(totals > 0, totals, 1)).astype(np.float32)
    return scaled_maps


class _OwnScore(nn.Module):
    """Logits (N, K) -> the one of each image's label, (N, 1): MONAI asks one class of a whole batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.gather(1, labels[:, None])


class _Copied(nn.Module):
    """Behind the layer that is watched: torchvision's DenseNet changes its feature map in place, which would
    change what the hooks recorded."""

    def forward(self, features: Tensor) -> Tensor:
        return features.clone()


def _grad_cam(network: nn.Module, layer: Layer) -> GradCAM:
    """MONAI's Grad-CAM without its scaling to [0, 1], which would give every image the same weight at its
    strongest pixel. Changes `network`."""
    from monai.visualize import GradCAM  # 3 s of importing, which a search need not wait for

    network.set_submodule(layer.name, nn.Sequential(network.get_submodule(layer.name), _Copied()))
    return GradCAM(
        _OwnScore(network), target_layers=f"network.{layer.name}.0", postprocessing=lambda maps: maps
    )


def _let_go(grad_cam: GradCAM, network: nn.Module) -> None:
    """Break the circle of hooks, gradients and the graph behind them, which Python's collector cannot see through: the
    network stayed in memory for ever, a quarter of a gigabyte for each ResNet-50 with its DenseNet-121."""
    kept = grad_cam.nn_module
    kept.gradients.clear()
    kept.activations.clear()
    kept.score = None
    for module in network.modules():
        module._forward_hooks.clear()
        module._backward_hooks.clear()


@torch.no_grad()
def last_feature_map(
    network: nn.Module, inputs: Tensor, target_layer: str | None = None, positions: int = 2
) -> Layer:
    """The last convolutional feature map, or the one called `target_layer`, from a pass over `inputs`.

    `network` in evaluation mode, `inputs` as it takes them, (N, C, H, W). The last output with four axes that
    still has more than one position, before pooling: a global average has no places, and a pooled map is only
    coarser. Of these the last with at least `positions` rows and columns, where one has so many: of small images
    the deepest map of a ResNet has 2 x 2 positions, which tell nothing apart. Modules that run several times (an
    activation that a block shares) are passed over. Raises ValueError.
    """
    outputs: dict[str, list[Tensor]] = {}  # in the order in which modules finished
    pooled: list[Tensor] = []

    def record(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                outputs.setdefault(name, []).append(output)
                if type(module).__module__ == pooling.__name__:
                    pooled.append(output)

        handles.append(module.register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in network.named_modules():
        if name:
            record(name, module)
    try:
        network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    maps = {
        name: Layer(name, *found[0].shape[2:])
        for name, found in outputs.items()
        if len(found) == 1 and found[0].ndim == 4
    }
    if target_layer is not None:
        if target_layer not in maps:
            raise ValueError(
                f"no layer {target_layer!r} with one output (N, C, h, w); there are {', '.join(maps)}"
            )
        return maps[target_layer]
    places = [
        layer
        for layer in maps.values()
        if layer.height * layer.width > 1 and not any(outputs[layer.name][0] is one for one in pooled)
    ]
    if not places:
        raise ValueError("the network has no convolutional feature map; name a target_layer")
    fine = [layer for layer in places if min(layer.height, layer.width) >= positions]
    return (fine or places)[-1]


def share_on_edits(maps: Maps, labels: Labels, perturbation: Perturbation, radius: int) -> ShareOnEdits:
    """How much of the saliency lies within `radius` pixels of the edits.

    `maps` (N, H, W), each of sum 1 or zero, of images of class `labels` (N,): those of `saliency`, or mean maps
    with labels 0..K-1. Each is read at the edits of its own class. Raises ValueError where sizes differ.
    """
    if maps.shape[1:] != perturbation.image_size or len(maps) != len(labels):
        raise ValueError(
            f"maps {maps.shape} do not fit {len(labels)} labels and edits in images of {perturbation.image_size}"
        )
    by_image = np.full(len(maps), np.nan)
    seen = maps.sum(axis=(1, 2)) > 0
    shares: list[float | None] = []
    uniform: list[float | None] = []
    counts: list[int] = []
    for label in range(perturbation.n_classes):
        near = near_edits(perturbation, label, radius)
        own = seen & (labels == label)
        if near.any():
            by_image[own] = maps[own][:, near].sum(axis=1, dtype=np.float64)
        shares.append(float(by_image[own].mean()) if near.any() and own.any() else None)
        uniform.append(float(near.mean()) if near.any() else None)
        counts.append(int(own.sum()))
    return ShareOnEdits(radius, tuple(shares), tuple(uniform), tuple(counts), by_image)


def near_edits(perturbation: Perturbation, label: int, radius: int) -> npt.NDArray[np.bool_]:
    """Pixels (H, W) at most `radius` rows and columns from an edit of class `label`."""
    near = np.zeros(perturbation.image_size, dtype=bool)
    for edit in perturbation.edits:
        if edit.label == label:
            top, left = max(edit.row - radius, 0), max(edit.col - radius, 0)
            near[top : edit.row + radius + 1, left : edit.col + radius + 1] = True
    return near
