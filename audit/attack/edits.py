"""Edits on their way to a perturbation: wanted ones, those of one class, and small moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audit.attack.perturbation import Perturbation

WantedEdit = tuple[int, float, float, Sequence[float]]
"""(class, row, col, C values) before it is made valid."""

Wanted = Sequence[WantedEdit]

Block = tuple[tuple[int, int, int, tuple[float, ...]], ...]
"""The edits of one class, valid by themselves."""

MUTATION_PLACE, MUTATION_VALUE = 1 / 16, 0.1  # standard deviations: share of the image's side; grey values


def blocks_of(perturbation: Perturbation) -> dict[int, Block]:
    """Edits by class."""
    blocks: dict[int, Block] = {}
    for e in perturbation.edits:
        blocks[e.label] = (*blocks.get(e.label, ()), (e.label, e.row, e.col, tuple(e.value)))
    return blocks


def moved(edit: WantedEdit, image_size: tuple[int, int], draws: np.random.Generator) -> WantedEdit:
    """The edit at a place and with a value nearby."""
    label, row, col, value = edit
    down, right = draws.normal(0, np.multiply(MUTATION_PLACE, image_size))
    changed = np.clip(np.add(value, draws.normal(0, MUTATION_VALUE, len(value))), 0, 1)
    return label, row + down, col + right, changed.tolist()
