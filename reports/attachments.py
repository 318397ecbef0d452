"""What travels inside the report: the results it was made from, the perturbations, and the hashes of both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.results import AuditResult
from reports import words
from reports.document import Block, Column, Heading, Table, Text

RESULTS = "results.json"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Attachment:
    """One file as it is attached."""

    name: str
    content: bytes
    what: str

    @property
    def sha256(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.content).hexdigest()


def attachments(result: AuditResult, run_dir: Path) -> list[Attachment]:
    """`results.json` as it lies in the run directory (as it would be saved, where it is not there), then each
    perturbation that is there."""
    file = run_dir / RESULTS
    content = file.read_bytes() if file.is_file() else result.model_dump_json(indent=1).encode()
    found = {RESULTS: Attachment(RESULTS, content, "all numbers of this report")}
    for record in result.perturbations:
        place = run_dir / record.file
        if place.is_file():
            what = words.attack_label(record.attack, record.severity)
            found[place.name] = Attachment(place.name, place.read_bytes(), what)
    return list(found.values())


def sums(found: Sequence[Attachment]) -> bytes:
    """As `sha256sum -c` reads it."""
    return "".join(f"{one.sha256}  {one.name}\n" for one in found).encode()


def hash_blocks(result: AuditResult, found: Sequence[Attachment]) -> list[Block]:
    """Name, size and hash of each attached file, and how to check them."""
    if not found:
        return []
    names = {one.name for one in found}
    absent = [record.file for record in result.perturbations if Path(record.file).name not in names]
    note = "SHA-256 of each file; the same list is attached as SHA256SUMS, as sha256sum -c reads it."
    if absent:
        note += f" Not in the run directory, and not attached: {', '.join(absent)}."
    return [
        Heading("Files and hashes"),
        Text(
            "The PDF carries these files; the run directory holds them too. The command audit verify REPORT.pdf checks "
            "them. Hashes show that a file is the one that this report was made from; who made it, a signature shows."
        ),
        Table(
            "Files that belong to this report.",
            [
                Column("File", 0.30),
                Column("Bytes", 0.1, "right"),
                Column("Holds", 0.18),
                Column("SHA-256", 0.42),
            ],
            [[one.name, words.thousands(len(one.content)), one.what, one.sha256] for one in found],
            note,
        ),
    ]
