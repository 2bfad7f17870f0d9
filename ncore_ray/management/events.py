"""What happened to an appliance: a bounded list of sentences that others can wait for."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

_MAX_EVENTS: Final = 1000

Event = dict[str, Any]
"""number (from 1 on), at (seconds since 1970), level (info, warning, error), text"""


def farewell(name: str) -> str:
    """Return the text of an appliance's last event."""
    return f"appliance {name} is taken down"


class EventLog:
    """Keeps the latest events; any thread may add, read and wait."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._last = 0
        self._changed = threading.Condition()

    def add(self, level: str, text: str) -> None:
        """Append an event of now."""
        with self._changed:
            self._last += 1
            self._events.append({"number": self._last, "at": time.time(), "level": level, "text": text})
            del self._events[:-_MAX_EVENTS]
            self._changed.notify_all()

    def after(self, number: int) -> list[Event]:
        """Return the events with numbers above ``number``, oldest first."""
        with self._changed:
            return [event for event in self._events if event["number"] > number]

    def wait(self, number: int, timeout_s: float) -> list[Event]:
        """Return the events above ``number`` as soon as there is one, or none after the time."""
        with self._changed:
            self._changed.wait_for(lambda: self._last > number, timeout_s)
        return self.after(number)
