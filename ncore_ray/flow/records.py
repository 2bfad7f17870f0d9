"""The records of the flow distributor: plain data in the arena.

A *decider* is a process that distributes: the distributor actor (placement `core`), or each engine (`per-core`). Each
has a `Distributor` record of its own; the flow table, the fragments, the engines and the indirection table are shared.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import I32, I64, Record, address_of, offset_of, pointer_to, size_of

MAX_ENGINES: Final = 64


class Algorithm(IntEnum):
    """How a new flow gets its engine."""

    HASH = 0
    ROUND_ROBIN = 1
    LEAST_FLOWS = 2
    TWO_CHOICES = 3
    WEIGHTED = 4
    LOAD = 5


ALGORITHM_WORDS: Final = {
    Algorithm.HASH: "hash",
    Algorithm.ROUND_ROBIN: "roundrobin",
    Algorithm.LEAST_FLOWS: "leastflows",
    Algorithm.TWO_CHOICES: "two-choices",
    Algorithm.WEIGHTED: "weighted",
    Algorithm.LOAD: "load",
}
"""What the configuration calls them."""


class Parallelism(IntEnum):
    """What the engines share out among themselves."""

    FLOW = 0
    """Flows: every engine may have any."""
    VIP = 1
    """VIPs: each vServer has a set of engines."""
    NIC = 2
    """NICs: each has a set of engines, which get the flows whose first packet comes in there."""


class Forwarding(IntEnum):
    """When and in which order packets are handed to the engines."""

    STREAM = 0
    """Each at once."""
    BATCH_FLOW = 1
    """Those of a breath together, sorted by flow."""
    BATCH_CORE = 2
    """Those of a breath together, as they came."""


BATCH: Final = 64
"""Descriptors taken from one queue in one breath."""
GUESSES: Final = 16
"""More packets than are looked ahead: a power of two."""
ALL_ENGINES: Final = -1
"""The set (a bit for each engine) with all of them."""


class FlowState(IntEnum):
    """What the packets of a flow's client have told of it (the distributor sees no packet that an engine sends)."""

    FREE = 0
    """No flow."""
    SYN_ONLY = 1
    ESTABLISHED = 2
    FIN_SEEN = 3
    """The client has sent everything; it may still receive."""
    RESET = 4
    """The client sent RST. The engine may have refused it (RFC 5961), so a later packet brings the flow back."""
    CLOSED = 5
    """The engine has forgotten the connection (`close_flow`)."""
    UDP = 6
    SHARED = 7
    """An entry of a key with less than five fields: many connections, so none of their states."""
    CLAIMED = 15
    """Being written by a decider; its number stands in place of the engine."""


STATES: Final = 8


class Drop(IntEnum):
    """Why a packet goes no further. The counters stand in `DistributorCounters` in the order of these numbers."""

    TRUNCATED = -1
    BAD_HEADER = -2
    BAD_CHECKSUM = -3
    OTHER_ETHER_TYPE = -4
    OTHER_PROTOCOL = -5
    NOT_FOR_US = -6
    BAD_SOURCE = -7
    UNKNOWN_FRAGMENT = -8
    FRAGMENTS_FULL = -9
    UNRELATED_ICMP = -10
    TABLE_FULL = -11
    TABLE_BUSY = -12
    NO_ENGINE = -13
    ENGINE_RING_FULL = -14


class Rule(IntEnum):
    """What gave a packet its engine."""

    NONE = 0
    ARP = 1
    PORT_OWNER = 2
    FLOW = 3
    """An existing entry of the flow table."""
    ASSIGNED = 4
    """A new entry: the algorithm."""
    HASH = 5
    """No flow, and none begun: the hash of the key."""
    ADDRESSES = 6
    """The hash of the two addresses (ICMP)."""
    FRAGMENT = 7
    """The first fragment of the same packet."""
    PROTOCOL = 8
    """The hash of the protocol alone: it has no ports, and answers come from elsewhere."""


class FlowBucket(Record):
    """Seven flows: a line of words that are searched, then one line for each `FlowEntry` (512 bytes in all)."""

    lock: I64
    """0, or the number of the decider that inserts, plus 1."""
    words: I64
    """The first of seven: tag, generation, engine and state of an entry (`table.py`)."""


class FlowEntry(Record):
    """One flow (64 bytes, one cache line). Fields that are not part of the configured key are 0."""

    source_high: I64
    source_low: I64
    destination_high: I64
    destination_low: I64
    ports: I64
    """Source port (16 bits), destination port (16), protocol (8); bit 40 is set for IPv6."""
    last_seen_at: I64
    bytes: I64
    """Of received frames."""
    packets: I32
    created_at_s: I32
    """Seconds of the monotonic clock."""


