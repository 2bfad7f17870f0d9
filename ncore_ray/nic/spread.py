"""Receive-side scaling in user space, for NICs that have one receive queue: memory, files, TAP devices.

With placements `per-core` and `rss` every engine takes its packets from a ring of its own. Where the kernel fills only
one queue, the reader of that queue stands for the network card: it looks at each packet's headers and puts its
descriptor into the ring of one of the engines. Frames stay those of the one reader, and go home to it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.core import Actor, core_of, wake, wake_from
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import Ring, ring_publish, ring_room
from ncore_ray.arena.rings import inbound_ring
from ncore_ray.flow.records import distributor_of
from ncore_ray.flow.toeplitz import toeplitz4, toeplitz6
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load32be
from ncore_ray.machine.random import random_after
from ncore_ray.nic.fanout import Spread
from ncore_ray.nic.partition import Reader
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.port_owner import port_owner
from ncore_ray.wire.glance import destination_high_in, destination_in, is_ipv6_in, ports_in, source_high_in, source_in


class UserSpread(IntEnum):
    """Which engine's ring a packet is put into."""

    NONE = 0
    """That of the reader's own decider."""
    HASH = 1
    """By the indirection table's entry of its Toeplitz hash, as a network card does."""
    RANDOM = 2
    """Any: the worst case, for tests."""
    STEER = 3
    """A server's answer by its port, all else by hash, as the kernel's program does (`flow/steering.py`)."""


SPREAD_OF: Final = {
    Spread.HASH: UserSpread.HASH,
    Spread.RANDOM: UserSpread.RANDOM,
    Spread.PROGRAM: UserSpread.STEER,
}
"""What stands for the kernel's packet fanout."""
_WITHOUT_PORTS: Final = 0


@kernel
def _by_hash(base: int, frame: int, ports: int) -> int:
    """Return the entry of the indirection table, by the fields that the flow key has."""
    distributor = distributor_of(base, 0)
    source = source_in(frame) & distributor.mask_source
    destination = destination_in(frame) & distributor.mask_destination
    ports &= distributor.mask_ports >> 8 & MASK32
    if is_ipv6_in(frame):
        value = toeplitz6(
            base + distributor.toeplitz,
            source_high_in(frame) & distributor.mask_source,
            source,
            destination_high_in(frame) & distributor.mask_destination,
            destination,
            ports,
        )
    else:
        value = toeplitz4(base + distributor.toeplitz, source, destination, ports)
    return load8(base + distributor.indirection + (value & (distributor.indirection_size - 1)))


@kernel
def _by_headers(base: int, kind: int, frame: int, length: int) -> int:
    at = ports_in(frame, length)
    if at == 0:
        return _WITHOUT_PORTS
    ports = load32be(at)
    number = arena_at(base).engine_count
    address = find_address(base, destination_high_in(frame), destination_in(frame))
    if kind == UserSpread.STEER and address.kind == AddressKind.SNIP:
        number = port_owner(base, ports & 0xFFFF)
    if number >= arena_at(base).engine_count:
        number = _by_hash(base, frame, ports)
    return number if number < arena_at(base).engine_count else _WITHOUT_PORTS


@kernel
def choose_decider(base: int, reader: Reader, frame: int, length: int) -> int:
    """Return the number of the decider that gets the packet at an address; deciders are the engines."""
    if reader.spread == UserSpread.RANDOM:
        reader.random = random_after(reader.random)
        return reader.random * arena_at(base).decider_count >> 32
    return _by_headers(base, reader.spread, frame, length)


@kernel
def fed_rings(base: int, reader: Reader) -> int:
    """Return how many rings a reader feeds: one for each of the first so many deciders."""
    return arena_at(base).decider_count if reader.spread else 1


@kernel
def fed_ring(base: int, reader: Reader, decider: int) -> Ring:
    """Return the ring of a decider that a reader feeds; a reader's own queue is that of its first decider."""
    return inbound_ring(base, reader.queue + decider * arena_at(base).nic_count)


@kernel
def room_in_rings(base: int, reader: Reader, wanted: int) -> int:
    """Return how many packets can be taken whichever ring they go to."""
    room = wanted
    for decider in range(fed_rings(base, reader)):
        room = min(room, ring_room(fed_ring(base, reader, decider), wanted))
    return room


@kernel
def publish_all(base: int, reader: Reader) -> int:
    """Let the deciders see what was written to their rings, and wake those that sleep.

    A reader that spreads runs in the loop of its own decider, whose socket rings the others' bells.
    """
    core = core_of(base, reader.actor)
    if ring_publish(fed_ring(base, reader, 0)):
        core.wakes_sent += wake(core_of(base, reader.decider))
    for decider in range(1, fed_rings(base, reader)):
        if ring_publish(fed_ring(base, reader, decider)):
            own = core_of(base, reader.decider)
            core.wakes_sent += wake_from(own, core_of(base, Actor.ENGINE + decider))
    return 0
