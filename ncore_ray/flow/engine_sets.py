"""Which engines may have a new flow, where that is a matter of its VIP or its NIC (`distribution.parallelism`).

Only the first packet of a flow asks: the flow table keeps what follows on the same engine, whichever way it comes. What
belongs to no flow goes to the same set of engines by hash.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.flow.records import (
    ALL_ENGINES,
    ENGINE_SET_SIZE,
    Distributor,
    EngineSet,
    Parallelism,
    Rule,
    engine_set_at,
    engine_slot,
)
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import offset_of
from ncore_ray.tables.service import NO_VSERVER, find_datagram_vserver, find_vserver
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet

_TURN: Final = offset_of(EngineSet, "next_engine")


@kernel
def vserver_at_destination(base: int, packet: Packet) -> int:
    """Return the number of the vServer that a packet with ports is for, or NO_VSERVER. An ICMP query has port 0."""
    if arena_at(base).vserver_count == 0:
        return NO_VSERVER
    if packet.protocol == PROTOCOL_TCP:
        return find_vserver(base, packet.destination_high, packet.destination_low, packet.destination_port, 0)
    return find_datagram_vserver(base, packet.destination_high, packet.destination_low, packet.destination_port)


@kernel
def _number_of_set(base: int, distributor: Distributor, packet: Packet) -> int:
    """Return the number of the set for a packet, or −1: any engine."""
    if distributor.rule == Rule.PROTOCOL:
        return -1
    if distributor.parallelism == Parallelism.NIC:
        return packet.nic
    if distributor.rule == Rule.ARP or distributor.rule == Rule.ADDRESSES:
        return -1
    found = vserver_at_destination(base, packet)
    return found if found != NO_VSERVER else -1


@kernel
def _active_of(base: int, distributor: Distributor, engines: int) -> int:
    """Return those of a set that take new flows; if none does, or no other does, all: a VIP outlives its engines."""
    members, others = 0, 0
    for engine in range(distributor.engine_count):
        if engine_slot(base, distributor, engine).active:
            if engines >> engine & 1:
                members |= 1 << engine
            else:
                others = 1
    return members if members and others else ALL_ENGINES


@kernel
def choose_among(base: int, distributor: Distributor, packet: Packet) -> int:
    """Note which engines may have the packet at hand; called only where parallelism is not by flow."""
    distributor.among = ALL_ENGINES
    distributor.turn = 0
    number = _number_of_set(base, distributor, packet)
    if number < 0:
        return 0
    if CHECKED:
        check_index(number, distributor.engine_set_count)
    offset = distributor.engine_sets + number * ENGINE_SET_SIZE
    distributor.among = _active_of(base, distributor, engine_set_at(base + offset).engines)
    distributor.turn = offset + _TURN if distributor.among != ALL_ENGINES else 0
    return 0


@kernel
def member_by_hash(distributor: Distributor, value: int) -> int:
    """Return the engine that a hash names among those that may have the packet at hand (`among`, not ALL_ENGINES)."""
    count = 0
    for engine in range(distributor.engine_count):
        count += distributor.among >> engine & 1
    rank = value % max(count, 1)
    for engine in range(distributor.engine_count):
        if distributor.among >> engine & 1:
            if rank == 0:
                return engine
            rank -= 1
    return 0


@kernel
def turn_of(base: int, distributor: Distributor) -> int:
    """Return the engine whose turn it is: of the set at hand, which all deciders share, or of all engines."""
    return load64(base + distributor.turn) if distributor.turn else distributor.next_engine


@kernel
def next_turn(base: int, distributor: Distributor, engine: int) -> int:
    """Make it the turn of the engine after ``engine``."""
    after = engine + 1 if engine + 1 < distributor.engine_count else 0
    if distributor.turn == 0:
        distributor.next_engine = after
    elif not distributor.read_only:
        store64(base + distributor.turn, after)  # two deciders at once may give the same turn twice: no harm
    return after
