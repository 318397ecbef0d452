"""Ways to find a perturbation, by name: one row per method. torch is imported when one is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.attack.search import Found, SearchRequest


def _evoshift(request: SearchRequest) -> Found:
    from audit.attack.evoshift import evoshift

    return evoshift(request)


def _random_search(request: SearchRequest) -> Found:
    from audit.attack.baselines import random_search

    return random_search(request)


def _shortcut(request: SearchRequest) -> Found:
    from audit.attack.shortcut import shortcut

    return shortcut(request)


def _heuristic(request: SearchRequest) -> Found:
    from audit.attack.baselines import heuristic

    return heuristic(request)


def _random(request: SearchRequest) -> Found:
    from audit.attack.baselines import random_control

    return random_control(request)


def _transfer(request: SearchRequest) -> Found:
    from audit.attack.spatial_value import transferred

    return transferred(request)


@dataclass(frozen=True)
class MethodRow:
    """One row of the table: from a request to a perturbation."""

    find: Callable[[SearchRequest], Found]
    trains_surrogates: bool = False
    draws: bool = False  # made several times, from different seeds


METHODS: dict[str, MethodRow] = {
    "evoshift": MethodRow(_evoshift, trains_surrogates=True),
    "random-search": MethodRow(_random_search, trains_surrogates=True),
    "shortcut": MethodRow(_shortcut),
    "heuristic": MethodRow(_heuristic),
    "random": MethodRow(_random, draws=True),
    "transfer": MethodRow(_transfer),
}