class Fragment(Record):
    """The engine of a packet that comes in fragments (64 bytes, one cache line)."""

    version: I64
    """Odd while the entry is being written."""
    source_high: I64
    source_low: I64
    destination_high: I64
    destination_low: I64
    identification: I64
    """Identification (32 bits) and protocol (8)."""
    engine_plus_1: I64
    """0 marks a free entry."""
    created_at: I64


class EngineSlot(Record):
    """What the deciders know of one engine (64 bytes)."""

    active: I64
    """1 while new flows may be given to it; written by control code."""
    flows: I64
    """Live flows; all deciders add to it."""
    weight: I64
    """Its part of the flows, compared with the other engines (algorithm WEIGHTED)."""
    load: I64
    """How busy it has been of late, parts per million of the time; written by the engine."""
    given: I64
    """Flows that `load` does not contain yet; all deciders add to it, the engine takes away (algorithm LOAD)."""
    pad_0: I64
    pad_1: I64
    pad_2: I64


class EngineSet(Record):
    """The engines of a vServer or of a NIC."""

    engines: I64
    """A bit for each."""
    next_engine: I64
    """Whose turn it is (all deciders)."""


class Note(Record):
    """A packet of the batch at hand, decided and not handed on yet (BATCH_FLOW)."""

    word: I64
    """Its descriptor."""
    engine: I64
    flow: I64
    """A number that its flow's packets have in common."""


class Guess(Record):
    """The key that a packet further back in the batch seems to have, and its hash (64 bytes)."""

    lookup_hash: I64
    source: I64
    """Word `key_1` of the key."""
    destination: I64
    """Word `key_3`."""
    ports: I64
    """Word `key_4`; −1: nothing was guessed."""
    source_high: I64
    """Words `key_0` …"""
    destination_high: I64
    """… and `key_2`, of an IPv6 key."""
    pad_2: I64
    pad_3: I64


class DistributorCounters(Record):
    """Counters of one decider; received = forwarded + all that begin with ``drop``."""

    received_packets: I64
    received_bytes: I64
    forwarded_packets: I64
    flows_created: I64
    flows_expired: I64
    flows_evicted: I64
    """Unproven ones, and ones of datagrams, that gave their place to a new one."""
    drop_flow_truncated_packets: I64
    drop_flow_bad_header_packets: I64
    drop_flow_bad_checksum_packets: I64
    drop_flow_other_ether_type_packets: I64
    drop_flow_other_protocol_packets: I64
    drop_flow_not_for_us_packets: I64
    drop_flow_bad_source_packets: I64
    drop_flow_unknown_fragment_packets: I64
    drop_flow_fragment_table_full_packets: I64
    drop_flow_unrelated_icmp_packets: I64
    drop_flow_table_full_packets: I64
    drop_flow_table_busy_packets: I64
    drop_flow_no_engine_packets: I64
    drop_engine_ring_full_packets: I64


class Distributor(Record):
    """One decider. Offsets count from the arena's start; spans are µs."""

    number: I64
    """Of this decider: 0 for the distributor actor."""
    deciders: I64
    actor: I64
    """Of this decider, in `Arena.cores`."""
    read_only: I64
    """1 in the private copy that `explain` works with: nothing in the arena is changed."""
    algorithm: I64
    engine_count: I64
    engine_slots: I64
    indirection: I64
    """One byte per entry: an engine, or NO_ENGINE."""
    indirection_size: I64
    toeplitz: I64
    """Table of the Toeplitz hash."""
    parallelism: I64
    engine_sets: I64
    """`EngineSet` of each vServer (VIP) or NIC (NIC)."""
    engine_set_count: I64
    forwarding: I64
    notes: I64
    """`Note` of each packet of a batch (BATCH_FLOW)."""
    noted: I64
    guesses: I64
    """A circle of GUESSES `Guess` records."""

    mask_source: I64
    """−1 if the source address is part of the key, else 0."""
    mask_destination: I64
    mask_ports: I64
    symmetric: I64
    """1 if both directions of a flow are one flow."""
    shared: I64
    """1 if the key has less than five fields."""
    bridges: I64
    """1 if packets that are not for the appliance may have to go on to another NIC."""

    flow_buckets: I64
    flow_bucket_count: I64
    fragments: I64
    fragment_count: I64
    timeout_free: I64
    """The first of eight spans without a packet after which a flow is forgotten, by `FlowState`."""
    timeout_syn: I64
    timeout_established: I64
    timeout_fin: I64
    timeout_reset: I64
    timeout_closed: I64
    timeout_udp: I64
    timeout_shared: I64
    sweep_first: I64
    """The buckets that this decider sweeps: from here to `sweep_end`, all of them once in `sweep_period`."""
    sweep_end: I64
    sweep_period: I64

    counters: I64
    forwarded: I64
    """One word per engine: packets that this decider gave it."""

    sweep_next: I64
    swept_at: I64
    next_engine: I64
    next_nic: I64

    key_0: I64
    """The key at hand, as the words of a `FlowEntry`; below it its two hashes, and what was found."""
    key_1: I64
    key_2: I64
    key_3: I64
    key_4: I64
    lookup_hash: I64
    engine_hash: I64
    guess: I64
    """Offset of the `Guess` at the key of the packet at hand, or 0."""
    event: I64
    rule: I64
    state: I64
    among: I64
    """The engines that may have the packet at hand: a set, or ALL_ENGINES (always, with parallelism FLOW)."""
    turn: I64
    """Where it stands whose turn it is: an offset, or 0: `next_engine`."""


