"""How heavily each engine is laden, in the measure of the algorithm that compares engines.

Live flows are counted by the deciders. How busy an engine is it measures itself, some fifty times a second, as a share
of the time: that tells nothing of flows that were given to it just now, so each of those counts as much as one of its
flows does on average, less and less as the measurements come to contain them.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.flow.records import (
    Algorithm,
    Distributor,
    EngineSlot,
    engine_slot,
    flows_word,
    given_word,
    load_word,
)
from ncore_ray.machine.atomic import fetch_add, load_acquire, store_release
from ncore_ray.machine.jit import kernel

ALL_THE_TIME: Final = 1_000_000
"""The load of an engine that is always busy: loads are parts per million of the time."""
LOAD_PERIOD_US: Final = 20_000
"""From one measurement of an engine's load to the next. An idle engine sleeps no longer than that."""
LEAST_PER_FLOW: Final = 100
"""Load that a new flow is expected to bring at least: among idle engines, flows go round."""
_MEMORY_BITS: Final = 2
"""Each measurement counts a quarter: what is published is about the last 80 ms."""
_SCALE: Final = 1 << 20


@kernel
def _weighted(slot: EngineSlot, flows: int) -> int:
    """Return the flows for each unit of the weight, as they would be with one more: exact shares, also of few flows."""
    return (flows + 1) * _SCALE // max(slot.weight, 1)


@kernel
def _expected_load(base: int, distributor: Distributor, engine: int, flows: int) -> int:
    load = load_acquire(load_word(base, distributor, engine))
    given = load_acquire(given_word(base, distributor, engine))
    each = max(load // max(flows - given, 1), LEAST_PER_FLOW)
    return load + each * given


@kernel
def burden_of(base: int, distributor: Distributor, engine: int) -> int:
    """Return how heavily an engine is laden: only comparable with others by the same algorithm."""
    flows = load_acquire(flows_word(base, distributor, engine))
    if distributor.algorithm == Algorithm.LOAD:
        return _expected_load(base, distributor, engine, flows)
    if distributor.algorithm == Algorithm.WEIGHTED:
        return _weighted(engine_slot(base, distributor, engine), flows)
    return flows


@kernel
def note_given(base: int, distributor: Distributor, engine: int) -> int:
    """Remember that a new flow was given to an engine, where that counts."""
    if distributor.algorithm == Algorithm.LOAD:
        fetch_add(given_word(base, distributor, engine), 1)
    return 0


@kernel
def publish_load(base: int, distributor: Distributor, engine: int, share: int) -> int:
    """Engine, every `LOAD_PERIOD_US`: tell the deciders how busy it was since the last time (parts per million)."""
    word = load_word(base, distributor, engine)
    load = load_acquire(word)
    store_release(word, load + ((share - load) >> _MEMORY_BITS))
    given = given_word(base, distributor, engine)
    fetch_add(given, -((load_acquire(given) + 3) >> _MEMORY_BITS))
    return 0
