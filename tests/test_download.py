"""`audit data download`: every refusal, word by word; nothing is fetched in tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from audit.data.download import SETS, SIZES, download_medmnist
from audit.errors import ConfigError, DataError


def refusal(kind: type[Exception], name: str, size: int, folder: Path) -> str:
    with pytest.raises(kind) as problem:
        download_medmnist(name, size, folder)
    return str(problem.value)


def test_unknown_set(tmp_path: Path) -> None:
    assert refusal(ConfigError, "dermo", 28, tmp_path) == (
        "audit data download: unknown data set 'dermo'; did you mean 'derma'?"
    )


def test_unknown_size(tmp_path: Path) -> None:
    assert refusal(ConfigError, "oct", 32, tmp_path) == (
        "--size: 32 pixels are not published; use 28, 64, 128 or 224"
    )


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist", None)
    assert refusal(ConfigError, "oct", 28, tmp_path) == (
        "audit data download: the package medmnist is not installed; pip install 'imaging-audit[medmnist]'"
    )


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    medmnist = pytest.importorskip("medmnist", reason="the extra medmnist is not installed")
    for key, _ in SETS.values():  # a port where nothing listens: as offline as can be
        for size in SIZES:
            field = "url" if size == 28 else f"url_{size}"
            monkeypatch.setitem(medmnist.INFO[key], field, "http://127.0.0.1:9/none.npz")
    folder = tmp_path / "data"
    assert refusal(DataError, "derma", 64, folder) == (
        f"{folder / 'dermamnist_64.npz'}: could not be fetched; check the network, or fetch dermamnist_64.npz from "
        "MedMNIST's record on another machine and give it with --data"
    )
    assert not list(folder.iterdir())
