"""Decoding of image files: orientation, conversions, and every unreadable file refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.data.npz import read_npz
from audit.errors import DataError
from tests.class_folders import make_clinic, read, refused, write


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    return make_clinic(tmp_path)


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


# ---- refusals


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


def test_text_named_as_image(clinic: Path) -> None:
    (clinic / "train" / "NORMAL" / "fake.png").write_text("no pixels")
    refused(
        clinic,
        "clinic/train/NORMAL/fake.png: is plain text, not a PNG; replace the file or remove it",
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
