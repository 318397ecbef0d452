"""The page's sections on defences, and on cross-entropy against vibCE (Table 2.4)."""

from __future__ import annotations

import table_2_4
from reproduction_lookups import SEVERITIES, accuracy_text, find, signed

from audit.results import CLEAN, EVOSHIFT, AuditResult

LEARNED = 0.2  # of clean semantic sensitivity: below cross-entropy by more, vibCE has not learned the images


def section_defences(result: AuditResult) -> list[str]:
    """Recovery under attack and cost on clean data of every defence, by itself."""
    plain = find(result, result.baseline_pair, 1)
    clean = find(result, result.baseline_pair, 0)
    lines = ["## Defences: recovery and cost, small CNN, Adam, OCT, one pixel per class\n"]
    if plain is not None and clean is not None:
        lines.append(
            f"Without defence: clean {accuracy_text(clean.accuracy)}, attacked {accuracy_text(plain.accuracy)}. The "
            "attack was found without knowledge of the defences: an attacker who expects one may do better.\n"
        )
    lines += [
        "| defence | clean | attacked | recovery, points | cost on clean data, points | reading |",
        "|---" * 6 + "|",
    ]
    rows = [c for c in result.comparisons if c.is_defence and c.attack == EVOSHIFT and c.severity == 1]
    for c in sorted(rows, key=lambda c: -(c.recovery.estimate if c.recovery else -1)):
        own_clean, own = find(result, c.first, 0), find(result, c.first, 1)
        lines.append(
            f"| {c.first[2]} | {accuracy_text(own_clean.accuracy) if own_clean else '-'} | "
            f"{accuracy_text(own.accuracy) if own else '-'} | {signed(c.recovery)} | {signed(c.cost)} | "
            f"{c.reading}{f' ({c.reason})' if c.reading == 'withheld' else ''} |"
        )
    many = len(result.comparisons)
    lines += [
        "",
        f"Reading by intervals corrected for {many} comparisons; those of the table are not corrected.",
        "",
    ]
    return lines


def section_losses(found: dict[str, AuditResult]) -> list[str]:
    """Table 2.4: MNIST beside the thesis's values, and OCT."""
    lines = ["## Table 2.4: semantic and nuisance sensitivity, cross-entropy and vibCE, GrayNet\n"]
    titles = {
        "mnist-losses": "MNIST, 4,500 training digits, 6 epochs",
        "oct-losses": "OCT, 28 x 28, 40 epochs",
    }
    for name, title in titles.items():
        if name in found:
            lines += [
                f"{title}; mean over trainings (lowest to highest):\n",
                *table_2_4.table(found[name]),
                "",
            ]
    lines += [
        "Thesis, MNIST (all training digits), α_S / α_N: clean CE 0.99 / 0.02, vibCE 0.98 / 0.02.",
        "Random pixels, N_p = 1, 2, 5: CE 0.30 / 0.92, 0.32 / 0.99, 0.15 / 1.00; vibCE 0.95 / 0.01, 0.94 / 0.03,",
        "0.93 / 0.09. EvoShift: CE 0.01 / 0.93, 0.01 / 1.00, 0.00 / 1.00; vibCE 0.94 / 0.01, 0.94 / 0.02,",
        "0.90 / 0.07.\n",
    ]
    for name in ("mnist-losses", "oct-losses"):
        if name in found:
            lines.append(f"- {name}: {judge_losses(found[name])}")
    return [*lines, ""]


def judge_losses(result: AuditResult) -> str:
    """Whether vibCE keeps semantic sensitivity under EvoShift where cross-entropy loses it, if it learned at all."""

    def sensitivities(loss: str, attack: str, severity: int) -> list[float]:
        return [
            cell.measures.semantic_sensitivity
            for cell in result.cells
            if (cell.attack, cell.severity, cell.recipe.loss) == (attack, severity, loss) and cell.measures
        ]

    clean = {loss: sensitivities(loss, CLEAN, 0) for loss in table_2_4.LOSSES}
    mean = {loss: sum(values) / max(len(values), 1) for loss, values in clean.items()}
    above = []
    for severity in SEVERITIES:
        ce, vib = (sensitivities(loss, EVOSHIFT, severity) for loss in table_2_4.LOSSES)
        if ce and vib:
            above.append(min(vib) > max(ce))
    seen = f"α_S on clean images: CE {mean['ce']:.2f}, vibCE {mean['vibce']:.2f}"
    if mean["vibce"] < mean["ce"] - LEARNED:
        return f"**not comparable**: vibCE hardly learned these images ({seen})."
    words = f"under EvoShift every vibCE training stands above every CE training in {sum(above)} of {len(above)} cases"
    verdict = "agrees" if above and all(above) else "agrees in part" if any(above) else "disagrees"
    return f"**{verdict}** with the thesis (vibCE far above): {words} ({seen})."
