"""Numbers and names as the report writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from audit.results import (
    CLEAN,
    EVOSHIFT,
    NO_DEFENCE,
    AuditResult,
    ConditionSummary,
    DatasetRecord,
    Interval,
    Pair,
    PerturbationRecord,
)

UNDER_FITTED = "†"
NOT_RUN = "not run"

RANDOM_SEARCH = "random-search"
RANDOM = "random"
SEARCHES = (EVOSHIFT, RANDOM_SEARCH)
"""Methods that train surrogates."""

ATTACKS = {
    CLEAN: "clean",
    EVOSHIFT: "EvoShift",
    RANDOM_SEARCH: "random search",
    "shortcut": "shortcut",
    "heuristic": "heuristic (label by position)",
    "transfer": "transfer (from other images)",
    RANDOM: "random",
}
"""Titles of the methods, in the order in which tables and figures show them."""

DEFENCES = {"vibce": "vibCE", "csn": "CSN", "csn-image": "CSN (image)", "csn-running": "CSN (running)"}
PAIR_HEAD = "Model · optimizer · defence"


def number(value: float, digits: int = 1) -> str:
    """A number with a true minus sign and no negative zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def percent(value: float) -> str:
    """0.931 -> '93.1 %'."""
    return f"{number(100 * value)} %"


def percent_interval(interval: Interval) -> str:
    """'93.1 % (90.2–95.4)'."""
    return f"{percent(interval.estimate)} ({number(100 * interval.low)}–{number(100 * interval.high)})"


def points_interval(interval: Interval) -> str:
    """'46.2 points (40.1 to 52.0)': percentage points, possibly below 0."""
    low, high = number(100 * interval.low), number(100 * interval.high)
    return f"{number(100 * interval.estimate)} points ({low} to {high})"


def ratio_interval(interval: Interval) -> str:
    """'0.98 (0.90–1.07)'."""
    return f"{number(interval.estimate, 2)} ({number(interval.low, 2)}–{number(interval.high, 2)})"


def error_of(accuracy: Interval) -> Interval:
    """The test error that belongs to an accuracy: 1 - accuracy, ends exchanged."""
    changed = {"estimate": 1 - accuracy.estimate, "low": 1 - accuracy.high, "high": 1 - accuracy.low}
    return accuracy.model_copy(update=changed)


def decimal(value: float | None, digits: int = 2, missing: str = "undefined") -> str:
    """A fraction as a decimal; `missing` where it is not defined."""
    return missing if value is None else number(value, digits)


def thousands(n: int) -> str:
    """'25 616'."""
    return f"{n:,}".replace(",", " ")


def count(n: int, noun: str, plural: str = "") -> str:
    """'1 seed', '2 seeds'."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def mean(values: Sequence[float]) -> float:
    """Plain mean of at least one value."""
    return sum(values) / len(values)


def mean_range(values: Sequence[float]) -> str:
    """'93.1 %' of one training; '93.1 % [92.0; 94.2]', mean and range, of several."""
    if len(values) == 1:
        return percent(values[0])
    return f"{percent(mean(values))} [{number(100 * min(values))}; {number(100 * max(values))}]"


def spread(values: Iterable[int]) -> str:
    """'2', or '1 to 2' where they differ."""
    low_high = sorted(set(values))
    return str(low_high[0]) if len(low_high) == 1 else f"{low_high[0]} to {low_high[-1]}"


def sample_statement(intervals: Sequence[Interval]) -> str:
    """What the intervals of a table or figure were computed from, and what they leave out."""
    if not intervals:
        return "No interval: no finished training."
    images = spread(i.n_images for i in intervals)
    groups = spread(i.n_groups for i in intervals)
    seeds = sorted({i.n_seeds for i in intervals})
    independent = (
        "each counted as independent"
        if all(i.n_groups == i.n_images for i in intervals)
        else f"{groups} independent groups (patients or lesions)"
    )
    trainings = f"{spread(seeds)} training{'' if seeds == [1] else 's'} (seeds) per condition"
    text = (
        f"In brackets: {levels(intervals)} intervals; n = {images} test images, {independent}, {trainings}."
    )
    if seeds == [1]:
        text += " With one seed, the interval does not contain the spread between trainings."
    elif seeds[0] == 1:
        text += " Where only one seed finished, the interval does not contain the spread between trainings."
    return text


def levels(intervals: Sequence[Interval]) -> str:
    """'95 %'."""
    return " / ".join(f"{100 * level:g} %" for level in sorted({i.level for i in intervals}))


def pixels(severity: int) -> str:
    """'1 pixel', '2 pixels'."""
    return count(severity, "pixel")


def attack_title(attack: str) -> str:
    """'heuristic (label by position)'."""
    return ATTACKS.get(attack, attack)


def capital(text: str) -> str:
    """The text as it begins a sentence."""
    return text[:1].upper() + text[1:]


def attack_order(attack: str) -> tuple[int, str]:
    """Place of a method in tables and figures; those without a title come last."""
    known = list(ATTACKS)
    return (known.index(attack) if attack in known else len(known), attack)


def attack_label(attack: str, severity: int) -> str:
    """'EvoShift, 2 pixels'; 'clean'."""
    name = attack_title(attack)
    return name if attack == CLEAN else f"{name}, {pixels(severity)}"


def attack_cell(attack: str, severity: int) -> str:
    """'heuristic, 2 px': the same in a table whose note explains px, without what stands in brackets."""
    name = attack_title(attack).partition(" (")[0]
    return name if attack == CLEAN else f"{name}, {severity} px"


def carriers(result: AuditResult) -> str:
    """Which training images carry the changed pixels: 'every training image of a class', or
    '50.0 % of the training images of each of the classes CNV and DME alone'; by method where methods differ."""
    names = result.dataset.class_names
    by_phrase: dict[str, list[str]] = {}
    for record in sorted(result.perturbations, key=lambda record: attack_order(record.attack)):
        methods = by_phrase.setdefault(carriers_of(record, names), [])
        if (title := attack_title(record.attack)) not in methods:
            methods.append(title)
    if len(by_phrase) > 1:
        return ", or ".join(f"{phrase} ({', '.join(titles)})" for phrase, titles in by_phrase.items())
    return next(iter(by_phrase), "the training images of a class")


def carriers_of(record: PerturbationRecord, names: Sequence[str]) -> str:
    """The same for one perturbation."""
    edited = sorted({edit.label for edit in record.edits})
    partly = record.fraction < 1
    if not edited:
        return "no training image"
    if len(edited) == len(names):
        classes = "each class" if partly else "a class"
    elif len(edited) == 1:
        classes = f"class {names[edited[0]]} alone"
    else:
        each = "each of the classes" if partly else "the classes"
        classes = f"{each} {listed([names[label] for label in edited])} alone"
    share = f"{percent(record.fraction)} of the training images" if partly else "every training image"
    return f"{share} of {classes}"


def listed(parts: Sequence[str]) -> str:
    """'CNV, DME and DRUSEN'."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), *parts[-1:]])


