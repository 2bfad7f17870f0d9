"""The record at the arena's start: what it is, and the offsets of all regions that several actors share."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.atomic import load_acquire
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, offset_of, pointer_to

ARENA_MAGIC: Final = 0x6E63_6F72_655F_7261  # "ncore_ra"
ARENA_VERSION: Final = 1


class Arena(Record):
    """Header of the arena. Offsets count bytes from the arena's start; counts are numbers of records."""

    magic: I64
    version: I64
    epoch: I64
    """Random, made anew with every arena: tells a stale mapping."""
    records_digest: I64
    """Of all record layouts: code with other layouts refuses to attach."""
    size: I64
    regions: I64
    region_count: I64

    bank: I64
    """Which of two copies of the configured tables is in force: 0, or `bank_stride`, to be added to their offsets. The
    other one is written, then this word: so a change of the configuration is seen whole or not at all."""
    bank_stride: I64
    settings: I64
    """`Settings` (in each bank)."""

    secret_0: I64
    """Two 32-bit words of the key of table hashes and initial sequence numbers (RFC 6528)."""
    secret_1: I64

    nic_count: I64
    queue_count: I64
    """Receive queues: those of decider 0 first, one for each NIC, then those of decider 1 …"""
    engine_count: I64
    decider_count: I64
    """Who distributes: 1, the distributor actor, or every engine for its own queues (`decides_itself`)."""
    decides_itself: I64
    """1 if the engines read and distribute themselves."""
    actor_count: I64

    cores: I64
    """`Core` of every actor: the distributor, then the engines, the readers of all queues, the writers of all NICs."""

    frames: I64
    frame_metas: I64
    frame_count: I64

    ring_stride: I64
    inbound_rings: I64
    """reader → decider, one per queue."""
    engine_rings: I64
    """decider → engine: (decider × engine)."""
    return_rings: I64
    """frames on their way home: (actor × queue), actor as in `cores`."""
    transmit_rings: I64
    """engine → NIC, for NICs that engines cannot send to themselves: (engine × nic)."""
    transmit_return_rings: I64
    """NIC → engine, the frames of `transmit_rings` on their way home: (engine × nic)."""

    nics: I64
    addresses: I64
    """`OwnAddress` slots (in each bank)."""
    address_count: I64
    probing_until: I64
    """Until then (µs) an IPv6 address that another host says is its own is given up: it is being looked for."""
    routes: I64
    route_count: I64
    neighbours: I64
    neighbour_count: I64
    port_owners: I64
    vservers: I64
    """`Vserver` rows (in each bank): a vServer keeps its row as long as a connection names it."""
    vserver_count: I64
    """Rows, free ones among them."""
    vserver_index: I64
    """Open-addressing table of 32-bit words (in each bank): number of a vServer plus 1, or 0."""
    vserver_index_size: I64
    services: I64
    """`Service` rows (in each bank)."""
    service_count: I64
    watches: I64
    """`Watch` of each service, the same for both banks: what happens to it, not what is configured."""
    bindings: I64
    """`Binding` rows: the first half of them belongs to bank 0, the second to the other."""
    binding_count: I64
    texts: I64
    """Byte strings that records point to (`text`: offset from here and length): first those that never change, then
    those of bank 0, then those of the other."""
    texts_fixed: I64
    """Bytes of those that never change."""
    texts_size: I64

    distributor: I64
    readers: I64
    """`Reader` headers, one per queue, `reader_stride` apart."""
    reader_stride: I64
    engines: I64
    """`Engine` headers, one per engine, `engine_stride` apart (each the start of an engine's partition)."""
    engine_stride: I64


arena_at = pointer_to(Arena)
_BANK: Final = offset_of(Arena, "bank")


class Region(Record):
    """One row of the table that names every region."""

    name_0: I64
    """The name, 24 bytes of ASCII, zero padded."""
    name_1: I64
    name_2: I64
    offset: I64
    size: I64


@kernel
def bank_in_force(base: int) -> int:
    """Return the offset of the configured tables that are in force; what follows sees them whole."""
    return load_acquire(base + _BANK)


@kernel
def check_index(index: int, count: int) -> int:
    """Raise IndexError unless 0 ≤ index < count; called by table accessors of checked builds."""
    if index < 0 or index >= count:
        raise IndexError("an index lies outside its table")
    return index
