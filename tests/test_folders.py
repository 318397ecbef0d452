"""Folders of images: orientation, conversions, splits by patient, and every refusal word by word."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from audit.config import DataSettings
from audit.data.dataset import ImageDataset, groups_in_several_splits
from audit.data.folders import read_folders, split_groups
from audit.data.load import load_dataset
from audit.data.npz import read_npz
from audit.errors import ConfigError, DataError

LAYOUT = "expected CLASS/IMAGE or train/CLASS/IMAGE, val/CLASS/IMAGE, test/CLASS/IMAGE"
FRACTIONS = (0.7, 0.1, 0.2)


def write(path: Path, value: int | tuple[int, int, int] = 100, size: tuple[int, int] = (8, 8)) -> Path:
    """One image of a single grey value or colour; `size` is (width, height), as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)
    return path


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A sound folder: train and test of two classes, one grey image each."""
    root = tmp_path / "clinic"
    for split, name in itertools.product(("train", "test"), ("DRUSEN", "NORMAL")):
        write(root / split / name / f"{split}_a.png")
    return root


def read(root: Path, size: int = 8, channels: int | None = None, seed: int = 0) -> ImageDataset:
    return read_folders(root, size, channels, seed)


def refused(root: Path, message: str) -> None:
    with pytest.raises(DataError) as refusal:
        read(root)
    assert str(refusal.value) == message


# ---- pixels


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_known_pixel_of_a_wide_image(clinic: Path, suffix: str, mode: str) -> None:
    """8 rows, 12 columns: the central square is columns 2 to 9, so (row 1, column 7) becomes (1, 5)."""
    image = np.zeros((8, 12), np.uint8)
    image[1, 7] = 255
    colour = np.stack([image, image // 2, image // 2], axis=2)
    shutil.rmtree(clinic / "train" / "DRUSEN")
    target = clinic / "train" / "DRUSEN" / f"wide.{suffix}"
    target.parent.mkdir()
    Image.fromarray(image if mode == "L" else colour).save(target)
    dataset = read(clinic, channels=None if mode == "L" else 3)
    pixels = dataset.train.images[0]
    assert pixels.shape == (1 if mode == "L" else 3, 8, 8)
    assert pixels[0, 1, 5] == 255
    assert np.count_nonzero(pixels[0]) == 1


def test_known_block_of_a_tall_jpeg(clinic: Path) -> None:
    """48 rows, 32 columns: rows 8 to 39 stay, so rows 16 to 23 become rows 8 to 15. Columns stay."""
    image = np.zeros((48, 32), np.uint8)
    image[16:24, 24:32] = 255
    Image.fromarray(image).save(clinic / "train" / "DRUSEN" / "a.jpg", quality=95)
    pixels = read(clinic, size=32).train.images[0, 0]
    bright = np.argwhere(pixels > 128)
    assert bright.min(axis=0).tolist() == [8, 24]
    assert bright.max(axis=0).tolist() == [15, 31]
    assert len(bright) == 64


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_rotation_is_honoured(clinic: Path, suffix: str) -> None:
    image = np.zeros((16, 16), np.uint8)
    image[:8, 8:] = 255  # top right
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: bottom right
    Image.fromarray(image).save(clinic / "train" / "DRUSEN" / f"a.{suffix}", exif=exif)
    pixels = read(clinic, size=2).train.images[0, 0]
    np.testing.assert_allclose(pixels, [[0, 0], [0, 255]], atol=3)


def test_area_mean_when_shrinking(clinic: Path) -> None:
    image = np.array([[0, 100], [100, 200]], np.uint8).repeat(4, 0).repeat(4, 1)
    Image.fromarray(image).save(clinic / "train" / "DRUSEN" / "a.png")
    assert read(clinic, size=1).train.images[0].item() == 100


def test_equal_channels_count_as_grey(clinic: Path) -> None:
    write(clinic / "train" / "DRUSEN" / "equal.jpg", (90, 90, 90))
    assert read(clinic).channels == 1


@pytest.mark.parametrize(("channels", "expected"), [(1, [76]), (3, [255, 0, 0])])
def test_channels_converts_all(clinic: Path, channels: int, expected: list[int]) -> None:
    write(clinic / "train" / "DRUSEN" / "a_red.png", (255, 0, 0))
    dataset = read(clinic, channels=channels)
    assert dataset.channels == channels
    assert dataset.train.images[0, :, 0, 0].tolist() == expected
    assert dataset.train.images[2, :, 0, 0].tolist() == [100] * channels


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_scale_by_the_full_range(clinic: Path, suffix: str) -> None:
    image = np.array([[0, 257], [32896, 65535]], np.uint16).repeat(4, 0).repeat(4, 1)
    Image.fromarray(image).save(clinic / "train" / "DRUSEN" / f"a.{suffix}")
    dataset = read(clinic, size=2)
    np.testing.assert_array_equal(dataset.train.images[0, 0], [[0, 1], [128, 255]])
    assert (
        "1 of 5 images 16-bit grey, scaled to 8 bit by the full range (0..65535 to 0..255)" in dataset.notes
    )


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK"])
def test_unusual_modes_are_read(clinic: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(clinic / "train" / "DRUSEN" / f"a.{suffix}")
    dataset = read(clinic)
    assert dataset.channels == 1
    assert dataset.train.images[0].min() == 255
    alpha_note = "1 of 5 images with an alpha channel, which was dropped"
    assert (alpha_note in dataset.notes) == (mode in ("LA", "RGBA"))


def test_cropping_and_enlarging_are_noted(clinic: Path) -> None:
    write(clinic / "train" / "DRUSEN" / "a.png", size=(12, 6))
    assert read(clinic).notes[1:] == (
        "1 of 5 images not square: the central square of the short edge was kept",
        "1 of 5 images smaller than the wanted size and enlarged (bilinear)",
    )


# ---- layouts


def test_given_splits_are_kept(clinic: Path) -> None:
    write(clinic / "train" / "NORMAL" / "b.png", 7)
    dataset = read(clinic)
    assert (dataset.name, dataset.source, dataset.licence) == ("clinic", "clinic", "not stated")
    assert dataset.class_names == ("DRUSEN", "NORMAL")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [3, 0, 2]
    assert dataset.train.labels.tolist() == [0, 1, 1]
    assert dataset.train.images[:, 0, 0, 0].tolist() == [100, 7, 100]
    assert dataset.val.images.shape == (0, 1, 8, 8)
    assert dataset.train.groups is None
    assert dataset.notes == (
        "split as given by the folders; 5 of 5 file names hold no patient id: each of these images "
        "counts as its own group, so a leak of patients between splits cannot be excluded",
    )


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("training", "validation", "testing"), ("Train", "valid", "TEST"), ("train", "val", "test")],
)
def test_names_of_split_folders(tmp_path: Path, train: str, val: str, test: str) -> None:
    for count, split in enumerate((train, val, test), start=1):
        for name, number in itertools.product("AB", range(count)):
            write(tmp_path / "set" / split / name / f"{number}.png")
    dataset = read(tmp_path / "set")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [2, 4, 6]


def test_litter_is_ignored(clinic: Path) -> None:
    for litter in (".DS_Store", "Thumbs.db", "train/Thumbs.db", "test/NORMAL/._a.png", "test/NORMAL/.hidden"):
        (clinic / litter).write_bytes(b"litter")
    write(clinic / "__MACOSX" / "train" / "DRUSEN" / "a.png")
    assert len(read(clinic).train) == 2


def test_leak_across_given_splits_is_counted_not_named(tmp_path: Path) -> None:
    root = tmp_path / "clinic"
    for name in ("CNV", "DME"):
        write(root / "train" / name / f"{name}-4711-1.png")
        write(root / "test" / name / f"{name}-4711-2.png")
        write(root / "test" / name / f"{name}-{name}99-1.png")
    dataset = read(root)
    assert groups_in_several_splits(dataset) == 1
    assert dataset.notes == (
        "split as given by the folders; patients read from the file names",
        "leak between the given splits: patients or lesions in both test and train: 1 (2 of 4 test images)",
    )
    assert dataset.test.groups is not None
    assert dataset.test.groups.tolist() == [0, 1, 0, 2]
    assert "4711" not in repr(dataset)


def test_plain_classes_are_split_by_patient_alone(tmp_path: Path) -> None:
    """Patients 0 to 19 with two images each; patient 0 stands under both classes."""
    root = tmp_path / "clinic"
    for patient, number in itertools.product(range(20), range(2)):
        name = ("CNV", "DME")[(patient + (number if patient == 0 else 0)) % 2]
        write(root / name / f"{name}-{patient}-{number}.png", patient)
    dataset = read(root)
    assert groups_in_several_splits(dataset) == 0
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [28, 4, 8]
    where = {name: set(dataset.split(name).images[:, 0, 0, 0].tolist()) for name in ("train", "val", "test")}
    assert not where["train"] & where["test"]  # the grey value is the patient
    assert dataset.notes == (
        "split by patient 70% / 10% / 20% with seed 0; patients read from the file names",
    )
    assert read(root).fingerprint == dataset.fingerprint
    assert read(root, seed=1).fingerprint != dataset.fingerprint


def test_split_does_not_depend_on_listing_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "clinic"
    for name, patient in itertools.product(("CNV", "DME"), range(10)):
        write(root / name / f"{name}-{name}{patient}-1.png", patient)
    first = read(root).fingerprint
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(listed(self))))
    assert read(root).fingerprint == first


def test_dates_are_not_taken_for_patients(tmp_path: Path) -> None:
    root = tmp_path / "clinic"
    for name, day in itertools.product(("CNV", "DME"), range(10, 20)):
        write(root / name / f"2021-03-{day}.png", day)
    dataset = read(root)
    assert dataset.train.groups is None
    assert dataset.notes == (
        "split by image 70% / 10% / 20% with seed 0; 20 of 20 file names hold no patient id: each of these "
        "images counts as its own group, so a leak of patients between splits cannot be excluded",
    )


def test_progress_counts_every_file(clinic: Path) -> None:
    calls: list[tuple[int, int]] = []
    settings = DataSettings(path=clinic, image_size=8)
    dataset = load_dataset(settings, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert str(clinic.parent) not in f"{dataset.source} {dataset.name} {dataset.notes}"


# ---- the split itself


Tables = st.lists(
    st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any), min_size=2, max_size=6
)  # images of each of three classes, for each of two to six groups


def expand(table: list[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(labels, groups) of the images that a table of counts describes."""
    rows = [
        (label, group) for group, row in enumerate(table) for label, n in enumerate(row) for _ in range(n)
    ]
    labels, groups = np.array(rows, dtype=np.int64).T
    return labels, groups


