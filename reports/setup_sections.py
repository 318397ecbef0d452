"""Sections on what was audited and how: data, protocol, limitations, reproduction."""

from __future__ import annotations

from collections.abc import Sequence

from audit.results import CLEAN, AuditResult, ConditionSummary, Cost
from reports import lookups, words
from reports.attachments import Attachment, hash_blocks
from reports.document import Block, Bullets, Column, Facts, Figure, Heading, Section, Shown, Table, Text
from reports.recipe_table import recipe_table
from reports.search_sections import budget_blocks, perturbation_table

SIGNATURE = (
    "not on these pages: the command audit verify REPORT.pdf says whether the file is signed, and by whom"
)
OPEN_READINGS = 24  # listed one by one


def data_section(result: AuditResult, figures: list[Figure]) -> Section:
    """What was audited."""
    data = result.dataset
    height, width = data.image_size
    facts = [
        ("Dataset", data.name),
        ("Source", data.source or "not recorded"),
        ("Licence", data.licence or "not recorded"),
        (
            "Images",
            f"{height} × {width} pixels (height × width) at training resolution, "
            f"{words.count(data.channels, 'channel')}",
        ),
        ("Leak between splits", leak_text(result)),
        ("Fingerprint", data.fingerprint),
    ]
    blocks: list[Block] = []
    if data.synthetic:
        blocks.append(
            Text(
                "The images are synthetic phantoms, computed by this program. No number in this report "
                "says anything about patients, devices or clinical images.",
                "Synthetic data",
            )
        )
    blocks += [Facts(facts), counts_table(result), Text(words.guessing(result))]
    if data.notes:
        blocks += [Heading("Notes from reading the data"), Bullets(list(data.notes))]
    if data.excluded:
        why = [f"{reason}: {words.count(number, 'file')}" for reason, number in data.excluded.items()]
        blocks += [Heading("Excluded"), Bullets(why)]
    blocks += [Shown(figure) for figure in figures if figure.kind == "contact"]
    return Section("Data", blocks)


def leak_text(result: AuditResult) -> str:
    """Patients or lesions that stand in more than one split."""
    shared = result.dataset.groups_in_several_splits
    if shared is None:
        return f"check {words.NOT_RUN}: the data hold no patient or lesion ids"
    if shared == 0:
        return "none found: no patient or lesion stands in several splits"
    return (
        f"{words.count(shared, 'patient or lesion', 'patients or lesions')} in more than one split: test "
        "results may look better than they are"
    )


def counts_table(result: AuditResult) -> Table:
    """Images by split and class."""
    data = result.dataset
    splits = list(data.counts)
    share = 0.6 / max(len(splits), 1)
    columns = [Column("Class", 0.4)] + [Column(split, share, "right") for split in splits]
    rows = [
        [name, *[str(data.counts[split][k]) for split in splits]] for k, name in enumerate(data.class_names)
    ]
    rows.append(["All images", *[str(sum(data.counts[split])) for split in splits]])
    known = [data.groups.get(split) for split in splits]
    rows.append(["Patients or lesions", *["unknown" if n is None else str(n) for n in known]])
    marks = {len(data.class_names): "strong"}
    return Table("Images by split and class." + words.caption_limits(result), columns, rows, "", marks)  # type: ignore[arg-type]


def protocol_section(result: AuditResult) -> Section:
    """What was run and how it was measured, all fixed before the first training."""

    def grid(field: str) -> str:
        names = dict.fromkeys(str(getattr(cell, field)) for cell in result.cells)
        return ", ".join(names) or "none"

    done = sum(cell.status == "done" for cell in result.cells)
    facts = [
        ("Models", grid("model")),
        ("Optimizers", grid("optimizer")),
        (
            "Defences",
            ", ".join(dict.fromkeys(words.defence_cell(c.defence) for c in result.cells)) or "none",
        ),
        ("Trained on", trained_on_text(result)),
        *([("Changed pixels in", words.carriers(result))] if result.perturbations else []),
        ("Seeds", grid("seed")),
        ("Baseline pair", result.baseline),
        ("Trainings", f"{done} finished, {len(result.cells) - done} failed"),
    ]
    return Section(
        "Protocol",
        [
            Text("Everything here was fixed before the first training, in the configuration of the audit."),
            Facts(facts),
            *defence_blocks(result),
            recipe_table(result),
            Heading("How it was measured"),
            Bullets(measurement(result)),
            Heading("How the perturbation was searched"),
            *budget_blocks(result),
        ],
    )


def defence_blocks(result: AuditResult) -> list[Block]:
    """What each defence does to the images."""
    if not result.defences:
        return [Text("No defence was tested: images went to the networks as they are, in [0, 1].")]
    rows = [f"{words.defence_cell(name)}: {what}." for name, what in result.defences.items()]
    return [
        Text(
            "What the defences do. All of them act on training and test images alike, except augmentations, which "
            "change training images alone, anew in each epoch:"
        ),
        Bullets(rows),
    ]


def trained_on_text(result: AuditResult) -> str:
    """'clean; EvoShift: 1 and 2 pixels; shortcut: 1 and 2 pixels'."""
    parts = ["clean"] if any(cell.attack == CLEAN for cell in result.cells) else []
    for attack in lookups.attacks(result):
        severities = sorted({cell.severity for cell in result.cells if cell.attack == attack})
        pixels = "pixel" if severities == [1] else "pixels"
        parts.append(f"{words.attack_title(attack)}: {words.listed([str(s) for s in severities])} {pixels}")
    return "; ".join(parts) or "nothing"


