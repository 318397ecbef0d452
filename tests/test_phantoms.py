"""Phantoms: equal seeds give equal bytes, no image knows how many others there are, and no pixel, nor any
linear sum of pixels, tells what a convolutional network has to look for."""

from __future__ import annotations

import numpy as np
import pytest

from audit.data.dataset import SPLITS, ImageDataset, Split, groups_in_several_splits
from audit.data.phantoms import PHANTOMS, make_phantoms
from audit.errors import ConfigError

KINDS = tuple(PHANTOMS)
SMALL = 28  # pixels


@pytest.fixture(scope="module")
def small_sets() -> dict[str, ImageDataset]:
    """48 training, 16 validation and 32 test images of each kind, 28 pixels, seed 0."""
    return {kind: make_phantoms(kind, SMALL, 48, 16, 32, seed=0) for kind in KINDS}


def channel_statistics(split: Split) -> np.ndarray:
    """Mean and standard deviation of each whole image, (N, 2)."""
    fractions = split.images / 255
    return np.stack([fractions.mean((1, 2, 3)), fractions.std((1, 2, 3))], axis=1)


def linear_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, labels: np.ndarray
) -> float:
    """Test accuracy of a logistic regression on standardized features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))
    return float(model.fit(train, train_labels).score(test, labels))


def small_cnn_accuracy(dataset: ImageDataset, epochs: int) -> float:
    """Test accuracy, in evaluation mode, of a small batch-normalized network trained with Adam."""
    import torch
    from torch import nn

    def block(width_in: int, width: int) -> list[nn.Module]:
        convolution = nn.Conv2d(width_in, width, 3, padding=1)
        return [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]

    torch.manual_seed(0)
    blocks = [*block(dataset.channels, 24), *block(24, 48), *block(48, 96)]
    head = nn.Linear(96, len(dataset.class_names))
    model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    images, labels = torch.from_numpy(dataset.train.images) / 255, torch.from_numpy(dataset.train.labels)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        rate.step()
    model.eval()
    with torch.no_grad():
        predicted = model(torch.from_numpy(dataset.test.images) / 255).argmax(1).numpy()
    return float((predicted == dataset.test.labels).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_bytes(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    assert make_phantoms(kind, SMALL, 48, 16, 32, seed=0).fingerprint == small_sets[kind].fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_other_images(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    other = make_phantoms(kind, SMALL, 48, 16, 32, seed=1)
    for name in SPLITS:
        assert not np.array_equal(other.split(name).images, small_sets[kind].split(name).images)


@pytest.mark.parametrize("kind", KINDS)
def test_test_split_does_not_depend_on_how_many_train(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    fewer = make_phantoms(kind, SMALL, 10, 0, 32, seed=0).test
    same = small_sets[kind].test
    assert fewer.images.tobytes() == same.images.tobytes()
    assert fewer.labels.tolist() == same.labels.tolist()
    assert fewer.groups is not None and same.groups is not None
    patients = [np.unique(split.groups, return_inverse=True)[1].tolist() for split in (fewer, same)]
    assert patients[0] == patients[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_training_split_holds_the_smaller_one(
    kind: str, small_sets: dict[str, ImageDataset]
) -> None:
    larger = {image.tobytes() for image in make_phantoms(kind, SMALL, 60, 0, 32, seed=0).train.images}
    assert {image.tobytes() for image in small_sets[kind].train.images} < larger


@pytest.mark.parametrize("kind", KINDS)
def test_no_image_occurs_twice(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    images = [image.tobytes() for name in SPLITS for image in small_sets[kind].split(name).images]
    assert len(set(images)) == len(images) == 48 + 16 + 32


@pytest.mark.parametrize(("kind", "channels", "classes"), [("oct", 1, 4), ("derma", 3, 5)])
@pytest.mark.parametrize("size", [8, 28, 33])
def test_shapes_types_and_size(kind: str, channels: int, classes: int, size: int) -> None:
    dataset = make_phantoms(kind, size, 2 * classes, 0, classes, seed=3)
    assert dataset.train.images.shape == (2 * classes, channels, size, size)
    assert dataset.val.images.shape == (0, channels, size, size)
    assert dataset.test.images.shape == (classes, channels, size, size)
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int64
    assert dataset.train.groups is not None and dataset.train.groups.dtype == np.int64


def test_class_names_are_those_of_the_thesis_in_order(small_sets: dict[str, ImageDataset]) -> None:
    assert small_sets["oct"].class_names == ("NORMAL", "DRUSEN", "CNV", "DME")
    skin = ("pigmented macule", "erythema", "ulcer", "tumor", "leukoderma")
    assert small_sets["derma"].class_names == skin


@pytest.mark.parametrize(("count", "expected"), [(40, [10, 10, 10, 10]), (42, [11, 11, 10, 10])])
def test_classes_share_a_split_evenly(count: int, expected: list[int]) -> None:
    assert np.bincount(make_phantoms("oct", 8, count, 0, 4, seed=0).train.labels).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_not_sorted_by_class(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    labels = small_sets[kind].train.labels
    changes = int((np.diff(labels) != 0).sum())
    assert changes > len(labels) / 2
    assert labels.tolist() != (np.arange(len(labels)) % len(small_sets[kind].class_names)).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_patient_stands_in_one_split_and_has_two_images_of_one_class(
    kind: str, small_sets: dict[str, ImageDataset]
) -> None:
    dataset = small_sets[kind]
    assert groups_in_several_splits(dataset) == 0
    for name in SPLITS:
        split = dataset.split(name)
        assert split.groups is not None
        for group in np.unique(split.groups):
            labels = split.labels[split.groups == group]
            assert len(labels) <= 2 and len(set(labels.tolist())) == 1
    groups = np.concatenate([np.asarray(dataset.split(name).groups) for name in SPLITS])
    assert np.unique(groups).tolist() == list(range(len(np.unique(groups))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_depends_on_its_patient_and_on_itself(kind: str) -> None:
    row = PHANTOMS[kind]

    def drawn(patient: int, own: int) -> np.ndarray:
        return row.draw(row.class_names[0], 32, np.random.default_rng(patient), np.random.default_rng(own))

    assert np.array_equal(drawn(0, 1), drawn(0, 1))
    assert not np.array_equal(drawn(0, 1), drawn(2, 1))
    assert not np.array_equal(drawn(0, 1), drawn(0, 2))


def test_two_pictures_of_one_patient_share_the_skin_tone() -> None:
    """Brightness differs less between pictures of one patient than between neighbours in the numbering."""
    split = make_phantoms("derma", 16, 400, 0, 5, seed=0).train
    assert split.groups is not None
    order = np.lexsort((split.groups, split.labels))
    brightness, groups, labels = split.images.mean((1, 2, 3))[order], split.groups[order], split.labels[order]
    differences = np.abs(np.diff(brightness))
    one_patient = groups[1:] == groups[:-1]
    two_patients = (labels[1:] == labels[:-1]) & ~one_patient
    assert differences[one_patient].mean() < 0.8 * differences[two_patients].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_no_pixel_is_constant_within_a_class(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    """A pixel that never changes within one class would itself be the shortcut that an audit looks for."""
    train = small_sets[kind].train
    for label in range(len(small_sets[kind].class_names)):
        assert train.images[train.labels == label].std(axis=0).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_mention_says_synthetic(kind: str, small_sets: dict[str, ImageDataset]) -> None:
    dataset = small_sets[kind]
    assert dataset.synthetic
    assert dataset.name == f"{kind} phantoms (synthetic)"
    assert dataset.source == f"synthetic phantoms generated by audit, kind {kind}, seed 0"
    assert dataset.licence == "generated, no licence needed"


@pytest.mark.parametrize(
    ("kind", "counts", "message"),
    [
        ("oct", (3, 0, 4), "data.n_train: 3 images cannot hold 4 classes; give at least 4"),
        ("oct", (4, 2, 4), "data.n_val: 2 images cannot hold 4 classes; give at least 4"),
        ("derma", (5, 5, 4), "data.n_test: 4 images cannot hold 5 classes; give at least 5"),
        ("derma", (0, 0, 5), "data.n_train: 0 images cannot hold 5 classes; give at least 5"),
        ("xray", (9, 9, 9), "data.phantom: xray is no kind of phantom; give one of oct, derma"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(
    kind: str, counts: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        make_phantoms(kind, SMALL, *counts, seed=0)
    assert str(refused.value) == message


def test_brightness_and_contrast_do_not_give_an_oct_class_away() -> None:
    dataset = make_phantoms("oct", SMALL, 400, 0, 200, seed=0)
    features = [channel_statistics(split) for split in (dataset.train, dataset.test)]
    accuracy = linear_accuracy(features[0], dataset.train.labels, features[1], dataset.test.labels)
    assert accuracy < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "epochs"), [("oct", 8), ("derma", 8)])
def test_a_small_cnn_learns_what_a_linear_model_cannot(kind: str, epochs: int) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on shared cores are slower than one
    try:
        dataset = make_phantoms(kind, 32, 1000, 0, 400, seed=0)
        convolutional = small_cnn_accuracy(dataset, epochs)
    finally:
        torch.set_num_threads(threads)
    pixels = [split.images.reshape(len(split), -1) / 255 for split in (dataset.train, dataset.test)]
    linear = linear_accuracy(pixels[0], dataset.train.labels, pixels[1], dataset.test.labels)
    assert convolutional >= 0.92
    assert linear <= convolutional - 0.15
