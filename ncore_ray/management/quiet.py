"""What is left of an engine that goes: connections, entries of the flow table, packets in rings."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from typing import Final

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.ring import Ring
from ncore_ray.flow.scaling import count_entries
from ncore_ray.machine.record import view
from ncore_ray.management.counters import engine_view

COUNT_S: Final = 0.25
"""So long a count of entries is believed."""


class Quiet:
    """Looks at one arena."""

    def __init__(self, array: Bytes) -> None:
        self._array = array
        self._counted: dict[int, tuple[float, int]] = {}

    def connections(self, engine: int) -> int:
        """Return how many connections an engine holds, whatever they are for."""
        return engine_view(self._array, engine).live_connections

    def has_no_flow(self, engine: int) -> bool:
        """Return whether nothing is left that a client may still use."""
        return self.connections(engine) == 0 and self._entries(engine) == 0

    def _entries(self, engine: int) -> int:
        """Return how many entries of the flow table name an engine, as of late: the table may be large."""
        now = time.monotonic()
        counted_at, found = self._counted.get(engine, (-COUNT_S, 0))
        if now - counted_at >= COUNT_S:
            found = count_entries(self._array, engine)
            self._counted[engine] = now, found
        return found

    def is_at_rest(self, engine: int) -> bool:
        """Return whether nothing at all is left, and no packet is on its way to the engine or through it."""
        return self.has_no_flow(engine) and not self._waiting(engine)

    def waiting_for_nobody(self, there: Container[int]) -> list[int]:
        """Return the engines that are not there, but for which packets wait, or whose connections nobody works on."""
        engines = [engine for engine in range(view(Arena, self._array).engine_count) if engine not in there]
        return [engine for engine in engines if self._waiting(engine) or self.connections(engine)]

    def _waiting(self, engine: int) -> int:
        """Return how many packets lie in the rings to an engine."""
        return sum(max(ring.tail - ring.head, 0) for ring in self._rings(engine))

    def _rings(self, engine: int) -> Iterator[Ring]:
        arena = view(Arena, self._array)
        for decider in range(arena.decider_count):
            place = decider * arena.engine_count + engine
            yield view(Ring, self._array, arena.engine_rings + place * arena.ring_stride)
        if arena.decides_itself:
            for nic in range(arena.nic_count):
                place = engine * arena.nic_count + nic
                yield view(Ring, self._array, arena.inbound_rings + place * arena.ring_stride)
