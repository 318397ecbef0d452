"""The structured log of a run: one JSON object per line, appended and never changed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS_FILE = "events.jsonl"

Event = dict[str, Any]


class EventLog:
    """The log as one process (a session) writes it. `tell` is handed every line, too."""

    def __init__(self, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        self.path, self.tell = folder / EVENTS_FILE, tell
        self.session = round(time.time(), 3)
        self.started = time.monotonic()  # not the wall clock, which may be set meanwhile

    def add(self, event: str, **facts: object) -> None:
        """Append one event."""
        line = json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "session": self.session,
                "elapsed": round(time.monotonic() - self.started, 3),
                "event": event,
                **facts,
            }
        )
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        if self.tell is not None:
            self.tell(line)

    def sessions(self) -> dict[float, list[Event]]:
        """What is in the file, session by session. Torn lines are left out."""
        found: dict[float, list[Event]] = {}
        with contextlib.suppress(OSError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    event = json.loads(line)
                    found.setdefault(float(event["session"]), []).append(
                        {**event, "elapsed": float(event["elapsed"])}
                    )
        return found

    def of(self, kind: str) -> list[Event]:
        """The events of one kind, in order."""
        return [one for events in self.sessions().values() for one in events if one.get("event") == kind]

    def seconds(self) -> float:
        """Wall time of all sessions that worked on this audit."""
        return sum(max(float(event["elapsed"]) for event in events) for events in self.sessions().values())

    def work(self, audit_id: str) -> tuple[int, float, float | None]:
        """(sessions, seconds, joules) of training and searching for one audit; joules None where one session did not
        measure them."""
        sessions, seconds = 0, 0.0
        joules: float | None = 0.0
        for events in self.sessions().values():
            begun = [e for e in events if e.get("event") == "started" and e.get("audit") == audit_id]
            if not begun:
                continue
            sessions += 1
            seconds += max(event["elapsed"] for event in events) - begun[0]["elapsed"]
            measured = [e.get("joules") for e in events if e.get("event") == "finished"]
            joules = None if joules is None or not measured or measured[0] is None else joules + measured[0]
        return sessions, seconds, joules
