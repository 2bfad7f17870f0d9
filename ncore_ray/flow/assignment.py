"""Which engine a new flow gets, and the set of engines that new flows may get.

The indirection table is that of RSS: the low bits of the Toeplitz hash name one of its 128 or 256 entries, each an
engine. When the set of engines changes, only as many entries change as the balance asks for. Flows that exist are not
looked at: they keep their engine by the flow table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ncore_ray.arena.layout import Bytes
from ncore_ray.errors import NcoreError
from ncore_ray.flow.burden import burden_of
from ncore_ray.flow.engine_sets import member_by_hash, next_turn, turn_of
from ncore_ray.flow.key import hash_for_engine
from ncore_ray.flow.records import (
    ALL_ENGINES,
    ENGINE_SLOT_SIZE,
    MAX_ENGINES,
    Algorithm,
    Distributor,
    Drop,
    EngineSlot,
    engine_slot,
)
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8
from ncore_ray.machine.record import view

NO_ENGINE: Final = 255
_NONE: Final = int(Drop.NO_ENGINE)


class AssignmentError(NcoreError):
    """A set of engines that the appliance does not have."""


@kernel
def engine_by_hash(base: int, distributor: Distributor, value: int) -> int:
    """Return the engine that the indirection table (or the set at hand) gives a hash, or ``Drop.NO_ENGINE``."""
    if distributor.among != ALL_ENGINES:
        return member_by_hash(distributor, value)
    engine = load8(base + distributor.indirection + (value & (distributor.indirection_size - 1)))
    return engine if engine != NO_ENGINE else Drop.NO_ENGINE


@kernel
def _may_have(base: int, distributor: Distributor, engine: int) -> int:
    """Return 1 if an engine takes new flows, and this one."""
    return 1 if distributor.among >> engine & 1 and engine_slot(base, distributor, engine).active else 0


@kernel
def _next_in_turn(base: int, distributor: Distributor) -> int:
    engine = turn_of(base, distributor)
    for _ in range(distributor.engine_count):
        after = next_turn(base, distributor, engine)
        if _may_have(base, distributor, engine):
            return engine
        engine = after
    return Drop.NO_ENGINE


@kernel
def _least_burdened(base: int, distributor: Distributor) -> int:
    """Return the active engine that is least laden; among equals, in turn."""
    first = turn_of(base, distributor)
    best, least = _NONE, 0
    for i in range(distributor.engine_count):
        engine = first + i
        engine -= distributor.engine_count if engine >= distributor.engine_count else 0
        if not _may_have(base, distributor, engine):
            continue
        burden = burden_of(base, distributor, engine)
        if best < 0 or burden < least:
            best, least = engine, burden
    if best >= 0:
        next_turn(base, distributor, best)
    return best


@kernel
def _better_of_two(base: int, distributor: Distributor) -> int:
    """Return that of two active engines which has fewer flows; the key's keyed hash draws them (Mitzenmacher 2001)."""
    first = engine_by_hash(base, distributor, distributor.lookup_hash)
    second = engine_by_hash(base, distributor, distributor.lookup_hash >> 8)
    if first < 0 or second < 0 or first == second:
        return first
    return second if burden_of(base, distributor, second) < burden_of(base, distributor, first) else first


@kernel
def assign(base: int, distributor: Distributor) -> int:
    """Return the engine for a new flow with the latest key, or ``Drop.NO_ENGINE``."""
    if distributor.algorithm == Algorithm.HASH:
        return engine_by_hash(base, distributor, hash_for_engine(base, distributor))
    if distributor.algorithm == Algorithm.ROUND_ROBIN:
        return _next_in_turn(base, distributor)
    if distributor.algorithm == Algorithm.TWO_CHOICES:
        return _better_of_two(base, distributor)
    return _least_burdened(base, distributor)


def spread(table: Sequence[int], engines: Sequence[int]) -> list[int]:
    """Return an indirection table in which the engines have equal parts (± 1), with as few changes as that takes."""
    if not engines:
        return [NO_ENGINE] * len(table)
    each, more = divmod(len(table), len(engines))
    held = {engine: table.count(engine) for engine in engines}
    ranked = sorted(engines, key=lambda engine: (-held[engine], engine))
    left = {engine: each + (rank < more) for rank, engine in enumerate(ranked)}
    result = [NO_ENGINE] * len(table)
    for place, engine in enumerate(table):
        if left.get(engine, 0):
            result[place] = engine
            left[engine] -= 1
    for place, engine in enumerate(result):
        if engine == NO_ENGINE:
            chosen = max(engines, key=lambda candidate: left[candidate])
            result[place] = chosen
            left[chosen] -= 1
    return result


def set_active_engines(array: Bytes, distributor: Distributor, engines: Sequence[int]) -> None:
    """Control code, at any time: let new flows go to these engines only. Flows that exist keep their engine.

    Raises:
        AssignmentError: an engine that the appliance does not have, or named twice.
    """
    if len(set(engines)) != len(engines) or any(not 0 <= engine < distributor.engine_count for engine in engines):
        raise AssignmentError(f"the engines are 0 to {distributor.engine_count - 1}, each once, not {list(engines)}")
    start, size = distributor.indirection, distributor.indirection_size
    array[start : start + size] = np.array(spread(array[start : start + size].tolist(), engines), np.uint8)
    for engine in range(distributor.engine_count):
        slot = view(EngineSlot, array, distributor.engine_slots + engine * ENGINE_SLOT_SIZE)
        slot.active = int(engine in engines)


def active_engines(array: Bytes, distributor: Distributor) -> list[int]:
    """Return the engines that new flows may get."""
    slots = [
        view(EngineSlot, array, distributor.engine_slots + engine * ENGINE_SLOT_SIZE)
        for engine in range(min(distributor.engine_count, MAX_ENGINES))
    ]
    return [engine for engine, slot in enumerate(slots) if slot.active]
