"""What control code tells the deciders when engines come and go, or flows are to be shared out in another way.

All of it are words that the deciders read for each new flow, and bytes of tables: they take effect at once, and only
for new flows. Those that exist keep their engine by the flow table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.flow.assignment import active_engines, set_active_engines
from ncore_ray.flow.records import (
    BUCKET_SIZE,
    DISTRIBUTOR_STRIDE,
    ENGINE_SET_SIZE,
    ENGINE_SLOT_SIZE,
    WAYS,
    Algorithm,
    Distributor,
    EngineSet,
    EngineSlot,
    FlowState,
)
from ncore_ray.machine.record import view
from ncore_ray.tables.port_owner import NO_OWNER, port_ranges

_ENGINE_SHIFT = 48
_STATE_SHIFT = 56


def _deciders(array: Bytes) -> list[Distributor]:
    arena = view(Arena, array)
    places = range(arena.distributor, arena.distributor + arena.decider_count * DISTRIBUTOR_STRIDE, DISTRIBUTOR_STRIDE)
    return [view(Distributor, array, place) for place in places]


def engines_of_new_flows(array: Bytes) -> list[int]:
    """Return the engines that new flows may get."""
    return active_engines(array, _deciders(array)[0])


def give_new_flows_to(array: Bytes, engines: Sequence[int]) -> None:
    """Let new flows go to these engines only; each of them that distributes looks after its part of the flow table."""
    deciders = _deciders(array)
    set_active_engines(array, deciders[0], engines)
    if len(deciders) > 1:
        share_sweep(array, engines)


def share_sweep(array: Bytes, working: Sequence[int]) -> None:
    """Share the buckets of the flow table out among the deciders that work: each forgets what has timed out in some.

    For a moment two may sweep the same buckets, or none: an entry is forgotten once, whoever finds it.
    """
    for decider in _deciders(array):
        rank = working.index(decider.number) if decider.number in working else None
        first, end = (0, 0) if rank is None else (rank, rank + 1)
        decider.sweep_first = first * decider.flow_bucket_count // len(working)
        decider.sweep_end = end * decider.flow_bucket_count // len(working)


def distribute_by(array: Bytes, algorithm: Algorithm, weights: Sequence[int]) -> bool:
    """Let new flows be given to engines by an algorithm, with a weight for each engine; return whether that is new."""
    deciders = _deciders(array)
    changed = any(decider.algorithm != algorithm for decider in deciders)
    for engine in range(deciders[0].engine_count):
        slot = _slot(array, deciders[0], engine)
        weight = weights[engine] if engine < len(weights) else 1
        changed |= slot.weight != weight
        slot.weight = weight
        if algorithm != deciders[0].algorithm:
            slot.given = 0  # of another time: only the algorithm `load` adds to it
    for decider in deciders:
        decider.algorithm = algorithm
    return changed


def _slot(array: Bytes, decider: Distributor, engine: int) -> EngineSlot:
    return view(EngineSlot, array, decider.engine_slots + engine * ENGINE_SLOT_SIZE)


def share_things(array: Bytes, sets: Mapping[int, int]) -> bool:
    """Let new flows of vServers or NICs, by number, go to other engines (a bit for each); return whether any do."""
    decider, changed = _deciders(array)[0], False
    for number, engines in sets.items():
        if number < decider.engine_set_count:
            entry = view(EngineSet, array, decider.engine_sets + number * ENGINE_SET_SIZE)
            changed |= entry.engines != engines
            entry.engines = engines
    return changed


def count_entries(array: Bytes, engine: int) -> int:
    """Return how many entries of the flow table name an engine, whatever state they are in."""
    decider = _deciders(array)[0]
    size = BUCKET_SIZE * decider.flow_bucket_count
    words = array[decider.flow_buckets :][:size].view(np.int64).reshape(-1, BUCKET_SIZE // 8)[:, 1 : 1 + WAYS]
    state = words >> _STATE_SHIFT & 15
    named = (words >> _ENGINE_SHIFT & 0xFF == engine) & (state != FlowState.FREE) & (state != FlowState.CLAIMED)
    return int(np.count_nonzero(named))


def own_ports(array: Bytes, engine: int, *, owned: bool) -> None:
    """Say whether servers' answers to an engine's ports go to it; nobody's ports are answered by any engine."""
    arena = view(Arena, array)
    first, count = port_ranges(arena.engine_count)[engine]
    array[arena.port_owners + first :][:count] = engine if owned else NO_OWNER
