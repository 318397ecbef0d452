"""Ctrl-C once: the trainings under way are finished and kept. Ctrl-C twice, or SIGTERM: stop now."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType


class StopRequest:
    """Whether somebody asked the audit to stop. Set from a signal handler or another thread."""

    def __init__(self) -> None:
        self.asked = False
        self.finishing = False  # there is something to be finished first

    def check(self) -> None:
        """Raises KeyboardInterrupt where it was asked for."""
        if self.asked:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def finishes_first(self) -> Iterator[None]:
        """Inside, one request lets the work under way finish."""
        self.finishing = True
        try:
            yield
        finally:
            self.finishing = False


SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Waiting:
    """Signals that came while none could be answered."""

    depth: int = 0
    came: list[int] = field(default_factory=list)


waiting = Waiting()


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Signals that come inside are answered after it: a process that is half started cannot be ended. A process
    started inside does not hear them; it begins to (`pthread_sigmask`) when it is ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    waiting.depth += 1  # the mask is this thread's: another one may be told, and has the handler run here
    try:
        yield
    finally:
        waiting.depth -= 1
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        while waiting.came and not waiting.depth:
            signal.raise_signal(waiting.came.pop())


@contextlib.contextmanager
def stops_on_signals(stop: StopRequest, say: Callable[[str], None]) -> Iterator[None]:
    """Signals become requests. In another than the main thread, where signals cannot be set, nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        if waiting.depth:
            waiting.came.append(number)
            return
        if number == signal.SIGINT and stop.finishing and not stop.asked:
            stop.asked = True
            say("interrupted: what is being trained is finished and kept first; Ctrl-C again stops now")
            return
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupted) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