flow_entry_at = pointer_to(FlowEntry)
fragment_at = pointer_to(Fragment)
engine_slot_at = pointer_to(EngineSlot)
engine_set_at = pointer_to(EngineSet)
note_at = pointer_to(Note)
guess_at = pointer_to(Guess)
counters_at = pointer_to(DistributorCounters)
distributor_at = pointer_to(Distributor)

DISTRIBUTOR_STRIDE: Final = -(-size_of(Distributor) // 64) * 64
COUNTERS_STRIDE: Final = -(-size_of(DistributorCounters) // 64) * 64
ENGINE_SLOT_SIZE: Final = size_of(EngineSlot)
ENGINE_SET_SIZE: Final = size_of(EngineSet)
NOTE_SIZE: Final = size_of(Note)
GUESS_SIZE: Final = size_of(Guess)
FRAGMENT_SIZE: Final = size_of(Fragment)
BUCKET_SIZE: Final = 512
WAYS: Final = 7
_FLOWS: Final = offset_of(EngineSlot, "flows")
_LOAD: Final = offset_of(EngineSlot, "load")
_GIVEN: Final = offset_of(EngineSlot, "given")
_TIMEOUTS: Final = offset_of(Distributor, "timeout_free")
_FIRST_DROP: Final = offset_of(DistributorCounters, "drop_flow_truncated_packets")
assert (size_of(FlowEntry), ENGINE_SLOT_SIZE, FRAGMENT_SIZE) == (64, 64, 64)


@kernel
def distributor_of(base: int, number: int) -> Distributor:
    """Return the record of a decider."""
    return distributor_at(base + arena_at(base).distributor + number * DISTRIBUTOR_STRIDE)


@kernel
def counters_of(base: int, distributor: Distributor) -> DistributorCounters:
    """Return the counters of a decider."""
    return counters_at(base + distributor.counters)


@kernel
def engine_slot(base: int, distributor: Distributor, engine: int) -> EngineSlot:
    """Return what the deciders know of an engine."""
    return engine_slot_at(base + distributor.engine_slots + engine * ENGINE_SLOT_SIZE)


@kernel
def flows_word(base: int, distributor: Distributor, engine: int) -> int:
    """Return the address of the number of an engine's live flows."""
    return base + distributor.engine_slots + engine * ENGINE_SLOT_SIZE + _FLOWS


@kernel
def load_word(base: int, distributor: Distributor, engine: int) -> int:
    """Return the address of an engine's load."""
    return base + distributor.engine_slots + engine * ENGINE_SLOT_SIZE + _LOAD


@kernel
def given_word(base: int, distributor: Distributor, engine: int) -> int:
    """Return the address of the number of flows that an engine's load does not contain yet."""
    return base + distributor.engine_slots + engine * ENGINE_SLOT_SIZE + _GIVEN


@kernel
def timeout_of(distributor: Distributor, state: int) -> int:
    """Return the span without a packet, in µs, after which a flow in a state is forgotten."""
    return load64(address_of(distributor) + _TIMEOUTS + 8 * state)


@kernel
def count_drop(counters: DistributorCounters, cause: int) -> int:
    """Count a dropped packet under its cause (`Drop`)."""
    at = address_of(counters) + _FIRST_DROP + 8 * (-1 - cause)
    return store64(at, load64(at) + 1)


@kernel
def count_forwarded(base: int, distributor: Distributor, engine: int) -> int:
    """Count a packet that was given to an engine."""
    at = base + distributor.forwarded + 8 * engine
    return store64(at, load64(at) + 1)
