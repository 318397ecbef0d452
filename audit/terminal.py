"""What a person sees in the terminal. Everything goes to stderr; stdout is for `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from audit.attack.methods import METHODS
from audit.attack.perturbation import Artefact
from audit.evaluation.verdict import percent, search_against_controls
from audit.plan import AttackSpec, Cell
from audit.results import (
    CLEAN,
    EVOSHIFT,
    AuditResult,
    CellResult,
    ConditionSummary,
    EpochReading,
    Generation,
)
from audit.scan.record import ScanRecord

NOTES = 6  # on fit and clean accuracy that stand under the table; the report has all
VERDICT_STYLE = {"vulnerable": "bold red", "within tolerance": "bold green"}


class TerminalObserver:
    """Progress bars in a terminal; one line per finished step elsewhere (CI, a log file)."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.generations = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.counting: dict[str, TaskID] = {}
        self.grid: TaskID | None = None
        self.search: TaskID | None = None

    def __enter__(self) -> TerminalObserver:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def say(self, line: str | Text) -> None:
        """One line above the bars."""
        self.progress.console.print(line, highlight=False, soft_wrap=True)

    def images(self, done: int, total: int) -> None:
        """Progress of decoding."""
        self.count("reading images", done, total)
        if done == total:
            self.say(f"{total} images read")

    def unpacking(self, done: int, total: int) -> None:
        """Progress of an archive, in MiB."""
        self.count("unpacking (MiB)", done >> 20, total >> 20)

    def checks(self, done: int, total: int) -> None:
        """Progress of the data checks."""
        self.count("checking the data", done, total)

    def scanning(self, done: int, total: int) -> None:
        """Progress of the scan for shortcuts."""
        self.count("scanning for shortcuts (images)", done, total)

    def scanned(self, scan: ScanRecord) -> None:
        """What training on these images has to be read with."""
        if scan.status in ("warn", "fail"):
            self.say(
                Text(
                    f"shortcut scan, {scan.status}: {scan.sentence}",
                    style="bold red" if scan.status == "fail" else "yellow",
                )
            )

    def repairing(self, done: int, total: int) -> None:
        """Progress of a repair."""
        self.count("repairing (files)", done, total)

    def count(self, task: str, done: int, total: int) -> None:
        """A bar that is there while something is being counted."""
        if task not in self.counting:
            self.counting[task] = self.progress.add_task(task, total=total)
        self.progress.update(self.counting[task], completed=done)
        if done == total:
            self.progress.remove_task(self.counting.pop(task))

    def cells_started(self, cells: Sequence[Cell], already_done: int) -> None:
        """The grid bar counts epochs, so that it moves from the first minute."""
        if already_done:
            self.say(f"{already_done} trainings are kept from an earlier start; {len(cells)} to do")
        self.grid = self.progress.add_task(
            "training (epochs)", total=sum(cell.recipe.epochs for cell in cells)
        )

    def epoch(self, cell_id: str, reading: EpochReading) -> None:
        """One epoch of one cell."""
        if self.grid is not None:
            self.progress.advance(self.grid)

    def cell_done(self, result: CellResult) -> None:
        """One line per finished training."""
        attack = CLEAN if result.attack == CLEAN else f"{result.attack} N_p={result.severity}"
        head = f"{' '.join(result.pair)}, {attack}, seed {result.seed}:"
        if result.measures is None:
            self.say(Text(f"{head} failed: {result.failure}", style="red"))
            return
        m = result.measures
        self.say(
            f"{head} test {percent(m.accuracy)}, train {percent(m.train_accuracy)} ({result.seconds:.0f} s)"
        )

    def worker_died(self) -> None:
        """One worker is replaced."""
        self.say(
            Text("a worker died (killed, or out of memory); its work is tried once more", style="yellow")
        )

    def search_started(self, attack: AttackSpec, trainings: int) -> None:
        """A bar only for what takes time."""
        self.trainings = trainings
        if METHODS[attack.attack].trains_surrogates:
            self.search = self.progress.add_task(
                f"{attack.attack} N_p={attack.severity} (surrogate trainings)", total=trainings
            )

    def generation(self, attack: AttackSpec, generation: Generation) -> None:
        """Best and median fitness of the generation."""
        line = (
            f"{attack.attack} N_p={attack.severity} generation {generation.generation}: "
            f"fitness best {generation.best:.2f}, median {generation.median:.2f} "
            f"({generation.trainings} of at most {self.trainings} surrogate trainings, {generation.steps} steps each)"
        )
        if self.search is not None and self.console.is_terminal:
            self.progress.update(self.search, completed=generation.trainings, description=line)
        else:
            self.say(line)

    def search_done(self, attack: AttackSpec, artefact: Artefact) -> None:
        """Which finalist won, by its re-scored fitness."""
        if artefact.search is None:
            return
        if self.search is not None:
            self.progress.remove_task(self.search)
            self.search = None
        chosen = next(f for f in artefact.search.finalists if f.chosen)
        self.say(
            f"{attack.attack} N_p={attack.severity} done ({artefact.search.stopped}): {chosen.name}, fitness "
            f"{chosen.fitness:.2f} over {len(chosen.readings)} fresh surrogates, "
            f"{artefact.search.trainings} surrogate trainings in all"
        )


