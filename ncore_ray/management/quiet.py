"""What is left of an engine that goes: connections, entries of the flow table, packets in rings."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from itertools import chain
from typing import Final

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.ring import Ring
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.remote.link import LINK_SIZE, Link
from ncore_ray.flow.scaling import count_entries
from ncore_ray.machine.record import table, view
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

    def shared_out(self, engine: int) -> int:
        """Return how many of an engine's connections share requests out, or serve some that others share out."""
        header = engine_view(self._array, engine)
        rows = table(Tcb, self._array, header.connections, header.connection_count)
        shared = (rows["role"] == Role.SPLIT) | (rows["virtual"] != 0)
        return int(np.count_nonzero((rows["role"] != Role.FREE) & shared)) if header.turns else 0

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
        """Return how many packets, and messages of other engines, lie in the rings to an engine."""
        rings = chain(self._rings(engine), self._links(engine))
        return sum(max(ring.tail - ring.head, 0) for ring in rings)

    def _links(self, engine: int) -> Iterator[Ring]:
        """Yield the rings of what other engines say, and by which they send frames home, where there are any."""
        links = engine_view(self._array, engine).links
        for other in range(view(Arena, self._array).engine_count if links else 0):
            link = view(Link, self._array, links + other * LINK_SIZE)
            for place in (link.inbound, link.returns):
                if place:
                    yield view(Ring, self._array, place)

    def _rings(self, engine: int) -> Iterator[Ring]:
        arena = view(Arena, self._array)
        for decider in range(arena.decider_count):
            place = decider * arena.engine_count + engine
            yield view(Ring, self._array, arena.engine_rings + place * arena.ring_stride)
        if arena.decides_itself:
            for nic in range(arena.nic_count):
                place = engine * arena.nic_count + nic
                yield view(Ring, self._array, arena.inbound_rings + place * arena.ring_stride)
