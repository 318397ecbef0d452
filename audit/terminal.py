"""What a person sees in the terminal. Everything goes to stderr; stdout is for `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

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

from audit.attack.perturbation import Artefact
from audit.evaluation.verdict import percent, percent_interval
from audit.plan import AttackSpec, Cell
from audit.results import CLEAN, AuditResult, CellResult, EpochReading, Generation

VERDICT_STYLE = {"vulnerable": "bold red", "within tolerance": "bold green"}


class TerminalObserver:
    """Progress bars in a terminal; one line per finished step elsewhere (CI, a log file)."""

    def __init__(self, console: Console, generations: int) -> None:
        self.console = console
        self.generations = generations
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
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
        self.progress.console.print(line, highlight=False)

    def images(self, done: int, total: int) -> None:
        """Progress of decoding."""
        if done == total:
            self.say(f"{total} images read")

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
        head = (
            f"{result.model:12} {result.optimizer:8} {result.normalization:5} {attack:16} seed {result.seed}"
        )
        if result.measures is None:
            self.say(Text(f"{head}  failed: {result.failure}", style="red"))
            return
        m = result.measures
        self.say(
            f"{head}  test {percent(m.accuracy):>7}  train {percent(m.train_accuracy):>7}  ({result.seconds:.0f} s)"
        )

    def search_started(self, attack: AttackSpec) -> None:
        """A bar only for what takes time."""
        if attack.attack == "evoshift":
            self.search = self.progress.add_task(
                f"search N_p={attack.severity} (generations)", total=self.generations
            )

    def generation(self, attack: AttackSpec, generation: Generation) -> None:
        """Best and median fitness of the generation."""
        line = (
            f"search N_p={attack.severity} generation {generation.generation}/{self.generations}: "
            f"fitness best {generation.best:.2f}, median {generation.median:.2f} nats "
            f"({generation.trainings} surrogate trainings)"
        )
        if self.search is not None and self.console.is_terminal:
            self.progress.update(self.search, advance=1, description=line)
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
            f"search N_p={attack.severity} done: {chosen.name}, fitness {chosen.fitness:.2f} nats over "
            f"{len(chosen.readings)} fresh surrogates, {artefact.search.trainings} surrogate trainings in all"
        )


def show_result(console: Console, result: AuditResult, run_dir: Path) -> None:
    """Scores with intervals, the worst finding in a sentence, and the paths."""
    synthetic = "  [synthetic phantoms]" if result.dataset.synthetic else ""
    table = Table(
        title=Text(f"{result.dataset.name}: accuracy on clean test images{synthetic}"), title_justify="left"
    )
    for column in ("model", "optimizer", "norm."):
        table.add_column(column)
    table.add_column("clean")
    severities = sorted({c.severity for c in result.conditions if c.attack == "evoshift"})
    for severity in severities:
        table.add_column(f"attacked, N_p={severity}")
    table.add_column("robustness score")
    table.add_column("reading")
    cells = {(c.pair, c.attack, c.severity): c for c in result.conditions}
    scores = {(s.model, s.optimizer, s.normalization): s for s in result.scores}
    for pair in dict.fromkeys(c.pair for c in result.conditions):
        clean = cells.get((pair, CLEAN, 0))
        attacked = [cells.get((pair, "evoshift", s)) for s in severities]
        if not any(attacked):
            continue
        score = scores.get(pair)
        readings = dict.fromkeys(str(c.reading) for c in attacked if c is not None)
        table.add_row(
            *pair,
            percent_interval(clean.accuracy) if clean else "failed",
            *[percent_interval(c.accuracy) if c else "failed" for c in attacked],
            f"{score.score.estimate:.2f} ({score.score.low:.2f}–{score.score.high:.2f})" if score else "none",
            ", ".join(readings),
        )
    console.print(table)
    n = result.conditions[0].accuracy if result.conditions else None
    if n is not None:
        console.print(
            f"95 % intervals: {n.n_images} test images in {n.n_groups} groups, {n.n_seeds} seed(s). "
            f"Score: attacked accuracy over that of {result.baseline} (1 = equal).",
            highlight=False,
            style="dim",
        )
    finding = Text.assemble(
        (
            f"{result.finding.verdict}: {result.finding.reason}\n",
            VERDICT_STYLE.get(result.finding.verdict, "bold yellow"),
        ),
        result.finding.sentence,
    )
    console.print(Panel(finding, title="finding", title_align="left"))
    for label, name in (("report", "report.pdf"), ("results", "results.json")):
        console.print(Text(f"{label:8} {run_dir / name}"), soft_wrap=True)
