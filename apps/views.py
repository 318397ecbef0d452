"""HTML of the page from what lies on the disk. All text is escaped here and nowhere else; no script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from apps.desk import Status
from apps.remedies import said_here
from apps.shelf import SHORTCUT_MAP, Job
from apps.terms import UNTESTED
from audit.check import CONTACT_SHEET, DataCheck
from audit.errors import ConfigError
from audit.gate.compare import compare
from audit.gate.record import DifferenceRow
from audit.gate.snapshot import snapshot_of
from audit.gate.words import interval, value
from audit.results import AuditResult, ConditionSummary
from reports import lookups, words
from reports.sections import VERDICT_TEXTS
from reports.style import VERDICTS

STATES = {
    "queued": "waiting",
    "working": "under way",
    "done": "done",
    "refused": "refused",
    "failed": "failed",
    "cancelled": "cancelled",
}
KINDS = {"check": "looking at the data", "estimate": "working out the time", "audit": "audit"}
SHOWN_FINDINGS = 12
NO_TIME = (
    "How long it will take stands here once at least one network, one optimizer and one number of changed pixels are "
    "chosen."
)
MAP_HELP = (
    "The mean image of each class. Rings and boxes in orange mark pixels that images of one class share and others do "
    "not; blue marks padding. Look there in single images: a mark that belongs to no tissue has to be explained first."
)
COMPARED = (
    "Accuracy on unchanged test images; differences in percentage points, scores as they are: this audit minus the "
    "other, with 95 % intervals. Readings are corrected for the number of rows."
)
MARKS = {"pass": "ok", "warn": "warn", "fail": "bad", "not run": "mute"}


def note(text: str, kind: str = "mute") -> str:
    """One line in a box."""
    return f'<p class="note {kind}" role="status">{escape(text)}</p>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table of escaped cells."""
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    title = f'<p class="caption">{escape(caption)}</p>' if caption else ""  # outside: it is read whole
    inside = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return title + wide(f'<table class="plain">{inside}</table>', caption or ", ".join(head))


