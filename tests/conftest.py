"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images of tests are not kept in somebody's home."""
    os.environ["AUDIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: $AUDIT_SHARED_DATA, or shared/data beside the checkout. Skips without."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AUDIT_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data sets are not here ({folder}); set AUDIT_SHARED_DATA to their folder")
    return folder
