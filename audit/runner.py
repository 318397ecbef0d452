"""The audit, top to bottom: plan -> perturbations -> trainings -> measures -> `results.json`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from audit.assemble import assemble_result
from audit.attack.methods import METHODS
from audit.attack.perturbation import Artefact, Perturbation
from audit.attack.search import KeptReadings, SearchRequest
from audit.attack.surrogate_task import SurrogateTask, surrogate_task
from audit.cells import CellContext
from audit.check import check_dataset, without_names
from audit.data.dataset import ImageDataset
from audit.engines import Engine, choose_device, make_engine, worker_count
from audit.environment import describe_environment
from audit.errors import DataError
from audit.plan import AttackSpec, AuditPlan, Cell, digest, search_settings
from audit.results import CLEAN, AuditResult, CellResult, EpochReading, Generation
from audit.run_lock import held
from audit.scan.dataset import scan_dataset
from audit.scan.record import ScanRecord
from audit.store import RunStore


class Observer(Protocol):
    """Is told what happens; decides nothing."""

    def scanning(self, done: int, total: int) -> None: ...

    def scanned(self, scan: ScanRecord) -> None: ...

    def cells_started(self, cells: Sequence[Cell], already_done: int) -> None: ...

    def epoch(self, cell_id: str, reading: EpochReading) -> None: ...

    def cell_done(self, result: CellResult) -> None: ...

    def search_started(self, attack: AttackSpec, trainings: int) -> None: ...

    def generation(self, attack: AttackSpec, generation: Generation) -> None: ...

    def search_done(self, attack: AttackSpec, artefact: Artefact) -> None: ...


def run_audit(
    plan: AuditPlan, dataset: ImageDataset, run_dir: Path, observer: Observer, command: str
) -> AuditResult:
    """Do what is not done yet, and write `results.json`. Interrupted, the same call goes on from there. Raises
    RunDirectoryError where another process works on the same folder."""
    RunStore(run_dir).create()
    with held(run_dir):
        return run_held(plan, dataset, run_dir, observer, command)


def run_held(
    plan: AuditPlan, dataset: ImageDataset, run_dir: Path, observer: Observer, command: str
) -> AuditResult:
    """The same, where the folder is there and nobody else works on it."""
    store = RunStore(run_dir)
    created = store.begin(plan, dataset.fingerprint, command)
    scan = kept_scan(dataset, store, observer)
    device = choose_device(plan.config.device, plan.config.deterministic)
    workers = worker_count(plan.config, device)
    artefacts = {
        a: made for a in plan.attacks if (made := kept_artefact(a, plan, dataset, store)) is not None
    }
    results = {c.id: kept for c in plan.cells if (kept := kept_result(c, artefacts, store)) is not None}
    complete(plan, dataset, store, observer, artefacts, results, device, workers)
    found = assemble_result(
        plan,
        dataset,
        artefacts,
        [results[cell.id] for cell in plan.cells],
        describe_environment(device, workers),
        {
            a: store.perturbation_path(a, artefact_key(a, plan, dataset)).relative_to(run_dir)
            for a in artefacts
        },
        created=created,
        command=command,
        seconds=store.seconds(),
        checks=without_names(check_dataset(dataset, scan)),
        scan=scan,
    )
    found.save(run_dir / "results.json")
    return found


def complete(
    plan: AuditPlan,
    dataset: ImageDataset,
    store: RunStore,
    observer: Observer,
    artefacts: dict[AttackSpec, Artefact],
    results: dict[str, CellResult],
    device: str,
    workers: int,
) -> None:
    """Search the perturbations and train the cells that are missing, into `artefacts` and `results`."""
    missing = [cell for cell in plan.cells if cell.id not in results]
    unsearched = [a for a in plan.attacks if a.attack != CLEAN and a not in artefacts]
    observer.cells_started(missing, len(results))
    if not missing and not unsearched:
        return
    session = time.time()
    store.log(session, "started", cells=len(missing), workers=workers, device=device)
    context = CellContext(dataset.train, dataset.test, dataset.class_names, plan.config, device, dataset.val)
    task = surrogate_task(
        dataset.train, len(dataset.class_names), plan.config.search, plan.config.search_augmentation
    )
    with make_engine(context, task, min(workers, max(len(missing), 2))) as engine:
        for phase in phases(plan):
            for attack in (attack for attack in phase if attack in unsearched):
                artefacts[attack] = find_artefact(attack, task, plan, dataset, store, engine, observer)
                store.log(session, "perturbation", attack=attack.name)
                # Found anew, and not the same: what was trained under the old one counts no more.
                missing += [
                    cell
                    for cell in plan.cells_of(attack)
                    if cell.id in results and results[cell.id].perturbation_id != artefacts[attack].sha256
                ]
            waiting = [(c, perturbation_of(c, artefacts)) for c in missing if c.attack in phase]
            for result in engine.run_cells(longest_first(waiting), observer.epoch):
                store.save_cell(result)
                store.log(session, "cell", id=result.id, status=result.status)
                results[result.id] = result
                observer.cell_done(result)
    store.log(session, "finished")


def find_artefact(
    attack: AttackSpec,
    task: SurrogateTask,
    plan: AuditPlan,
    dataset: ImageDataset,
    store: RunStore,
    engine: Engine,
    observer: Observer,
) -> Artefact:
    """Find one perturbation and keep it; an interrupted search goes on from its readings."""
    path = store.perturbation_path(attack, artefact_key(attack, plan, dataset))
    readings = KeptReadings(
        engine.score_all, path.with_suffix(".readings.jsonl"), answer_all=engine.answer_all
    )
    artefact = make_artefact(attack, task, plan, dataset, readings, observer)
    artefact.save(path)
    readings.discard()
    return artefact


def kept_scan(dataset: ImageDataset, store: RunStore, observer: Observer) -> ScanRecord:
    """What the training images give away before anything is changed: told first, and looked for once."""
    scan = store.read_scan(dataset.fingerprint)
    if scan is None:
        scan = scan_dataset(dataset, observer.scanning).record
        store.save_scan(scan, dataset.fingerprint)
    observer.scanned(scan)
    return scan


def phases(plan: AuditPlan) -> list[list[AttackSpec]]:
    """First what needs no search (clean cells show at once whether the data can be learned), then the
    searched perturbations."""
    return [[attack for attack in plan.attacks if attack not in plan.searches], plan.searches]


def longest_first(jobs: list[tuple[Cell, Perturbation | None]]) -> list[tuple[Cell, Perturbation | None]]:
    """Clean cells first, then in the order of the plan, so that the first result comes early."""
    return sorted(jobs, key=lambda job: job[0].attack.attack != CLEAN)


def artefact_key(attack: AttackSpec, plan: AuditPlan, dataset: ImageDataset) -> str:
    """Hash of all that defines a perturbation."""
    return digest(attack, search_settings(attack, plan.config), dataset)


def kept_artefact(
    attack: AttackSpec, plan: AuditPlan, dataset: ImageDataset, store: RunStore
) -> Artefact | None:
    """A perturbation that was already made here."""
    path = store.perturbation_path(attack, artefact_key(attack, plan, dataset))
    if attack.attack == CLEAN or not path.exists():
        return None
    artefact = Artefact.load(path)
    if artefact.dataset_fingerprint != dataset.fingerprint:
        raise DataError(f"{path}: made for other data; delete it and run again")
    return artefact


def kept_result(cell: Cell, artefacts: dict[AttackSpec, Artefact], store: RunStore) -> CellResult | None:
    """A cell that was trained here already, and not under another perturbation than the one here now."""
    result = store.read_cell(cell.id)
    artefact = artefacts.get(cell.attack)
    stale = result is not None and artefact is not None and result.perturbation_id != artefact.sha256
    return None if stale else result


def make_artefact(
    attack: AttackSpec,
    task: SurrogateTask,
    plan: AuditPlan,
    dataset: ImageDataset,
    readings: KeptReadings,
    observer: Observer,
) -> Artefact:
    """Find one perturbation. Methods see training images only."""
    observer.search_started(attack, plan.budget(attack, dataset).trainings)
    request = SearchRequest(
        train=dataset.train,
        task=task,
        severity=attack.severity,
        classes=attack.classes or tuple(range(len(dataset.class_names))),
        fraction=attack.fraction,
        seed=attack.seed,
        settings=plan.config.search,
        readings=readings,
        on_generation=lambda generation: observer.generation(attack, generation),
        source=transferred_perturbation(plan) if attack.source else None,
    )
    found, record = METHODS[attack.attack].find(request)
    artefact = Artefact(
        attack=attack.attack,
        severity=attack.severity,
        draw=attack.draw,
        dataset_fingerprint=dataset.fingerprint,
        perturbation=found,
        search=record,
        sha256=found.id,
    )
    observer.search_done(attack, artefact)
    return artefact


def transferred_perturbation(plan: AuditPlan) -> Perturbation | None:
    """The perturbation of another data set or image size that is carried over to this one."""
    path = plan.config.controls.transfer_from
    return None if path is None else Artefact.load(path).perturbation


def perturbation_of(cell: Cell, artefacts: dict[AttackSpec, Artefact]) -> Perturbation | None:
    """The perturbation of a cell's training images; None for clean ones."""
    return None if cell.attack.attack == CLEAN else artefacts[cell.attack].perturbation
