"""Wrong passwords are counted, by name and by address, and after a few of them there is a pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

WRONG = 5  # tries
PAUSE = 15 * 60.0  # seconds in which they are counted, and that further tries wait
LONGEST = 64  # signs of a name that are kept


class Attempts:
    """Tries at one server, in memory: a restart forgets them. Names count whether there is such a user or not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.lock = clock, threading.Lock()
        self.times: dict[tuple[str, str], list[float]] = {}

    def admits(self, name: str, address: str) -> bool:
        """Whether a try may be made; it counts as wrong until `right` is called, so that many at once gain nothing. A
        refused try does not prolong the pause."""
        with self.lock:
            now = self.clock()
            kept = {key: counting(times, now) for key, times in self.times.items()}
            self.times = {key: times for key, times in kept.items() if times}
            keys = keys_of(name, address)
            if any(len(self.times.get(key, ())) >= WRONG for key in keys):
                return False
            for key in keys:
                self.times.setdefault(key, []).append(now)
            return True

    def right(self, name: str, address: str) -> None:
        """The password was right: the name starts anew. Of the address only this try is taken back, or who has one
        account could try the others from there without end."""
        own, place = keys_of(name, address)
        with self.lock:
            self.times.pop(own, None)
            if self.times.get(place):
                self.times[place].pop()


def counting(times: list[float], now: float) -> list[float]:
    """Tries that still count: of the last minutes, or all while the pause after the last of them goes on."""
    if len(times) >= WRONG:
        return times if times[-1] > now - PAUSE else []
    return [one for one in times if one > now - PAUSE]


def keys_of(name: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What is counted."""
    return ("name", name[:LONGEST]), ("address", address)
