"""Packets on their way out: slots that name a header and up to two pieces of payload, and where they go.

A slot holds no bytes of its own: the header lies in the slot's header room, the payload where it lies anyway. All slots
of a breath are sent at its end, before any byte that they name can be freed or changed.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.engine.connection import NO_MAC, Tcb
from ncore_ray.engine.partition import HEADER_ROOM, Engine, base_of, counters_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import size_of
from ncore_ray.nic.direct import Offload, Slot, slot_at
from ncore_ray.tables.neighbour import UNKNOWN_MAC, find_mac, should_request
from ncore_ray.tables.nic import nic_of
from ncore_ray.tables.route import route_of
from ncore_ray.wire.address import ipv4_of, is_ipv4
from ncore_ray.wire.arp import ARP_REQUEST, write_arp
from ncore_ray.wire.ndp import write_solicitation

_SLOT_SIZE: Final = size_of(Slot)
SPARE_SLOTS: Final = 4
"""Slots that output leaves free for what must be answered at once."""
_LARGE_SLOTS: Final = 128
"""So many packets of 536 bytes come of a large segment (64 KiB at the most) that is cut here …"""
_LARGE_PIECES: Final = 192
"""… and so many pieces of payload, beyond two per packet, at the most."""
MAC_CHECK_US: Final = 1_000_000
"""How long a connection trusts its neighbour's address before it asks the table again."""


@kernel
def slots_left(engine: Engine) -> int:
    """Return how many packets can still be made before the next flush."""
    return engine.slot_count - engine.slots_used


@kernel
def needs_flush(engine: Engine, length: int) -> int:
    """Return 1 if a received packet of so many bytes might find too few slots, or pieces, for what is made of it."""
    if length <= FRAME_SIZE:
        return 1 if slots_left(engine) <= SPARE_SLOTS else 0
    return 1 if slots_left(engine) <= _LARGE_SLOTS or engine.piece_count - engine.pieces_used < _LARGE_PIECES else 0


@kernel
def slot_of(engine: Engine, index: int) -> Slot:
    """Return a slot by its number."""
    return slot_at(base_of(engine) + engine.slots + index * _SLOT_SIZE)


@kernel
def header_address(engine: Engine, slot: int) -> int:
    """Return where the header of the packet in a slot is written."""
    return base_of(engine) + engine.headers + slot * HEADER_ROOM


@kernel
def take_slot(engine: Engine, nic: int, header_length: int) -> int:
    """Return the number of a fresh slot without payload (the caller knows that one is left)."""
    index = engine.slots_used
    engine.slots_used += 1
    slot = slot_of(engine, index)
    slot.nic = nic
    slot.offload = Offload.PLAIN if nic_of(base_of(engine), nic).offload else Offload.NONE
    slot.segment = 0
    slot.more_count = 0
    slot.more_length = 0
    slot.header = engine.headers + index * HEADER_ROOM
    slot.header_length = header_length
    slot.first_length = 0
    slot.second_length = 0
    counters_of(engine).made_packets += 1
    return index


@kernel
def request_neighbour(engine: Engine, route_index: int, high: int, low: int) -> int:
    """Ask for a next hop's link-layer address, if it is this engine's turn to ask."""
    base = base_of(engine)
    if slots_left(engine) == 0 or not should_request(base, high, low, engine.now):
        return 0
    route = route_of(base, route_index)
    index = take_slot(engine, route.nic, 0)
    at, own = header_address(engine, index), nic_of(base, route.nic).mac
    if is_ipv4(high, low):
        length = write_arp(at, ARP_REQUEST, own, ipv4_of(route.source_low), 0, ipv4_of(low))
        counters_of(engine).arp_requests += 1
    else:
        known = find_mac(base, high, low, engine.now)
        length = write_solicitation(at, own, route.source_high, route.source_low, high, low, known)
        counters_of(engine).nd_solicitations += 1
    slot_of(engine, index).header_length = length
    return 1


@kernel
def resolve(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if the link-layer address of the connection's next hop is known; else it is asked for."""
    if tcb.route < 0:
        return 1
    if tcb.remote_mac != NO_MAC and engine.now - tcb.mac_checked_at < MAC_CHECK_US:
        return 1
    base = base_of(engine)
    route = route_of(base, tcb.route)
    on_link = route.gateway_high == 0 and route.gateway_low == 0
    high = tcb.remote_high if on_link else route.gateway_high
    low = tcb.remote_low if on_link else route.gateway_low
    tcb.remote_mac = find_mac(base, high, low, engine.now)
    tcb.mac_checked_at = engine.now
    request_neighbour(engine, tcb.route, high, low)
    return 0 if tcb.remote_mac == UNKNOWN_MAC else 1
