"""The section on where the networks look."""

from __future__ import annotations

from audit.results import AuditResult, CellResult
from reports import words
from reports.condition_sections import shown
from reports.document import Block, Column, Figure, Section, Table, Text


def saliency_section(result: AuditResult, figures: list[Figure]) -> list[Section]:
    """Grad-CAM figures and the shares of saliency; nothing where no network was explained."""
    found = [cell for cell in result.cells if cell.explanation is not None]
    if not found:
        return []
    reasons = dict.fromkeys(
        f"{cell.model}: {cell.explanation.reason}."
        for cell in found
        if cell.explanation and cell.explanation.reason
    )
    attacked = [cell for cell in found if cell.explanation and cell.explanation.train_shares]
    blocks: list[Block] = [
        Text(
            "Grad-CAM shows which places of an image speak for its class in a network's eyes. It sees no finer than "
            "the cells of the feature map (the deepest with at least 6 × 6 cells), so that a share is read in a "
            "window of that size round each changed pixel and compared with what a map without preference would "
            "have there."
        ),
        *shown(figures, "saliency", "The maps are left out: no network of the summary has one."),
        *([share_table(result, attacked)] if attacked else []),
        *[Text(f"Not explained: {reason}") for reason in reasons],
    ]
    return [Section("Where the networks look", blocks)]


def share_table(result: AuditResult, cells: list[CellResult]) -> Table:
    """One row per attacked training: share of saliency around the changed pixels, mean and range over classes."""
    rows = []
    for cell in cells:
        found = cell.explanation
        if found is None:
            continue
        rows.append(
            [
                words.pair_cell(cell.pair),
                words.attack_cell(cell.attack, cell.severity),
                classes(found.train_shares),
                classes(found.test_shares),
                classes(found.uniform_shares),
                str(found.radius),
            ]
        )
    seeds = words.listed([str(seed) for seed in sorted({cell.seed for cell in cells})])
    return Table(
        "Share of the saliency around the changed pixels, mean over classes [lowest; highest class]."
        + words.caption_limits(result),
        [
            Column(words.PAIR_HEAD, 0.27),
            Column("Trained on", 0.15),
            Column("Training images", 0.17, "right"),
            Column("Clean test images", 0.18, "right"),
            Column("Uniform map", 0.14, "right"),
            Column("Radius", 0.09, "right"),
        ],
        rows,
        f"One training each (seed {seeds}); no intervals. Training images as trained, changed pixels included; test "
        f"images carry none. Radius in pixels. {words.px_note(result)}",
    )


def classes(shares: list[float | None]) -> str:
    """'41.0 % [12.0; 63.0]'."""
    known = [share for share in shares if share is not None]
    return words.mean_range(known) if known else "no map"
