"""From finished cells and perturbations to `AuditResult`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audit.attack.perturbation import Artefact, Perturbation
from audit.checks.record import CheckResult
from audit.data.dataset import ImageDataset
from audit.data.repaired import repair_summary
from audit.describe import describe_dataset, png
from audit.evaluation.comparison import compare_pairs
from audit.evaluation.conditions import Evidence, robustness_scores, summarize_conditions
from audit.evaluation.verdict import defence_words, find, percent, search_against_controls
from audit.plan import AttackSpec, AuditPlan, baseline_pair
from audit.results import (
    CROSS_ENTROPY,
    EARLY_STOPPING,
    NO_DEFENCE,
    AuditResult,
    CellResult,
    Cost,
    Environment,
    ExampleImage,
    PerturbationRecord,
)
from audit.scan.record import ScanRecord
from audit.settings import AuditConfig
from audit.training.augmentation import AUGMENTATIONS
from audit.training.losses import LOSSES
from audit.training.normalization import NORMALIZATIONS
from audit.training.preprocessing import PREPROCESSINGS


def assemble_result(
    plan: AuditPlan,
    dataset: ImageDataset,
    artefacts: dict[AttackSpec, Artefact],
    cells: list[CellResult],
    environment: Environment,
    files: dict[AttackSpec, Path],
    created: str,
    command: str,
    seconds: float,
    checks: list[CheckResult],
    scan: ScanRecord,
    cost: Cost | None,
) -> AuditResult:
    """Summaries, scores and finding of one audit."""
    config = plan.config
    baseline = baseline_pair(config)
    evidence = Evidence(cells, dataset.test.labels, dataset.test.groups, config, baseline)
    conditions = summarize_conditions(evidence)
    comparisons = compare_pairs(evidence)
    failed = [cell for cell in cells if cell.status == "failed"]
    shown = [e for a, artefact in artefacts.items() if a.draw == 0 for e in examples(artefact, dataset)]
    record = describe_dataset(dataset, shown)
    return AuditResult(
        audit_id=plan.id,
        created=created,
        command=command,
        profile=config.profile,
        state="incomplete" if failed else "complete",
        config=shareable_config(config),
        dataset=record,
        perturbations=[
            describe_perturbation(a, artefacts[a], dataset, files[a]) for a in plan.attacks if a in artefacts
        ],
        cells=cells,
        conditions=conditions,
        scores=robustness_scores(evidence),
        comparisons=comparisons,
        defences=defences_in_words(config),
        baseline=f"{baseline[0]} with {baseline[1]}, {defence_words(baseline[2])}",
        baseline_pair=baseline,
        checks=checks,
        scan=scan,
        repair=None if config.data.path is None else repair_summary(config.data.path.expanduser()),
        finding=find(conditions, len(failed), record, config.evaluation.drop_tolerance, comparisons),
        limitations=[*search_against_controls(conditions), *limitations(plan, dataset, cells)],
        environment=environment,
        cost=cost,
        seconds=seconds,
    )


def defences_in_words(config: AuditConfig) -> dict[str, str]:
    """What each normalization, augmentation and preprocessing of the grid does."""
    found = {name: NORMALIZATIONS[name].description for name in config.normalizations}
    for name in config.augmentations:
        found |= {part: AUGMENTATIONS[part].description for part in name.split("+")}
    for name in config.preprocessings:
        found |= {part: PREPROCESSINGS[part].description for part in name.split("+")}
    found |= {name: LOSSES[name].description for name in config.losses if name != CROSS_ENTROPY}
    if EARLY_STOPPING in config.stoppings:
        found[EARLY_STOPPING] = (
            "of all epochs, the weights that read the clean validation images best, whose labels are trusted"
        )
    return {name: words for name, words in found.items() if name != NO_DEFENCE}


def shareable_config(config: AuditConfig) -> dict[str, object]:
    """The configuration without the places of files on the user's disk, which may name people."""
    content: dict[str, Any] = config.model_dump(mode="json")
    for section, key, path in (
        ("data", "path", config.data.path),
        ("controls", "transfer_from", config.controls.transfer_from),
    ):
        if path is not None:
            content[section][key] = path.name
    content["engine"] = config.engine.partition(":")[0]  # not the address of a cluster
    weights = {name: file.name for name, file in config.training.weights.items()}
    return {**content, "training": {**content["training"], "weights": weights}}


def examples(artefact: Artefact, dataset: ImageDataset) -> list[ExampleImage]:
    """The first training image of each class, before and after (Fig. 4-6)."""
    shown = []
    for label in range(len(dataset.class_names)):
        index = np.flatnonzero(dataset.train.labels == label)[:1]
        clean = dataset.train.images[index]
        # One image would always be drawn as a carrier: show what the carriers look like.
        perturbed = artefact.perturbation.on_all_images.apply(clean, dataset.train.labels[index])
        shown.append(
            ExampleImage(
                label=label,
                attack=artefact.attack,
                severity=artefact.severity,
                clean_png=png(clean[0]),
                perturbed_png=png(perturbed[0]),
            )
        )
    return shown


