"""The plan: cells counted by hand, and ids that change with everything that defines a cell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from audit.errors import ConfigError
from audit.plan import AuditPlan, Cell, baseline_pair, plan_audit
from audit.results import Vib
from tests.tiny_audit import tiny_config, tiny_dataset

GRID: dict[str, Any] = {
    "models": ["small-cnn", "resnet18"],
    "optimizers": ["adam", "sgd"],
    "normalizations": ["none", "csn"],
    "severities": [0, 1, 5],
    "seeds": [0, 1, 2],
    "controls__random_draws": 2,
    "controls__scope": "plain",
}


def plan(**changes: Any) -> AuditPlan:
    return plan_audit(tiny_config(**changes), tiny_dataset())


def ids(found: AuditPlan) -> set[str]:
    return {cell.id for cell in found.cells}


def only(cells: tuple[Cell, ...], attack: str) -> list[Cell]:
    return [cell for cell in cells if cell.attack.attack == attack]


def test_number_of_cells_by_hand() -> None:
    """8 pairs x 3 seeds x (clean + 2 searches) = 72. Controls: 2 models with the baseline's optimizer and
    normalization x 3 seeds x 2 severities x (1 shortcut + 2 random draws) = 36."""
    found = plan(**GRID)
    assert Counter(cell.attack.attack for cell in found.cells) == {
        "clean": 24, "evoshift": 48, "shortcut": 12, "random": 24,
    }  # fmt: skip
    assert Counter(cell.role for cell in found.cells) == {"grid": 72, "control": 36}
    assert len(ids(found)) == 108
    assert [attack.name for attack in found.attacks] == [
        "clean",
        "shortcut-np1", "random-np1-draw0", "random-np1-draw1",
        "shortcut-np5", "random-np5-draw0", "random-np5-draw1",
        "evoshift-np1", "evoshift-np5",
    ]  # fmt: skip


def test_baseline_is_computed_when_the_grid_leaves_it_out() -> None:
    """One pair of the grid and the baseline pair, 2 seeds: clean and one search each; 2 controls for the
    baseline, because no pair of the grid has its optimizer without normalization."""
    found = plan(models=["resnet18"], optimizers=["sgd"])
    baseline = [cell for cell in found.cells if cell.role == "baseline"]
    assert len(found.cells) == 2 * (2 + 2 + 2)
    assert [(c.recipe.model, c.recipe.optimizer, c.recipe.normalization) for c in baseline] == [
        ("small-cnn", "adam", "none")
    ] * 4
    assert Counter(cell.attack.attack for cell in baseline) == {"clean": 2, "evoshift": 2}


def test_baseline_is_without_normalization() -> None:
    found = plan(normalizations=["csn"])
    assert {c.recipe.normalization for c in found.cells if c.role == "baseline"} == {"none"}


@pytest.mark.parametrize(
    ("scope", "pairs"),
    [
        ("baseline", {("small-cnn", "adam", "none")}),
        ("plain", {("small-cnn", "adam", "none"), ("resnet18", "adam", "none")}),
        (
            "all",
            {(m, o, n) for m in GRID["models"] for o in GRID["optimizers"] for n in GRID["normalizations"]},
        ),
    ],
)
def test_scope_of_controls(scope: str, pairs: set[tuple[str, str, str]]) -> None:
    found = plan(**{**GRID, "controls__scope": scope})
    for attack in ("shortcut", "random"):
        cells = only(found.cells, attack)
        assert {(c.recipe.model, c.recipe.optimizer, c.recipe.normalization) for c in cells} == pairs
        assert {c.role for c in cells} == {"control"}


def test_controls_can_be_left_out() -> None:
    found = plan(controls__methods=[])
    assert [attack.name for attack in found.attacks] == ["clean", "evoshift-np1"]


def test_the_search_can_be_left_out() -> None:
    found = plan(search__enabled=False)
    assert [attack.name for attack in found.attacks] == ["clean", "shortcut-np1", "random-np1-draw0"]


def test_searches_come_last_and_every_method_has_its_row() -> None:
    found = plan(controls__methods=["random-search", "heuristic", "random"], controls__random_draws=2)
    assert [attack.name for attack in found.attacks] == [
        "clean", "heuristic-np1", "random-np1-draw0", "random-np1-draw1", "random-search-np1", "evoshift-np1",
    ]  # fmt: skip
    assert [attack.name for attack in found.searches] == ["random-search-np1", "evoshift-np1"]


def test_perturbed_classes_are_named_and_an_unknown_name_is_refused() -> None:
    found = plan(perturbed__classes=["bright"])
    assert {attack.classes for attack in found.attacks[1:]} == {(1,)}
    assert found.attacks[0].classes is None
    with pytest.raises(
        ConfigError, match=r"^perturbed.classes: unknown class 'brigt'; did you mean 'bright'\?$"
    ):
        plan(perturbed__classes=["brigt"])


@pytest.mark.parametrize("severities", [[0], [0, 2, 1], [1, 2]])
def test_clean_is_always_trained_and_severities_are_sorted(severities: list[int]) -> None:
    found = plan(severities=severities)
    assert found.attacks[0].name == "clean"
    assert [a.severity for a in found.attacks if a.attack == "evoshift"] == sorted(set(severities) - {0})
    assert len(only(found.cells, "clean")) == 2


def test_equal_input_gives_equal_ids() -> None:
    first, second = plan(**GRID), plan(**GRID)
    assert (first.id, first.cells) == (second.id, second.cells)
    assert all(len(cell.id) == 16 and int(cell.id, 16) >= 0 for cell in first.cells)


CELLS = {"clean", "shortcut", "random", "evoshift"}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"training__epochs": 2}, CELLS),
        ({"training__learning_rates": {"adam": 0.5}}, CELLS),
        ({"training__schedule": "cosine"}, CELLS),
        ({"training__stem": "full"}, CELLS),
        ({"training__oversample": False}, CELLS),
        ({"evaluation__monitor_images": 17}, CELLS),
        ({"seeds": [2, 3]}, CELLS),
        ({"severities": [0, 2]}, CELLS - {"clean"}),
        ({"search__generations": 3}, {"evoshift"}),
        ({"augmentations": ["crop-flip"]}, CELLS),
        ({"perturbed__fraction": 0.5}, CELLS - {"clean"}),
        ({"perturbed__classes": ["dark"]}, CELLS - {"clean"}),
        ({"search__seed": 5}, CELLS - {"clean"}),
        ({"workers": 7}, set()),
        ({"controls__random_draws": 2}, set()),
        ({"evaluation__bootstrap": 300}, set()),
    ],
)
def test_ids_change_with_what_defines_a_cell(change: dict[str, Any], changed: set[str]) -> None:
    before, after = plan(), plan(**change)
    for attack in CELLS:
        old = {cell.id for cell in only(before.cells, attack)}
        new = {cell.id for cell in only(after.cells, attack)}
        if attack in changed:
            assert not old & new, attack
        else:
            assert old <= new, attack


def test_ids_change_with_the_data() -> None:
    other = plan_audit(tiny_config(), tiny_dataset(seed=2))
    assert not ids(plan()) & ids(other)
    assert plan().id != other.id


def test_audit_id_changes_with_how_the_verdict_is_reached_but_not_with_workers() -> None:
    assert plan().id != plan(evaluation__drop_tolerance=0.2).id
    assert plan().id == plan(workers=3).id


@pytest.mark.parametrize(
    "wider",
    [
        {"models": ["resnet18", "small-cnn"]},
        {"optimizers": ["sgd", "adam"]},
        {"normalizations": ["csn", "none"]},
        {"severities": [0, 1, 2]},
        {"seeds": [2, 0, 1]},
        {"controls__random_draws": 3},
    ],
)
def test_widening_the_grid_keeps_the_old_cells(wider: dict[str, Any]) -> None:
    assert ids(plan()) < ids(plan(**wider))


def test_json_of_the_plan_holds_every_cell() -> None:
    found = plan()
    content = found.to_json()
    assert content["audit_id"] == found.id
    assert [cell["id"] for cell in content["cells"]] == [cell.id for cell in found.cells]
    assert len(content["cells"]) == 2 * 4


def test_defences_are_compared_one_by_one_or_in_all_combinations() -> None:
    axes = {
        "normalizations": ["none", "csn"],
        "augmentations": ["crop-flip", "cutout"],
        "preprocessings": ["none", "median-3"],
    }
    alone = plan(**axes)
    assert [*dict.fromkeys(c.recipe.defence for c in only(alone.cells, "clean"))] == [
        "crop-flip", "csn + crop-flip", "cutout", "crop-flip + median-3",
    ]  # fmt: skip
    assert len({c.recipe.defence for c in only(plan(**axes, combine_defences=True).cells, "clean")}) == 8


def test_learning_rate_weight_decay_and_dropout_are_axes() -> None:
    found = plan(
        models=["resnet18"],
        optimizers=["adam", "sgd"],
        normalizations=["none"],
        training__learning_rates={"adam": [1e-3, 1e-4]},
        training__weight_decays=[0.01],
        training__dropouts=[0.0, 0.4],
        baseline__model="resnet18",
    )
    clean = only(found.cells, "clean")
    assert {c.pair for c in clean} == {
        (model, optimizer, "none")
        for model in ("resnet18", "resnet18, dropout 0.4")
        for optimizer in (
            "adam, weight decay 0.01",
            "adam, learning rate 0.0001, weight decay 0.01",
            "sgd, weight decay 0.01",
        )
    }
    assert {
        (c.recipe.learning_rate, c.recipe.weight_decay) for c in clean if c.recipe.optimizer == "sgd"
    } == {(1e-2, 0.01)}
    assert baseline_pair(found.config) == ("resnet18", "adam, weight decay 0.01", "none")
    assert all(c.role == "grid" for c in clean), "the baseline is part of the grid"


def test_the_baseline_has_the_recipes_own_augmentation() -> None:
    found = plan(augmentations=["crop-flip", "none"], normalizations=["csn"])
    assert baseline_pair(found.config)[2] == "crop-flip"
    assert {c.recipe.defence for c in found.cells if c.role == "baseline"} == {"crop-flip"}


def test_a_loss_is_a_defence_with_its_parameters() -> None:
    found = plan(losses=["ce", "vibce"], normalizations=["none"], training__vib={"beta": 0.1, "latent": 8})
    recipes = {c.recipe.defence: c.recipe for c in found.cells}
    assert set(recipes) == {"none", "vibce"} and recipes["none"].vib is None
    assert recipes["vibce"].vib == Vib(beta=0.1, latent=8)
    assert baseline_pair(found.config)[2] == "none"
