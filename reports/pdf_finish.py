"""What reportlab cannot write: the tree of structure, attached files, metadata. Equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, Pdf, String

from reports.attachments import RESULTS, SUMS, Attachment, sums
from reports.tagging import Node

MIME = "application/json"


def finish(file: Path, root: Node, files: Sequence[Attachment], moment: datetime | None) -> None:
    """Complete a PDF in place. `moment`: the time of the run, for attached files."""
    with Pdf.open(file, allow_overwriting_input=True) as pdf:
        write_structure(pdf, root)
        if files:
            attach(pdf, files, moment)
        write_metadata(pdf)
        pdf.Root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
        pdf.save(
            file,
            deterministic_id=True,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            compress_streams=True,
        )


def attach(pdf: Pdf, files: Sequence[Attachment], moment: datetime | None) -> None:
    """All files and their hashes; the results are the source of the document, the others supplement it (PDF 2.0)."""
    date = moment.astimezone(UTC).strftime("D:%Y%m%d%H%M%SZ") if moment else ""
    everything = [*files, Attachment(SUMS, sums(files), "hashes of the attached files")]
    for one in everything:
        pdf.attachments[one.name] = pikepdf.AttachedFileSpec(
            pdf,
            one.content,
            description=one.what,
            filename=one.name,
            mime_type=MIME if one.name.endswith(".json") else "text/plain",
            creation_date=date,
            mod_date=date,
            relationship=Name.Source if one.name == RESULTS else Name.Supplement,
        )
    pdf.Root.AF = Array([pdf.attachments[one.name].obj for one in everything])


def write_metadata(pdf: Pdf) -> None:
    """The same facts as XMP, for those who read only that."""
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        metadata.load_from_docinfo({k: v for k, v in pdf.docinfo.items() if k != Name.Trapped})


def write_structure(pdf: Pdf, root: Node) -> None:
    """The tree of structure elements and, for each page, which element each of its marks belongs to."""
    owners: dict[int, dict[int, Object]] = {page: {} for page in range(1, len(pdf.pages) + 1)}
    tree = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    tree.K = Array([element(pdf, root, tree, owners)])
    numbers = Array()
    for page, marks in owners.items():
        pdf.pages[page - 1].StructParents = page - 1
        pdf.pages[page - 1].Tabs = Name.S
        numbers.append(page - 1)
        numbers.append(pdf.make_indirect(Array([marks[number] for number in sorted(marks)])))
    tree.ParentTree = pdf.make_indirect(Dictionary(Nums=numbers))
    tree.ParentTreeNextKey = len(owners)
    pdf.Root.StructTreeRoot = tree
    pdf.Root.MarkInfo = Dictionary(Marked=True)


def element(pdf: Pdf, node: Node, parent: Object, owners: dict[int, dict[int, Object]]) -> Object:
    """One element with all below it; `owners`: page -> mark -> element, filled in passing."""
    made = pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name(f"/{node.role}"), P=parent))
    kids = Array()
    for page, number in node.marks:
        kids.append(Dictionary(Type=Name.MCR, Pg=pdf.pages[page - 1].obj, MCID=number))
        owners[page][number] = made
    for child in node.children:
        if child.drawn():
            kids.append(element(pdf, child, made, owners))
    made.K = kids
    if node.alternative:
        made.Alt = String(node.alternative)
    if node.title:
        made.T = String(node.title)
    if node.scope:
        made.A = Dictionary(O=Name.Table, Scope=Name(f"/{node.scope}"))
    return made
