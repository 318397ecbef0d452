"""What the searches spent, how they went, and every pixel that any method changed."""

from __future__ import annotations

from collections.abc import Sequence

from audit.results import AuditResult, PerturbationRecord, SearchRecord
from reports import lookups, words
from reports.condition_sections import shown
from reports.document import Block, Column, Figure, Table, Text
from reports.figure_images import edit_text


def budget_blocks(result: AuditResult) -> list[Block]:
    """Budget and settings: one row per search."""
    searches = lookups.searches(result)
    if not searches:
        return [Text(f"The search was {words.NOT_RUN}, or left no record.")]
    rows = [
        [
            words.attack_label(record.attack, record.severity),
            str(search.trainings),
            words.thousands(search.image_steps),
            words.duration(search.seconds),
            search.stopped,
            str(search.seed),
        ]
        for record, search in searches
    ]
    columns = [
        Column("Perturbation", 0.22),
        Column("Surrogate trainings", 0.15, "right"),
        Column("Image-steps", 0.16, "right"),
        Column("Time", 0.13, "right"),
        Column("Stopped", 0.24),
        Column("Seed", 0.10, "right"),
    ]
    note = (
        "Surrogate trainings: all of them, the scoring of the finalists included; exact counts, no interval."
        f"{closed_form_text(searches)}"
    )
    return [
        Table("Searches and their budget.", columns, rows, note),
        *[Text(text, kind="note") for text in settings_texts(searches)],
    ]


def closed_form_text(searches: Sequence[tuple[PerturbationRecord, SearchRecord]]) -> str:
    """What was ranked without a training, where anything was."""
    ranked = [
        f"{words.attack_label(record.attack, record.severity)} {words.thousands(search.closed_form_readings)}"
        for record, search in searches
        if search.closed_form_readings
    ]
    if not ranked:
        return ""
    return (
        " Before its trainings a search may rank combinations of pixels by a regression on the features of an "
        f"untrained network; so many were ranked, within the time given: {', '.join(ranked)}."
    )


def settings_texts(searches: Sequence[tuple[PerturbationRecord, SearchRecord]]) -> list[str]:
    """Settings that all searches share, once; then what is particular to each."""
    records = [search for _, search in searches]
    same = {
        key: value
        for key, value in records[0].settings.items()
        if all(key in r.settings and r.settings[key] == value for r in records)
    }
    surrogates = " / ".join(dict.fromkeys(r.surrogate for r in records))
    found = [f"{joined({'surrogate': surrogates, **same})}."]
    if len(records) > 1:
        found[0] = f"All searches: {found[0]}"
    for record, search in searches:
        own = {key: value for key, value in search.settings.items() if key not in same}
        if own:
            found.append(
                f"{words.capital(words.attack_label(record.attack, record.severity))}: {joined(own)}."
            )
    return found


def joined(settings: dict[str, float | int | str]) -> str:
    """'population 16, fit accuracy 0.95'."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())


def search_blocks(result: AuditResult, figures: list[Figure]) -> list[Block]:
    """Learning curves, examples, and every coordinate."""
    blocks: list[Block] = []
    if not any(record.attack in words.SEARCHES for record in result.perturbations):
        blocks.append(Text(f"A search was {words.NOT_RUN}: no perturbation of one is recorded."))
    blocks += shown(figures, "search", "No learning curve: the search left no record of its generations.")
    blocks += shown(
        figures,
        "map",
        "No map of changed pixels: no pixel was changed, or no mean images are recorded.",
    )
    blocks += shown(figures, "examples", "No example images were recorded.")
    return blocks + edit_tables(result)


def edit_tables(result: AuditResult) -> list[Block]:
    """Coordinates of the perturbations of all methods, and what they changed."""
    ordered = sorted(result.perturbations, key=lambda p: (words.attack_order(p.attack), p.severity, p.draw))
    listed = [record for record in ordered if record.draw == 0]
    if not listed:
        return []
    height, width = result.dataset.image_size
    more = len(ordered) - len(listed)
    left_out = f" {words.count(more, 'further draw')} of random pixels: see results.json." if more else ""
    return [
        Table(
            "Changed pixels by method and class." + words.caption_limits(result),
            [
                Column("Perturbation", 0.20),
                Column("Class", 0.18),
                Column("Pixels and their new values", 0.47),
                Column("Images changed", 0.15, "right"),
            ],
            [row for record in listed for row in edit_rows(result, record)],
            f"Rows and columns from 0 at the top left, of {height} × {width} pixels; values from 0 (black) "
            "to 1 (white), one per channel. Images changed: share of the training images of the class in "
            "which at least one pixel really differs (an exact count, no interval). "
            f"{words.px_note(result)}{left_out}",
        )
    ]


def edit_rows(result: AuditResult, record: PerturbationRecord) -> list[list[str]]:
    """One row per edited class; the others together in one."""
    what, names = words.attack_cell(record.attack, record.severity), result.dataset.class_names
    changed = record.changed_fraction_by_class
    rows, left_out = [], []
    for label, name in enumerate(names):
        edits = [edit_text(edit) for edit in record.edits if edit.label == label]
        if edits:
            share = words.percent(changed[label]) if label < len(changed) else "not recorded"
            rows.append([what, name, "; ".join(edits), share])
        else:
            left_out.append(name)
    return [*rows, [what, ", ".join(left_out), "not edited", words.percent(0)]] if left_out else rows


def perturbation_table(result: AuditResult) -> Block:
    """Hash and file of every perturbation, each draw of the random control included."""
    if not result.perturbations:
        return Text("No perturbation was recorded.")
    rows = [
        [
            words.attack_label(p.attack, p.severity)
            + (f", draw {p.draw}" if p.attack == words.RANDOM else ""),
            p.id,
            p.file,
            words.percent(p.changed_fraction),
        ]
        for p in result.perturbations
    ]
    columns = [
        Column("Perturbation", 0.24),
        Column("Hash", 0.24),
        Column("File in the run directory", 0.37),
        Column("Images changed", 0.15, "right"),
    ]
    note = (
        f"Carried by {words.carriers(result)}. Images changed: share of all training images in which at least "
        "one pixel really differs (an exact count, no interval); a pixel written over an equal pixel changes "
        "nothing."
    )
    return Table("Perturbations.", columns, rows, note)
