"""What happened to an appliance: a bounded list of sentences that others can wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
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
        self._keep: Callable[[Event], None] | None = None

    def continue_in(self, former: Sequence[Event], keep: Callable[[Event], None]) -> None:
        """Go on behind the events of a former management; ``keep`` is called with each event, those so far first."""
        with self._changed:
            mine, self._events = self._events, list(former)
            self._last = former[-1]["number"] if former else 0
            self._keep = keep
            for event in mine:
                self._append(event["at"], event["level"], event["text"])
            self._changed.notify_all()

    def add(self, level: str, text: str) -> None:
        """Append an event of now."""
        with self._changed:
            self._append(time.time(), level, text)
            self._changed.notify_all()

    def _append(self, at: float, level: str, text: str) -> None:
        self._last += 1
        event = {"number": self._last, "at": at, "level": level, "text": text}
        self._events.append(event)
        del self._events[:-_MAX_EVENTS]
        if self._keep is not None:
            self._keep(event)

    def after(self, number: int) -> list[Event]:
        """Return the events with numbers above ``number``, oldest first."""
        with self._changed:
            return [event for event in self._events if event["number"] > number]

    def wait(self, number: int, timeout_s: float) -> list[Event]:
        """Return the events above ``number`` as soon as there is one, or none after the time."""
        with self._changed:
            self._changed.wait_for(lambda: self._last > number, timeout_s)
        return self.after(number)
