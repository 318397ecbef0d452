"""The page docs/reproduction.md, from the results of its audits: tables beside the thesis's numbers, and a
sentence each on agreement, written by rules so that it changes with the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from reproduction_defences import section_defences, section_losses
from reproduction_lookups import (
    SEVERITIES,
    accuracy_text,
    condition,
    find,
    measures,
    signed,
)

from audit.results import (
    EVOSHIFT,
    AuditResult,
    CellMeasures,
    ConditionSummary,
    Interval,
    PairComparison,
)

TOLERANCE = 0.10  # of a drop, as in the audit's own verdict

THESIS_ERROR = {  # Fig. 4-2a: test error, Adam, N_p = 0, 1, 2, 5
    ("oct-thesis", "resnet50"): (0.02, 0.60, 0.71, 0.75),
    ("oct-thesis", "densenet121"): (0.01, 0.58, 0.72, 0.73),
    ("derm-thesis", "resnet50"): (0.31, 0.45, 0.71, 0.46),
    ("derm-thesis", "densenet121"): (0.19, 0.56, 0.74, 0.80),
}
THESIS_F1 = {  # Table 4.1, OCT: F1, DenseNet-121, Adam, N_p = 0, 1, 2, 5
    "NORMAL": (0.99, 0.61, 0.31, 0.00),
    "DRUSEN": (0.99, 0.00, 0.39, 0.27),
    "CNV": (1.00, 0.52, 0.14, 0.02),
    "DME": (1.00, 0.02, 0.20, 0.40),
}
FIGURES = {
    "oct-thesis": ["search-curve-1px.svg"],
    "oct-optimizers": ["accuracy-by-epoch-small-cnn.svg", "robustness-scores.svg"],
}
TITLES = {
    "oct-thesis": "OCT",
    "derm-thesis": "dermatology",
    "oct-optimizers": "OCT",
}


def page(found: dict[str, AuditResult], missing: Sequence[str], commands: dict[str, str], common: str) -> str:
    """The whole page in Markdown."""
    parts = [HEAD]
    if missing:
        parts.append(f"**Not run yet:** {', '.join(missing)}.\n")
    parts += [machines(found), *section_errors(found), *section_classes(found)]
    if "oct-optimizers" in found:
        parts += section_optimizers("oct-optimizers", found["oct-optimizers"])
    parts += section_confusion(found)
    if "oct-defences" in found:
        parts += section_defences(found["oct-defences"])
    parts += section_losses(found)
    parts += ["## Commands\n", *(f"- {name}: `{command}`" for name, command in commands.items())]
    parts.append(f"\nEach `audit run` with `{common}`.")
    return "\n".join(parts) + "\n"


HEAD = """# The thesis's results, once more

Written by `python benchmarks/reproduction.py DATA --out DIR`; do not edit by hand, the sentences are made from the
numbers.