def coverable(table: npt.NDArray[np.int64]) -> bool:
    """Whether any way to lay the groups on two sides puts every class that occurs on both sides."""
    sides = itertools.product((False, True), repeat=len(table))
    occurs = table.sum(axis=0) > 0
    return any(
        (table[np.array(side)].sum(axis=0) > 0)[occurs].all()
        and (table[~np.array(side)].sum(axis=0) > 0)[occurs].all()
        for side in sides
    )


@settings(max_examples=150, deadline=None)
@given(Tables, st.integers(-5, 2**32))
def test_split_keeps_groups_whole_and_covers_classes(table: list[list[int]], seed: int) -> None:
    labels, groups = expand(table)
    split = split_groups(labels, groups, FRACTIONS, seed)
    assert set(split.tolist()) <= {0, 1, 2}
    assert all(len(set(split[groups == group].tolist())) == 1 for group in np.unique(groups))
    if coverable(np.array(table)):
        for label in np.unique(labels):
            assert {0, 2} <= set(split[labels == label].tolist())


@settings(max_examples=50, deadline=None)
@given(Tables, st.integers(0, 2**32), st.integers(0, 2**32))
def test_split_does_not_depend_on_order(table: list[list[int]], seed: int, order_seed: int) -> None:
    labels, groups = expand(table)
    order = np.random.default_rng(order_seed).permutation(len(labels))
    first = split_groups(labels, groups, FRACTIONS, seed)
    np.testing.assert_array_equal(split_groups(labels[order], groups[order], FRACTIONS, seed), first[order])


