"""The end of the way: all slots of a breath leave, by the engine's own sockets or through the NICs' transmit rings."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import core_of, wake
from ncore_ray.arena.frame import Checksum, frame_address, frame_meta, make_descriptor
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import ring_give_back, ring_publish, ring_room, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import transmit_return_ring, transmit_ring
from ncore_ray.engine.buffer import NO_FRAME, free_late, put_frame, take_frame
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import slot_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, move, store32be
from ncore_ray.machine.record import address_of
from ncore_ray.nic.direct import SLOT_SIZE, Sender, Slot, send_slots
from ncore_ray.tables.nic import Transmit, nic_of

_BEHIND_ADDRESSES: Final = 12
_TAG: Final = 4
_TYPE_VLAN: Final = 0x8100


@kernel
def flush(engine: Engine, sender: Sender) -> int:
    """Send the packets of all slots in use, each exactly once, or count why not."""
    if engine.slots_used == 0:
        return _publish(engine)  # frames that came home may be waited for
    base = base_of(engine)
    direct = 0
    for index in range(engine.slots_used):
        slot = slot_of(engine, index)
        nic = nic_of(base, slot.nic)
        if nic.vlan:
            put_tag(base, slot, nic.vlan)
        if nic.transmit == Transmit.RING:
            _queue(engine, slot)
        else:
            if direct != index:
                copy(address_of(slot_of(engine, direct)), address_of(slot), SLOT_SIZE)
            direct += 1
    if direct:
        _send_direct(engine, sender, direct)
    _publish(engine)
    engine.slots_used = 0
    engine.pieces_used = 0
    return free_late(engine)


@kernel
def put_tag(base: int, slot: Slot, vlan: int) -> int:
    """Insert the tag of a VLAN (IEEE 802.1Q §9.6), of priority 0, behind the Ethernet addresses of a packet."""
    at = base + slot.header + _BEHIND_ADDRESSES
    move(at + _TAG, at, slot.header_length - _BEHIND_ADDRESSES)
    store32be(at, _TYPE_VLAN << 16 | vlan)
    slot.header_length += _TAG
    return 0


@kernel
def _send_direct(engine: Engine, sender: Sender, count: int) -> int:
    base = base_of(engine)
    counters = counters_of(engine)
    for index in range(count):
        slot = slot_of(engine, index)
        counters.sent_bytes += slot.header_length + slot.first_length + slot.second_length + slot.more_length
    sent = send_slots(base, base + engine.slots, count, sender)
    counters.sent_packets += sent
    counters.drop_send_nic_packets += count - sent
    return 0


@kernel
def _queue(engine: Engine, slot: Slot) -> int:
    """Copy a packet into a frame of the engine's and hand it to the NIC's writer."""
    base = base_of(engine)
    counters = counters_of(engine)
    ring = transmit_ring(base, engine.index, slot.nic)
    if engine.free_frame_count == 0 or ring_room(ring, 1) < 1:
        _collect(engine, slot.nic)
    frame = take_frame(engine) if ring_room(ring, 1) > 0 else NO_FRAME
    if frame == NO_FRAME:
        counters.drop_send_no_frame_packets += 1
        return 0
    at = frame_address(base, frame)
    copy(at, base + slot.header, slot.header_length)
    at += slot.header_length
    copy(at, base + slot.first, slot.first_length)
    copy(at + slot.first_length, base + slot.second, slot.second_length)
    length = slot.header_length + slot.first_length + slot.second_length
    ring_write(ring, make_descriptor(frame, length, slot.nic, Checksum.VALID))
    frame_meta(base, frame).owner = nic_of(base, slot.nic).writer
    counters.sent_packets += 1
    counters.sent_bytes += length
    return 0


@kernel
def _collect(engine: Engine, nic: int) -> int:
    """Take back the frames that a NIC has sent."""
    ring = transmit_return_ring(base_of(engine), engine.index, nic)
    for _ in range(ring_waiting(ring)):
        frame = ring_take(ring)
        frame_meta(base_of(engine), frame).owner = engine.actor
        put_frame(engine, frame)
    return ring_give_back(ring)


@kernel
def _publish(engine: Engine) -> int:
    base = base_of(engine)
    for nic in range(arena_at(base).nic_count):
        if nic_of(base, nic).transmit == Transmit.RING:
            if ring_publish(transmit_ring(base, engine.index, nic)):
                wake(core_of(base, nic_of(base, nic).writer))
            _collect(engine, nic)
    return 0