What differs from the thesis everywhere: 600 OCT training images in place of 8,616 (Kermany's official test images,
split again by patient); 490 dermoscopic images of 7 diagnoses in place of the thesis's own 5 classes, which are not
public; networks trained from scratch for 12 or 15 epochs, at 64 x 64 pixels. So compare shapes, not third digits.
Accuracies on clean test images, %, with 95 % intervals over patients (lesions) and three trainings. EvoShift: one
search for each number of pixels N_p, at most 64 surrogate trainings.
"""


def machines(found: dict[str, AuditResult]) -> str:
    lines = []
    for name, result in found.items():
        e, data = result.environment, result.dataset
        lines.append(
            f"- {name}: {data.name}, {sum(data.counts['train'])} training and {len(data.test_labels)} test images; "
            f"{len(result.cells)} trainings, {result.created[:10]}, audit {e.audit_version} "
            f"({e.code_fingerprint[:8]}), torch {e.versions['torch']}, {e.device}, {e.processor}"
        )
    return "\n".join(lines) + "\n"


# ---- Fig. 4-2a and Table 4.1


def section_errors(found: dict[str, AuditResult]) -> list[str]:
    """Fig. 4-2a: test error by network and number of pixels."""
    lines = ["## Fig. 4-2a: test error, Adam, no augmentation\n"]
    lines += ["| data | network | | clean | N_p = 1 | N_p = 2 | N_p = 5 |", "|---|---|---|---|---|---|---|"]
    sentences = []
    for (name, model), errors in THESIS_ERROR.items():
        if name not in found:
            continue
        result = found[name]
        shown = [condition(result, model, "adam", severity) for severity in (0, *SEVERITIES)]
        if not any(shown):
            continue
        ours = " | ".join("-" if c is None else error_text(c.accuracy) for c in shown)
        lines.append(
            f"| {TITLES[name]} | {model} | thesis | {' | '.join(f'{100 * e:.0f}' for e in errors)} |"
        )
        lines.append(f"| | | here | {ours} |")
        sentences.append(f"- {TITLES[name]}, {model}: {judge_drop(shown[1])}")
    if "oct-thesis" in found:
        sentences.append("\n![search](images/reproduction/oct-thesis-search-curve-1px.svg)")
    return [*lines, "", *sentences, ""]


def error_text(accuracy: Interval) -> str:
    """100 - accuracy, %, with its interval."""
    return f"{100 * (1 - accuracy.estimate):.0f} ({100 * (1 - accuracy.high):.0f}-{100 * (1 - accuracy.low):.0f})"


def judge_drop(one_pixel: ConditionSummary | None) -> str:
    """Whether one pixel per class takes the accuracy away, as in the thesis."""
    if one_pixel is None or one_pixel.drop is None:
        return "not measured."
    drop = one_pixel.drop
    words = f"one pixel per class costs {signed(drop, '')} points."
    if drop.low > TOLERANCE:
        return f"**agrees**: {words}"
    return f"**disagrees**: {words}" if drop.high < TOLERANCE else f"**not decided**: {words}"


def section_classes(found: dict[str, AuditResult]) -> list[str]:
    """Table 4.1: precision / recall / F1 by class, DenseNet-121."""
    lines = ["## Table 4.1: precision / recall / F1, DenseNet-121, Adam\n"]
    for name in ("oct-thesis", "derm-thesis"):
        if name not in found:
            continue
        result = found[name]
        lines += [
            f"| {TITLES[name]} | clean | N_p = 1 | N_p = 2 | N_p = 5 | thesis's F1 |",
            "|---|---|---|---|---|---|",
        ]
        for index, label in enumerate(result.dataset.class_names):
            columns = [
                class_text(measures(result, "densenet121", "adam", n), index) for n in (0, *SEVERITIES)
            ]
            thesis = " ".join(f"{f1:.2f}" for f1 in THESIS_F1.get(label, ())) or "other classes"
            lines.append(f"| {label} | {' | '.join(columns)} | {thesis} |")
        lines += ["", judge_classes(result), ""]
    return lines


def class_text(found: list[CellMeasures], index: int) -> str:
    """Means over the trainings."""
    rows = [m.per_class[index] for m in found]
    if not rows:
        return "-"
    return "/".join(
        f"{sum(getattr(r, part) for r in rows) / len(rows):.2f}" for part in ("precision", "recall", "f1")
    )


def judge_classes(result: AuditResult) -> str:
    """How many classes the attacked network has lost."""
    lost = []
    for severity in SEVERITIES:
        found = measures(result, "densenet121", "adam", severity)
        f1 = [
            sum(m.per_class[k].f1 for m in found) / len(found)
            for k in range(len(result.dataset.class_names))
            if found
        ]
        lost.append(sum(value < 0.1 for value in f1))
    agrees = "**agrees**" if max(lost) >= 1 else "**disagrees**"
    return (
        f"{agrees}: classes whose mean F1 falls below 0.1 at N_p = 1, 2, 5: {', '.join(map(str, lost))} of "
        f"{len(result.dataset.class_names)} (thesis, OCT: 2, 0, 2 of 4; dermatology: 0, 1, 1 of 5)."
    )


# ---- Fig. 4-3, 4-4: optimizers and CSN


def section_optimizers(name: str, result: AuditResult) -> list[str]:
    """Fig. 4-3 and 4-4: final and matched-fit accuracy, robustness score, and what may be compared."""
    lines = [f"## Fig. 4-3 and 4-4: optimizers and input normalization, small CNN, {TITLES[name]}\n"]
    lines += [
        "| optimizer | input | clean | N_p = 1 | 2 | 5 | at matched fit, N_p = 1, 2, 5 | fit | robustness score (4.3) |"
    ]
    lines.append("|---" * 9 + "|")
    for score in result.scores:
        _, optimizer, defence = score.pair
        shown = [find(result, score.pair, severity) for severity in (0, *SEVERITIES)]
        texts = " | ".join("-" if c is None else accuracy_text(c.accuracy) for c in shown)
        fits = [c.train_accuracy for c in shown if c is not None]
        lines.append(
            f"| {optimizer} | {defence} | {texts} | {matched_text(result, score.pair)} | "
            f"{100 * min(fits):.0f} to {100 * max(fits):.0f} | {score.score.estimate:.2f} "
            f"({score.score.low:.2f}-{score.score.high:.2f}){' baseline' if score.is_baseline else ''} |"
        )
    lines += [
        "",
        "Fit: lowest and highest mean training accuracy of the four columns, on the images as trained. Matched",
        "fit: accuracy after the first epoch with at least 95 % of it, mean over trainings; a dash: never.\n",
    ]
    lines += [*judge_optimizers(result), *judge_csn(result), *floor_note(result), ""]
    if name in FIGURES:
        lines += [f"![{file}](images/reproduction/{name}-{file})\n" for file in FIGURES[name]]
    return lines


def matched_text(result: AuditResult, pair: tuple[str, str, str]) -> str:
    """Mean accuracy at matched fit for each number of pixels."""
    texts = []
    for severity in SEVERITIES:
        found = [
            value
            for cell in result.cells
            if (cell.pair, cell.attack, cell.severity) == (pair, EVOSHIFT, severity)
            and cell.measures
            and (value := cell.measures.matched_fit_accuracy) is not None
        ]
        texts.append(f"{100 * sum(found) / len(found):.0f}" if found else "-")
    return ", ".join(texts)


def floor_note(result: AuditResult) -> list[str]:
    """Where every attacked pair is at chance, no difference means nothing is left to differ in."""
    attacked = [c.accuracy for c in result.conditions if c.attack == EVOSHIFT]
    chance = 1 / len(result.dataset.class_names)
    if not attacked or any(a.low > chance for a in attacked):
        return []
    return [
        "",
        f"All {len(attacked)} attacked conditions are at chance ({100 * chance:.0f} %): no difference here means that",
        "the attack left nothing to differ in. The pixels were found with Adam surrogates and took every optimizer's",
        "accuracy away, at matched fit too.",
    ]


def judge_optimizers(result: AuditResult) -> list[str]:
    """Each optimizer without normalization against Adam, as the audit itself compares pairs."""
    lines = []
    baseline = result.baseline_pair
    for optimizer in dict.fromkeys(score.optimizer for score in result.scores):
        pair = (baseline[0], optimizer, baseline[2])
        mine = [
            c for c in result.comparisons if c.first == pair and c.second == baseline and c.attack == EVOSHIFT
        ]
        if mine:
            expected = "no difference shown" if optimizer == "adabound" else "better"
            lines.append(f"- {optimizer} against {baseline[1]}: {judged(mine, expected)}")
    return lines


def judge_csn(result: AuditResult) -> list[str]:
    """CSN against none, optimizer by optimizer."""
    lines = []
    for optimizer in dict.fromkeys(score.optimizer for score in result.scores):
        mine = [
            c for c in result.comparisons if c.is_defence and c.first[1] == optimizer and c.attack == EVOSHIFT
        ]
        if mine:
            lines.append(f"- CSN with {optimizer}: {judged(mine, 'better')}")
    return lines


def judged(found: list[PairComparison], expected: str) -> str:
    """Every number of pixels with its difference, and whether the thesis's reading holds."""
    found = sorted(found, key=lambda c: c.severity)
    words = ", ".join(f"N_p = {c.severity} {signed(c.attacked)}" for c in found)
    readings = {c.reading for c in found}
    compared = readings - {"withheld"}
    if not compared:
        verdict = "**not comparable**"
    elif compared == {expected}:
        verdict = "**agrees**" if compared == readings else "**agrees where comparable**"
    else:
        verdict = "**agrees in part**" if expected in compared else "**disagrees**"
    text = f"{verdict} with the thesis ({expected}): {words} points; {', '.join(sorted(readings))}."
    reasons = dict.fromkeys(c.reason for c in found if c.reading == "withheld")
    return text + (f" Withheld: {'; '.join(reasons)}." if reasons else "")