def measurement(result: AuditResult) -> list[str]:
    """How each training was read."""

    def value(path: str) -> str:
        return lookups.setting_text(result, path)

    return [
        "Test images are unchanged and were never seen by the search.",
        "Before each reading, batch-norm statistics are computed again on the training images as trained "
        "(perturbed images for attacked trainings). The fit is read on the same images.",
        f"Evaluation batches of {value('evaluation.batch_size')} images in fixed order; fit by epoch on "
        f"{value('evaluation.monitor_images')} training images.",
        "Final: after the last epoch. Matched fit: first epoch with 95 % accuracy on the training images "
        "as trained; under-fitted if there is none. Peak: the best epoch on the test images, an oracle "
        "reading that nobody can choose without the test answers.",
        f"A drop in accuracy counts as tolerated below {fraction(result, 'evaluation.drop_tolerance')} of "
        "the images; no reading is given where clean accuracy is not surely more than "
        f"{fraction(result, 'evaluation.min_clean_above_chance')} above guessing, or where a training is "
        "under-fitted.",
        "Intervals: the margin is the root of the summed squares of two margins, one for the test images (bootstrap of "
        f"{value('evaluation.bootstrap')} draws, of whole patients or lesions where ids exist) and one for the "
        "trainings (variance between seeds, t quantile), bent as in Wilson's interval. Drops, ratios and "
        "comparisons are paired by image and seed.",
        "Readings rest on intervals at a level corrected for the number of attacked conditions "
        "(Bonferroni), wider than the intervals that are printed.",
    ]


def fraction(result: AuditResult, path: str) -> str:
    """A configured fraction as percent."""
    value = lookups.setting(result, path)
    return words.percent(float(value)) if isinstance(value, int | float) else "not recorded"


def limitations_section(result: AuditResult) -> Section:
    """What this audit does not show."""
    blocks: list[Block] = [
        Bullets(list(result.limitations))
        if result.limitations
        else Text("No limitation was recorded; this does not mean that there are none.")
    ]
    failed = lookups.failed_cells(result)
    blocks.append(Heading("Failed trainings"))
    if failed:
        rows = [
            [
                words.pair_cell(c.pair),
                words.attack_label(c.attack, c.severity),
                str(c.seed),
                f"failed: {c.failure or 'no reason recorded'}",
            ]
            for c in failed
        ]
        columns = [
            Column(words.PAIR_HEAD, 0.32),
            Column("Trained on", 0.22),
            Column("Seed", 0.08, "right"),
            Column("Reason", 0.38),
        ]
        blocks.append(
            Table(f"{len(failed)} of {words.count(len(result.cells), 'training')} failed.", columns, rows)
        )
    else:
        blocks.append(Text("None."))
    blocks += [Heading("Withheld and inconclusive readings"), *open_readings(result)]
    return Section("Limitations", blocks)


def open_readings(result: AuditResult) -> list[Block]:
    """Conditions on which nothing can be said, with the reason."""
    found: list[ConditionSummary] = [
        c for c in result.conditions if c.reading in ("withheld", "inconclusive")
    ]
    if not found:
        return [Text("None.")]
    more = len(found) - OPEN_READINGS
    rest = [Text(f"{more} more; their reasons stand with all readings.")] if more > 0 else []
    return [
        Bullets(
            [
                f"{words.pair_label(c.pair)}, {words.attack_label(c.attack, c.severity)}: {c.reading}; "
                f"{c.reason}"
                for c in found[:OPEN_READINGS]
            ]
        ),
        *rest,
    ]


def reproduction_section(result: AuditResult, files: Sequence[Attachment]) -> Section:
    """What is needed to get the same numbers again."""
    env = result.environment
    facts = [
        ("Command", result.command),
        ("Audit", result.audit_id),
        (
            "Program",
            f"audit {env.audit_version}; results schema {result.schema_version}, protocol "
            f"{result.protocol_version}",
        ),
        ("Code fingerprint", env.code_fingerprint),
        ("Dataset fingerprint", result.dataset.fingerprint),
        ("Versions", f"Python {env.python}; " + ", ".join(f"{k} {v}" for k, v in env.versions.items())),
        (
            "Hardware",
            f"{env.processor}; {words.count(env.cores, 'core')}; device {env.device}; "
            f"{words.count(env.workers, 'worker')}; {env.platform}",
        ),
        ("Seeds", ", ".join(map(str, sorted({cell.seed for cell in result.cells}))) or "none"),
        (
            "Run time",
            f"{words.duration(result.seconds)} for the audit; "
            f"{words.duration(sum(cell.seconds for cell in result.cells))} summed over trainings",
        ),
    ]
    facts.append(("Signature", SIGNATURE))
    if result.cost is not None:
        facts.append(("Predicted and measured", cost_in_words(result.cost)))
    return Section("Reproduction", [Facts(facts), perturbation_table(result), *hash_blocks(result, files)])


def cost_in_words(cost: Cost) -> str:
    """Time, memory and energy of trainings and searches."""
    said = [
        f"{words.duration(cost.predicted_seconds)} predicted, {words.duration(cost.measured_seconds)} measured "
        f"({100 * cost.time_error:+.0f} %) for trainings and searches in {words.count(cost.sessions, 'session')}"
    ]
    if cost.predicted_bytes is not None and cost.measured_bytes is not None:
        gib = 2**30
        said.append(
            f"memory of the largest process {cost.predicted_bytes / gib:.1f} GiB predicted, "
            f"{cost.measured_bytes / gib:.1f} GiB measured"
        )
    energy = f"energy {cost.predicted_watt_hours:.2g} Wh predicted ({cost.power_basis})"
    if cost.measured_watt_hours is not None:
        energy += f", {cost.measured_watt_hours:.2g} Wh measured"
    return "; ".join([*said, energy])
