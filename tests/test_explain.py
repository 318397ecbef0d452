"""Explanations of a cell, and how the report shows them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from audit.attack.perturbation import make_perturbation
from audit.cells import CellContext, run_cell
from audit.explain import explain
from audit.plan import CLEAN_SPEC, AttackSpec, Cell
from audit.results import Explanation
from audit.settings import AuditConfig
from reports.figure_saliency import saliency_figures
from reports.saliency_section import saliency_section
from tests.planted import noise_split
from tests.results_factory import example_result
from tests.test_cells import PIXELS, RECIPE, halves

CORNERS = make_perturbation([(0, 1, 1, [1.0]), (1, 10, 10, [1.0])], (12, 12), 1, 2)


class LooksAtCorner(nn.Module):
    """The logit of class k is the sum of the 3 x 3 pixels in its own corner, through a feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 1, 1)
        nn.init.ones_(self.features.weight)
        nn.init.ones_(self.features.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.features(images)
        return torch.stack([seen[:, 0, :3, :3].sum((1, 2)), seen[:, 0, 9:, 9:].sum((1, 2))], 1)


def explained(network: nn.Module) -> Explanation:
    split = noise_split(20, 12)
    pair = torch.from_numpy(split.images), split.labels
    return explain(network, CORNERS, pair, pair, n_classes=2, images=8, batch_size=4)


def test_shares_beside_a_uniform_map_by_hand() -> None:
    """At full resolution the window is the pixel itself: 1 of 144 for a map without preference. Grad-CAM weighs
    the whole map by the mean gradient, so the corner's share is that of its pixel in the image."""
    found = explained(LooksAtCorner())
    assert (found.radius, sum(found.images), found.zero_maps) == (0, 8, [0, 0])
    assert found.uniform_shares == pytest.approx([1 / 144, 1 / 144])
    assert all(share is not None and 0 < share < 0.03 for share in found.train_shares)
    assert found.test_shares == found.train_shares, "equal images"
    with Image.open(io.BytesIO(base64.b64decode(found.maps[0]))) as image:
        assert image.size == (12, 12) and np.asarray(image).max() == 255


def test_a_network_without_a_feature_map_is_not_explained_with_the_reason() -> None:
    found = explained(nn.Sequential(nn.Flatten(), nn.Linear(144, 2)))
    assert found == Explanation(reason="the network has no convolutional feature map; name a target_layer")


def test_the_first_seed_on_clean_and_on_searched_images_is_explained() -> None:
    torch.set_num_threads(1)
    context = CellContext(halves(40, 1), halves(20, 2), ("left", "right"), AuditConfig(seeds=[0, 1]), "cpu")

    def of(attack: str, seed: int) -> Explanation | None:
        spec = CLEAN_SPEC if attack == "clean" else AttackSpec(attack=attack, severity=1, draw=0, seed=0)
        recipe = RECIPE.model_copy(update={"epochs": 1, "seed": seed})
        cell = Cell(id="c", recipe=recipe, attack=spec, role="grid")
        used = None if attack == "clean" else PIXELS
        return run_cell(cell, used, context, lambda reading: None).explanation

    clean, searched = of("clean", 0), of("evoshift", 0)
    assert clean is not None and len(clean.maps) == 2 and clean.train_shares == []
    assert searched is not None and len(searched.train_shares) == 2
    assert of("clean", 1) is None and of("random", 0) is None


def test_the_report_shows_maps_shares_and_reasons(tmp_path: Path) -> None:
    result = example_result(models=("resnet50",), optimizers=("adam",), normalizations=("none",))
    maps = explained(LooksAtCorner()).maps * 2
    shown = Explanation(
        layer="x", radius=7, images=[3, 3, 2, 0], zero_maps=[0] * 4, maps=maps, train_shares=[0.5, 0.3, None, 0.1],
        test_shares=[0.0, 0.1, 0.0, None], uniform_shares=[0.05] * 4,
    )  # fmt: skip
    clean = shown.model_copy(update={"train_shares": [], "test_shares": [], "uniform_shares": []})
    cells = []
    for cell in result.cells:
        found = (
            {"clean": clean, "evoshift": shown}.get(cell.attack)
            if cell.seed == result.cells[0].seed
            else None
        )
        cells.append(cell.model_copy(update={"explanation": found}))
    changed = result.model_copy(update={"cells": cells})
    (figure,) = saliency_figures(changed, tmp_path)
    assert "CNV" in (tmp_path / figure.file).read_text() and "uniform map: 5.0 %" in figure.alternative
    (section,) = saliency_section(changed, [figure])
    table = next(block for block in section.blocks if hasattr(block, "rows"))
    assert table.rows[0][2:] == ["30.0 % [10.0; 50.0]", "3.3 % [0.0; 10.0]", "5.0 % [5.0; 5.0]", "7"]
    assert saliency_section(result, []) == []
    none = [cells[0].model_copy(update={"explanation": Explanation(reason="no map")}), *cells[1:2]]
    said = saliency_section(result.model_copy(update={"cells": none}), [])[0].blocks
    assert any(getattr(block, "text", "") == "Not explained: resnet50: no map." for block in said)
