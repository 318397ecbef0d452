"""The report's section on defences and pairs compared."""

from __future__ import annotations

from audit.results import Interval, Pair, PairComparison
from reports.comparison_section import comparison_section
from reports.document import Bullets, Table, Text
from tests.results_factory import example_result

PLAIN: Pair = ("resnet50", "adam", "none")
CSN: Pair = ("resnet50", "adam", "csn")
OTHER: Pair = ("resnet50", "sgd-m", "none")


def interval(estimate: float, half: float = 0.1) -> Interval:
    return Interval(
        estimate=estimate, low=estimate - half, high=estimate + half, n_images=280, n_groups=178, n_seeds=3
    )


def comparison(first: Pair, attacked: float, clean: float, reading: str, is_defence: bool) -> PairComparison:
    return PairComparison.model_validate(
        {
            "first": first, "second": PLAIN, "attack": "evoshift", "severity": 1,
            "attacked": interval(attacked), "corrected": interval(attacked, 0.2), "clean": interval(clean),
            "reading": reading, "reason": "fit differs" if reading == "withheld" else "", "is_defence": is_defence,
        }
    )  # fmt: skip


def test_recovery_and_cost_of_a_defence_and_the_difference_of_a_pair() -> None:
    found = [
        comparison(CSN, 0.40, -0.03, "better", True),
        comparison(OTHER, 0.05, -0.2, "withheld", False),
    ]
    result = example_result().model_copy(update={"comparisons": found})
    (section,) = comparison_section(result)
    first, second = (block for block in section.blocks if isinstance(block, Table))
    assert first.rows == [
        ["resnet50 · adam", "CSN", "EvoShift, 1 px", "40.0 (30.0 to 50.0)", "3.0 (−7.0 to 13.0)", "better"]
    ]
    assert second.rows == [
        [
            "resnet50 · sgd-m · none",
            "EvoShift, 1 px",
            "5.0 (−5.0 to 15.0)",
            "−20.0 (−30.0 to −10.0)",
            "withheld",
        ]
    ]
    assert "n = 280 test images, 178 independent groups" in (first.note or "")
    assert [block.items for block in section.blocks if isinstance(block, Bullets)] == [["fit differs."]]
    said = [block.text for block in section.blocks if isinstance(block, Text)]
    assert "corrected for all 2 comparisons of this audit (Bonferroni)" in said[0]


def test_no_section_where_nothing_was_compared() -> None:
    assert comparison_section(example_result().model_copy(update={"comparisons": []})) == []


def test_long_tables_are_cut_and_say_so() -> None:
    found = [comparison(CSN, i / 100, 0.0, "no difference shown", True) for i in range(45)]
    (section,) = comparison_section(example_result().model_copy(update={"comparisons": found}))
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert len(table.rows) == 40 and table.rows[0][3].startswith("44.0 (")
    assert "5 more stand in results.json." in (table.note or "")