def show_result(console: Console, result: AuditResult, run_dir: Path) -> None:
    """Scores with intervals, the worst finding in a sentence, and the paths."""
    console.print(result_table(result))
    counted = result.conditions[0].accuracy if result.conditions else None
    if counted is not None:
        seeds = (
            "1 seed: spread between trainings not included"
            if counted.n_seeds == 1
            else f"{counted.n_seeds} seeds"
        )
        console.print(
            f"Accuracy on clean test images, % (95 % interval): {counted.n_images} images in {counted.n_groups} "
            f"groups, {seeds}. Score: attacked accuracy over that of {result.baseline} (1 = equal).",
            highlight=False,
            style="dim",
        )
    noted = [row for row in result.scores if row.note]
    for row in noted[:NOTES]:
        console.print(f"{' '.join(row.pair)}: {row.note}", highlight=False, style="dim")
    if len(noted) > NOTES:
        console.print(f"{len(noted) - NOTES} more such notes: see the report", highlight=False, style="dim")
    for sentence in search_against_controls(result.conditions):
        console.print(sentence, highlight=False, style="yellow")
    style = VERDICT_STYLE.get(result.finding.verdict, "bold yellow")
    finding = Text.assemble(
        (f"{result.finding.verdict}: {result.finding.reason}\n", style), result.finding.sentence
    )
    title = "finding (synthetic phantoms)" if result.dataset.synthetic else "finding"
    console.print(Panel(finding, title=title, title_align="left"))
    for label, name in (("report", "report.pdf"), ("results", "results.json")):
        console.print(Text(f"{label:8} {run_dir / name}"), soft_wrap=True)


def result_table(result: AuditResult) -> Table:
    """One row per pair; two lines per cell, so that 80 columns are enough for one severity."""
    synthetic = " [synthetic]" if result.dataset.synthetic and "synthetic" not in result.dataset.name else ""
    table = Table(title=Text(f"{result.dataset.name}{synthetic}"), title_justify="left", box=box.SIMPLE_HEAD)
    severities = sorted({c.severity for c in result.conditions if c.attack == EVOSHIFT})
    for column in ("pair", "clean", *[f"N_p={severity}" for severity in severities], "score", "reading"):
        table.add_column(column)
    rows = {(c.pair, c.attack, c.severity): c for c in result.conditions}
    scores = {s.pair: s.score for s in result.scores}
    for pair in dict.fromkeys(cell.pair for cell in result.cells):
        attacked = [rows.get((pair, EVOSHIFT, severity)) for severity in severities]
        readings = dict.fromkeys(str(c.reading) for c in attacked if c is not None)
        score = scores.get(pair)
        table.add_row(
            " ".join(pair),
            accuracy_lines(rows.get((pair, CLEAN, 0))),
            *[accuracy_lines(condition) for condition in attacked],
            f"{score.estimate:.2f}\n({score.low:.2f}–{score.high:.2f})" if score else "none",
            ", ".join(readings) or "none",
        )
    return table


def show_comparison(console: Console, result: AuditResult, run_dir: Path) -> None:
    """What each method did to each victim, what it cost, and where the files are."""
    console.print(comparison_table(result))
    counted = result.conditions[0].accuracy
    console.print(
        f"Accuracy on clean test images, % (95 % interval): {counted.n_images} images in {counted.n_groups} "
        f"groups, {counted.n_seeds} seed(s); the lower, the stronger the method. Surrogates: "
        "trained, and the seconds of the whole search.",
        highlight=False,
        style="dim",
    )
    for sentence in search_against_controls(result.conditions):
        console.print(sentence, highlight=False, style="yellow")
    for label, name in (("figures", "figures"), ("results", "results.json"), ("edits", "perturbations")):
        console.print(Text(f"{label:8} {run_dir / name}"), soft_wrap=True)


def comparison_table(result: AuditResult) -> Table:
    """One row per method and severity, one column per victim."""
    synthetic = " [synthetic]" if result.dataset.synthetic and "synthetic" not in result.dataset.name else ""
    table = Table(title=Text(f"{result.dataset.name}{synthetic}"), title_justify="left", box=box.SIMPLE_HEAD)
    pairs = list(dict.fromkeys(c.pair for c in result.conditions))
    for column in ("method", "N_p", "surrogates", *[" ".join(pair) for pair in pairs]):
        table.add_column(column)
    rows = {(c.pair, c.attack, c.severity): c for c in result.conditions}
    spent = {
        (p.attack, p.severity): f"{p.search.trainings}\nin {p.search.seconds:.0f} s"
        for p in result.perturbations
        if p.search
    }
    for attack, severity in sorted(
        {key[1:] for key in rows}, key=lambda place: (place[1], place[0] == EVOSHIFT, place[0])
    ):
        table.add_row(
            attack,
            str(severity),
            spent.get((attack, severity), ""),
            *[accuracy_lines(rows.get((pair, attack, severity))) for pair in pairs],
        )
    return table


def accuracy_lines(condition: ConditionSummary | None) -> str:
    """93.1 above its interval; "failed" where no training finished."""
    if condition is None:
        return "failed"
    a = condition.accuracy
    return f"{100 * a.estimate:.1f}\n({100 * a.low:.1f}–{100 * a.high:.1f})"
