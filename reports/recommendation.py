"""Which combination to use on these data: the Pareto front of clean against attacked accuracy, and no more certainty
than the corrected comparisons of the audit allow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audit.results import CLEAN, AuditResult, ConditionSummary, Pair, PairComparison
from reports import lookups, words
from reports.canvas import new_drawing, percent_axis, save
from reports.document import Block, Column, Figure, RowMark, Section, Shown, Table, Text
from reports.style import BASELINE, CYCLE, MUTED

ROWS = 14  # of the table: the front first
NUMBERED = 12  # points that carry their number in the figure
LEFT = 0.1  # of the axis, to the left of the points


@dataclass(frozen=True)
class Option:
    """One combination: how accurate it is on clean and on attacked trainings."""

    pair: Pair
    clean: ConditionSummary
    attacked: ConditionSummary

    @property
    def unfit(self) -> bool:
        """Whether a training did not learn its own images: then a low number says little."""
        return self.clean.under_fitted_seeds + self.attacked.under_fitted_seeds > 0

    def dominated_by(self, other: Option) -> bool:
        """Whether the other is nowhere lower and somewhere higher, by the estimates."""
        mine = self.clean.accuracy.estimate, self.attacked.accuracy.estimate
        theirs = other.clean.accuracy.estimate, other.attacked.accuracy.estimate
        return theirs != mine and theirs[0] >= mine[0] and theirs[1] >= mine[1]


def options(result: AuditResult) -> list[Option]:
    """All combinations of which both kinds of trainings finished, at the severity of the summary: those that keep most
    first."""
    severity, attack = lookups.shown_severity(result), lookups.main_attack(result)
    if severity is None:
        return []
    found = []
    for pair in lookups.pairs(result):
        clean = lookups.condition(result, pair, CLEAN, 0)
        attacked = lookups.condition(result, pair, attack, severity)
        if clean is not None and attacked is not None:
            found.append(Option(pair, clean, attacked))
    return sorted(found, key=lambda o: (-o.attacked.accuracy.estimate, -o.clean.accuracy.estimate))


def front(found: list[Option]) -> list[Option]:
    """The combinations that no other one beats in both."""
    return [one for one in found if not any(one.dominated_by(other) for other in found)]


def shown_better(result: AuditResult, found: list[Option]) -> list[tuple[Option, PairComparison]]:
    """Combinations of the front that a corrected comparison shows to keep more than another one, under the attack of
    this page."""
    better = []
    for option in front(found):
        for one in result.comparisons:
            same = (one.attack, one.severity) == (option.attacked.attack, option.attacked.severity)
            if same and one.first == option.pair and one.reading == "better" and not option.unfit:
                better.append((option, one))
                break
    return better


def recommendation_section(result: AuditResult, figures: list[Figure]) -> Section:
    """A page of its own."""
    found = options(result)
    blocks: list[Block] = [
        Text(answer(result, found), kind="lead"),
        *[Text(t) for t in reasons(result, found)],
    ]
    if found:
        blocks += [table(result, found), *[Shown(f) for f in figures if f.kind == "pareto"]]
    return Section("Recommendation", blocks, new_page=True)


def answer(result: AuditResult, found: list[Option]) -> str:
    """One sentence."""
    if not found:
        return "No recommendation: no combination has both clean and attacked trainings that finished."
    if len(found) == 1:
        only = words.pair_label(found[0].pair)
        return f"Nothing to choose between: only {only} was trained on clean and attacked images."
    better = shown_better(result, found)
    if not better:
        return (
            "No difference shown: none of the combinations was shown to keep more accuracy under attack than the one "
            "it was compared with. This audit gives no reason to prefer one."
        )
    option, comparison = better[0]
    attacked, clean = option.attacked.accuracy, option.clean.accuracy
    sentence = (
        f"On these data, {words.pair_label(option.pair)}: it kept {words.percent_interval(attacked)} accuracy when "
        f"trained on attacked images and {words.percent_interval(clean)} on clean ones, and was shown to keep more "
        f"than {words.pair_label(comparison.second)}."
    )
    if option.attacked.reading == "vulnerable":
        sentence += " It is vulnerable all the same: it is the least bad of what was tried, not safe."
    return sentence


def reasons(result: AuditResult, found: list[Option]) -> list[str]:
    """What the answer rests on, and what it does not say."""
    if len(found) < 2:
        return []
    said = [f"{words.pair_label(o.pair)}: {c.reason}." for o, c in shown_better(result, found)[:4]]
    attack = words.attack_label(found[0].attacked.attack, found[0].attacked.severity)
    said.append(
        f"The page holds for {attack} and for these images. A pair is on the front where no other one has higher "
        "estimates of both accuracies; intervals that overlap do not tell two pairs apart, and pairs that were not "
        "compared with each other are not ranked."
    )
    here = (found[0].attacked.attack, found[0].attacked.severity)
    made = [one for one in result.comparisons if (one.attack, one.severity) == here]
    withheld = [one for one in made if one.reading == "withheld"]
    if withheld:
        said.append(
            f"{len(withheld)} of {words.count(len(made), 'comparison')} under this attack are withheld, as a training "
            "did not fit or clean accuracies differ by more than 5 points; the reasons stand in the section Defences "
            "and pairs compared."
        )
    if result.dataset.synthetic:
        said.append("These are synthetic phantoms: choose nothing for patients' images by this page.")
    return said


def table(result: AuditResult, found: list[Option]) -> Table:
    """The front first, then the others."""
    best = front(found)
    ordered = [*best, *[one for one in found if one not in best]]
    rows, marks = [], dict[int, RowMark]()
    for number, option in enumerate(ordered[:ROWS]):
        on_front = option in best
        rows.append(
            [
                str(number + 1),
                words.pair_cell(option.pair),
                words.percent_interval(option.clean.accuracy),
                words.percent_interval(option.attacked.accuracy) + (" †" if option.unfit else ""),
                "yes" if on_front else "no",
                readings(result, option),
            ]
        )
        if on_front:
            marks[number] = "strong"
    more = len(ordered) - len(rows)
    left_out = f" {words.count(more, 'more pair')} in results.json." if more > 0 else ""
    intervals = [i for o in found for i in (o.clean.accuracy, o.attacked.accuracy)]
    return Table(
        f"Clean against attacked accuracy on unchanged test images.{words.caption_limits(result)}",
        [
            Column("No.", 0.06, "right"),
            Column(words.PAIR_HEAD, 0.27),
            Column("Trained on clean images", 0.21, "right"),
            Column("Trained on attacked images", 0.22, "right"),
            Column("On the front", 0.09),
            Column("Compared", 0.15),
        ],
        rows,
        f"{words.sample_statement(intervals)} † under-fitted. Compared: reading of the corrected comparisons with the "
        f"baseline and with no defence.{left_out}",
        marks,
    )


def readings(result: AuditResult, option: Option) -> str:
    """What the comparisons of this pair say, under the attack of this page."""
    found = [
        one.reading
        for one in result.comparisons
        if one.first == option.pair
        and (one.attack, one.severity) == (option.attacked.attack, option.attacked.severity)
    ]
    if not found:
        return "baseline" if option.pair == result.baseline_pair else "not compared"
    return ", ".join(dict.fromkeys(found))


def pareto_figure(result: AuditResult, folder: Path) -> list[Figure]:
    """A point per combination with both intervals; the front joined by steps."""
    found = options(result)
    if len(found) < 2:
        return []
    best = front(found)
    ordered = [*best, *[one for one in found if one not in best]][:ROWS]
    drawing = new_drawing(52)  # beside the table on one page
    axes = drawing.subplots()
    for number, option in enumerate(ordered):
        clean, attacked = option.clean.accuracy, option.attacked.accuracy
        colour = CYCLE[0] if option in best else MUTED
        axes.plot([clean.low, clean.high], [attacked.estimate] * 2, color=colour, linewidth=0.8)
        axes.plot([clean.estimate] * 2, [attacked.low, attacked.high], color=colour, linewidth=0.8)
        face = "white" if option.unfit else colour
        marker = "o" if option in best else "s"
        axes.plot(
            [clean.estimate],
            [attacked.estimate],
            marker=marker,
            markersize=4.5,
            color=colour,
            markerfacecolor=face,
        )
        if number < NUMBERED:
            axes.annotate(
                str(number + 1),
                (clean.estimate, attacked.estimate),
                xytext=(4, 4),
                textcoords="offset points",
            )
    steps = sorted((o.clean.accuracy.estimate, o.attacked.accuracy.estimate) for o in best)
    axes.step(
        [x for x, _ in steps],
        [y for _, y in steps],
        where="pre",
        color=CYCLE[0],
        linewidth=0.8,
        linestyle="--",
    )
    chance = 1 / len(result.dataset.class_names)
    axes.axhline(chance, color=BASELINE, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.set_xlabel("accuracy, trained on clean images, %")
    axes.set_ylabel("on attacked images, %")
    axes.set_xticks([tick / 20 for tick in range(21)], [str(5 * tick) for tick in range(21)])
    lowest = min(option.clean.accuracy.low for option in ordered)
    axes.set_xlim(max(lowest - LEFT, 0), 1.02)  # only so much of the axis as there are points
    percent_axis(axes, "y")
    figure = Figure(
        "pareto.svg",
        "pareto",
        "Clean against attacked accuracy",
        "Further up and to the right is better. Circles joined by the dashed line: the front, which no other pair "
        "beats in both; squares: the others; open: under-fitted; numbers as in the table; lines: 95 % intervals; "
        "dashed across: guessing; the lower axis does not begin at 0. "
        + words.sample_statement([o.attacked.accuracy for o in found]),
        "; ".join(
            f"{n + 1} {words.pair_label(o.pair)}: clean {words.percent_interval(o.clean.accuracy)}, attacked "
            f"{words.percent_interval(o.attacked.accuracy)}"
            for n, o in enumerate(ordered)
        ),
    )
    return [save(drawing, result, folder, figure)]