def test_split_balances_classes() -> None:
    labels = np.arange(400) % 4
    split = split_groups(labels, np.arange(400), FRACTIONS, 3)
    counts = [np.bincount(labels[split == number]).tolist() for number in range(3)]
    assert counts == [[70] * 4, [10] * 4, [20] * 4]


def test_no_share_means_no_image() -> None:
    split = split_groups(np.arange(40) % 2, np.arange(40), (0.75, 0.0, 0.25), 0)
    assert np.bincount(split, minlength=3).tolist() == [30, 0, 10]


# ---- refusals


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path / "nothing")
    assert str(refusal.value) == (
        f"{tmp_path / 'nothing'}: no such folder; give the folder that holds the class or split folders"
    )


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "clinic").mkdir()
    refused(tmp_path / "clinic", f"clinic: no images; {LAYOUT}")


def test_one_class(tmp_path: Path) -> None:
    write(tmp_path / "clinic" / "CNV" / "a.png")
    refused(
        tmp_path / "clinic",
        "clinic: one class only (CNV); an audit compares classes: give at least two",
    )


def test_empty_class_folder(clinic: Path) -> None:
    (clinic / "train" / "CNV").mkdir()
    refused(
        clinic,
        "clinic/train/CNV: no images in this class folder; add images of the class or remove the folder",
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_class_without_images_in_a_split(clinic: Path, split: str) -> None:
    shutil.rmtree(clinic / split / "NORMAL")
    refused(clinic, f"clinic: class NORMAL has no {split} image; add images of NORMAL to the {split} split")


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_split_folder(clinic: Path, split: str) -> None:
    shutil.rmtree(clinic / split)
    refused(clinic, f"clinic: no {split} folder; add {split}/CLASS/IMAGE")


def test_split_folder_twice(clinic: Path) -> None:
    write(clinic / "training" / "NORMAL" / "a.png")
    refused(clinic, "clinic/train: the train split has two folders; keep one")


def test_folder_beside_the_splits(clinic: Path) -> None:
    write(clinic / "extra" / "a.png")
    refused(clinic, "clinic/extra: stands beside the split folders; move it out of the data folder")


def test_one_patient_cannot_stand_on_both_sides(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / "clinic" / "CNV" / f"CNV-1-{number}.png")
        write(tmp_path / "clinic" / "DME" / f"DME-{number + 2}-1.png")
    refused(
        tmp_path / "clinic",
        "clinic: class CNV cannot stand in both train and test (patients or single images: 1); "
        "add patients of CNV or give train and test folders",
    )


def test_grey_and_colour_mixed(clinic: Path) -> None:
    write(clinic / "test" / "NORMAL" / "red.png", (255, 0, 0))
    remedy = "convert them to one kind, or pass --set data.channels=1 or --set data.channels=3"
    refused(
        clinic,
        f"clinic/train/DRUSEN/train_a.png is grey but clinic/test/NORMAL/red.png is colour; {remedy}",
    )
    write(clinic / "train" / "DRUSEN" / "a.png", (255, 0, 0))
    refused(
        clinic,
        f"clinic/train/DRUSEN/train_a.png is grey but clinic/train/DRUSEN/a.png is colour; {remedy}",
    )


@pytest.mark.parametrize("where", ["train/NORMAL", "train", "."])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("notes.txt", "not an image (.txt); move it out of the data folder"),
        ("README", "not an image (no file extension); move it out of the data folder"),
        ("scan.dcm", "DICOM is not supported yet; export the images as PNG"),
        ("scan.DICOM", "DICOM is not supported yet; export the images as PNG"),
    ],
)
def test_other_files(clinic: Path, where: str, name: str, problem: str) -> None:
    (clinic / where / name).write_bytes(b"something")
    shown = "/".join(part for part in ("clinic", where, name) if part != ".")
    refused(clinic, f"{shown}: {problem}")


