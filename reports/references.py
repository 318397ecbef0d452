"""Numbers of tables and figures, and sentences that name a section by its number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import count
from typing import Any

from reports.document import Block, Section, Shown, Table

MENTION = re.compile(r"section (\d+) \([^()]+\)|第 ?(\d+) ?節「[^」]+」")
"""A section by number and name, in each language: what is set as a link."""


def referenced(sections: list[Section]) -> list[Section]:
    """Tables and figures numbered through the report; 'the section Controls' becomes 'section 9 (Controls)'."""
    places = {section.heading: number for number, section in enumerate(sections, start=1)}
    names = "|".join(re.escape(heading) for heading in sorted(places, key=len, reverse=True))
    mention = re.compile(rf"the section ({names})\b")
    tables, figures = count(1), count(1)
    found = []
    for section in sections:
        blocks = [pointing(numbered(block, tables, figures), mention, places) for block in section.blocks]
        found.append(replace(section, blocks=blocks))
    return found


def numbered(block: Block, tables: Iterator[int], figures: Iterator[int]) -> Block:
    """'Table 3. ..', 'Figure 2. ..'."""
    if isinstance(block, Table):
        return replace(block, caption=f"Table {next(tables)}. {block.caption}")
    if isinstance(block, Shown):
        return Shown(replace(block.figure, title=f"Figure {next(figures)}. {block.figure.title}"))
    return block


def pointing(part: Any, mention: re.Pattern[str], places: dict[str, int]) -> Any:
    """The same with the number of each section that it names."""
    if isinstance(part, str):
        return mention.sub(lambda match: f"section {places[match[1]]} ({match[1]})", part)
    if isinstance(part, list | tuple):
        return type(part)(pointing(item, mention, places) for item in part)
    if is_dataclass(part) and not isinstance(part, type):
        return replace(
            part, **{f.name: pointing(getattr(part, f.name), mention, places) for f in fields(part)}
        )
    return part
