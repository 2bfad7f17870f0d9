"""What is written down of an appliance: events, kept for a successor and in their log, and the audit of changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ncore_ray.config.model import Configuration
from ncore_ray.management.audit import Audit
from ncore_ray.management.events import Event, EventLog
from ncore_ray.management.jsonlines import JsonLines, open_log
from ncore_ray.management.office import Office


class Chronicle:
    """Of one management. Until it is opened, events are kept in memory only, and nothing is audited."""

    def __init__(self) -> None:
        self.events = EventLog()
        self.audit = Audit(None)
        self._file: JsonLines | None = None
        self._office: Office | None = None

    def open(self, configuration: Configuration, store: Path | None, office: Office, former: Sequence[Event]) -> None:
        """Open the logs beside the ``store``, and go on behind the events of a ``former`` management."""
        logs, tell = configuration.logs, self.events.add
        self._office = office
        self._file = open_log(logs.events, store, "events", logs, tell)
        self.audit = Audit(open_log(logs.audit, store, "audit", logs, tell))
        self.events.continue_in(former, self._keep)

    def _keep(self, event: Event) -> None:
        """Keep an event for a successor, and in the log."""
        if self._office is not None:
            self._office.keep(event)
        if self._file is not None:
            self._file.write(event)

    def close(self) -> None:
        """Close the logs."""
        if self._file is not None:
            self._file.close()
        self.audit.close()