def describe_perturbation(
    attack: AttackSpec, artefact: Artefact, dataset: ImageDataset, file: Path
) -> PerturbationRecord:
    """The edits, and what they really changed."""
    perturbation: Perturbation = artefact.perturbation
    labels = dataset.train.labels
    changed = perturbation.changed(dataset.train.images, labels)
    return PerturbationRecord(
        id=perturbation.id,
        attack=attack.attack,
        severity=attack.severity,
        draw=attack.draw,
        image_size=perturbation.image_size,
        edits=list(perturbation.edits),
        fraction=perturbation.fraction,
        changed_fraction=float(changed.mean()),
        changed_fraction_by_class=[
            float(changed[labels == k].mean()) for k in range(len(dataset.class_names))
        ],
        search=artefact.search,
        file=file.as_posix(),
    )


def limitations(plan: AuditPlan, dataset: ImageDataset, cells: list[CellResult]) -> list[str]:
    """What this audit does not show."""
    config = plan.config
    found = []
    if plan.fitted is not None and plan.left_out:
        hours = plan.fitted["max_hours"]
        found.append(f"Left out to fit into {hours:g} h: {'; '.join(plan.left_out)}.")
    if dataset.synthetic:
        found.append(
            "The images are synthetic phantoms: nothing here says anything about patients or devices."
        )
    if len(config.seeds) == 1:
        found.append("One seed: intervals hold the spread between test images, not that between trainings.")
    elif len(config.seeds) < 5:
        found.append(f"{len(config.seeds)} seeds: the spread between trainings is known only roughly.")
    if len(config.seeds) == 2:
        found.append(
            "2 seeds: where trainings differ by 3 points or more, 95 % intervals held the truth in only 88 to 94 % of "
            "simulated audits."
        )
    if dataset.test.groups is None:
        found.append(
            "No patient ids: images of one patient count as independent, so intervals may be too narrow."
        )
    found.append(
        "The search is a lower bound: a perturbation that does more harm may exist, and a search with another seed "
        "finds another one. Intervals do not include the spread between searches. Drops are read at a level "
        "corrected for the number of conditions (Bonferroni), comparisons of pairs at one corrected for their own "
        "number; scores and single intervals are not corrected."
    )
    others = [name for name in config.optimizers if name != config.search.optimizer]
    if config.search.enabled and others:
        found.append(
            f"The search trained its surrogates with {config.search.optimizer}: pairs with {', '.join(others)} may "
            'fall to a perturbation searched for them, and "within tolerance" holds for this perturbation alone.'
        )
    found += not_tested(config)
    untested = [s for s in (1, 2, 5) if s not in config.severities]
    if untested:
        found.append(
            f"Severities {', '.join(map(str, untested))} were not run; the robustness score of the method "
            "averages over 1, 2 and 5 pixels."
        )
    lowest = min(config.evaluation.drop_tolerance, 1.0)
    found.append(f"Drops below {percent(lowest)} of accuracy count as tolerated, by configuration.")
    found += sorted(
        {f"Initial weights of {c.recipe.model}: {c.weights_note}." for c in cells if c.weights_note}
    )
    found += [
        f"Failed: {c.model}, {c.optimizer}, {c.defence}, {c.attack}: {c.failure}"
        for c in cells
        if c.status == "failed"
    ]
    return found


def not_tested(config: AuditConfig) -> list[str]:
    """Which parts of a full audit this configuration left out."""
    found = []
    for name, words in (
        ("random-search", "Random search at equal budget"),
        ("heuristic", "The label-by-position heuristic"),
        ("shortcut", "The closed-form shortcut"),
        ("random", "Random pixels"),
    ):
        if name not in config.controls.methods:
            found.append(f"{words}: not run. Whether the search does more harm is not shown here.")
    if set(config.augmentations) == {NO_DEFENCE}:
        found.append(
            "Augmentation was off: with flips and shifts, attacks of this kind lose strength and must be "
            "searched anew."
        )
    if not config.perturbed.classes and config.perturbed.fraction == 1:
        found.append(
            "Every image of a class carried the perturbation; partly perturbed classes were not tested."
        )
    else:
        part = config.perturbed.fraction
        carried = "the images" if part == 1 else f"{percent(part)} of the images"
        which = ", ".join(config.perturbed.classes) or "every class"
        found.append(f"Only {carried} of {which} carried the perturbation.")
    unknown = [name for name in config.augmentations if name != config.search_augmentation]
    unknown += [
        name for name in config.preprocessings if name not in (NO_DEFENCE, config.search.preprocessing)
    ]
    if config.search.enabled and unknown:
        found.append(
            f"The search knew nothing of {', '.join(unknown)}: what they save from a perturbation that was searched "
            "without them, they may not save from one that was searched for them."
        )
    if set(config.preprocessings) == {NO_DEFENCE}:
        found.append("Filters, recompression and other preprocessing of the images were not tested.")
    return found
