"""The office of a management at work: its lease, and what it leaves to its successor."""

from __future__ import annotations

from typing import Any

from ncore_ray.arena.layout import Bytes
from ncore_ray.management.events import Event
from ncore_ray.management.seat import Seat
from ncore_ray.office.journal import Journal
from ncore_ray.office.notebook import Notebook


class Office:
    """Of one arena, in one process."""

    def __init__(self, array: Bytes, seat: Seat | None = None, former: int = 0) -> None:
        """Open it; ``former`` is the process that had it before."""
        self.seat = seat or Seat(array)
        self.former = former
        self._notebook = Notebook(array)
        self._journal = Journal(array)

    def note(self, **values: Any) -> None:
        """Leave values to the successor. Raises NcoreError when there is no room, or another one is at work."""
        self.seat.check()
        self._notebook.note(**values)

    def notes(self) -> dict[str, Any]:
        """Return what is noted."""
        return self._notebook.values()

    def open(self) -> None:
        """From now on somebody may take over."""
        self.seat.serve()

    def events(self) -> list[Event]:
        """Return the events so far."""
        return self._journal.read()

    def keep(self, event: Event) -> None:
        """Keep an event."""
        self._journal.append(event)