def wide(inside: str, label: str) -> str:
    """What may be wider than a small screen scrolls in a box of its own, by keyboard too."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="{escape(label)}">{inside}</div>'


def history(found: Sequence[Status], current: str) -> str:
    """Links to all audits of the user."""
    if not found:
        return '<p class="mute">No audits yet.</p>'
    rows = []
    for one in found:
        state = one.verdict or how_far(one.job)
        here = ' aria-current="page"' if one.id == current else ""
        rows.append(
            f'<li><a href="?audit={one.id}"{here}>{escape(one.title)}</a><br><small>{escape(state)}</small></li>'
        )
    return f'<ul class="history">{"".join(rows)}</ul>'


def how_far(job: Job | None) -> str:
    """In two words."""
    if job is None or (job.kind != "audit" and job.state in ("done", "cancelled")):
        return "not begun"
    return STATES[job.state]


def state(one: Status) -> str:
    """What is going on, in one line."""
    if one.job is None:
        return ""
    what = KINDS[one.job.kind]
    if one.job.state == "queued":
        place = f", place {one.position} in the queue" if one.position else ""
        return note(f"{words.capital(what)}: waiting{place}.")
    if one.job.state == "working":
        return note(f"{words.capital(what)}{': ' + one.step if one.step else ''} …", "busy")
    if one.job.state == "done":
        return note(f"{words.capital(what)}: done.", "ok")
    if one.job.state == "cancelled":
        return note(f"{words.capital(what)}: cancelled. What was finished is kept.")
    return note(f"{words.capital(what)} {STATES[one.job.state]}: {one.job.message}", "bad")


def checks(found: DataCheck | None, folder: Path) -> str:
    """Counts, checks, files that were refused, pictures."""
    if found is None:
        return note("Choose your images first: what was found in them stands here then.")
    data = found.dataset
    counts = [
        [name, *[str(data.counts[split][k]) for split in data.counts]]
        for k, name in enumerate(data.class_names)
    ]
    order = {"fail": 0, "warn": 1, "not run": 2, "pass": 3}
    rows = "".join(
        f'<tr class="{MARKS[c.status]}"><td>{escape(c.title)}</td><td><b>{c.status}</b></td>'
        f"<td>{escape(said_here(c.sentence))}"
        f"{'<br><i>' + escape(said_here(c.remedy)) + '</i>' if c.remedy and c.status in ('warn', 'fail') else ''}"
        f"{files(c.images, c.affected)}</td></tr>"
        for c in sorted(found.checks, key=lambda check: order[check.status])
    )
    synthetic = (
        note("Synthetic phantoms: nothing here says anything about patients.", "warn")
        if data.synthetic
        else ""
    )
    return (
        f"{synthetic}{table(['class', *data.counts], counts, 'Images by class and split')}"
        '<p class="caption">Checks</p><table class="plain checks" aria-label="Checks"><thead><tr>'
        '<th scope="col">check</th><th scope="col">result</th><th scope="col">finding</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{shortcuts(found, folder)}"
        f"{picture(folder / CONTACT_SHEET, 'Some training images of each class')}"
    )


def shortcuts(found: DataCheck, folder: Path) -> str:
    """Where in the images the shortcut scan found what gives a class away, and what it cannot see."""
    scan = found.scan
    told = words.capital(said_here(scan.sentence)) + "."
    if scan.status == "not run":
        body = note(f"Not looked for. {told}", "warn")
    elif not scan.findings:
        body = note(told, "ok")
    else:
        check = next(check for check in found.checks if check.name == "shortcuts")
        more = len(check.details) - SHOWN_FINDINGS
        caption = f"Places, the most widespread first{f'; {more} more' if more > 0 else ''}"
        body = (
            f"<p>{escape(MAP_HELP)}</p>"
            f"{picture(folder / SHORTCUT_MAP, 'Mean image of each class with the places that give it away')}"
            f"{table(check.header, check.details[:SHOWN_FINDINGS], caption)}"
        )
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in scan.limits)
    unseen = (
        f"<details><summary>What the scan cannot see</summary><ul>{limits}</ul></details>" if limits else ""
    )
    return f"<h3>Where images give their class away</h3>{body}{unseen}"


def picture(file: Path, alternative: str) -> str:
    """An image of the disk as part of the page; scripts in it would not run. Nothing where it is not there."""
    if not file.is_file():
        return ""
    kind = "svg+xml" if file.suffix == ".svg" else "png"
    coded = base64.b64encode(file.read_bytes()).decode()
    image = f'<img class="sheet" alt="{escape(alternative)}" src="data:image/{kind};base64,{coded}">'
    return wide(image, alternative)


def files(names: Sequence[str], affected: int) -> str:
    """The first files of a finding, by name."""
    if not names:
        return ""
    shown = "".join(f"<li>{escape(name)}</li>" for name in names[:20])
    more = f"<li>and {affected - 20} more</li>" if affected > 20 else ""
    return f"<details><summary>{affected} files</summary><ul>{shown}{more}</ul></details>"


def cost(estimate: dict[str, Any] | None, one: Status) -> str:
    """Time and memory of the plan, and what it will not test."""
    untested = f'<p class="mute">{escape(UNTESTED)}</p>'
    if estimate is None:
        job = one.job
        timing = job is not None and job.kind == "estimate" and job.state not in ("cancelled", "done")
        return (state(one) if timing else note(NO_TIME)) + untested
    memory = estimate.get("worker_bytes")
    said = (
        f"{estimate['trainings']} trainings and {estimate['surrogate_trainings']} short ones for the search: about "
        f"{words.duration(estimate['wall_seconds'])} on this server"
    )
    longest = words.duration(estimate.get("longest_seconds", estimate["wall_seconds"]))
    if longest != words.duration(estimate["wall_seconds"]):
        said += f" (up to {longest} where the search's short trainings learn slowly)"
    said += f", {memory / 2**30:.1f} GiB of memory per worker." if memory else "."
    return note(said, "ok") + untested


def running(one: Status, cells: Sequence[dict[str, Any]]) -> str:
    """Progress, time left, and what is finished; of a training that was tried again, the last try."""
    if one.total == 0:
        return state(one)
    left = f", about {words.duration(one.seconds_left)} left" if one.seconds_left else ""
    working = one.job is not None and one.job.state == "working"
    bar = f'<progress max="{one.total}" value="{one.done}" aria-label="trainings finished"></progress>'
    line = f"<p>{one.done} of {one.total} trainings{escape(left) if working else ''}</p>"
    rows = [
        [
            f"{c['model']} · {c['optimizer']} · {words.defence_label(str(c['defence']))}",
            words.attack_label(str(c["attack"]), int(c["severity"])),
            str(c["seed"]),
            f"{100 * c['accuracy']:.1f} %"
            if c.get("accuracy") is not None
            else f"failed: {c.get('failure') or ''}",
        ]
        for c in {c["id"]: c for c in cells}.values()
    ]
    head = ["model, optimizer, defence", "trained on", "seed", "right on unchanged test images"]
    done = table(head, rows, "Finished trainings, one by one: no intervals yet") if rows else ""
    return f"{state(one)}{bar}{line}{done}"


def verdict(result: AuditResult) -> str:
    """One sentence, what limits it, what to do."""
    finding = result.finding
    limits = words.banner(result)
    banner = note(words.capital(limits) + ".", "warn") if limits else ""
    actions = "".join(f"<li>{escape(action)}</li>" for action in finding.actions)
    return (
        f'<p class="verdict" style="background:{VERDICTS[finding.verdict]}">'
        f"{escape(words.capital(finding.verdict))}</p>"
        f'<p class="lead">{escape(finding.sentence)}</p>{banner}'
        f"<p>{escape(VERDICT_TEXTS[finding.verdict])} {escape(words.capital(finding.reason))}.</p>"
        f"<h3>What to do</h3><ol>{actions}</ol>"
    )


def scores(result: AuditResult) -> str:
    """Robustness scores with intervals."""
    rows = [
        [
            words.pair_cell(row.pair),
            "1 (baseline)" if row.is_baseline else words.ratio_interval(row.score),
            row.note or "comparable",
        ]
        for row in sorted(result.scores, key=lambda row: -row.score.estimate)
    ]
    caption = "Robustness scores: accuracy under attack relative to the baseline; in brackets 95 % intervals"
    return table(["model · optimizer · defence", "score", "fit and clean accuracy"], rows, caption)


def conditions(result: AuditResult) -> list[tuple[str, str]]:
    """(label, key) of each condition, for the picker."""
    return [
        (f"{words.pair_label(c.pair)}: {words.attack_label(c.attack, c.severity)}", str(number))
        for number, c in enumerate(result.conditions)
    ]


def condition(result: AuditResult, key: str) -> str:
    """Accuracy, confusion matrix and class measures of one condition."""
    known = {str(number): c for number, c in enumerate(result.conditions)}
    if key not in known:
        return ""
    c = known[key]
    found = lookups.measures(result, c.pair, c.attack, c.severity)
    return (
        f"<p>{escape(told(c))}</p>{matrix(result, found)}" if found else note("No training of it finished.")
    )


def told(c: ConditionSummary) -> str:
    """'Accuracy 93.1 % (90.2–95.4); drop ...'."""
    text = f"Accuracy on unchanged test images {words.percent_interval(c.accuracy)}{words.dagger(c)}"
    if c.drop is not None:
        text += f"; drop from clean {words.points_interval(c.drop)}"
    reading = f"; {c.reading}" if c.reading else ""
    return f"{text}{reading}. {words.sample_statement([c.accuracy])}"


def matrix(result: AuditResult, found: Sequence[Any]) -> str:
    """Counts summed over trainings, and precision, recall and F1 of each class."""
    names, counts = result.dataset.class_names, lookups.confusion_sum(found)
    rows = [[name, *[str(n) for n in row]] for name, row in zip(names, counts, strict=True)]
    several = f", sum of {len(found)} trainings" if len(found) > 1 else ""
    first = table(["true \\ predicted", *names], rows, f"Confusion matrix{several}")
    each = [
        [name, *[f"{words.mean([getattr(m.per_class[k], part) for m in found]):.2f}" for part in PARTS]]
        for k, name in enumerate(names)
    ]
    return first + table(["class", *PARTS], each, "By class, mean over trainings, no intervals")


PARTS = ("precision", "recall", "f1")


def downloads(audit_id: str, names: Iterable[str]) -> str:
    """Links."""
    items = "".join(
        f'<a class="button" href="audits/{audit_id}/{escape(name)}" download>{escape(name)}</a>'
        for name in names
    )
    return f'<p class="downloads">{items}</p>'


def comparison(first: AuditResult, second: AuditResult) -> str:
    """Two audits side by side, or why they cannot be compared."""
    if first.dataset.fingerprint != second.dataset.fingerprint:
        return note("These audits are of other images: their numbers cannot be compared.", "warn")
    if first.protocol_version != second.protocol_version:
        return note("These audits were measured by other rules: their numbers cannot be compared.", "warn")
    try:
        found = compare(snapshot_of(first), snapshot_of(second))
    except ConfigError:
        return note(
            "These audits looked for the worst pixels in other ways: they cannot be compared.", "warn"
        )
    if not found.rows:
        return note("The two audits share no condition.", "warn")
    rows = [
        [
            f"{words.pair_cell(one.pair)}, {compared_measure(one)}",
            value(one.measure, one.first),
            value(one.measure, one.second),
            interval(one.measure, one.difference),
            f"{one.reading}: {one.reason}" if one.reason else one.reading,
        ]
        for one in found.rows
    ]
    head = ["condition", "this audit", "the other", "difference (95 %)", "reading"]
    notes = "".join(note(text) for text in found.notes)
    return table(head, rows, COMPARED) + notes


def compared_measure(one: DifferenceRow) -> str:
    """'EvoShift, 1 pixel', 'robustness score'."""
    if one.measure == "robustness_score":
        return "robustness score"
    return words.attack_label(one.attack, one.severity)
