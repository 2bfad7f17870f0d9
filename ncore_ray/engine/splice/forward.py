"""A segment on its way to the other side: headers in a slot, payload named where it lies in the received frames.

A segment larger than what the other side was said to take, such as a kernel hands on between two devices of one
machine, is cut: by the kernel where the NIC sends so, else here, into as many packets as it takes.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.ip.header import headers_to, write_headers_to
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.pieces import piece_address, piece_length
from ncore_ray.engine.splice.translate import finish, translate
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.transmit import SPARE_SLOTS, header_address, resolve, slot_of, slots_left, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.nic.direct import PIECE_SIZE, Slot, piece_at
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.ethernet import ETHERNET_HEADER
from ncore_ray.wire.ip import keep_traffic_class
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import CWR, FIN, PSH, TCP_HEADER

_LEAST_PAYLOAD: Final = 24


@kernel
def forward(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Pass a segment on to the other side; return 1 if it is to be counted as used."""
    counters = counters_of(engine)
    header = packet.payload - packet.transport
    largest = max(peer.mss - (header - TCP_HEADER), _LEAST_PAYLOAD)
    count = 1
    if packet.payload_length > largest and not nic_of(base_of(engine), peer.nic).offload:
        count = (packet.payload_length + largest - 1) // largest
    if not _has_room(engine, packet, count):
        counters.drop_tcp_no_slot_packets += 1
        return 0
    counters.spliced_segments += 1
    if not resolve(engine, peer):
        counters.made_packets += 1
        counters.drop_send_no_neighbour_packets += 1
        return 1
    if count > 1:
        return _send_parts(engine, tcb, peer, packet, header, largest)
    _send(engine, tcb, peer, packet, header, packet.payload_length, packet.sequence, packet.flags, largest)
    return 1


@kernel
def _has_room(engine: Engine, packet: Packet, count: int) -> int:
    pieces = packet.payload_length // FRAME_SIZE + count
    if packet.payload_length > FRAME_SIZE and engine.pieces_used + pieces > engine.piece_count:
        return 0
    return 1 if slots_left(engine) >= count + SPARE_SLOTS or (count == 1 and slots_left(engine)) else 0


@kernel
def _send_parts(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet, header: int, largest: int) -> int:
    """Send a large segment as several: the first alone tells of a smaller window, the last alone of an end."""
    sequence, flags = packet.sequence, packet.flags
    while packet.payload_length > 0:
        part = min(largest, packet.payload_length)
        own = flags if part == packet.payload_length else flags & ~(FIN | PSH)
        _send(engine, tcb, peer, packet, header, part, sequence, own, 0)
        sequence = seq_add(sequence, part)
        flags &= ~CWR
    return 1


@kernel
def _send(
    engine: Engine,
    tcb: Tcb,
    peer: Tcb,
    packet: Packet,
    header: int,
    length: int,
    sequence: int,
    flags: int,
    largest: int,
) -> int:
    """Make one packet of the next ``length`` bytes; ``largest``: those of each into which the kernel may cut it, or 0.

    A packet of a part is never the whole: 0 says so.
    """
    index = take_slot(engine, peer.nic, headers_to(peer) + header)
    slot = slot_of(engine, index)
    start = header_address(engine, index)
    at = start + write_headers_to(engine, peer, start, PROTOCOL_TCP, header + length)
    keep_traffic_class(start + ETHERNET_HEADER, packet.network)
    translate(tcb, peer, packet, at, header, sequence, flags)
    name_payload(engine, packet, slot, length)
    cut = 1 if 0 < largest < length else 0
    if cut:
        slot.segment = largest
    return finish(engine, peer, packet, slot, at, header, length, 1 if largest and not cut else 0)


@kernel
def name_payload(engine: Engine, packet: Packet, slot: Slot, length: int) -> int:
    """Name the next bytes of a packet's payload where they lie, and go on behind them."""
    base = base_of(engine)
    while length > 0:
        part = min(piece_length(packet), length)
        _name(engine, slot, piece_address(base, packet) - base, part)
        packet.payload += part
        packet.payload_length -= part
        length -= part
    return 0


@kernel
def _name(engine: Engine, slot: Slot, offset: int, length: int) -> int:
    if slot.first_length == 0:
        slot.first, slot.first_length = offset, length
        return 0
    if slot.second_length == 0:
        slot.second, slot.second_length = offset, length
        return 0
    if slot.more_count == 0:
        slot.more = engine.pieces + engine.pieces_used * PIECE_SIZE
    piece = piece_at(base_of(engine) + engine.pieces + engine.pieces_used * PIECE_SIZE)
    piece.offset, piece.length = offset, length
    engine.pieces_used += 1
    slot.more_count += 1
    slot.more_length += length
    return 0
