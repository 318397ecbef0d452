"""One job in a process of its own: `python -m apps.work check|estimate|audit FOLDER DATA`. Calls the engine as the
command line does, and leaves files for the page."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apps.remedies import said_here
from apps.settings import ServerSettings
from apps.shelf import SHORTCUT_MAP, AuditFolder, Kind
from audit.config import load_written_config
from audit.errors import AuditError, DataError
from audit.run_lock import held
from audit.store import RunStore, write_atomic

if TYPE_CHECKING:
    from audit.attack.perturbation import Artefact
    from audit.check import DataCheck
    from audit.data.dataset import ImageDataset
    from audit.plan import AttackSpec, AuditPlan, Cell
    from audit.results import CellResult, EpochReading, Generation
    from audit.scan.record import ScanRecord
    from audit.settings import AuditConfig

WAIT = 30.0  # seconds that the job before this one may take to end
EVERY = 0.5  # seconds between two notes of progress
CALLED = "audit in the browser"


class Notes:
    """Progress of what takes long, as a file for the page. What the engine logs (events.jsonl) is not said twice."""

    def __init__(self, folder: AuditFolder) -> None:
        self.folder, self.last = folder, 0.0

    def note(self, step: str, done: int, total: int) -> None:
        """At most every half second, and at the end."""
        if done < total and time.monotonic() - self.last < EVERY:
            return
        self.last = time.monotonic()
        write_atomic(self.folder.progress, json.dumps({"step": step, "done": done, "total": total}))

    def unpacking(self, done: int, total: int) -> None:
        """Files of an archive."""
        self.note("unpacking", done, total)

    def images(self, done: int, total: int) -> None:
        """Images read."""
        self.note("reading images", done, total)

    def checks(self, done: int, total: int) -> None:
        """Checks of the data."""
        self.note("checking", done, total)

    def scanning(self, done: int, total: int) -> None:
        """Parts of the shortcut scan."""
        self.note("looking for shortcuts", done, total)

    def scanned(self, scan: ScanRecord) -> None:
        """Logged by the engine."""

    def cells_started(self, cells: Sequence[Cell], already_done: int) -> None:
        """Logged by the engine."""
        self.folder.progress.unlink(missing_ok=True)

    def search_started(self, attack: AttackSpec, trainings: int) -> None:
        """Logged by the engine."""

    def generation(self, attack: AttackSpec, generation: Generation) -> None:
        """Logged by the engine."""

    def search_done(self, attack: AttackSpec, artefact: Artefact) -> None:
        """Logged by the engine."""

    def epoch(self, cell_id: str, reading: EpochReading) -> None:
        """Logged by the engine."""

    def cell_done(self, result: CellResult) -> None:
        """Logged by the engine."""

    def worker_died(self) -> None:
        """Logged by the engine."""


def config_of(folder: AuditFolder, settings: ServerSettings) -> AuditConfig:
    """The plan of this audit, with the images where they are now."""
    config = load_written_config(folder.config)
    data = config.data.model_copy(update={"path": folder.data_path(settings)})
    return config.model_copy(update={"data": data})


def load(folder: AuditFolder, config: AuditConfig, notes: Notes) -> ImageDataset:
    """The images, named as the audit is."""
    from audit.data.load import load_dataset

    return load_dataset(config.data, notes.images, notes.unpacking)


def check(folder: AuditFolder, settings: ServerSettings, notes: Notes) -> None:
    """Look at the data: `checks/check.json`, a contact sheet, and a map of what the shortcut scan found."""
    from audit.check import CONTACT_SHEET, check_data
    from audit.data.stored import load_as_stored
    from reports.figure_contact import write_contact_sheet

    config = config_of(folder, settings)
    looked = config.data.model_copy(update={"unreadable": "skip"})
    dataset = load(folder, config.model_copy(update={"data": looked}), notes)
    stored = load_as_stored(looked, notes.images, probe=dataset)
    found = check_data(dataset, stored, CALLED, folder.checks, notes.checks, notes.scanning)
    write_contact_sheet(found.dataset, folder.checks / CONTACT_SHEET)
    draw_map(found, folder.checks / SHORTCUT_MAP)


def draw_map(found: DataCheck, path: Path) -> None:
    """The map of the shortcut scan as the report has it; no file where nothing was found. Drawn here: a page that is
    looked at asks every two seconds."""
    import matplotlib

    from reports.figure_scan import draw_maps
    from reports.style import figure_settings

    if found.scan.findings and found.scan.maps:
        names = found.dataset.class_names
        with matplotlib.rc_context(figure_settings(names)):  # type: ignore[arg-type]
            drawing = draw_maps(found.scan, names)
            for unused in drawing.axes[len(found.scan.maps) :]:  # of the last row: white, on a dark page
                unused.remove()
            drawing.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.05)


def planned(folder: AuditFolder, settings: ServerSettings, notes: Notes) -> tuple[AuditPlan, ImageDataset]:
    """The grid on these images."""
    from audit.plan import plan_audit

    config = config_of(folder, settings)
    dataset = load(folder, config, notes)
    return plan_audit(config, dataset), dataset


def estimate(folder: AuditFolder, settings: ServerSettings, notes: Notes) -> None:
    """What the plan costs: `estimate.json`. Nothing where another plan was written meanwhile."""
    asked = folder.config.read_bytes()
    plan, dataset = planned(folder, settings, notes)
    content = cost_of(plan, dataset)
    if folder.config.read_bytes() == asked:
        write_atomic(folder.estimate, content)


def cost_of(plan: AuditPlan, dataset: ImageDataset) -> str:
    """As a JSON object."""
    from audit.engines import choose_device, worker_count
    from audit.estimate import estimate_audit

    device = choose_device(plan.config.device, plan.config.deterministic)
    found = estimate_audit(plan, dataset, plan.cells, device, worker_count(plan.config, device))
    return json.dumps({"audit": plan.id, **found.to_json()})


def audit(folder: AuditFolder, settings: ServerSettings, notes: Notes) -> None:
    """The audit and its reports, as `audit run` does it. Signals stop it at the next step."""
    from audit.interrupts import StopRequest, stops_on_signals
    from audit.runner import Order, run_audit
    from reports import write_report, write_report_as

    plan, dataset = planned(folder, settings, notes)
    if not folder.estimate.is_file():  # begun before the time was known; whoever watches wants to know it
        write_atomic(folder.estimate, cost_of(plan, dataset))
    stop = StopRequest()
    with stops_on_signals(stop, lambda _: None):
        result = run_audit(plan, dataset, folder.run, notes, Order(command=CALLED, stop=stop))
        write_report(result, folder.run)
        write_report_as("html", result, folder.run)
        RunStore(folder.run).mark_complete()


JOBS = {"check": check, "estimate": estimate, "audit": audit}


def without_paths(message: str, folder: AuditFolder, settings: ServerSettings) -> str:
    """A message as the page may show it: names of files, no places on this server, no options."""
    with contextlib.suppress(AuditError):
        data = folder.data_path(settings)
        if data is not None:
            message = message.replace(f"{data}/", "").replace(str(data), data.name)
    for place in (folder.run, folder.checks, folder.upload, folder.path, settings.data):
        message = message.replace(f"{place}/", "").replace(str(place), "this audit")
    return said_here(message)


def end_with(parent: int) -> None:
    """A job does not outlive the worker that watches it: another one takes it up from what is on the disk."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Do the job and say how it ended."""
    kind, folder = sys.argv[1], AuditFolder(Path(sys.argv[2]))
    settings = ServerSettings.load(Path(sys.argv[3]))
    job = folder.job()
    end_with(os.getppid())
    name: Kind = "audit" if kind == "audit" else "estimate" if kind == "estimate" else "check"
    with held(folder.path, WAIT):
        try:
            JOBS[name](folder, settings, Notes(folder))
        except KeyboardInterrupt:
            if folder.cancelled.exists():
                folder.set_job(name, "cancelled", only=job)
            raise SystemExit(130) from None
        except AuditError as error:
            refused = isinstance(error, DataError)
            said = without_paths(str(error), folder, settings)
            folder.set_job(name, "refused" if refused else "failed", said, only=job)
            raise SystemExit(error.exit_code) from None
        folder.set_job(name, "done", only=job)
        folder.progress.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
