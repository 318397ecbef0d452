"""Early stopping on trusted clean images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audit.cells import CellContext, run_cell
from audit.data.phantoms import make_phantoms
from audit.errors import ConfigError
from audit.plan import CLEAN_SPEC, Cell, plan_audit
from audit.settings import AuditConfig
from audit.training.early_stopping import BestEpoch
from tests.test_cells import RECIPE, halves


class Constant(nn.Module):
    """Always the same class."""

    def __init__(self, label: float) -> None:
        super().__init__()
        self.label = nn.Parameter(torch.tensor(label))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        ones = torch.ones(len(images))
        return torch.stack([ones * (1 - self.label), ones * self.label], 1) * 5


def test_the_weights_of_the_best_epoch_come_back_and_of_equal_ones_the_earlier() -> None:
    """Three of four trusted images are of class 1: 25 %, 75 %, 75 %, 25 %."""
    images = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
    best = BestEpoch(images, (images, torch.tensor([0, 1, 1, 1])), seed=0)
    network = Constant(0.0)
    for epoch, label in enumerate((0.0, 1.0, 0.9, 0.1), start=1):
        with torch.no_grad():
            network.label.fill_(label)
        best.see(network, epoch)
    assert best.restore(network) == 2 and best.accuracy == 0.75
    assert float(network.label.detach()) == 1.0


def test_a_cell_measures_the_epoch_that_reads_the_validation_images_best() -> None:
    """The validation images are the test images: so the epoch is the first that reads them best."""
    torch.set_num_threads(1)
    test = halves(80, 2)
    context = CellContext(halves(160, 1), test, ("left", "right"), AuditConfig(), "cpu", val=test)
    recipe = RECIPE.model_copy(update={"stopping": "early-stopping"})
    found = run_cell(
        Cell(id="c", recipe=recipe, attack=CLEAN_SPEC, role="grid"),
        None,
        context,
        lambda r: None,
    )
    assert found.measures is not None and found.epoch is not None
    by_epoch = [reading.test_accuracy for reading in found.measures.epochs]
    assert len(by_epoch) == 4 and found.epoch == 1 + by_epoch.index(max(by_epoch))
    assert found.defence == "early-stopping"


def test_without_validation_images_it_is_refused() -> None:
    config = AuditConfig(stoppings=["none", "early-stopping"])
    with pytest.raises(ConfigError) as refused:
        plan_audit(config, make_phantoms("oct", 16, 8, 0, 8, 0))
    assert str(refused.value) == (
        "stoppings: early-stopping needs clean validation images and the data has none; add a val split "
        "(phantoms: data.n_val), or leave early-stopping out"
    )
    plan = plan_audit(config, make_phantoms("oct", 16, 8, 8, 8, 0))
    assert {cell.recipe.defence for cell in plan.cells} == {"none", "csn", "early-stopping"}
