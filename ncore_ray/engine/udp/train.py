"""Datagrams of one session that follow each other go out as one packet, a train, which the kernel cuts again.

So a burst takes one pass through the kernel's devices and the receiver's stack instead of one per datagram. It costs no
time: only what one breath has received anyway is put together, and the order of a session is kept. Every datagram but
the last one of a train has the length of the first.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb, index_of
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import slot_of
from ncore_ray.machine.jit import kernel
from ncore_ray.nic.direct import PIECE_SIZE, Slot, piece_at
from ncore_ray.tables.nic import Cutting, nic_of
from ncore_ray.wire.packet import Packet

MOST_DATAGRAMS: Final = 64
"""In one train: what Linux cuts for a socket (UDP_MAX_SEGMENTS), at its oldest."""
_MOST_BYTES: Final = 61_440


@kernel
def begin_train(engine: Engine, tcb: Tcb, length: int) -> int:
    """Note that the slot just taken holds a datagram which others may join; return its number of bytes."""
    engine.train_of = 0
    if length > 0 and nic_of(base_of(engine), tcb.nic).offload == Cutting.DATAGRAMS:
        engine.train_of = index_of(engine, tcb) + 1
        engine.train_made = counters_of(engine).made_packets
        engine.train_step = length
    return length


@kernel
def train_bytes(slot: Slot) -> int:
    """Return the payload of all datagrams that are in a slot."""
    return slot.first_length + slot.second_length + slot.more_length


@kernel
def may_join(engine: Engine, tcb: Tcb, length: int) -> int:
    """Return 1 if a datagram of a session may join the packet made last."""
    if engine.slots_used == 0 or engine.train_of != index_of(engine, tcb) + 1:
        return 0
    step = engine.train_step
    if engine.train_made != counters_of(engine).made_packets or not 0 < length <= step:
        return 0
    bytes_before = train_bytes(slot_of(engine, engine.slots_used - 1))
    if bytes_before % step or bytes_before >= step * MOST_DATAGRAMS or bytes_before + length > _MOST_BYTES:
        return 0
    return 1 if engine.pieces_used < engine.piece_count else 0


@kernel
def join_train(engine: Engine, packet: Packet) -> int:
    """Name the payload of a datagram behind those of the packet made last; return the bytes of all of them."""
    slot = slot_of(engine, engine.slots_used - 1)
    slot.segment = engine.train_step
    offset, length = packet.payload - base_of(engine), packet.payload_length
    if slot.second_length == 0:
        slot.second, slot.second_length = offset, length
        return train_bytes(slot)
    if slot.more_count == 0:
        slot.more = engine.pieces + engine.pieces_used * PIECE_SIZE
    piece = piece_at(base_of(engine) + engine.pieces + engine.pieces_used * PIECE_SIZE)
    piece.offset, piece.length = offset, length
    engine.pieces_used += 1
    slot.more_count += 1
    slot.more_length += length
    return train_bytes(slot)
