"""Phantoms: made from a seed, synthetic in name, balanced, and worth learning."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from audit.data.dataset import SPLITS, ImageDataset
from audit.data.phantoms import PHANTOMS, make_phantoms
from audit.errors import ConfigError
from audit.results import Recipe
from audit.training.trainer import predict, recalibrate_batch_norm, train

KINDS = list(PHANTOMS)


def small(kind: str, n_train: int = 40, seed: int = 0) -> ImageDataset:
    return make_phantoms(kind, 28, n_train, 10, 20, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_equal_bytes_and_other_seeds_others(kind: str) -> None:
    first, same, other = small(kind), small(kind), small(kind, seed=1)
    assert first.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_more_training_images_leave_the_test_images_alone(kind: str) -> None:
    few, many = small(kind), small(kind, n_train=60)
    assert (few.test.images == many.test.images).all() and (few.test.labels == many.test.labels).all()


@pytest.mark.parametrize(("kind", "channels", "classes"), [("oct", 1, 4), ("derma", 3, 5)])
def test_shape_balance_and_label_of_origin(kind: str, channels: int, classes: int) -> None:
    dataset = small(kind)
    assert dataset.train.images.shape == (40, channels, 28, 28) and dataset.train.images.dtype == np.uint8
    assert np.bincount(dataset.train.labels).tolist() == [40 // classes] * classes
    assert "synthetic" in dataset.name and dataset.source.startswith("synthetic") and dataset.synthetic


def test_class_names_are_those_of_the_thesis() -> None:
    assert small("oct").class_names == ("NORMAL", "DRUSEN", "CNV", "DME")
    assert small("derma").class_names == ("pigmented macule", "erythema", "ulcer", "tumor", "leukoderma")


@pytest.mark.parametrize("kind", KINDS)
def test_a_patient_stands_in_one_split_with_two_images_of_one_class(kind: str) -> None:
    dataset = small(kind, n_train=80)
    seen: set[int] = set()
    for name in SPLITS:
        split = dataset.split(name)
        assert split.groups is not None
        groups = set(split.groups.tolist())
        assert not groups & seen
        seen |= groups
        for group in groups:
            labels = split.labels[split.groups == group]
            assert len(set(labels.tolist())) == 1 and 1 <= len(labels) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_no_pixel_is_constant_over_a_class(kind: str) -> None:
    """This product looks for pixels that give a class away: phantoms must not hold one of their own."""
    dataset = make_phantoms(kind, 28, 200, 0, 5 * 4, 0)
    for label in range(len(dataset.class_names)):
        images = dataset.train.images[dataset.train.labels == label]
        assert (images.std(axis=0) > 0).all()


def test_too_few_images_are_refused_by_field() -> None:
    with pytest.raises(
        ConfigError, match=re.escape("data.n_test: 3 images cannot hold 4 classes; give at least 4")
    ):
        make_phantoms("oct", 28, 40, 0, 3, 0)


def linear_accuracy(dataset: ImageDataset) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    flat = [
        dataset.split(name).images.reshape(len(dataset.split(name)), -1) / 255 for name in ("train", "test")
    ]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    return float(model.fit(flat[0], dataset.train.labels).score(flat[1], dataset.test.labels))


def cnn_accuracy(dataset: ImageDataset) -> float:
    torch.set_num_threads(1)
    recipe = Recipe(
        model="small-cnn", stem="published", optimizer="adam", learning_rate=1e-3, schedule="constant",
        normalization="none", epochs=8, batch_size=32, seed=0,
    )  # fmt: skip
    images, labels = torch.from_numpy(dataset.train.images), torch.from_numpy(dataset.train.labels)
    model = train(recipe, images, labels, len(dataset.class_names), True, lambda *_: None, lambda: None)
    recalibrate_batch_norm(model, images, "none", 100)
    predicted = predict(model, torch.from_numpy(dataset.test.images), "none", 100).argmax(1).numpy()
    return float((predicted == dataset.test.labels).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "linear_below"), [("oct", 0.78), ("derma", 0.85)])
def test_phantoms_need_learning(kind: str, linear_below: float) -> None:
    """A small CNN reaches 90 %; a linear classifier on the pixels stays well below it."""
    dataset = make_phantoms(kind, 32, 1200, 0, 400, 0)
    linear, cnn = linear_accuracy(dataset), cnn_accuracy(dataset)
    assert cnn >= 0.90
    assert linear < linear_below and linear < cnn - 0.12


@pytest.mark.parametrize("kind", KINDS)
def test_brightness_and_contrast_alone_give_no_class_away(kind: str) -> None:
    from sklearn.linear_model import LogisticRegression

    dataset = make_phantoms(kind, 28, 400, 0, 200, 0)

    def coarse(name: str) -> np.ndarray:
        images = dataset.split(name).images / 255
        return np.concatenate([images.mean(axis=(2, 3)), images.std(axis=(2, 3))], axis=1)

    model = LogisticRegression(max_iter=1000).fit(coarse("train"), dataset.train.labels)
    assert model.score(coarse("test"), dataset.test.labels) < 0.62