# ---- Fig. 4-5


def section_confusion(found: dict[str, AuditResult]) -> list[str]:
    """Fig. 4-5: confusion matrices, small, as tables of row percentages."""
    if "oct-optimizers" not in found:
        return []
    result = found["oct-optimizers"]
    names = result.dataset.class_names
    lines = ["## Fig. 4-5: confusion matrices on clean test images, OCT, small CNN, no normalization\n"]
    lines += [f"Rows: true class ({', '.join(names)}); row %, three trainings together.\n"]
    lines += ["| optimizer | clean | N_p = 1 | N_p = 2 | N_p = 5 |", "|---|---|---|---|---|"]
    concentrated = []
    for optimizer in dict.fromkeys(score.optimizer for score in result.scores):
        texts = []
        for severity in (0, *SEVERITIES):
            total = summed(measures(result, "small-cnn", optimizer, severity))
            rows = [" ".join(f"{100 * n / max(sum(row), 1):.0f}" for n in row) for row in total]
            texts.append("<br>".join(rows) or "-")
            if total and severity == 1:
                columns = [sum(row[k] for row in total) for k in range(len(names))]
                concentrated.append(f"{optimizer} {100 * max(columns) / sum(columns):.0f} %")
        lines.append(f"| {optimizer} | {' | '.join(texts)} |")
    shares = ", ".join(concentrated)
    lines += ["", f"Share of the test images that go to one class at N_p = 1 (even: 25 %): {shares}.", ""]
    return lines


def summed(found: list[CellMeasures]) -> list[list[int]]:
    """Confusion matrices added up."""
    if not found:
        return []
    k = len(found[0].confusion)
    return [[sum(m.confusion[i][j] for m in found) for j in range(k)] for i in range(k)]
