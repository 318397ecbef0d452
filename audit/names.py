"""Names that a user gives, held against the names that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def unique(values: list[Any]) -> list[Any]:
    """Refuse repeated values: a cell trained twice would count twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} stands twice; name it once")
    return values


def known(kind: str, name: str, table: Mapping[str, object]) -> str:
    """Refuse a name that is not in the table, with the nearest that is. Raises ValueError."""
    if name in table:
        return name
    raise ValueError(f"unknown {kind} {name!r}; {nearest(name, list(table))}")


def dotted(location: Iterable[object]) -> str:
    """Where a value stands in a file, `a.b.3`. A key is the user's: what would break the line is escaped."""
    parts = (str(part) for part in location)
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in parts)


def nearest(name: str, choices: list[str], shown: list[str] | None = None) -> str:
    """'did you mean X?', or the list of what to choose from."""
    close = difflib.get_close_matches(name.lower(), [choice.lower() for choice in choices], n=1)
    if not close:
        return f"choose from {', '.join(shown or choices)}"
    return f"did you mean {next(choice for choice in choices if choice.lower() == close[0])!r}?"
