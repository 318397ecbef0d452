"""Decoded images kept between audits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from audit.data.cache import cache_folder, forget_oldest
from audit.data.dataset import ImageDataset
from audit.data.load import load_dataset
from audit.settings import DataSettings
from tests.class_folders import make_clinic, write


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def load(root: Path, seen: list[int] | None = None, **changes: object) -> ImageDataset:
    """`seen` counts the images that were really decoded."""
    settings = DataSettings(path=root, image_size=8, **changes)
    return load_dataset(settings, lambda done, total: seen.append(done) if seen is not None else None)


def entries() -> list[Path]:
    return sorted(cache_folder().glob("*"))


def test_a_second_reading_decodes_nothing_and_is_equal(tmp_path: Path) -> None:
    root = make_clinic(tmp_path)
    write(root / "train" / "NORMAL" / "NORMAL-7-1.png", 30, size=(20, 10))
    first = load(root)
    seen: list[int] = []
    second = load(root, seen)
    assert seen == [] and len(entries()) == 1
    assert second.fingerprint == first.fingerprint and second.notes == first.notes
    assert first.files is not None and second.files is not None
    assert second.files.names == dict(first.files.names) and second.files.excluded == first.files.excluded
    assert (second.files.sizes["train"] == first.files.sizes["train"]).all()
    assert first.files.sizes["train"].tolist() == [[8, 8], [10, 20], [8, 8]]


@pytest.mark.parametrize("change", ["pixel", "name", "new file", "size", "split seed"])
def test_whatever_decides_the_arrays_decides_the_entry(tmp_path: Path, change: str) -> None:
    root = make_clinic(tmp_path)
    load(root)
    seen: list[int] = []
    if change == "pixel":
        write(root / "train" / "NORMAL" / "train_a.png", 101)
    elif change == "name":
        (root / "train" / "NORMAL" / "train_a.png").rename(root / "train" / "NORMAL" / "b.png")
    elif change == "new file":
        write(root / "test" / "NORMAL" / "c.png")
    load(
        root,
        seen,
        **({"square": "pad"} if change == "size" else {"split_seed": 1} if change == "split seed" else {}),
    )
    assert seen and len(entries()) == 2


def test_a_damaged_entry_is_read_anew(tmp_path: Path) -> None:
    root = make_clinic(tmp_path)
    first = load(root)
    [entry] = entries()
    content = bytearray(entry.read_bytes())
    content[len(content) // 3 :] = b"\0" * (len(content) - len(content) // 3)
    entry.write_bytes(bytes(content))
    seen: list[int] = []
    assert load(root, seen).fingerprint == first.fingerprint and seen


def test_switched_off(tmp_path: Path) -> None:
    load(make_clinic(tmp_path), cache=False)
    assert not cache_folder().exists()


def test_for_the_owner_only(tmp_path: Path) -> None:
    load(make_clinic(tmp_path))
    assert cache_folder().stat().st_mode & 0o077 == 0
    assert entries()[0].stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path / "file" / "cache"))
    assert len(load(make_clinic(tmp_path)).train) == 2


def test_the_oldest_go_first(tmp_path: Path) -> None:
    for age, name in enumerate("abc"):
        path = tmp_path / f"{name}.npz"
        np.save(path.open("wb"), np.zeros(100, dtype=np.uint8))
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    forget_oldest(tmp_path, 2 * (tmp_path / "a.npz").stat().st_size)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["a.npz", "b.npz"]