@pytest.mark.parametrize("where", ["train", "."])
def test_image_outside_the_class_folders(clinic: Path, where: str) -> None:
    write(clinic / where / "a.png")
    shown = "/".join(part for part in ("clinic", where, "a.png") if part != ".")
    refused(clinic, f"{shown}: an image outside the class folders; {LAYOUT}")


def test_folder_inside_a_class_folder(clinic: Path) -> None:
    write(clinic / "train" / "NORMAL" / "left" / "a.png")
    refused(clinic, f"clinic/train/NORMAL/left: a folder inside a class folder; {LAYOUT}")


def test_text_named_as_image(clinic: Path) -> None:
    (clinic / "train" / "NORMAL" / "fake.png").write_text("no pixels")
    refused(
        clinic,
        "clinic/train/NORMAL/fake.png: cannot be read (no known image format); replace the file or remove it",
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_truncated_image(clinic: Path, suffix: str) -> None:
    path = clinic / "train" / "NORMAL" / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2500])
    with pytest.raises(DataError) as refusal:
        read(clinic)
    message = str(refusal.value)  # the reason in brackets is Pillow's and changes with its version
    assert message.startswith(f"clinic/train/NORMAL/cut.{suffix}: cannot be read (")
    assert message.endswith("); replace the file or remove it")
    assert str(clinic) not in message


