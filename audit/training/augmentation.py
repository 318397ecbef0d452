"""Augmentations of a training batch, on the device. torch is imported when one is applied.

All random numbers are drawn on the CPU from the generator that is handed in, so that a CPU and a GPU see
the same crops, and all candidates of one search generation too. Pixels keep their units: bytes stay bytes,
except where mixup averages them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from audit.names import nearest

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFT = 4  # pixels, each way
CUTOUT_FRACTION = 0.5  # side of the square over that of the image (16 of 32 pixels: DeVries & Taylor 2017)


@dataclass(frozen=True)
class Augmented:
    """A batch as it is trained on. Where images were mixed, `partner` and `share` tell the labels that count."""

    images: Tensor  # (B, ..., C, H, W)
    partner: Tensor | None = None  # int64 (B,): place in the batch of the image mixed in
    share: Tensor | None = None  # float64 (B,) in [0, 1]: share of the own label, the rest is the partner's

    def part(self, places: Tensor) -> Augmented:
        """Some images of the batch, int64 (b,). `partner` still counts in the whole batch."""
        if self.partner is None or self.share is None:
            return Augmented(self.images[places])
        return Augmented(self.images[places], self.partner[places], self.share[places])


Augmentation = Callable[["Tensor", "Generator"], Augmented]
"""(images (B, ..., C, H, W), generator on the CPU) -> new batch; all that shares the first index is treated alike."""


def no_augmentation(images: Tensor, draws: Generator) -> Augmented:
    """The batch as it is."""
    return Augmented(images)


def crop_flip(images: Tensor, draws: Generator) -> Augmented:
    """Shift by up to 4 pixels each way (zeros come in), mirror half of the images left to right."""
    import torch

    n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2, n), generator=draws)
    mirrored = torch.rand(n, generator=draws) < 0.5
    rows = torch.arange(height)[None, :] + down[:, None]  # (B, H): where each row comes from
    columns = torch.arange(width).expand(n, width)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    source = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    shape = images.shape
    flat = images.reshape(n, -1, height * width)
    index = source.reshape(n, 1, -1).to(images.device).expand(-1, flat.shape[1], -1)
    moved: Tensor = flat.gather(2, index) * inside.reshape(n, 1, -1).to(images.device)
    return Augmented(moved.reshape(shape))


def cutout(images: Tensor, draws: Generator) -> Augmented:
    """Zero one square per image, centred anywhere (DeVries & Taylor 2017)."""
    import torch

    n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    kept = []
    for side in (height, width):
        half = round(CUTOUT_FRACTION * side / 2)
        centre = torch.randint(side, (n, 1), generator=draws)
        kept.append((torch.arange(side)[None, :] - centre + 0.5).abs() > half)
    keep = kept[0][:, :, None] | kept[1][:, None, :]
    between = [1] * (images.ndim - 3)
    return Augmented(images * keep.reshape(n, *between, height, width).to(images.device))


def cutmix(images: Tensor, draws: Generator) -> Augmented:
    """Replace one box by that of another image of the batch (Yun et al. 2019, alpha 1).

    As in the authors' code all images of a batch have the same box. Its area is uniform (Beta(1, 1)) before
    the border clips it; `share` is of the pixels that remain. Every batch is mixed, as they do on ImageNet (on
    CIFAR every second one).
    """
    import torch

    n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    partner = torch.randperm(n, generator=draws)
    # Of the image's side: sqrt(1 - lambda), and 1 - lambda is uniform as lambda is.
    side = float(torch.rand((), generator=draws)) ** 0.5
    (top, bottom), (left, right) = (_box_side(length, side, draws) for length in (height, width))
    inside = (Ellipsis, slice(top, bottom), slice(left, right))
    mixed = images.clone()
    mixed[inside] = images[inside][partner.to(images.device)]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return _mixed(mixed, partner, share)


def _box_side(length: int, fraction: float, draws: Generator) -> tuple[int, int]:
    """First pixel of a box along one side, and the one behind its last."""
    import torch

    half = int(fraction * length) // 2
    centre = int(torch.randint(length, (), generator=draws))
    return max(centre - half, 0), min(centre + half, length)


def mixup(images: Tensor, draws: Generator) -> Augmented:
    """Weighted mean of each image and another one of the batch (Zhang et al. 2018).

    As in the authors' code one share holds for the whole batch, so that its mean stays. It is uniform:
    Beta(1, 1), their setting on CIFAR-10 and -100 (on ImageNet they take alpha between 0.1 and 0.4). Bytes
    become floats in [0, 255].
    """
    import torch

    partner = torch.randperm(len(images), generator=draws)
    share = float(torch.rand((), generator=draws))
    return _mixed(images * share + images[partner.to(images.device)] * (1 - share), partner, share)


def _mixed(images: Tensor, partner: Tensor, share: float) -> Augmented:
    import torch

    shares = torch.full((len(images),), share, dtype=torch.float64, device=images.device)
    return Augmented(images, partner.to(images.device), shares)


@dataclass(frozen=True)
class AugmentationRow:
    """One row of the table: what the augmentation does, and whether it mixes labels."""

    apply: Augmentation
    description: str
    mixes: bool = False  # images of a batch with each other


AUGMENTATIONS: dict[str, AugmentationRow] = {
    "none": AugmentationRow(no_augmentation, "images as they are"),
    "crop-flip": AugmentationRow(crop_flip, "random shifts of up to 4 pixels and left-right flips"),
    "cutout": AugmentationRow(cutout, "one square per image set to zero, at a random place"),
    "cutmix": AugmentationRow(
        cutmix, "a box of each image from another one, labels weighed by area", mixes=True
    ),
    "mixup": AugmentationRow(mixup, "weighted mean of two images and of their labels", mixes=True),
}
"""Single augmentations. `augmentation` also takes combinations of them."""


def augmentation(name: str, mixing: bool = True) -> Augmentation:
    """One of the table, or several joined by "+", applied in the order written: `crop-flip+cutmix`.

    `mixing=False` leaves out the part that mixes images, for questions about where pixels go. Raises
    ValueError on an unknown or repeated part, on `none` beside others, on more than one part that mixes.
    """
    parts = name.split("+")
    for part in parts:
        if part not in AUGMENTATIONS:
            where = f" in {name!r}" if part != name else ""
            raise ValueError(f"unknown augmentation {part!r}{where}; {nearest(part, list(AUGMENTATIONS))}")
        if parts.count(part) > 1:
            raise ValueError(f"augmentation {name!r} names {part!r} twice; name it once")
    if len(parts) > 1 and "none" in parts:
        raise ValueError(f"augmentation {name!r}: 'none' stands alone")
    mixers = [part for part in parts if AUGMENTATIONS[part].mixes]
    if len(mixers) > 1:
        raise ValueError(f"augmentation {name!r} mixes labels twice; keep {' or '.join(mixers)}")
    rows = [AUGMENTATIONS[part] for part in parts if mixing or part not in mixers]

    def apply(images: Tensor, draws: Generator) -> Augmented:
        found = Augmented(images)
        for row in rows:
            step = row.apply(found.images, draws)
            found = step if row.mixes else Augmented(step.images, found.partner, found.share)
        return found

    return apply


def mixed_loss(
    logits: Tensor,
    labels: Tensor,
    augmented: Augmented,
    reduction: Literal["none", "mean"] = "none",
    places: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats: share * CE(own label) + (1 - share) * CE(partner's label), per image.

    `logits` (B, K), or (B, P, K) of a population; `labels` int64 (B,). Returns (B,) or (B, P), with `mean` a
    scalar. Of a batch that was not mixed it is `functional.cross_entropy`, to the bit. `places`, int64 (b,):
    where in the batch logits and `augmented` stand, if they are a part of it; `labels` are of all.
    """
    own_labels = labels if places is None else labels[places]
    if augmented.partner is None or augmented.share is None:
        return _cross_entropy(logits, own_labels, reduction)
    own = _cross_entropy(logits, own_labels, "none")
    other = _cross_entropy(logits, labels[augmented.partner], "none")
    share = augmented.share.to(own.dtype).reshape(-1, *[1] * (own.ndim - 1))
    each = share * own + (1 - share) * other
    return each.mean() if reduction == "mean" else each


def _cross_entropy(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    from torch.nn import functional

    members = logits.shape[1:-1]
    each = functional.cross_entropy(
        logits.flatten(0, -2), labels.repeat_interleave(members.numel()), reduction=reduction
    )
    return each if reduction == "mean" else each.view(len(labels), *members)


def main_labels(labels: Tensor, augmented: Augmented) -> Tensor:
    """Of each image the label with the larger share, its own at a half. int64 (B,)."""
    if augmented.partner is None or augmented.share is None:
        return labels
    return labels.where(augmented.share >= 0.5, labels[augmented.partner])
