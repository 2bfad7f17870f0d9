"""The flow distributor's part of the arena: planned, made, and mended by control code; its kernels run in `breath`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes, Layout
from ncore_ray.flow.assignment import active_engines, set_active_engines
from ncore_ray.flow.breath import DistributorLocal, breathe, distributor_breath, distributor_run
from ncore_ray.flow.key import FIVE_TUPLE, Field, set_key
from ncore_ray.flow.records import (
    ALL_ENGINES,
    BATCH,
    BUCKET_SIZE,
    COUNTERS_STRIDE,
    DISTRIBUTOR_STRIDE,
    ENGINE_SET_SIZE,
    ENGINE_SLOT_SIZE,
    FRAGMENT_SIZE,
    GUESS_SIZE,
    GUESSES,
    MAX_ENGINES,
    NOTE_SIZE,
    Algorithm,
    Distributor,
    DistributorCounters,
    Drop,
    EngineSet,
    EngineSlot,
    FlowBucket,
    FlowEntry,
    Forwarding,
    Fragment,
    Guess,
    Note,
    Parallelism,
    Rule,
    distributor_of,
)
from ncore_ray.flow.table import SLOTS_PER_BUCKET_PLANNED
from ncore_ray.flow.toeplitz import SYMMETRIC_KEY, TABLE_SIZE, toeplitz_table
from ncore_ray.machine.record import new, view
from ncore_ray.wire.packet import Packet

__all__ = [
    "BATCH",
    "FLOW_RECORDS",
    "Algorithm",
    "Distributor",
    "DistributorCounters",
    "DistributorPlan",
    "DistributorSpans",
    "Drop",
    "Forwarding",
    "LocalMemory",
    "Parallelism",
    "Rule",
    "active_engines",
    "breathe",
    "counters_view",
    "distributor_breath",
    "distributor_of",
    "distributor_run",
    "distributor_view",
    "forwarded_packets",
    "init_distributor",
    "live_flows",
    "make_local",
    "plan_distributor",
    "set_active_engines",
    "slot_view",
]

FLOW_RECORDS: Final[list[Any]] = [
    Distributor,
    DistributorCounters,
    EngineSet,
    EngineSlot,
    FlowBucket,
    FlowEntry,
    Fragment,
    Guess,
    Note,
]
"""For the digest of record layouts."""
_SECOND: Final = 1_000_000


@dataclass(frozen=True)
class DistributorPlan:
    """What the configuration says of the distribution. Spans are µs."""

    engines: int
    """How many the arena has room for."""
    active: int = 0
    """How many of them are there at the start: the first ones; 0: all."""
    flows: int = 65_536
    """Flows that the table is made for; it takes up to twice as many before it refuses."""
    algorithm: Algorithm = Algorithm.HASH
    forwarding: Forwarding = Forwarding.BATCH_CORE
    parallelism: Parallelism = Parallelism.FLOW
    engine_sets: tuple[int, ...] = ()
    """With VIP and NIC: the engines of each vServer or NIC, a bit for each."""
    weights: tuple[int, ...] = ()
    """Of the engines, for the algorithm WEIGHTED; none: all alike."""
    key: Field = FIVE_TUPLE
    symmetric: bool = False
    """Both directions of a flow are one entry (only clients' packets come here: needed where that is not so)."""
    hash_key: bytes = SYMMETRIC_KEY
    """40 bytes; this one gives both directions the same engine hash."""
    indirection: int = 128
    """Entries of the indirection table: a power of two."""
    fragments: int = 1024
    """Fragmented packets that are remembered at a time: a power of two."""
    deciders: int = 1
    bridges: bool = False
    """Whether NICs are joined by a bridge."""
    decides_itself: bool = False
    """The deciders are the engines, one each."""
    flow_timeout: int = 300 * _SECOND
    """Of an established flow: longer than any idle time-out of the engines' connections."""
    syn_timeout: int = 5 * _SECOND
    fin_timeout: int = 120 * _SECOND
    """After the client's FIN, while the answer may still be under way."""
    closing_timeout: int = 65 * _SECOND
    """After RST: longer than TIME-WAIT."""
    closed_timeout: int = 1 * _SECOND
    """After the engine has forgotten the connection, TIME-WAIT and all."""
    udp_timeout: int = 60 * _SECOND
    sweep_period: int = 4 * _SECOND
    """In that time every entry is looked at once."""

    def __post_init__(self) -> None:
        for count in (self.indirection, self.fragments):
            if count < 16 or count & (count - 1):
                raise ValueError(f"the size of a distributor's table is a power of two from 16 on, not {count}")
        if not 1 <= self.engines <= MAX_ENGINES or self.flows < 1 or self.deciders < 1:
            raise ValueError(f"a distributor has 1 to {MAX_ENGINES} engines, and at least one flow and decider")
        if self.weights and (len(self.weights) != self.there or min(self.weights) < 1):
            raise ValueError(f"{self.there} engines have {self.there} weights from 1 on, not {self.weights}")
        if any(not 0 < engines < 1 << self.engines for engines in self.engine_sets):
            raise ValueError(f"a set has some of {self.engines} engines, and no other: {self.engine_sets}")

    @property
    def there(self) -> int:
        """Engines at the start."""
        return self.active or self.engines

    @property
    def buckets(self) -> int:
        """Buckets of the flow table."""
        return max(2, -(-self.flows * 2 // round(SLOTS_PER_BUCKET_PLANNED * 2)))

    @property
    def timeouts(self) -> dict[str, int]:
        """Fields of the distributor's record → spans."""
        return {
            "timeout_syn": self.syn_timeout,
            "timeout_established": self.flow_timeout,
            "timeout_fin": self.fin_timeout,
            "timeout_reset": self.closing_timeout,
            "timeout_closed": self.closed_timeout,
            "timeout_udp": self.udp_timeout,
            "timeout_shared": self.flow_timeout,
        }


@dataclass(frozen=True)
class DistributorSpans:
    """Offsets of the distributor's regions in the arena."""

    distributors: int
    counters: int
    forwarded: int
    engine_slots: int
    engine_sets: int
    notes: int
    guesses: int
    indirection: int
    toeplitz: int
    flow_buckets: int
    fragments: int


def plan_distributor(layout: Layout, plan: DistributorPlan) -> DistributorSpans:
    """Reserve the distributor's regions."""
    return DistributorSpans(
        distributors=layout.reserve("distributor", DISTRIBUTOR_STRIDE * plan.deciders),
        counters=layout.reserve("distributor counters", COUNTERS_STRIDE * plan.deciders),
        forwarded=layout.reserve("distributor forwarded", _forwarded_stride(plan.engines) * plan.deciders),
        engine_slots=layout.reserve_table("distributor engines", EngineSlot, plan.engines),
        engine_sets=layout.reserve_table("engine sets", EngineSet, len(plan.engine_sets)),
        notes=layout.reserve_table("distributor notes", Note, BATCH * plan.deciders),
        guesses=layout.reserve_table("distributor guesses", Guess, GUESSES * plan.deciders),
        indirection=layout.reserve("indirection", plan.indirection),
        toeplitz=layout.reserve("toeplitz", TABLE_SIZE),
        flow_buckets=layout.reserve("flows", BUCKET_SIZE * plan.buckets),
        fragments=layout.reserve("fragments", FRAGMENT_SIZE * plan.fragments),
    )


def _forwarded_stride(engines: int) -> int:
    return -(-8 * engines // 64) * 64


def init_distributor(array: Bytes, plan: DistributorPlan, spans: DistributorSpans) -> None:
    """Write the distributor's records and tables to a zeroed, formatted arena. Engines that are there are active."""
    view(Arena, array).distributor = spans.distributors
    table = toeplitz_table(plan.hash_key).view(np.uint8).ravel()
    array[spans.toeplitz : spans.toeplitz + TABLE_SIZE] = table
    array[spans.indirection : spans.indirection + plan.indirection] = 255
    for number in range(plan.deciders):
        distributor = view(Distributor, array, spans.distributors + number * DISTRIBUTOR_STRIDE)
        _init_decider(distributor, number, plan, spans)
    for engine in range(plan.engines):
        slot_view(array, engine).weight = plan.weights[engine] if engine < len(plan.weights) else 1
    for number, engines in enumerate(plan.engine_sets):
        view(EngineSet, array, spans.engine_sets + number * ENGINE_SET_SIZE).engines = engines
    set_active_engines(array, distributor_view(array), range(plan.there))


def _init_decider(distributor: Distributor, number: int, plan: DistributorPlan, spans: DistributorSpans) -> None:
    distributor.number = number
    distributor.deciders = plan.deciders
    distributor.actor = Actor.ENGINE + number if plan.decides_itself else Actor.DISTRIBUTOR
    distributor.algorithm = plan.algorithm
    distributor.engine_count = plan.engines
    distributor.engine_slots = spans.engine_slots
    distributor.indirection = spans.indirection
    distributor.indirection_size = plan.indirection
    distributor.toeplitz = spans.toeplitz
    distributor.parallelism = plan.parallelism
    distributor.bridges = int(plan.bridges)
    distributor.engine_sets, distributor.engine_set_count = spans.engine_sets, len(plan.engine_sets)
    distributor.among = ALL_ENGINES
    distributor.forwarding = plan.forwarding
    distributor.notes = spans.notes + number * BATCH * NOTE_SIZE
    distributor.guesses = spans.guesses + number * GUESSES * GUESS_SIZE
    distributor.flow_buckets = spans.flow_buckets
    distributor.flow_bucket_count = plan.buckets
    distributor.fragments = spans.fragments
    distributor.fragment_count = plan.fragments
    distributor.counters = spans.counters + number * COUNTERS_STRIDE
    distributor.forwarded = spans.forwarded + number * _forwarded_stride(plan.engines)
    sweeping = min(plan.deciders, plan.there) if plan.decides_itself else plan.deciders
    distributor.sweep_first = min(number, sweeping) * plan.buckets // sweeping
    distributor.sweep_end = min(number + 1, sweeping) * plan.buckets // sweeping
    distributor.sweep_next = distributor.sweep_first
    distributor.sweep_period = plan.sweep_period
    set_key(distributor, plan.key, plan.symmetric)
    for name, span in plan.timeouts.items():
        setattr(distributor, name, span)


def distributor_view(array: Bytes, number: int = 0) -> Distributor:
    """Return the live record of a decider."""
    return view(Distributor, array, view(Arena, array).distributor + number * DISTRIBUTOR_STRIDE)


def counters_view(array: Bytes, number: int = 0) -> DistributorCounters:
    """Return the live counters of a decider."""
    return view(DistributorCounters, array, distributor_view(array, number).counters)


def forwarded_packets(array: Bytes, number: int = 0) -> npt.NDArray[np.int64]:
    """Return the packets that a decider gave to each engine: one word per engine, over the arena's memory."""
    distributor = distributor_view(array, number)
    return array[distributor.forwarded :][: 8 * distributor.engine_count].view(np.int64)


def slot_view(array: Bytes, engine: int) -> EngineSlot:
    """Return the live record of what the deciders know of an engine."""
    return view(EngineSlot, array, distributor_view(array).engine_slots + engine * ENGINE_SLOT_SIZE)


def live_flows(array: Bytes) -> list[int]:
    """Return the number of live flows of each engine."""
    return [slot_view(array, engine).flows for engine in range(distributor_view(array).engine_count)]


@dataclass
class LocalMemory:
    """Private memory of one run of the distributor: keep it as long as the run."""

    local: DistributorLocal
    address: int
    packet_address: int
    kept: list[Any] = field(default_factory=list)


def make_local(spin_us: int = 50, number: int = 0, actor: int = Actor.DISTRIBUTOR) -> LocalMemory:
    """Make what `distributor_run` needs of its own process."""
    packet_bytes, _, packet_address = new(Packet)
    local_bytes, local, address = new(DistributorLocal)
    local.packet, local.number, local.actor, local.spin_us = packet_address, number, actor, spin_us
    return LocalMemory(local, address, packet_address, [packet_bytes, local_bytes])
