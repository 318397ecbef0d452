"""Which sections may serve a reviewer as evidence for which clause of which document. Clauses, texts and dates stand in
`traceability.yaml`; this module only asks whether the audit holds what a clause needs."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from audit.results import CLEAN, AuditResult
from reports import words
from reports.document import Block, Column, RowMark, Section, Table, Text

Support = Literal["evidence", "partial", "not covered"]
Need = Literal["clean", "attack", "controls", "defences", "checks", "scan", "groups", "seeds", "explanations"]
NEEDS: dict[Need, str] = {
    "clean": "no training on clean images finished",
    "attack": "no training on attacked images finished",
    "controls": "controls were not run",
    "defences": "no defence was compared",
    "checks": "checks of the data were not run",
    "scan": "the scan for shortcuts was not run",
    "groups": "the data hold no patient or lesion ids",
    "seeds": "fewer than 3 seeds",
    "explanations": "no network was explained",
}
"""What is missing, in words."""

SEEDS = 3


class Strict(BaseModel):
    """Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Clause(Strict):
    """One clause: what it asks, and what an audit shows about it at best."""

    clause: str
    asks: str
    where: list[str]  # headings of sections
    needs: list[Need]
    support: Support
    remark: str


class Framework(Strict):
    """A law, standard or checklist, with its dates."""

    name: str
    dates: str
    clauses: list[Clause]


class Traceability(Strict):
    """The data file."""

    read: str  # the day on which dates and clauses were last compared with their sources
    documents: list[Framework]


@cache
def traceability() -> Traceability:
    """The data file, checked."""
    text = (resources.files("reports") / "traceability.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    return Traceability.model_validate({**raw, "read": str(raw["read"])})


def held(result: AuditResult) -> set[Need]:
    """What the audit holds."""
    done = [cell for cell in result.cells if cell.status == "done"]
    attacked = [cell for cell in done if cell.attack != CLEAN]
    found: dict[Need, bool] = {
        "clean": any(cell.attack == CLEAN for cell in done),
        "attack": any(cell.role == "grid" for cell in attacked),
        "controls": any(cell.role == "control" for cell in attacked),
        "defences": any(one.is_defence for one in result.comparisons),
        "checks": bool(result.checks),
        "scan": result.scan is not None,
        "groups": result.dataset.test_groups is not None,
        "seeds": len({cell.seed for cell in attacked}) >= SEEDS,
        "explanations": any(cell.explanation is not None for cell in done),
    }
    return {need for need, held in found.items() if held}


def traceability_section(result: AuditResult, headings: list[str]) -> Section:
    """A table per document; `headings` are those of this report."""
    read = traceability().read
    blocks: list[Block] = [
        Text(
            'What a reviewer may use as evidence, clause by clause. "Evidence": the sections named measure what the '
            'clause asks about, for these data and trainings. "Partial": they show a part of it. "Not covered": '
            "nothing in this report speaks of it. Whether a product meets a law or a standard is for those to judge "
            f"who are entitled to; this program does not. Clauses and dates as read on {read}, in our own words."
        )
    ]
    if result.dataset.synthetic:
        blocks.append(
            Text(
                "These are synthetic phantoms: the tables show the form, and support nothing about clinical images.",
                "Synthetic data",
            )
        )
    for document in traceability().documents:
        blocks += [clause_table(result, document, headings)]
    return Section("Traceability", blocks, new_page=True)


def clause_table(result: AuditResult, document: Framework, headings: list[str]) -> Table:
    """Clause, what it asks, where, support."""
    rows: list[list[str]] = []
    marks: dict[int, RowMark] = {}
    for clause in document.clauses:
        missing = [NEEDS[need] for need in clause.needs if need not in held(result)]
        support: str = "not covered" if missing else clause.support
        if support == "not covered":
            marks[len(rows)] = "muted"
        elif result.dataset.synthetic:
            support = f"{support} (synthetic)"
        places = [f"the section {name}" for name in clause.where if name in headings and not missing]
        remark = "; ".join(words.capital(part) for part in missing) + "." if missing else clause.remark
        rows.append([clause.clause, clause.asks, "; ".join(places) or "–", support, remark or "–"])
    return Table(
        f"{document.name}.{words.caption_limits(result)}",
        [
            Column("Clause", 0.14),
            Column("What it asks", 0.25),
            Column("Where", 0.22),
            Column("Support", 0.11),
            Column("Remark", 0.28),
        ],
        rows,
        document.dates,
        marks,
    )
