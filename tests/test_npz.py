"""MedMNIST-style files: what is read, and every refusal word by word."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from audit.data.dataset import groups_in_several_splits
from audit.data.load import KNOWN_SETS, load_dataset
from audit.data.npz import fit_square, read_npz
from audit.errors import ConfigError, DataError
from audit.settings import DataSettings


def make_arrays(**changes: Any) -> dict[str, Any]:
    """A sound set: 4 train, 2 val and 2 test grey images of 8 x 8 pixels, two classes; None drops a key."""
    arrays: dict[str, Any] = {}
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        arrays[f"{split}_images"] = np.arange(count * 64, dtype=np.uint8).reshape(count, 8, 8)
        arrays[f"{split}_labels"] = np.arange(count).reshape(-1, 1) % 2
    arrays.update(changes)
    return {key: value for key, value in arrays.items() if value is not None}


def save(folder: Path, name: str = "set.npz", /, **changes: Any) -> Path:
    path = folder / name
    np.savez(path, **make_arrays(**changes))
    return path


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_npz(path, None)


# ---- what is read


def test_grey_images_keep_pixels_and_labels(tmp_path: Path) -> None:
    dataset = read_npz(save(tmp_path), None)
    assert dataset.train.images.shape == (4, 1, 8, 8)
    np.testing.assert_array_equal(dataset.train.images[1, 0], np.arange(64, 128).reshape(8, 8))
    assert dataset.train.labels.tolist() == [0, 1, 0, 1]
    assert dataset.train.labels.dtype == np.int64
    assert dataset.class_names == ("class 0", "class 1")
    assert (dataset.name, dataset.source, dataset.licence) == ("set", "set.npz", "not stated")
    assert not dataset.synthetic
    assert dataset.train.groups is None
    assert dataset.notes == ()


def test_colour_images_become_channels_first(tmp_path: Path) -> None:
    images = np.zeros((4, 8, 6, 3), np.uint8)
    images[2, 1, 5] = (10, 20, 30)  # row 1, column 5
    other = np.zeros((2, 8, 6, 3), np.uint8)
    dataset = read_npz(save(tmp_path, train_images=images, val_images=other, test_images=other), None)
    assert dataset.image_size == (8, 6)
    assert dataset.train.images[2, :, 1, 5].tolist() == [10, 20, 30]


@pytest.mark.parametrize("images", [None, np.empty((0, 8, 8), np.uint8)])
def test_val_may_be_missing_or_empty(tmp_path: Path, images: Any) -> None:
    labels = None if images is None else np.empty((0, 1), np.uint8)
    dataset = read_npz(save(tmp_path, val_images=images, val_labels=labels), 4)
    assert dataset.val.images.shape == (0, 1, 4, 4)
    assert len(dataset.val) == 0


def test_flat_labels_are_read(tmp_path: Path) -> None:
    dataset = read_npz(save(tmp_path, train_labels=np.array([1, 0, 1, 0], np.uint8)), None)
    assert dataset.train.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("names", [np.array(["healthy", "ill"]), np.array([b"healthy", b"ill"])])
def test_class_names_of_the_file(tmp_path: Path, names: Any) -> None:
    assert read_npz(save(tmp_path, "oct.npz", class_names=names), None).class_names == ("healthy", "ill")


def test_known_set_names_its_classes(tmp_path: Path) -> None:
    labels = np.arange(4)
    images = np.zeros((4, 8, 8), np.uint8)
    four = {"train_labels": labels, "test_labels": labels, "test_images": images}
    dataset = read_npz(save(tmp_path, "octmnist_64.npz", **four), None)
    assert dataset.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert dataset.notes == (
        "class names of the known set oct*, by the file name (key class_names overrides)",
    )
    assert read_npz(save(tmp_path, "other.npz", **four), None).class_names[0] == "class 0"
    assert read_npz(save(tmp_path, "oct_two_classes.npz"), None).class_names == ("class 0", "class 1")


def test_known_sets_have_distinct_prefixes() -> None:
    prefixes = [known.prefix for known in KNOWN_SETS]
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)


# ---- groups


def test_text_groups_become_numbers_that_agree_between_splits(tmp_path: Path) -> None:
    dataset = read_npz(
        save(
            tmp_path,
            train_groups=np.array(["zoe", "adam", "zoe", "bob"]),
            val_groups=np.array(["cleo", "cleo"]),
            test_groups=np.array([["adam"], ["dora"]]),
        ),
        None,
    )
    assert [dataset.split(name).groups.tolist() for name in ("train", "val", "test")] == [  # type: ignore[union-attr]
        [0, 1, 0, 2],
        [3, 3],
        [1, 4],
    ]
    assert groups_in_several_splits(dataset) == 1
    assert dataset.notes == (
        "leak between the given splits: patients or lesions in both test and train: 1 (1 of 2 test images)",
    )


def test_groups_of_other_types_agree(tmp_path: Path) -> None:
    dataset = read_npz(
        save(
            tmp_path,
            train_groups=np.array([7, 8, 9, 7]),
            val_groups=np.array([b"8", b"x"]),
            test_groups=np.array(["9", "y"]),
        ),
        None,
    )
    assert groups_in_several_splits(dataset) == 2


# ---- resize


def test_shrinking_is_the_mean_of_the_covered_pixels() -> None:
    image = np.array([[0, 10, 100, 100], [20, 30, 100, 100], [0, 0, 8, 8], [0, 0, 8, 8]], np.uint8)
    np.testing.assert_array_equal(fit_square(image[None, None], 2)[0, 0], [[15, 100], [0, 8]])


def test_enlarging_keeps_a_constant_and_the_range() -> None:
    images = np.full((3, 3, 5, 5), 255, np.uint8)
    np.testing.assert_array_equal(fit_square(images, 9), np.full((3, 3, 9, 9), 255))


def test_central_square_of_the_short_edge() -> None:
    image = np.tile(np.arange(8, dtype=np.uint8), (4, 1))  # 4 rows, 8 columns: columns 2..5 stay
    np.testing.assert_array_equal(fit_square(image[None, None], 4)[0, 0, 0], [2, 3, 4, 5])


def test_many_images_resize_as_one_by_one() -> None:
    images = np.random.default_rng(0).integers(0, 256, (600, 3, 6, 6), dtype=np.uint8)
    whole = fit_square(images, 3)
    np.testing.assert_array_equal(whole[599], fit_square(images[599:], 3)[0])


def test_resize_is_noted(tmp_path: Path) -> None:
    assert read_npz(save(tmp_path), 4).notes == ("resized from 8 to 4 pixels (MONAI Resize, area)",)
    assert read_npz(save(tmp_path), 8).notes == ()
    assert read_npz(save(tmp_path), 16).notes == (
        "resized from 8 to 16 pixels (MONAI Resize, bilinear); a changed pixel is finer than one of the originals: "
        "data.image_size=8 audits them as they are",
    )


# ---- refusals


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing.npz"
    with pytest.raises(ConfigError) as refusal:
        read_npz(path, None)
    assert str(refusal.value) == f"{path}: no such file; give a MedMNIST-style .npz file"


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_broken_zip(tmp_path: Path, keep: float) -> None:
    path = save(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    refused(path, "set.npz: not a readable .npz file; save it again with numpy.savez_compressed")


def test_damaged_member(tmp_path: Path) -> None:
    path = save(tmp_path)
    content = bytearray(path.read_bytes())
    content[300] ^= 255  # inside the first array: its checksum no longer fits
    path.write_bytes(content)
    refused(path, "set.npz: not a readable .npz file; save it again with numpy.savez_compressed")


def test_single_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    refused(
        tmp_path / "set.npz", "set.npz: not a readable .npz file; save it again with numpy.savez_compressed"
    )


@pytest.mark.parametrize("key", ["train_images", "train_labels", "test_images", "test_labels"])
def test_missing_key(tmp_path: Path, key: str) -> None:
    refused(
        save(tmp_path, **{key: None}),
        f"set.npz: {key} is missing; a MedMNIST-style file has train_images, train_labels, "
        f"test_images and test_labels",
    )


OBJECTS = np.array([{"patient": 1}, None], dtype=object)
FOUR = np.zeros((4, 8, 8), np.uint8)
REFUSALS: list[tuple[dict[str, Any], str]] = [
    (
        {"train_labels": OBJECTS},
        "train_labels is an object array, which is never unpickled; save it as plain numbers or strings",
    ),
    (
        {"train_images": FOUR.astype(np.float32)},
        "train_images is float32; give uint8 grey values or RGB from 0 to 255",
    ),
    (
        {"test_images": FOUR.astype(np.uint16)},
        "test_images is uint16; give uint8 grey values or RGB from 0 to 255",
    ),
    (
        {"train_images": np.zeros((4, 8, 8, 8), np.uint8)},
        "train_images has shape (4, 8, 8, 8); give (N, H, W) or (N, H, W, 3)",
    ),
    (
        {"train_images": np.zeros((4, 8), np.uint8)},
        "train_images has shape (4, 8); give (N, H, W) or (N, H, W, 3)",
    ),
    ({"train_images": FOUR[:0]}, "train_images is empty; add images of every class"),
    (
        {"test_images": np.zeros((2, 8, 8, 3), np.uint8)},
        "test_images are 8 x 8 pixels with 3 channels, train_images 8 x 8 pixels with 1 channel; "
        "bring all splits to one shape",
    ),
    (
        {"val_images": np.zeros((2, 9, 8), np.uint8)},
        "val_images are 9 x 8 pixels with 1 channel, train_images 8 x 8 pixels with 1 channel; "
        "bring all splits to one shape",
    ),
    ({"val_labels": None}, "val_labels is missing; give one integer label per image"),
    (
        {"train_labels": np.eye(4, dtype=np.uint8)},
        "train_labels has shape (4, 4); give one integer label per image",
    ),
    ({"train_labels": np.zeros(4)}, "train_labels is float64; give one integer label per image"),
    (
        {"train_labels": np.array([0, 1, 0])},
        "train_labels has shape (3,) for 4 images; give one entry per image",
    ),
    ({"train_labels": np.array([0, 1, -1, 0])}, "label -1 is negative; number the classes from 0 to K-1"),
    (
        {"train_labels": np.array([0, 1, 3, 0])},
        "labels go up to 3 but no image has label 2; "
        "number the classes from 0 to K-1 or add the key class_names",
    ),
    (
        {"train_labels": np.array([0, 1, 10**12, 0])},
        "labels go up to 1000000000000 but no image has label 2; "
        "number the classes from 0 to K-1 or add the key class_names",
    ),
    ({"class_names": np.array(["a"])}, "class_names has 1 names but there is a label 1; name all"),
    (
        {"class_names": np.array(["a", "a"])},
        "class_names holds a name twice; give every class its own name",
    ),
    (
        {"test_labels": np.array([0, 0])},
        "class class 1 has no test image; add images of class 1 to the test split",
    ),
    (
        {"train_groups": np.arange(4), "val_groups": np.arange(2)},
        "test_groups is missing; give patient ids for all splits or for none",
    ),
    (
        {"train_groups": np.array(["a", "", "b", " "]), "val_groups": [1, 2], "test_groups": [1, 2]},
        "train_groups has 2 empty ids; fill them in or leave out all groups",
    ),
    (
        {"train_groups": np.arange(3), "val_groups": [1, 2], "test_groups": [1, 2]},
        "train_groups has shape (3,) for 4 images; give one entry per image",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSALS)
def test_refusal(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    refused(save(tmp_path, **changes), f"set.npz: {message}")


# ---- the one door


def test_load_dataset_from_npz(tmp_path: Path) -> None:
    settings = DataSettings(path=save(tmp_path), image_size=16, channels=3, licence="CC BY 4.0")
    dataset = load_dataset(settings)
    assert dataset.train.images.shape == (4, 3, 16, 16)
    assert dataset.licence == "CC BY 4.0"
    assert dataset.notes[-1] == "converted from 1 to 3 channels as data.channels asks"
    assert str(tmp_path) not in f"{dataset.source} {dataset.name} {dataset.notes}"


def test_load_dataset_to_grey(tmp_path: Path) -> None:
    pixel = np.array([255, 0, 0], np.uint8)
    images = {f"{split}_images": np.tile(pixel, (n, 8, 8, 1)) for split, n in (("train", 4), ("test", 2))}
    path = save(tmp_path, **images, val_images=None, val_labels=None)
    dataset = load_dataset(DataSettings(path=path, image_size=8, channels=1))
    assert dataset.train.images.shape == (4, 1, 8, 8)
    assert dataset.train.images[0, 0, 0, 0] == 76  # 0.299 of 255


def test_load_dataset_without_a_path_asks_for_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    stub = ModuleType("audit.data.phantoms")
    stub.make_phantoms = lambda *values: asked.append(values) or read_npz(save(tmp_path), 8)  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "audit.data.phantoms", stub)
    settings = DataSettings(phantom="derma", image_size=8, n_train=4, n_val=2, n_test=2, split_seed=5)
    assert load_dataset(settings).channels == 1
    assert asked == [("derma", 8, 4, 2, 2, 5)]


def test_load_dataset_refuses_other_paths(tmp_path: Path) -> None:
    accepted = "a folder of images, a ZIP of one, or a MedMNIST-style .npz file"
    missing, table = tmp_path / "missing", tmp_path / "labels.csv"
    table.write_text("id,label\n")
    with pytest.raises(ConfigError) as refusal:
        load_dataset(DataSettings(path=missing))
    assert str(refusal.value) == f"data.path: {missing} does not exist; give {accepted}"
    with pytest.raises(ConfigError) as refusal:
        load_dataset(DataSettings(path=table))
    assert str(refusal.value) == f"data.path: {table} is of no accepted kind; give {accepted}"


# ---- real files


@pytest.mark.parametrize("size", [28, 64])
def test_real_oct(shared_data: Path, size: int) -> None:
    dataset = read_npz(shared_data / "oct-kermany1000" / f"oct_kermany1000_{size}.npz", None)
    assert dataset.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [600, 120, 280]
    assert np.bincount(dataset.test.labels).tolist() == [70, 70, 70, 70]
    patients = [len(np.unique(dataset.split(name).groups)) for name in ("train", "val", "test")]  # type: ignore[arg-type]
    assert patients == [383, 72, 178]
    assert groups_in_several_splits(dataset) == 0
    assert dataset.train.groups is not None
    assert dataset.train.groups.max() == 382  # numbers in a row: no patient id is left


def test_real_derm(shared_data: Path) -> None:
    dataset = read_npz(shared_data / "derm-isic7" / "derm_isic7_64.npz", 32)
    assert dataset.class_names[4] == "Melanoma"
    assert dataset.train.images.shape == (490, 3, 32, 32)
    assert np.bincount(dataset.val.labels).tolist() == [10] * 7
    assert groups_in_several_splits(dataset) == 0
