"""What a report says it does not show."""

from __future__ import annotations

from audit.assemble import limitations
from audit.plan import plan_audit
from tests.tiny_audit import tiny_config, tiny_dataset


def said(**changes: object) -> str:
    return "\n".join(limitations(plan_audit(tiny_config(**changes), tiny_dataset()), tiny_dataset(), []))


def test_a_search_speaks_for_the_optimizer_of_its_surrogates() -> None:
    sentence = (
        "The search trained its surrogates with adam: pairs with sgd-m may fall to a perturbation searched for "
        'them, and "within tolerance" holds for this perturbation alone.'
    )
    assert sentence in said(optimizers=["adam", "sgd-m"])
    assert sentence not in said(optimizers=["adam"])
    assert sentence not in said(optimizers=["adam", "sgd-m"], search__enabled=False)


def test_two_seeds_are_warned_of() -> None:
    sentence = "held the truth in only 88 to 94 % of simulated audits."
    assert sentence in said(seeds=[0, 1])
    assert sentence not in said(seeds=[0, 1, 2]) and sentence not in said(seeds=[0])


def test_intervals_hold_one_search() -> None:
    assert "Intervals do not include the spread between searches." in said()


def test_what_was_not_run_is_named_and_what_was_run_is_not() -> None:
    assert "Random search at equal budget: not run." in said()
    assert "Random search at equal budget" not in said(controls__methods=["random-search"])
    assert "Augmentation was off" in said()
    assert "Augmentation was off" not in said(augmentations=["crop-flip"])


def test_partly_perturbed_classes_are_said_plainly() -> None:
    assert "Every image of a class carried the perturbation" in said()
    assert "Only 50.0 % of the images of dark carried the perturbation." in said(
        perturbed__classes=["dark"], perturbed__fraction=0.5
    )
    assert "Only the images of dark carried the perturbation." in said(perturbed__classes=["dark"])
