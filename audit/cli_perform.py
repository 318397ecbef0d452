"""What every command that trains does: load, plan, estimate, run, present."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from audit import __version__
from audit.command_options import shareable_command
from audit.errors import EXIT_INCOMPLETE, EXIT_PASS

if TYPE_CHECKING:
    from rich.console import Console

    from audit.data.dataset import ImageDataset
    from audit.estimate import Estimate
    from audit.plan import AuditPlan
    from audit.results import AuditResult
    from audit.settings import AuditConfig


@dataclass(frozen=True)
class Wishes:
    """How the user wants it done: options that change no number."""

    out: Path | None = None
    dry_run: bool = False
    as_json: bool = False
    fresh: bool = False
    comparison: bool = False  # of search methods, not an audit
    command: str | None = None  # that began it, where it is another than this process's


def perform(config: AuditConfig, wishes: Wishes) -> None:
    """Load, plan, estimate, run, present: as an audit, or as a comparison of search methods."""
    from rich.console import Console

    from audit.data.load import load_dataset
    from audit.interrupts import StopRequest, stops_on_signals
    from audit.plan import plan_audit
    from audit.store import RunStore, default_folder
    from audit.terminal import TerminalObserver, show_comparison, show_result

    console = Console(stderr=True)
    with TerminalObserver(console) as observer:
        observer.say(f"audit {__version__}: reading images")
        dataset = load_dataset(config.data, observer.images, observer.unpacking)
        plan = plan_audit(config, dataset)
        folder = wishes.out or default_folder(plan, dataset.name)
        estimate = announce(console, plan, dataset, folder)
        if wishes.dry_run:
            if wishes.as_json:
                typer.echo(json.dumps({**plan.to_json(), "estimate": asdict(estimate) if estimate else None}))
            return
        from audit.runner import Order, run_audit
        from reports import write_report, write_search_figures

        stop = StopRequest()
        order = Order(wishes.command or shareable_command(sys.argv[1:]), wishes.fresh, stop)
        with stops_on_signals(stop, observer.say):
            result = run_audit(plan, dataset, folder, observer, order)
            observer.say("writing the figures" if wishes.comparison else "writing the report")
            figures = wishes.comparison
            written = write_search_figures(result, folder) if figures else [write_report(result, folder)]
            RunStore(folder).mark_complete()
    (show_comparison if wishes.comparison else show_result)(console, result, folder)
    if wishes.as_json:
        content = comparison_object(result, written) if wishes.comparison else {"report": str(written[0])}
        typer.echo(json.dumps({**as_object(result, folder), **content}))
    raise typer.Exit(EXIT_PASS if result.state == "complete" else EXIT_INCOMPLETE)


def announce(console: Console, plan: AuditPlan, dataset: ImageDataset, folder: Path) -> Estimate | None:
    """Show the data, the plan and its cost, before anything long starts; None where nothing is to do."""
    from rich.text import Text

    from audit.engines import choose_device, worker_count
    from audit.estimate import estimate_audit, in_words
    from audit.store import RunStore

    kind = "synthetic phantoms" if dataset.synthetic else dataset.name
    height, width = dataset.image_size
    found = (
        f"{kind}: {len(dataset.train)} training and {len(dataset.test)} test images, {height} × {width}, "
        f"{len(dataset.class_names)} classes ({', '.join(dataset.class_names)})"
    )
    console.print(Text(found), soft_wrap=True)  # as Text: names may hold square brackets
    device = choose_device(plan.config.device, plan.config.deterministic)
    workers = worker_count(plan.config, device)
    store = RunStore(folder)
    missing = [cell for cell in plan.cells if store.read_cell(cell.id) is None]
    if not missing:
        console.print("all trainings are done already", highlight=False)
        return None
    console.print("timing a few training steps on this machine", highlight=False)
    estimate = estimate_audit(plan, dataset, missing, device, workers)
    console.print(
        f"{estimate.trainings} trainings and {estimate.surrogate_trainings} surrogate trainings: about "
        f"{in_words(estimate.wall_seconds)} with {workers} worker(s) on {device}",
        highlight=False,
        soft_wrap=True,
    )
    return estimate


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
