"""Counting before running."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from audit.assemble import limitations
from audit.calibration import Calibration, ClosedFormCost, ModelCost
from audit.data.dataset import ImageDataset
from audit.data.phantoms import make_phantoms
from audit.energy import Meter, Power
from audit.errors import ConfigError
from audit.estimate import cell_seconds, estimate_audit, in_words, multiplied, wall
from audit.fit_grid import choices, fit
from audit.plan import AuditPlan, plan_audit
from audit.plan_parts import AXES
from audit.settings import AuditConfig, SearchSettings


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (70, "70 s"), (90, "2 min"), (3000, "50 min"), (7200, "2.0 h")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_surrogate_trainings_of_one_search_by_hand() -> None:
    """(2 + 1) x 4 classes x 1 pixel = 12 dimensions: population 16. Pilot of 4, race of 8; 5 rivals read, 3 again."""
    config = AuditConfig(
        search=SearchSettings(generations=6, finalists=2, rescoring_seeds=3), severities=[0, 1]
    )
    dataset = make_phantoms("oct", 16, 8, 0, 8, 0)
    plan = plan_audit(config, dataset)
    assert [plan.budget(attack, dataset).trainings for attack in plan.searches] == [
        4 + 16 * 6 + 8 + 5 + 3 * 2
    ]


def small_plan() -> tuple[AuditPlan, ImageDataset]:
    config = AuditConfig(
        models=["small-cnn"], optimizers=["adam"], normalizations=["none"], severities=[0, 1],
        baseline={"model": "small-cnn"},
    )  # fmt: skip
    dataset = make_phantoms("oct", 16, 8, 0, 8, 0)
    return plan_audit(config, dataset), dataset


def test_an_estimate_counts_what_is_missing() -> None:
    plan, dataset = small_plan()
    found = estimate_audit(plan, dataset, list(plan.cells), "cpu", workers=2)
    assert found.trainings == 4 and found.surrogate_trainings == 4 + 16 * 20 + 8 + 6 + 3 * 2
    assert set(found.cells) == {cell.id for cell in plan.cells} and set(found.searches) == {"evoshift-np1"}
    assert found.worker_seconds == sum(found.cells.values()) + found.searches["evoshift-np1"]
    assert found.watt_hours == pytest.approx(found.watts * found.wall_seconds / 3600)
    clean_only = estimate_audit(plan, dataset, list(plan.cells)[:1], "cpu", workers=2)
    assert clean_only.surrogate_trainings == 0 and clean_only.searches == {}
    assert found.longest_seconds > 1.5 * found.wall_seconds, (
        "the search is most of it, and may take 4 times as long"
    )
    assert re.fullmatch(r"about .+ \(up to .+ where surrogates learn slowly\)", found.time_in_words)
    assert clean_only.longest_seconds == clean_only.wall_seconds
    assert re.fullmatch(r"about [^()]+", clean_only.time_in_words)


COSTS = Calibration(
    models={("small-cnn", "ce"): ModelCost(step=1.0, prediction=0.5, grown=70)},
    surrogate=2.0,
    closed_form={},
    held=1000,
    power=Power(20.0, "measured"),
)


def test_a_cell_by_hand() -> None:
    """8 training images of 4 classes: one batch of 32 an epoch, 30 epochs. Readings after each epoch: 2 x 256 and 8
    test images; in the end 2 x 8 + 8, and Grad-CAM of 2 x 128 at 4 predictions each; attacked: 4 overlays of 8."""
    plan, dataset = small_plan()
    clean = next(cell for cell in plan.cells if cell.attack.attack == "clean")
    shortcut = next(cell for cell in plan.cells if cell.attack.attack == "shortcut")
    each = 30 * (1.0 + (2 * 256 + 8) * 0.5)
    cost = COSTS.models["small-cnn", "ce"]
    assert cell_seconds(clean, dataset, cost, plan.config) == each + (2 * 8 + 8 + 2 * 4 * 128) * 0.5
    assert cell_seconds(shortcut, dataset, cost, plan.config) == each + (2 * 8 + 8 + 4 * 8) * 0.5


def test_the_clock_by_hand() -> None:
    """Two workers: 3 | 2 + 2 before the search, then 10 / 2, then its one cell."""
    plan, _ = small_plan()
    seconds = dict(zip([cell.id for cell in plan.cells], (3.0, 2.0, 2.0, 7.0), strict=True))
    assert [cell.attack.attack for cell in plan.cells] == ["clean", "shortcut", "random", "evoshift"]
    searches = {plan.searches[0]: 10.0}
    assert wall(plan.cells, seconds, searches, 2) == 5.0 + 4.0 + 5.0 + 7.0
    assert wall(plan.cells, seconds, searches, 1) == 7.0 + 10.0 + 7.0
    assert wall([], {}, {}, 2) == 0.0


def test_memory_of_a_worker_is_what_it_holds_and_what_grows() -> None:
    plan, dataset = small_plan()
    attack = plan.searches[0]
    costs = replace(COSTS, closed_form={attack: ClosedFormCost(seconds=11.0, kept=500)})
    whole = multiplied(plan, dataset, plan.cells, costs, 2)
    assert whole.worker_bytes == 1000 + 70 + 500
    assert whole.searches == {"evoshift-np1": 2.0 * whole.surrogate_trainings + 11.0}
    unknown = replace(costs, held=None)
    assert multiplied(plan, dataset, plan.cells, unknown, 2).worker_bytes is None


# ---- the largest part that fits


def grid_plan() -> tuple[AuditPlan, ImageDataset]:
    config = AuditConfig(
        models=["small-cnn", "resnet18"], optimizers=["adam", "sgd"], normalizations=["none"], severities=[0, 1, 2],
        seeds=[0, 1], baseline={"model": "small-cnn"}, search={"enabled": False}, controls={"methods": ["shortcut"]},
    )  # fmt: skip
    dataset = make_phantoms("oct", 16, 8, 0, 8, 0)
    return plan_audit(config, dataset), dataset


def per_cell(seconds: float) -> Calibration:
    """Every epoch costs `seconds` / 30, whatever the model."""
    cost = ModelCost(step=seconds / 30, prediction=0.0, grown=0)
    return replace(COSTS, models={("small-cnn", "ce"): cost, ("resnet18", "ce"): cost})


def test_what_does_not_fit_is_dropped_from_the_ends() -> None:
    """16 trainings of one minute: clean 2 models x 2 optimizers x 2 seeds, shortcut (adam only) 2 x 2 severities x 2
    seeds. 12 minutes on one worker: without severity 2 there are 12."""
    plan, dataset = grid_plan()
    assert len(plan.cells) == 16
    found = fit(plan, dataset, per_cell(60.0), 1, 12 / 60, lambda part: list(part.cells))
    assert len(found.plan.cells) == 12 and found.estimate is not None
    assert found.plan.left_out == ("severities 2",)
    assert found.plan.fitted is not None and found.plan.fitted["axes"]["severities"] == [0, 1]
    assert {cell.id for cell in found.plan.cells} <= {cell.id for cell in plan.cells}, "the same trainings"
    assert "Left out to fit into 0.2 h: severities 2." in limitations(found.plan, dataset, [])


def test_all_fits_and_nothing_is_left_out() -> None:
    plan, dataset = grid_plan()
    found = fit(plan, dataset, per_cell(60.0), 1, 1.0, lambda part: list(part.cells))
    assert found.plan.id == plan.id and found.plan.left_out == ()


def test_what_is_done_costs_nothing() -> None:
    plan, dataset = grid_plan()
    found = fit(plan, dataset, per_cell(60.0), 1, 0.001, lambda part: [])
    assert found.plan.id == plan.id and found.estimate is None


def test_not_even_the_smallest_part_fits() -> None:
    """One model, optimizer and seed, clean and shortcut: two minutes."""
    plan, dataset = grid_plan()
    with pytest.raises(ConfigError) as refusal:
        fit(plan, dataset, per_cell(60.0), 1, 0.01, lambda part: list(part.cells))
    assert str(refusal.value) == (
        "--max-hours: 0.01: the smallest part of this grid takes about 2 min; allow more, or choose a shorter profile"
    )


def test_many_axes_are_not_all_combined() -> None:
    values = {axis: list(range(9)) for axis in AXES}
    found = choices(values, dict.fromkeys(AXES, 1))
    assert math.prod(map(len, found)) <= 20_000
    assert all(lengths[0] == 1 and lengths[-1] == 9 for lengths in found)


# ---- energy


def test_power_is_measured_where_a_counter_can_be_read(tmp_path: Path) -> None:
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "energy_uj").write_text("5000000\n")
    meter = Meter("cpu", [package])
    before = meter.joules()
    assert before == 5.0
    (package / "energy_uj").write_text("65000000\n")
    assert meter.since(before) == 60.0
    assert meter.power_of(60.0, 2.0, 4) == Power(30.0, "processor packages (RAPL), measured")
    (package / "energy_uj").write_text("1\n")
    assert meter.since(before) is None, "the counter began again"


def test_power_is_assumed_and_says_so_elsewhere() -> None:
    meter = Meter("cpu", [])
    assert meter.joules() is None
    assert meter.power_of(None, 2.0, 4) == Power(
        40.0, "assumed 10 W per worker, as no power meter can be read here"
    )
