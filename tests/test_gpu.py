"""An audit on a GPU. Skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audit.results import AuditResult
from tests.command_line import process
from tests.tiny_audit import as_options, write_npz

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible"),
]


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_an_audit_on_a_gpu(tmp_path: Path, precision: str) -> None:
    data = write_npz(tmp_path / "t.npz")
    chosen = as_options(
        device="cuda", training__epochs=5, search__precision=precision, training__precision=precision
    )
    started = process("run", "oct", "--data", data, *chosen, "--out", tmp_path / "run", cwd=tmp_path)
    _, told = started.communicate()
    assert started.returncode == 0, told
    result = AuditResult.load(tmp_path / "run" / "results.json")
    assert result.environment.device.startswith("cuda")
    assert {cell.status for cell in result.cells} == {"done"}
    clean = [c.measures for c in result.cells if c.attack == "clean" and c.measures is not None]
    assert clean and all(m.accuracy > 0.9 for m in clean)  # dark or bright: anybody can tell
