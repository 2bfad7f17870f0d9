"""What the history keeps: the main counters of the appliance, of its engines and of its vServers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.record import view
from ncore_ray.management.counters import core_view, total_dropped
from ncore_ray.management.directory import by_name, vserver_rows
from ncore_ray.management.history import NOW, History
from ncore_ray.management.reports import total_vservers
from ncore_ray.management.sources import CounterSource, MemorySource

_MOST_VSERVERS: Final = 64
"""That have series of their own; the appliance's have all."""
_PERIOD_S: Final = 1.0
_KEYS: Final = {
    "requests": "requests",
    "new_connections": "total_connections",
    "received_bytes": "received_bytes",
    "sent_bytes": "sent_bytes",
    "errors": "errors",
}
_OPEN: Final = "connections"
log: Final = logging.getLogger("ncore_ray")


def sample(array: Bytes, source: CounterSource | None = None) -> dict[str, int]:
    """Return the main counters of this moment; without a source they are read from shared memory."""
    reports = (source or MemorySource(array)).reports()
    rows = total_vservers(array, reports.values())
    found = {name: sum(row[key] for row in rows) for name, key in _KEYS.items()}
    found[f"{NOW}{_OPEN}"] = sum(row[_OPEN] for row in rows)
    engines = range(view(Arena, array).engine_count)
    counted = [reports[Actor.ENGINE + engine].counters for engine in engines]
    found["received_packets"] = sum(one["received_packets"] for one in counted)
    found["sent_packets"] = sum(one["sent_packets"] for one in counted)
    found["dropped_packets"] = sum(map(total_dropped, counted))
    for engine in engines:
        found[f"busy_us.engine-{engine}"] = core_view(array, Actor.ENGINE + engine).busy_us
    for name, row in list(by_name(vserver_rows(array), rows).items())[:_MOST_VSERVERS]:
        found[f"requests.{name}"], found[f"{NOW}connections.{name}"] = row["requests"], row[_OPEN]
        found[f"sent_bytes.{name}"] = row["sent_bytes"]
    return found


class Sampler:
    """Takes a sample a second, in step with the clock, in a thread of its own."""

    def __init__(self, history: History, read: Callable[[], Any]) -> None:
        self._history, self._read = history, read
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _work(self) -> None:
        due_at = time.monotonic()
        while not self._stopping.wait(max(due_at - time.monotonic(), 0.0)):
            try:
                self._history.add(self._read())
            except Exception:
                log.exception("no sample for the history")
            due_at = max(due_at + _PERIOD_S, time.monotonic())

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
