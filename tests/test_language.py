"""The report in Japanese: what the catalogue says, and what it must leave alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.evaluation.verdict import ATTACK_WORDS
from audit.results import AuditResult
from audit.training.augmentation import AUGMENTATIONS
from audit.training.losses import LOSSES
from audit.training.normalization import NORMALIZATIONS
from audit.training.preprocessing import PREPROCESSINGS
from reports.catalogue import LETTERS, SCRIPT, TOKEN, Catalogue, catalogue, looks_like_a_name, sentences
from reports.document import Column, Facts, Section, Table, Text
from reports.figures import write_figures
from reports.language import KEPT, Speaker, say, speaking, spoken
from reports.sections import build_sections, cover
from tests.language_examples import CHECKS, ENGINE, full_result
from tests.results_factory import ALL_METHODS, example_result

FOLDER = Path(__file__).parents[1] / "reports" / "catalogue_ja"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
MONTHS = re.compile(r"January|March|June|July|August|October")  # which Japanese writes as numbers
FORBIDDEN = ("準拠", "適合している", "適合する", "適合性", "適合した", "認証済", "信頼区間", "安全である")
LATIN = {
    "Artificial",
    "Example",
    "Good",
    "Health",
    "Intelligence",
    "Learning",
    "Linux",
    "MONAI",
    "Machine",
    "OCT",
    "Practice",
    "Radiology",
    "Resize",
    "skip",
    "UTF",
    "Wilson",
    "Windows",
    "ZIP",
    "area",
    "audit",
    "auto",
    "class_names",
    "clinic",
    "nats",
    "numpy",
    "oct",
    "phantoms",
    "pooled",
    "quick",
    "repair",
    "scan",
    "set",
    "standard",
    "torch",
    "verify",
}
"""Names in the example reports."""


def small(pairs: dict[str, str]) -> Speaker:
    return Speaker(Catalogue(pairs))


# ---- matching


def test_holes_in_another_order() -> None:
    speaker = small({"{n} of {n} trainings failed": "学習 {1} 件中 {0} 件が失敗"})
    assert speaker.say("3 of 44 trainings failed") == "学習 44 件中 3 件が失敗"
    assert speaker.say("3 of 44 trainings failed.") == "学習 44 件中 3 件が失敗。"


def test_what_a_hole_holds_is_translated_in_turn_and_names_are_not() -> None:
    speaker = small({"clean": "クリーン", "{} is like {k}": "{}は {} と同様"})
    assert speaker.say("clean is like clean") == "クリーンは clean と同様"


def test_intervals_and_lists_of_numbers() -> None:
    speaker = small({"drop {n}": "低下 {}", "{n} pixel[s]": "{} 画素"})
    assert speaker.say("drop 60.0 points (−4.1 to 74.9)") == "低下 60.0 ポイント (−4.1〜74.9)"
    assert speaker.say("1, 2 and 5 pixels") == "1, 2, 5 画素"
    assert speaker.say("1 pixel") == "1 画素"


def test_unknown_sentences_stay_english_and_are_counted() -> None:
    speaker = small({"Known.": "既知。"})
    assert speaker.say("Known. Nobody has seen this. Known.") == "既知。Nobody has seen this. 既知。"
    assert speaker.catalogue.missed == {"Nobody has seen this."}


def test_lists_are_translated_whole_or_not_at_all() -> None:
    speaker = small({"clean": "クリーン", "random": "ランダム"})
    assert speaker.say("clean; random") == "クリーン；ランダム"
    assert speaker.say("clean; unheard of") == "clean; unheard of"


def test_capitals_and_full_stops_need_no_entries() -> None:
    speaker = small({"random search": "ランダム探索", "None here.": "ここにはない。"})
    assert speaker.say("Random search") == "ランダム探索"
    assert speaker.say("Random search.") == "ランダム探索。"
    assert speaker.say("none here") == "ここにはない"


def test_names_numbers_and_commands_are_nobody_s_miss() -> None:
    speaker = small({"adam": "adam"})
    for text in ("resnet50 · adam", "90.0 % (84.1–95.9)", "runs/a-np1.json", "f" * 32 + "9", "AUC", "2 × 3"):
        assert speaker.say(text) == text
    assert speaker.catalogue.missed == set()


def test_sentences_are_cut_at_their_ends_alone() -> None:
    assert sentences("In 95 %. No. 3 of 2.5 points. px: pixels.") == [
        "In 95 %.",
        "No. 3 of 2.5 points.",
        "px: pixels.",
    ]


# ---- what is never changed


def test_class_names_that_look_like_words_of_the_catalogue() -> None:
    names = ["clean", "none", "random; vulnerable", "NORMAL and withheld"]
    result = example_result(class_names=names, edited=(0, 2))
    with speaking("ja", names):
        table = spoken(
            Table(
                "",
                [Column("Class", 1), Column("Trained on", 1)],
                [[name, "clean"] for name in [*names, "All images"]],
            )
        )
        listed = say("each of the classes is one")
        assert say("random; vulnerable row 3, col 4 = 1.00") == "random; vulnerable 行 3, 列 4 = 1.00"
        assert say("clean row 3, col 4 = 1.00") == "clean 行 3, 列 4 = 1.00"
        assert say("random; vulner…") == "random; vulner…"  # as figures shorten it
        assert "「" not in listed
        sections = build_sections(result, [])
    assert [row[0] for row in table.rows] == [*names, "全画像"]
    assert {row[1] for row in table.rows} == {"クリーン"}
    text = " ".join(texts(sections))
    assert "クラス clean、random; vulnerable のみ" in text


def test_what_users_wrote() -> None:
    facts = Facts(
        [("Dataset", "none"), ("Licence", "clean"), ("Operator", "no"), ("Command", "audit run clean")]
    )
    with speaking("ja"):
        assert [value for _, value in spoken(facts).rows] == ["none", "clean", "no", "audit run clean"]
        licence = spoken(
            Table(
                "",
                [Column("Check", 1), Column("Finding", 1)],
                [["Licence", "none"], ["Exact duplicates", "none"]],
            )
        )
    assert [row[1] for row in licence.rows] == ["none", "なし"]


def test_english_is_left_as_it_is() -> None:
    section = Section("Results", [Text("No training was planned.")])
    with speaking("en", ["Results"]):
        assert spoken(section) is section
        assert say("clean") == "clean"


def test_numbers_survive() -> None:
    """Every number of every English text stands in its translation, and no other one but the numbers of months."""
    result = full_result()
    english = list(texts([cover(result), *build_sections(result, [])]))
    with speaking("ja", result.dataset.class_names):
        japanese = list(texts([cover(result), *build_sections(result, [])]))
    for before, after in zip(english, japanese, strict=True):
        wanted, found = Counter(NUMBER.findall(before)), Counter(NUMBER.findall(after))
        assert wanted <= found, f"{before!r} -> {after!r}"
        assert wanted == found or MONTHS.search(before), f"{before!r} -> {after!r}"


# ---- completeness


def variants() -> list[AuditResult]:
    """As many different sentences as the example can make."""
    return [
        full_result(),
        example_result(),
        example_result(
            synthetic=True, profile="quick", methods=ALL_METHODS, severities=(1, 2, 5), seeds=(0,), channels=3
        ),
        example_result(
            failures={("densenet121", "adam", "none", "evoshift"): "loss is not finite at epoch 2"}
        ),
        example_result(edited=(2, 3), fraction=0.5),
        example_result(edited=(2,), methods=("shortcut", "random")),
        example_result(scores=[]),
        example_result(perturbations=[]),
        example_result(severities=()),
        example_result(cells=[], conditions=[], scores=[]),
        example_result(limitations=[]),
        example_result(
            optimizers=("adam", "adabound", "sgd", "sgd-m"),
            severities=(1, 2, 5),
            class_names=list("ABCDEFGH"),
        ),
    ]


@pytest.mark.parametrize("number", range(12))
def test_every_sentence_of_the_examples_is_translated(number: int) -> None:
    result = variants()[number]
    known = catalogue("ja")
    known.missed.clear()
    with speaking("ja", result.dataset.class_names):
        found = [cover(result), *build_sections(result, [])]
    assert sorted(known.missed) == []
    assert english_words(found, result) == {}


def test_every_word_of_the_figures_is_translated(tmp_path: Path) -> None:
    result = example_result(
        synthetic=True,
        models=("resnet50",),
        methods=("evoshift", "random-search"),
        severities=(1, 2),
        edited=(1, 2),
    )
    known = catalogue("ja")
    known.missed.clear()
    with speaking("ja", result.dataset.class_names):
        captions = spoken(write_figures(result, tmp_path))
    assert {figure.kind for figure in captions} > {
        "test-error",
        "pareto",
        "scores",
        "confusion",
        "epochs",
        "search",
    }
    assert sorted(known.missed) == []
    assert english_words(captions, result) == {}
    drawn = (tmp_path / "test-error.svg").read_text(encoding="utf-8")
    assert "guessing" not in re.sub(
        r"<metadata>.*?</metadata>|<title>.*?</title>|<desc>.*?</desc>", "", drawn, flags=re.S
    )


def test_what_the_engine_says_of_attacks_and_defences() -> None:
    said = [row.description for row in NORMALIZATIONS.values()]
    said += [row.description for row in AUGMENTATIONS.values()]
    said += [row.description for row in PREPROCESSINGS.values()]
    said += [row.description for name, row in LOSSES.items() if name != "ce"]
    untranslated(*said, *ATTACK_WORDS.values())


def untranslated(*said: str) -> None:
    """Fails where one of these stays English."""
    known = catalogue("ja")
    known.missed.clear()
    with speaking("ja"):
        for text in said:
            assert re.search(f"[{SCRIPT}]", say(text)), text
    assert sorted(known.missed) == []


def test_sentences_of_the_engine() -> None:
    untranslated(*ENGINE)


def test_every_check_of_the_data_is_translated() -> None:
    untranslated(
        *[check.title for check in CHECKS],
        *[check.sentence for check in CHECKS if "CC BY" not in check.sentence],
    )
    untranslated(*[check.remedy for check in CHECKS if check.remedy])


# ---- the catalogue itself


def test_holes_of_source_and_target_are_the_same_in_number() -> None:
    for source, target in catalogue("ja").pairs.items():
        wanted = len(re.findall(r"\{[nklto]?\}", source))
        numbered = [int(number) for number in re.findall(r"\{(\d+)\}", target)]
        plain = target.count("{}")
        assert not (numbered and plain), source
        assert sorted(numbered) == list(range(wanted)) if numbered else plain == wanted, source


def test_numbers_in_entries_are_the_same_on_both_sides() -> None:
    for source, target in catalogue("ja").pairs.items():
        wanted = Counter(NUMBER.findall(source))
        found = Counter(NUMBER.findall(re.sub(r"\{\d+\}", "", target)))
        assert wanted == found or (MONTHS.search(source) and wanted <= found), source


def test_sentences_end_alike() -> None:
    for source, target in catalogue("ja").pairs.items():
        if source != target and source not in ("No.", "Table {n}.", "Figure {n}."):
            assert source.endswith(".") == target.endswith("。"), source


def test_nothing_is_said_to_meet_a_rule_or_to_be_safe() -> None:
    for target in catalogue("ja").targets:
        assert not any(word in target for word in FORBIDDEN), target


def test_signs_with_a_subscript_are_told_apart_from_the_word_after_them() -> None:
    for target in catalogue("ja").targets:
        assert not re.search(r"[Nα]_[pSN]\w", target), target


def test_no_entry_is_written_twice() -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert sum(line.startswith('"') for line in lines) == len(catalogue("ja").pairs)
    assert all(len(file.read_text(encoding="utf-8").splitlines()) < 400 for file in files)
    assert all(isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict) for file in files)


# ---- helpers


def texts(part: Any) -> Iterator[str]:
    """Every text of some blocks, in their order."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list | tuple):
        for item in part:
            yield from texts(item)
    elif is_dataclass(part):
        for entry in fields(part):
            if entry.name not in KEPT:
                yield from texts(getattr(part, entry.name))


def english_words(part: Any, result: AuditResult) -> dict[str, str]:
    """Words in Latin letters that are no names, each with a text that holds it."""
    kept = {
        *catalogue("ja").names,
        *LATIN,
        *(w for name in result.dataset.class_names for w in TOKEN.findall(name)),
    }
    kept |= set(TOKEN.findall(f"{result.command} {result.dataset.licence} {result.dataset.source}"))
    return {
        word: text
        for text in texts(part)
        for word in TOKEN.findall(text)
        if LETTERS.search(word)
        and word not in kept
        and not looks_like_a_name(word)
        and not re.fullmatch(r"[0-9a-f]{64}", word)
        and not re.search(f"[{SCRIPT}]", word)
    }
