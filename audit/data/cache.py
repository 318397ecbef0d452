"""Decoded images kept between audits: a second audit of the same files starts in seconds.

An entry's name is the SHA-256 of all that decides the arrays: the content of every file, its path in the data
folder, the settings and the version of the code that reads. Folder: $AUDIT_CACHE, else ~/.cache/imaging-audit, open
to its owner only: it holds images. `--set data.cache=false` leaves it alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from audit.data.dataset import SPLITS, FileFacts, ImageDataset, Split

TRANSFORM_VERSION = 2  # raise it when the same files give other arrays or other notes
MAX_BYTES = 5 * 2**30  # of all entries together; the oldest go first
HASH_THREADS = 4


def cache_folder() -> Path:
    """Where entries lie."""
    given = os.environ.get("AUDIT_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imaging-audit"


def entry_key(files: Sequence[tuple[Path, str]], settings: dict[str, object]) -> str:
    """Name of the entry of `files` (path, path as shown) read with `settings`."""
    with ThreadPoolExecutor(max_workers=HASH_THREADS) as pool:
        hashes = list(pool.map(lambda file: content_hash(file[0]), files))
    described = {
        "version": TRANSFORM_VERSION,
        "settings": settings,
        "files": sorted(zip((shown for _, shown in files), hashes, strict=True)),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def content_hash(path: Path) -> str:
    """SHA-256 of a file; '' where it cannot be read (reading it again will say why)."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def load_entry(key: str) -> ImageDataset | None:
    """The data set of an entry; None where there is none or where it is damaged."""
    path = cache_folder() / f"{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            splits = {split: read_split(arrays, split) for split in SPLITS}
            sizes = {split: arrays[f"{split}_sizes"] for split in SPLITS}
        dataset = ImageDataset(
            name=about["name"],
            class_names=tuple(about["class_names"]),
            train=splits["train"],
            val=splits["val"],
            test=splits["test"],
            source=about["source"],
            licence=about["licence"],
            synthetic=False,
            notes=tuple(about["notes"]),
            files=FileFacts(
                names={split: tuple(about["names"][split]) for split in SPLITS},
                sizes=sizes,
                excluded=tuple((shown, reason) for shown, reason in about["excluded"]),
                identifying=about["identifying"],
                burned_in=about["burned_in"],
            ),
        )
        os.utime(path)  # used now: the last to be thrown away
    except Exception:  # noqa: BLE001  whatever is wrong with an entry, the files are still there
        return None
    return dataset if dataset.fingerprint == about["fingerprint"] else None


def read_split(arrays: np.lib.npyio.NpzFile, split: str) -> Split:
    groups = arrays[f"{split}_groups"] if f"{split}_groups" in arrays.files else None
    return Split(arrays[f"{split}_images"], arrays[f"{split}_labels"], groups)


def save_entry(key: str, dataset: ImageDataset) -> None:
    """Keep `dataset` under `key`. A full or read-only disk is no reason to stop an audit: then nothing is kept."""
    if dataset.files is None:
        return
    facts = dataset.files
    about = {
        "name": dataset.name,
        "class_names": dataset.class_names,
        "source": dataset.source,
        "licence": dataset.licence,
        "notes": dataset.notes,
        "names": facts.names,
        "excluded": facts.excluded,
        "identifying": facts.identifying,
        "burned_in": facts.burned_in,
        "fingerprint": dataset.fingerprint,
    }
    arrays: dict[str, object] = {"about": json.dumps(about)}
    for split in SPLITS:
        part = dataset.split(split)
        arrays |= {f"{split}_images": part.images, f"{split}_labels": part.labels}
        arrays[f"{split}_sizes"] = facts.sizes[split]
        if part.groups is not None:
            arrays[f"{split}_groups"] = part.groups
    try:
        write_entry(cache_folder(), key, arrays)
        forget_oldest(cache_folder(), MAX_BYTES)
    except OSError:
        return


def write_entry(folder: Path, key: str, arrays: dict[str, object]) -> None:
    """All or nothing: a temporary file, then its name."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")  # readable by its owner only
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        Path(temporary).replace(folder / f"{key}.npz")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def forget_oldest(folder: Path, max_bytes: int) -> None:
    """Delete what was used longest ago until all entries together are within `max_bytes`."""
    found = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in found:
        total += path.stat().st_size
        if total > max_bytes:
            path.unlink(missing_ok=True)