def test_several_pages(clinic: Path) -> None:
    pages = [Image.new("L", (8, 8), value) for value in (1, 2)]
    pages[0].save(clinic / "train" / "NORMAL" / "scan.tif", save_all=True, append_images=pages[1:])
    refused(
        clinic, "clinic/train/NORMAL/scan.tif: holds several pages; save each page as an image of its own"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_deep_pixels(clinic: Path, dtype: type) -> None:
    Image.fromarray(np.full((8, 8), 70000, dtype)).save(clinic / "train" / "NORMAL" / "deep.tif")
    refused(
        clinic,
        "clinic/train/NORMAL/deep.tif: pixels of more than 16 bit; save the image with 8 or 16 bit",
    )


# ---- real files


@pytest.mark.parametrize(
    ("folder", "file"),
    [("oct-kermany1000", "oct_kermany1000_64.npz"), ("derm-isic7", "derm_isic7_64.npz")],
)
def test_real_jpegs_agree_with_the_npz(shared_data: Path, tmp_path: Path, folder: str, file: str) -> None:
    """The same images and labels; pixels differ by the resize filter only (bicubic in the npz)."""
    samples = shared_data / folder / "sample_jpeg"
    for split in ("train", "test"):
        (tmp_path / split).symlink_to(samples)
    found = read(tmp_path, size=64).train
    known = read_npz(shared_data / folder / file, None)
    with np.load(shared_data / folder / file) as arrays:
        names = np.concatenate([arrays[f"{split}_names"] for split in ("train", "val", "test")])
    pixels = np.concatenate([known.split(split).images for split in ("train", "val", "test")])
    labels = np.concatenate([known.split(split).labels for split in ("train", "val", "test")])
    row = {Path(str(name)).stem: number for number, name in enumerate(names)}
    paths = [path for part in sorted(samples.iterdir()) for path in sorted(part.iterdir())]
    rows = [row[path.stem.removesuffix("_downsampled")] for path in paths]
    assert len(rows) == len(found) > 50
    np.testing.assert_array_equal(found.labels, labels[rows])
    difference = np.abs(found.images.astype(float) - pixels[rows]).mean(axis=(1, 2, 3))
    assert difference.max() < 2, paths[int(difference.argmax())].name  # grey levels of 256


def test_real_oct_samples_are_split_by_patient(shared_data: Path) -> None:
    dataset = read_folders(shared_data / "oct-kermany1000" / "sample_jpeg", 32, None, 0)
    assert dataset.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert dataset.channels == 1
    assert groups_in_several_splits(dataset) == 0
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [44, 4, 12]
    assert dataset.notes[0].endswith("patients read from the file names")


def test_real_derm_samples_are_colour(shared_data: Path) -> None:
    dataset = read_folders(shared_data / "derm-isic7" / "sample_jpeg", 32, None, 0)
    assert dataset.channels == 3
    assert len(dataset.class_names) == 7
    assert dataset.train.groups is None
