"""The audit, top to bottom: plan -> perturbations -> trainings -> measures -> `results.json`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
from audit.energy import JOULES_PER_WATT_HOUR, Meter, Stopwatch
from audit.engines import Engine, choose_device, make_engine, worker_count
from audit.environment import describe_environment
from audit.errors import DataError, StorageError
from audit.estimate import Estimate
from audit.event_log import EventLog
from audit.interrupts import StopRequest
from audit.plan import AttackSpec, AuditPlan, Cell, digest, search_settings
from audit.results import CLEAN, AuditResult, CellResult, Cost, EpochReading, Generation
from audit.run_lock import held
from audit.scan.dataset import scan_dataset
from audit.scan.record import ScanRecord
from audit.store import RESULTS_FILE, RunStore
from audit.workbench import EpochEvent


class SearchObserver(Protocol):
    """Is told how a search goes."""

    def search_started(self, attack: AttackSpec, trainings: int) -> None: ...

    def generation(self, attack: AttackSpec, generation: Generation) -> None: ...

    def search_done(self, attack: AttackSpec, artefact: Artefact) -> None: ...


class Observer(SearchObserver, Protocol):
    """Is told what happens; decides nothing."""

    def scanning(self, done: int, total: int) -> None: ...

    def scanned(self, scan: ScanRecord) -> None: ...

    def cells_started(self, cells: Sequence[Cell], already_done: int) -> None: ...

    def epoch(self, cell_id: str, reading: EpochReading) -> None: ...

    def cell_done(self, result: CellResult) -> None: ...

    def worker_died(self) -> None: ...


@dataclass(frozen=True)
class Order:
    """How an audit is to be run."""

    command: str  # that began it, for the report
    fresh: bool = False  # delete what an earlier audit left in the folder
    stop: StopRequest = field(default_factory=StopRequest)
    estimate: Estimate | None = None  # of what is missing
    tell: Callable[[str], None] | None = None  # is handed every line of the log


def run_audit(
    plan: AuditPlan, dataset: ImageDataset, run_dir: Path, observer: Observer, order: Order
) -> AuditResult:
    """Do what is not done yet, and write `results.json`. Interrupted (KeyboardInterrupt, once a stop is asked for),
    the same call goes on from there. Raises RunDirectoryError where another process works on the same folder."""
    store = RunStore(run_dir)
    if order.fresh and store.holds_audit():
        with held(run_dir):
            store.clear()
    store.create()
    with held(run_dir):
        try:
            return Session(plan, dataset, store, observer, order).run()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(
                f"{error.filename or run_dir}: {error.strerror or error}; what was finished is kept: mend that and run "
                "the same command again"
            ) from error


class Session:
    """One process's work on one audit, from what is on the disk to the results."""

    def __init__(
        self, plan: AuditPlan, dataset: ImageDataset, store: RunStore, observer: Observer, order: Order
    ) -> None:
        self.plan, self.dataset, self.store, self.observer, self.order = plan, dataset, store, observer, order
        self.log = EventLog(store.folder, order.tell)
        self.device = choose_device(plan.config.device, plan.config.deterministic)
        self.workers = worker_count(plan.config, self.device)
        self.artefacts: dict[AttackSpec, Artefact] = {}
        self.results: dict[str, CellResult] = {}

    def run(self) -> AuditResult:
        """Take up what is there, do what is missing, and write `results.json`."""
        plan, dataset, store = self.plan, self.dataset, self.store
        created = store.begin(plan, dataset.fingerprint, self.order.command)
        if self.order.estimate is not None:
            store.save_estimate(plan.id, self.order.estimate.to_json())
        scan = self.scan()
        self.take_up()
        self.complete()
        found = assemble_result(
            plan,
            dataset,
            self.artefacts,
            [self.results[cell.id] for cell in plan.cells],
            describe_environment(self.device, self.workers),
            {a: store.perturbation_path(a, self.key(a)).relative_to(store.folder) for a in self.artefacts},
            created=created,
            command=self.order.command,
            seconds=self.log.seconds(),
            checks=without_names(check_dataset(dataset, scan)),
            scan=scan,
            cost=self.cost(),
        )
        found.save(store.folder / RESULTS_FILE)
        return found

    def scan(self) -> ScanRecord:
        """What the training images give away before anything is changed: told first, and looked for once."""
        found = self.store.read_scan(self.dataset.fingerprint)
        if found is None:
            found = scan_dataset(self.dataset, self.observer.scanning).record
            self.store.save_scan(found, self.dataset.fingerprint)
            self.log.add("scan", status=found.status, findings=len(found.findings))
        self.observer.scanned(found)
        return found

    def take_up(self) -> None:
        """What earlier sessions finished."""
        for attack in self.plan.attacks:
            artefact = self.kept_artefact(attack)
            if artefact is not None:
                self.artefacts[attack] = artefact
        for cell in self.plan.cells:
            result = self.kept_result(cell)
            if result is not None:
                self.results[cell.id] = result
        told = {event.get("id") for event in self.log.of("cell")}
        for result in self.results.values():
            if result.id not in told:  # the session that kept it was killed before it could say so
                self.log.add("cell", **in_brief(result))

    def complete(self) -> None:
        """Search the perturbations and train the cells that are missing."""
        plan, stop = self.plan, self.order.stop
        missing = [cell for cell in plan.cells if cell.id not in self.results]
        unsearched = [a for a in plan.attacks if a.attack != CLEAN and a not in self.artefacts]
        self.observer.cells_started(missing, len(self.results))
        if not missing and not unsearched:
            return
        meter = Stopwatch(Meter(self.device))
        told = {"cells": len(missing), "workers": self.workers, "device": self.device}
        self.log.add("started", audit=plan.id, **told)
        config, train = plan.config, self.dataset.train
        names = self.dataset.class_names
        context = CellContext(train, self.dataset.test, names, config, self.device, self.dataset.val)
        task = surrogate_task(train, len(names), config.search, config.search_augmentation)
        workers = min(self.workers, max(len(missing), 2))
        with stop.finishes_first(), make_engine(context, task, workers, stop, self.died) as engine:
            for phase in phases(plan):
                for attack in (attack for attack in phase if attack in unsearched):
                    missing += self.find(attack, task, engine)
                self.train([cell for cell in missing if cell.attack in phase], engine)
        joules, _ = meter.read()
        self.log.add("finished", joules=joules)

    def find(self, attack: AttackSpec, task: SurrogateTask, engine: Engine) -> list[Cell]:
        """Find one perturbation and keep it; an interrupted search goes on from its readings. Returns the cells that
        were trained under another one in its place, and count no more."""
        path = self.store.perturbation_path(attack, self.key(attack))
        kept = path.with_suffix(".readings.jsonl")
        readings = KeptReadings(engine.score_all, kept, answer_all=engine.answer_all)
        artefact = make_artefact(attack, task, self.plan, self.dataset, readings, self)
        artefact.save(path)
        readings.discard()
        self.artefacts[attack] = artefact
        self.log.add("perturbation", attack=attack.name, sha256=artefact.sha256)
        return [
            cell
            for cell in self.plan.cells_of(attack)
            if cell.id in self.results and self.results[cell.id].perturbation_id != artefact.sha256
        ]

    def train(self, cells: list[Cell], engine: Engine) -> None:
        """Train cells and keep each as it comes. Raises KeyboardInterrupt where a stop was asked for."""
        jobs = [(cell, perturbation_of(cell, self.artefacts)) for cell in cells]
        for result in engine.run_cells(longest_first(jobs), self.epoch):
            self.store.save_cell(result)
            self.log.add("cell", **in_brief(result))
            self.results[result.id] = result
            self.observer.cell_done(result)
        self.order.stop.check()

    def epoch(self, event: EpochEvent) -> None:
        """One epoch of one training."""
        cell_id, reading = event
        self.log.add("epoch", id=cell_id, **reading.model_dump())
        self.observer.epoch(cell_id, reading)

    def died(self) -> None:
        """A worker died; what it was doing is begun again, or given up."""
        self.log.add("worker died")
        self.observer.worker_died()

    def search_started(self, attack: AttackSpec, trainings: int) -> None:
        """A search begins."""
        self.log.add("search", attack=attack.name, trainings=trainings)
        self.observer.search_started(attack, trainings)

    def generation(self, attack: AttackSpec, generation: Generation) -> None:
        """One generation of a search."""
        self.log.add("generation", attack=attack.name, **generation.model_dump())
        self.observer.generation(attack, generation)

    def search_done(self, attack: AttackSpec, artefact: Artefact) -> None:
        """A search has ended."""
        self.observer.search_done(attack, artefact)

    def cost(self) -> Cost | None:
        """What was predicted before the first training, and what was measured until now."""
        predicted = self.store.read_estimate(self.plan.id)
        if predicted is None:
            return None
        sessions, seconds, joules = self.log.work(self.plan.id)
        peaks = [result.peak_bytes for result in self.results.values() if result.peak_bytes is not None]
        return Cost(
            predicted_seconds=predicted["wall_seconds"],
            measured_seconds=seconds,
            time_error=seconds / predicted["wall_seconds"] - 1,
            predicted_bytes=predicted["worker_bytes"],
            measured_bytes=max(peaks, default=None),
            predicted_watt_hours=predicted["watt_hours"],
            measured_watt_hours=None if joules is None else joules / JOULES_PER_WATT_HOUR,
            power_basis=predicted["power_basis"],
            workers=predicted["workers"],
            sessions=sessions,
        )

    def key(self, attack: AttackSpec) -> str:
        """Hash of all that defines a perturbation."""
        return digest(attack, search_settings(attack, self.plan.config), self.dataset)

    def kept_artefact(self, attack: AttackSpec) -> Artefact | None:
        """A perturbation that was already made here."""
        path = self.store.perturbation_path(attack, self.key(attack))
        if attack.attack == CLEAN or not path.exists():
            return None
        artefact = Artefact.load(path)
        if artefact.dataset_fingerprint != self.dataset.fingerprint:
            raise DataError(f"{path}: made for other data; delete it and run again")
        return artefact

    def kept_result(self, cell: Cell) -> CellResult | None:
        """A cell that was trained here already, and not under another perturbation than the one here now."""
        result = self.store.read_cell(cell.id)
        artefact = self.artefacts.get(cell.attack)
        stale = result is not None and artefact is not None and result.perturbation_id != artefact.sha256
        return None if stale else result


def phases(plan: AuditPlan) -> list[list[AttackSpec]]:
    """First what needs no search (clean cells show at once whether the data can be learned), then the
    searched perturbations."""
    return [[attack for attack in plan.attacks if attack not in plan.searches], plan.searches]


def longest_first(jobs: list[tuple[Cell, Perturbation | None]]) -> list[tuple[Cell, Perturbation | None]]:
    """Clean cells first, then in the order of the plan, so that the first result comes early."""
    return sorted(jobs, key=lambda job: job[0].attack.attack != CLEAN)


def in_brief(result: CellResult) -> dict[str, object]:
    """One training for the log."""
    facts = result.model_dump(
        include={"id", "model", "optimizer", "defence", "attack", "severity", "seed", "status"}
    )
    accuracy = None if result.measures is None else result.measures.accuracy
    return {**facts, "failure": result.failure, "accuracy": accuracy, "seconds": round(result.seconds, 3)}


def make_artefact(
    attack: AttackSpec,
    task: SurrogateTask,
    plan: AuditPlan,
    dataset: ImageDataset,
    readings: KeptReadings,
    observer: SearchObserver,
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
