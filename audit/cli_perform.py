"""What every command that trains does: load, plan, estimate, run, present."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from audit import __version__
from audit.command_options import shareable_command
from audit.errors import EXIT_INCOMPLETE, EXIT_PASS

if TYPE_CHECKING:
    from rich.console import Console

    from audit.data.dataset import ImageDataset
    from audit.estimate import Estimate
    from audit.plan import AuditPlan, Cell
    from audit.results import AuditResult
    from audit.settings import AuditConfig
    from audit.store import RunStore
    from audit.terminal import TerminalObserver


@dataclass(frozen=True)
class Wishes:
    """How the user wants it done: options that change no number."""

    out: Path | None = None
    dry_run: bool = False
    as_json: bool = False
    fresh: bool = False
    max_hours: float | None = None  # the largest part of the grid that fits
    track: str | None = None  # where to export it to in the end
    events: bool = False  # every event as a JSON object on stdout
    comparison: bool = False  # of search methods, not an audit
    command: str | None = None  # that began it, where it is another than this process's


def perform(config: AuditConfig, wishes: Wishes) -> None:
    """Load, plan, estimate, run, present: as an audit, or as a comparison of search methods."""
    from rich.console import Console

    from audit.data.load import load_dataset
    from audit.plan import plan_audit
    from audit.store import default_folder
    from audit.terminal import TerminalObserver, show_comparison, show_result
    from audit.tracking import check_target

    if wishes.track is not None:
        check_target(wishes.track)
    console = Console(stderr=True)
    with TerminalObserver(console) as observer:
        observer.say(f"audit {__version__}: reading images")
        dataset = load_dataset(config.data, observer.images, observer.unpacking)
        plan = plan_audit(config, dataset)
        folder = wishes.out or default_folder(plan, dataset.name)
        plan = as_fitted_before(plan, dataset, folder, wishes)
        show = show_comparison if wishes.comparison else show_result
        done = None if wishes.fresh or wishes.dry_run else finished_before(plan, dataset, folder)
        if done is not None:
            observer.say(f"{folder}: complete, nothing to do (--fresh begins anew)")
            present(console, show, done, folder, written_files(done, folder, wishes), wishes)
        plan, estimate = announce(console, plan, dataset, folder, wishes)
        if wishes.dry_run:
            if wishes.as_json:
                told = estimate.to_json() if estimate else None
                typer.echo(json.dumps({**plan.to_json(), "estimate": told}))
            else:
                from audit.terminal_plan import show_grid

                show_grid(console, plan, estimate)
            return
        result, written = run_and_write(plan, dataset, folder, estimate, observer, wishes)
    present(console, show, result, folder, written, wishes)


def present(
    console: Console,
    show: Callable[[Console, AuditResult, Path], None],
    result: AuditResult,
    folder: Path,
    written: list[Path],
    wishes: Wishes,
) -> NoReturn:
    """What was found, here and for another tracker, and the exit code."""
    from audit.tracking import export

    show(console, result, folder)
    if wishes.track is not None:
        console.print(export(result, folder, wishes.track), highlight=False, soft_wrap=True)
    if wishes.as_json or wishes.events:
        content = comparison_object(result, written) if wishes.comparison else {"report": str(written[0])}
        kind = {"event": "result"} if wishes.events else {}
        typer.echo(json.dumps({**kind, **as_object(result, folder), **content}))
    raise typer.Exit(EXIT_PASS if result.state == "complete" else EXIT_INCOMPLETE)


def as_fitted_before(plan: AuditPlan, dataset: ImageDataset, folder: Path, wishes: Wishes) -> AuditPlan:
    """The part of the grid that the same command took the first time: the machine may be slower now."""
    from audit.plan_parts import restricted
    from audit.store import RunStore

    if wishes.fresh or wishes.max_hours is None:
        return plan
    kept = RunStore(folder).read_fitted(wishes.max_hours)
    return plan if kept is None else restricted(plan, dataset, kept, wishes.max_hours)


def finished_before(plan: AuditPlan, dataset: ImageDataset, folder: Path) -> AuditResult | None:
    """The results of this very audit where all of it is done and written, the report too; else None."""
    from audit.results import AuditResult
    from audit.run_lock import is_held
    from audit.store import RESULTS_FILE, RunStore

    store = RunStore(folder)
    if not store.is_marked_complete():
        return None
    record = store.read_plan()
    if record is None or record.get("audit_id") != plan.id:
        return None
    store.refuse_mixing(record, dataset.fingerprint)
    result = AuditResult.load(folder / RESULTS_FILE)
    if result.state != "complete" or result.audit_id != plan.id or is_held(folder):
        return None
    return result if is_intact(result, store) else None


def is_intact(result: AuditResult, store: RunStore) -> bool:
    """Whether the trainings and perturbations that the results were made from are still there."""
    from audit.attack.perturbation import Artefact
    from audit.errors import DataError

    try:
        same = all(Artefact.load(store.folder / p.file).sha256 == p.id for p in result.perturbations)
    except DataError:
        return False
    return same and all(store.cell_path(cell.id).is_file() for cell in result.cells)


def written_files(result: AuditResult, folder: Path, wishes: Wishes) -> list[Path]:
    """The report or the figures, written again where somebody deleted them."""
    report = folder / "report.pdf"
    if report.is_file() and not wishes.comparison:
        return [report]
    from reports import write_report, write_search_figures  # and with it a plot library

    return write_search_figures(result, folder) if wishes.comparison else [write_report(result, folder)]


def run_and_write(
    plan: AuditPlan,
    dataset: ImageDataset,
    folder: Path,
    estimate: Estimate | None,
    observer: TerminalObserver,
    wishes: Wishes,
) -> tuple[AuditResult, list[Path]]:
    """Everything that takes time, and what is left on the disk. Signals let trainings finish first."""
    from audit.interrupts import StopRequest, stops_on_signals
    from audit.runner import Order, run_audit
    from audit.store import RunStore
    from reports import write_report, write_search_figures

    stop = StopRequest()
    order = Order(
        command=wishes.command or shareable_command(sys.argv[1:]),
        fresh=wishes.fresh,
        stop=stop,
        estimate=estimate,
        tell=printer(sys.stdout) if wishes.events else None,
    )
    with stops_on_signals(stop, observer.say):
        result = run_audit(plan, dataset, folder, observer, order)
        observer.say("writing the figures" if wishes.comparison else "writing the report")
        compared = wishes.comparison
        written = write_search_figures(result, folder) if compared else [write_report(result, folder)]
        RunStore(folder).mark_complete()
    return result, written


def extend(config: AuditConfig, folder: Path, command: str) -> None:
    """Train what a run directory lacks of `config`, an audit of the same data with more seeds, and write its results
    and report anew. `command` stands in the report."""
    from rich.console import Console

    from audit.data.load import load_dataset
    from audit.plan import plan_audit
    from audit.terminal import TerminalObserver

    console = Console(stderr=True)
    wishes = Wishes(folder, command=command)
    with TerminalObserver(console) as observer:
        dataset = load_dataset(config.data, observer.images, observer.unpacking)
        plan, estimate = announce(console, plan_audit(config, dataset), dataset, folder, wishes)
        run_and_write(plan, dataset, folder, estimate, observer, wishes)


def printer(stream: TextIO) -> Callable[[str], None]:
    """Prints one event as a line, at once."""
    return lambda line: print(line, file=stream, flush=True)


def announce(
    console: Console, plan: AuditPlan, dataset: ImageDataset, folder: Path, wishes: Wishes
) -> tuple[AuditPlan, Estimate | None]:
    """Show the data, the plan and its cost, before anything long starts; the plan that fits, and no estimate where
    nothing is to do."""
    from rich.text import Text

    from audit.calibration import calibrate
    from audit.engines import choose_device, worker_count
    from audit.estimate import multiplied
    from audit.fit_grid import Fitted, fit
    from audit.store import RunStore
    from audit.terminal_plan import show_cost

    kind = "synthetic phantoms" if dataset.synthetic else dataset.name
    height, width = dataset.image_size
    found = (
        f"{kind}: {len(dataset.train)} training and {len(dataset.test)} test images, {height} × {width}, "
        f"{len(dataset.class_names)} classes ({', '.join(dataset.class_names)})"
    )
    console.print(Text(found), soft_wrap=True)  # as Text: names may hold square brackets
    for note in dataset.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)
    device = choose_device(plan.config.device, plan.config.deterministic)
    workers = worker_count(plan.config, device)
    store = RunStore(folder)

    def missing_of(part: AuditPlan) -> list[Cell]:
        return [cell for cell in part.cells if wishes.fresh or store.read_cell(cell.id) is None]

    missing = missing_of(plan)
    if not missing:
        console.print("all trainings are done already", highlight=False)
        return plan, None
    console.print("timing a few training steps on this machine", highlight=False)
    costs = calibrate(plan, dataset, plan.cells if wishes.max_hours else missing, device, workers)
    if wishes.max_hours is not None and plan.fitted is None:
        fitted = fit(plan, dataset, costs, workers, wishes.max_hours, missing_of)
    else:
        fitted = Fitted(plan, missing, multiplied(plan, dataset, missing, costs, workers))
    show_cost(console, fitted.plan, fitted.estimate, device)
    return fitted.plan, fitted.estimate


def comparison_object(result: AuditResult, figures: list[Path]) -> dict[str, Any]:
    """What `--json` prints of a comparison, beside what it prints of any audit."""
    return {
        "figures": [str(path) for path in figures],
        "methods": [
            {
                "method": p.attack,
                "severity": p.severity,
                "draw": p.draw,
                "file": p.file,
                "sha256": p.id,
                "trainings": p.search.trainings if p.search else 0,
                "seconds": p.search.seconds if p.search else 0.0,
            }
            for p in result.perturbations
        ],
        "victims": [
            {"victim": c.pair, "method": c.attack, "severity": c.severity, **c.accuracy.model_dump()}
            for c in result.conditions
        ],
    }


def as_object(result: AuditResult, folder: Path) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "run_dir": str(folder),
        "audit_id": result.audit_id,
        "state": result.state,
        "synthetic": result.dataset.synthetic,
        "verdict": result.finding.verdict,
        "reason": result.finding.reason,
        "sentence": result.finding.sentence,
        "scores": [row.model_dump() for row in result.scores],
    }
