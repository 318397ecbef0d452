"""The report's own words around the results: cover, summary, data, protocol, limitations, reproduction.

Everything is computed from the `AuditResult`; where something is missing, a sentence says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from audit.results import CLEAN, AuditResult, Pair
from reports import lookups, words
from reports.attachments import Attachment
from reports.condition_sections import appendix
from reports.document import (
    Block,
    Bullets,
    Column,
    Cover,
    Facts,
    Figure,
    Heading,
    RowMark,
    Section,
    Table,
    Text,
)
from reports.integrity_section import integrity_section
from reports.language import spoken
from reports.recommendation import recommendation_section
from reports.references import referenced
from reports.results_sections import results_sections
from reports.scope_section import scope_section
from reports.setup_sections import data_section, limitations_section, protocol_section, reproduction_section
from reports.traceability_section import traceability_section

TITLE = "Robustness audit"
FOOTER = "For research use. Not a medical device."
SUMMARY_ROWS = 8
SUMMARY_LIMITS = 900  # signs: what stands on the page that clinicians read

NOTICE = (
    "For research use. Not a medical device: this report supports, and does not replace, a review by "
    "qualified persons. It speaks about the trainings, the images and the perturbations named in it, and "
    "about nothing else."
)

VERDICT_TEXTS = {
    "vulnerable": (
        "At least one attacked training lost surely more accuracy than the tolerance fixed beforehand."
    ),
    "within tolerance": (
        "Every attacked training lost surely less accuracy than the tolerance fixed beforehand. This is no "
        "proof of safety: a perturbation that does more harm may exist."
    ),
    "inconclusive": "The evidence allows neither an all-clear nor a finding of vulnerability.",
    "incomplete": "Parts of the audit failed or are missing, so that no verdict is given.",
}

LEARNED = (
    "A model can then learn the pixel and not the disease: it looks excellent in training and fails on images "
    "that nobody has changed."
)
ATTACKED = (
    "The audit searched for changes that do the most harm, trained each model on them, and tested it on "
    "unchanged images."
)
NOT_ATTACKED = (
    "This audit holds no training on images changed by the search: it shows clean performance at most."
)


def build_sections(
    result: AuditResult, figures: list[Figure], files: Sequence[Attachment] = ()
) -> list[Section]:
    """The whole report after the cover, in the language of the report."""
    sections = [
        summary_section(result),
        recommendation_section(result, figures),
        scope_section(result),
        data_section(result, figures),
        integrity_section(result, figures),
        protocol_section(result),
        *results_sections(result, figures),
        limitations_section(result),
        reproduction_section(result, files),
    ]
    headings = [section.heading for section in sections]
    sections.insert(-1, traceability_section(result, headings))
    sections += appendix(result)
    return [spoken(section) for section in referenced(sections)]


def cover(result: AuditResult) -> Cover:
    """The first page."""
    data = result.dataset
    facts = [
        ("Dataset", words.dataset_name(data)),
        ("Audit", result.audit_id),
        ("Date", words.moment(result.created)),
        ("Operator", lookups.setting_text(result, "operator") or "not stated"),
        ("Profile", result.profile),
        ("State", state_text(result)),
        ("Verdict because", result.finding.reason),
        ("Dataset fingerprint", data.fingerprint),
        ("Configuration fingerprint", lookups.config_fingerprint(result)),
        ("Code fingerprint", result.environment.code_fingerprint),
        ("Program", f"audit {result.environment.audit_version}, protocol version {result.protocol_version}"),
    ]
    limits = words.banner(result)
    front = Cover(
        title=TITLE,
        subtitle="How image classifiers fail when a few pixels of their training images are changed",
        verdict=words.capital(result.finding.verdict),
        look=result.finding.verdict,
        verdict_text=VERDICT_TEXTS[result.finding.verdict],
        banner=limits_sentence(result) if limits else "",
        facts=Facts(facts),
        notice=NOTICE,
    )
    translated: Cover = spoken(front)
    return translated


def limits_sentence(result: AuditResult) -> str:
    """What the banner on the cover says in full."""
    parts = []
    if result.dataset.synthetic:
        parts.append(
            "Synthetic data: the images are computed phantoms and say nothing about patients or devices."
        )
    if result.profile == "quick":
        parts.append("Quick profile: small images, few epochs and a small search, for a first look only.")
    if result.state == "incomplete":
        parts.append("Incomplete audit: " + state_text(result) + ".")
    return " ".join(parts)


def state_text(result: AuditResult) -> str:
    """'complete', or how many trainings are missing."""
    failed, total = len(lookups.failed_cells(result)), len(result.cells)
    if result.state == "complete" and not failed:
        return f"complete: {words.count(total, 'training')}"
    return f"{result.state}: {failed} of {words.count(total, 'training')} failed"


def summary_section(result: AuditResult) -> Section:
    """One page for a clinician."""
    finding = result.finding
    return Section(
        "Summary",
        [
            Text(finding.sentence, kind="lead"),
            Text(f"{finding.verdict}: {finding.reason}.", "Verdict"),
            Text(what_was_done(result), "What was done"),
            summary_table(result),
            Heading("What to do"),
            Bullets(finding.actions or ["No action was derived from this audit."], numbered=True),
            Heading("What was not tested, and what limits this result"),
            Bullets(summary_limits(result)),
        ],
        new_page=True,
    )


def what_was_done(result: AuditResult) -> str:
    """Which images were changed, how the changes were found, and what was trained on them."""
    threat = f"Here a few pixels are changed in {words.carriers(result)}, the same ones throughout a class. {LEARNED}"
    methods = lookups.attacks(result)
    if not methods:
        return f"{threat} {NOT_ATTACKED}"
    if set(methods) & set(words.SEARCHES):
        return f"{threat} {ATTACKED}"
    titles = words.listed([words.attack_title(name) for name in methods])
    return (
        f"{threat} The audit did not search for the changes that do the most harm: it took those of {titles}, "
        "trained models on them, and tested these on unchanged images."
    )


def summary_limits(result: AuditResult) -> list[str]:
    """The first limitations; all of them stand in their own section."""
    found = [item for item in result.limitations if not item.startswith("Failed")]
    failed = len(lookups.failed_cells(result))
    if failed:
        found.insert(
            0, f"{words.count(failed, 'training')} failed; the reasons stand in the section Limitations."
        )
    if not found:
        return ["No limitation was recorded; this does not mean that there are none."]
    lengths = itertools.accumulate(len(item) for item in found)
    shown = found[: max(sum(length <= SUMMARY_LIMITS for length in lengths), 1)]
    more = len(found) - len(shown)
    return shown if not more else [*shown, f"{more} more in the section Limitations."]


def summary_table(result: AuditResult) -> Block:
    """Clean -> attacked -> attacked with the best defence, for each model and optimizer."""
    severity = lookups.shown_severity(result)
    if severity is None:
        return Text(
            f"The attack by EvoShift was {words.NOT_RUN} in this audit: there is no before and after."
        )
    main = lookups.main_attack(result)
    rows: list[list[str]] = []
    marks: dict[int, RowMark] = {}
    worst = result.finding.worst
    for model, optimizer in summary_pairs(result):
        row = summary_row(result, model, optimizer, severity)
        if worst is not None and (worst.model, worst.optimizer) == (model, optimizer):
            marks[len(rows)] = "strong"
        rows.append(row)
    hidden = len({pair[:2] for pair in lookups.pairs(result)}) - len(rows)
    shown = [
        c.accuracy for c in result.conditions if (c.attack, c.severity) in ((CLEAN, 0), (main, severity))
    ]
    note = (
        f"{words.sample_statement(shown)} {words.guessing(result)} {words.UNDER_FITTED} under-fitted: at "
        "least one training never reached 95 % on its own training images, so that its numbers say little "
        f"about robustness.{bold_note(result)}"
    )
    if hidden > 0:
        note += f" {hidden} more in the table of all conditions."
    return Table(
        f"Accuracy on unchanged test images, {words.pixels(severity)} per class changed in the training "
        f"images ({words.attack_title(main)}).{words.caption_limits(result)}",
        [
            Column("Model, optimizer", 0.25),
            Column("Trained on clean images", 0.24, "right"),
            Column("Trained on attacked images", 0.25, "right"),
            Column("Attacked, best defence", 0.26, "right"),
        ],
        rows,
        note,
        marks,
    )


def bold_note(result: AuditResult) -> str:
    """What is bold; where the table shows another method than that of the worst finding, its number too."""
    worst = result.finding.worst
    if worst is None:
        return ""
    if worst.attack == lookups.main_attack(result):
        return " Bold: the worst finding."
    accuracy = words.percent_interval(worst.accuracy)
    title = words.attack_title(worst.attack)
    return f" Bold: the worst finding, made with {title}: {accuracy}, see the section Controls."


def summary_pairs(result: AuditResult) -> list[tuple[str, str]]:
    """(model, optimizer) of the summary: all, or of many the worst finding, the baseline and the first."""
    everything = list(dict.fromkeys(pair[:2] for pair in lookups.pairs(result)))
    if len(everything) <= SUMMARY_ROWS:
        return everything
    baseline, worst = lookups.baseline_pair(result), result.finding.worst
    wanted = [pair[:2] for pair in (worst.pair if worst else None, baseline) if pair is not None]
    kept = list(dict.fromkeys([*wanted, *everything]))[:SUMMARY_ROWS]
    return [pair for pair in everything if pair in kept]


def summary_row(result: AuditResult, model: str, optimizer: str, severity: int) -> list[str]:
    """One model and optimizer, without and with the best of its defences."""
    main = lookups.main_attack(result)
    plain: Pair = (model, optimizer, result.baseline_pair[2])
    defended = [p for p in lookups.pairs(result) if p[:2] == (model, optimizer) and p != plain]
    best = words.NOT_RUN
    if defended:
        pair = max(defended, key=lambda p: lookups.accuracy_estimate(result, p, main, severity))
        best = f"{words.defence_cell(pair[2])}: {lookups.accuracy_text(result, pair, main, severity)}"
    return [
        f"{model}, {optimizer}",
        lookups.accuracy_text(result, plain, CLEAN, 0),
        lookups.accuracy_text(result, plain, main, severity),
        best,
    ]
