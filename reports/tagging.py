"""The structure of the report for assistive technology: which marks on which page are a heading, a cell, a figure.

reportlab draws, and knows nothing of structure. The flowables here put each piece of content between marks
(ISO 32000-1, 14.6), and remember them in a tree of nodes; `reports.pdf_finish` writes the tree into the file (14.7). No
validator has been run on the result: the file is "tagged", and no more is claimed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reportlab.platypus import Flowable, Paragraph
from reportlab.platypus import Table as GridTable
from reportlab.platypus.tableofcontents import TableOfContents

ARTIFACT = "Artifact"


@dataclass(eq=False)
class Node:
    """One element: standard structure type, what it holds, and where its own content was drawn."""

    role: str
    alternative: str = ""
    title: str = ""
    scope: str = ""  # of a head: Row or Column
    children: list[Node] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(
        default_factory=list
    )  # (page, from 1; number of the mark on the page)

    def add(self, role: str, alternative: str = "", title: str = "", scope: str = "") -> Node:
        """A new element at the end."""
        node = Node(role, alternative, title, scope)
        self.children.append(node)
        return node

    def clear(self) -> None:
        """Forget where it was drawn: the document is laid out several times."""
        self.marks.clear()
        for child in self.children:
            child.clear()

    def drawn(self) -> bool:
        """Whether anything of it stands on a page."""
        return bool(self.marks) or any(child.drawn() for child in self.children)


@contextlib.contextmanager
def marked(canvas: Any, node: Node | None) -> Iterator[None]:
    """Content drawn inside belongs to the node; without one it is decoration."""
    if node is None:
        canvas._code.append(f"/{ARTIFACT} BMC")
    else:
        page = canvas.getPageNumber()
        last = getattr(canvas, "last_mark", (page, -1))
        number = last[1] + 1 if last[0] == page else 0
        canvas.last_mark = (page, number)
        canvas._code.append(f"/{node.role} <</MCID {number}>> BDC")
        node.marks.append((page, number))
    yield
    canvas._code.append("EMC")


class MarkedParagraph(Paragraph):  # type: ignore[misc]
    """A paragraph that knows its element; its halves on two pages belong to the same one."""

    node: Node | None = None

    def _drawOn(self, canvas: Any) -> None:
        repeated = self.node is not None and self.node.role == "TH" and bool(self.node.marks)
        with marked(canvas, None if repeated else self.node):  # a head on each page is read once
            super()._drawOn(canvas)

    def split(self, width: float, height: float) -> list[Flowable]:
        """As reportlab does, the element kept."""
        parts: list[Flowable] = super().split(width, height)
        for part in parts:
            part.node = self.node
        return parts


class MarkedTable(GridTable):  # type: ignore[misc]
    """A table whose rules and tints are decoration; its cells are marked paragraphs."""

    def _drawBkgrnd(self) -> None:
        with marked(self.canv, None):
            super()._drawBkgrnd()

    def _drawLines(self) -> None:
        with marked(self.canv, None):
            super()._drawLines()


class MarkedDrawing(Flowable):  # type: ignore[misc]
    """A picture, with what it shows for those who do not see it."""

    def __init__(self, drawing: Any, node: Node) -> None:
        super().__init__()
        self.drawing, self.node = drawing, node
        self.width, self.height, self.hAlign = drawing.width, drawing.height, "LEFT"

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        """Its own size."""
        return self.width, self.height

    def draw(self) -> None:
        """The picture between its marks."""
        with marked(self.canv, self.node):
            self.drawing.drawOn(self.canv, 0, 0)


class MarkedContents(TableOfContents):  # type: ignore[misc]
    """The table of contents as one element."""

    node: Node | None = None

    def drawOn(self, canvas: Any, x: float, y: float, _sW: float = 0) -> None:
        """As reportlab draws it, between marks."""
        with marked(canvas, self.node):
            super().drawOn(canvas, x, y, _sW)
