"""Published data sets, fetched on an explicit command through the package medmnist (an extra)."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from audit.errors import ConfigError, DataError
from audit.names import known

SETS = {"oct": ("octmnist", "OCTMNIST"), "derma": ("dermamnist", "DermaMNIST")}  # our name -> key, class
SIZES = (28, 64, 128, 224)


def download_medmnist(name: str, size: int, folder: Path) -> tuple[Path, str]:
    """Fetch OCTMNIST or DermaMNIST at `size` pixels into `folder`: (path of the .npz, its licence).

    A file that is there already is kept after its check sum was compared. Raises ConfigError for another name or
    size or without the extra, DataError where nothing could be fetched.
    """
    try:
        key, class_name = SETS[known("data set", name, SETS)]
    except ValueError as error:
        raise ConfigError(f"audit data download: {error}") from None
    if size not in SIZES:
        raise ConfigError(
            f"--size: {size} pixels are not published; use {', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]}"
        )
    try:
        import medmnist
    except ImportError:
        raise ConfigError(
            "audit data download: the package medmnist is not installed; pip install 'imaging-audit[medmnist]'"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (f"{key}.npz" if size == SIZES[0] else f"{key}_{size}.npz")
    with contextlib.redirect_stdout(sys.stderr):  # it prints its progress
        try:
            getattr(medmnist, class_name)(split="train", download=True, root=str(folder), size=size)
        except (RuntimeError, OSError, ValueError):
            raise DataError(
                f"{path}: could not be fetched; check the network, or fetch {path.name} from MedMNIST's record on "
                f"another machine and give it with --data"
            ) from None
    return path, str(medmnist.INFO[key]["license"])