def px_note(result: AuditResult) -> str:
    """What px stands for in a table."""
    return f"px: pixels changed in {carriers(result)}."


def defence_cell(defence: str) -> str:
    """'none', 'CSN', 'CSN + crop-flip': under a head that says what it is."""
    return " + ".join(DEFENCES.get(part, part) for part in defence.split(" + "))


def defence_label(defence: str) -> str:
    """The same where no head says what it is: 'no defence'."""
    return "no defence" if defence == NO_DEFENCE else defence_cell(defence)


def pair_label(pair: Pair) -> str:
    """'resnet50 · adam · CSN'."""
    return f"{pair[0]} · {pair[1]} · {defence_label(pair[2])}"


def pair_cell(pair: Pair) -> str:
    """'resnet50 · adam · none': the pair in a table whose head says what the third word is."""
    return f"{pair[0]} · {pair[1]} · {defence_cell(pair[2])}"


def method_label(pair: Pair) -> str:
    """'adam · CSN': the pair without its model."""
    return f"{pair[1]} · {defence_label(pair[2])}"


def dagger(condition: ConditionSummary) -> str:
    """The mark of under-fitted trainings."""
    return f" {UNDER_FITTED}" if condition.under_fitted_seeds else ""


def banner(result: AuditResult) -> str:
    """What limits every number of the report: stands in the header of each page."""
    parts = ["synthetic data"] if result.dataset.synthetic else []
    if result.profile == "quick":
        parts.append("quick profile")
    if result.state == "incomplete":
        parts.append("incomplete audit")
    return ", ".join(parts)


def caption_limits(result: AuditResult) -> str:
    """The same, as the last sentence of a caption."""
    text = banner(result)
    return f" {capital(text)}." if text else ""


def duration(seconds: float) -> str:
    """'2 h 05 min', '12 min', '40 s'."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def moment(created: str) -> str:
    """'2026-03-04T05:06:07+00:00' -> '2026-03-04, 05:06 UTC'; as it is where it is no such date."""
    try:
        found = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{found:%Y-%m-%d, %H:%M} UTC" if found.tzinfo == UTC else created


def guessing(result: AuditResult) -> str:
    """What a model that has learned nothing would reach."""
    labels = result.dataset.test_labels
    names = result.dataset.class_names
    text = f"Guessing would be right for {percent(1 / len(names))} of the images on average"
    if labels:
        counts = [labels.count(k) for k in range(len(names))]
        text += f"; always naming the most frequent class, for {percent(max(counts) / len(labels))}"
    return text + "."


def dataset_name(data: DatasetRecord) -> str:
    """The name, with "synthetic" in it where that is true."""
    return f"{data.name} (synthetic)" if data.synthetic and "synthetic" not in data.name else data.name
