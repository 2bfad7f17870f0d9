"""The headers of a segment as the other side has to see it: ports, numbers, SACK blocks, timestamps, checksum.

They are written to the header room of a slot. The frame that they came in stays as it is: a translation that was cut
off by the end of the process has done no harm.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import Checksum
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.ip.header import pseudo_to
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, load16be, load32be, store8, store16be, store32be
from ncore_ray.nic.direct import PIECE_SIZE, Offload, Slot, piece_at
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import fold, sum_bytes, sum_pseudo_header, swap16, update16
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ACK, SACK_BLOCK, TCP_HEADER, begin_tcp_checksum, finish_tcp_checksum

_END: Final = 0
_NOP: Final = 1
_SACK: Final = 5
_TIMESTAMPS: Final = 8
_CHECKSUM: Final = 16
_MOST_WINDOW: Final = 0xFFFF


@kernel
def translate(tcb: Tcb, peer: Tcb, packet: Packet, at: int, header: int, sequence: int, flags: int) -> int:
    """Write the TCP header of ``header`` bytes with which a segment, or a part of it, goes to the other side."""
    own, other = words_of(tcb), words_of(peer)
    copy(at, packet.transport, header)
    store32be(at, (peer.ports >> 8 & 0xFFFF) << 16 | peer.ports >> 24)
    store32be(at + 4, seq_add(sequence, own.sequence_shift))
    if flags & ACK:
        store32be(at + 8, seq_add(packet.acknowledgment, -other.sequence_shift))
    store8(at + 13, flags)
    if tcb.snd_scale != peer.rcv_scale:
        store16be(at + 14, min(packet.window << max(tcb.snd_scale, 0) >> max(peer.rcv_scale, 0), _MOST_WINDOW))
    if header > TCP_HEADER:
        translate_options(
            at + TCP_HEADER, at + header, own.timestamp_shift, other.timestamp_shift, other.sequence_shift
        )
    return 0


@kernel
def translate_options(at: int, end: int, timestamp_shift: int, echo_shift: int, block_shift: int) -> int:
    """Translate timestamps and SACK blocks where they stand; whatever follows a broken option stays as it is."""
    while at < end and load8(at) != _END:
        if load8(at) == _NOP:
            at += 1
            continue
        length = load8(at + 1) if at + 1 < end else 0
        if length < 2 or at + length > end:
            return 0
        if load8(at) == _TIMESTAMPS and length == 10:
            _add(at + 2, timestamp_shift)
            if load32be(at + 6):  # 0 where there is nothing to echo (RFC 7323 §3.2)
                _add(at + 6, -echo_shift)
        elif load8(at) == _SACK and length % SACK_BLOCK == 2:
            for place in range(at + 2, at + length, 4):
                _add(place, -block_shift)
        at += length
    return 0


@kernel
def _add(at: int, shift: int) -> int:
    return store32be(at, seq_add(load32be(at), shift))


@kernel
def finish(engine: Engine, peer: Tcb, packet: Packet, slot: Slot, at: int, header: int, length: int, whole: int) -> int:
    """Write the checksum of a segment with ``length`` bytes of payload.

    If they are all that the packet brought, ``whole`` is 1, and a checksum that covered them goes on covering them: it
    is changed by the difference of the headers (RFC 1624, equation 3). Else it is left to the NIC, or made anew.
    """
    pseudo = pseudo_to(peer, PROTOCOL_TCP, header + length)
    if whole and packet.checksum != Checksum.PARTIAL:
        before = sum_pseudo_header(
            packet.source_high,
            packet.source_low,
            packet.destination_high,
            packet.destination_low,
            PROTOCOL_TCP,
            header + length,
        )
        before = fold(before + sum_bytes(packet.transport, header))
        after = fold(pseudo + sum_bytes(at, header))
        return store16be(at + _CHECKSUM, update16(load16be(at + _CHECKSUM), before, after))
    store16be(at + _CHECKSUM, 0)
    if slot.offload:
        slot.offload = Offload.CHECKSUM if is_ipv4(peer.remote_high, peer.remote_low) else Offload.CHECKSUM6
        return begin_tcp_checksum(at, pseudo)
    return finish_tcp_checksum(at, header, pseudo + sum_payload(engine, slot))


@kernel
def sum_payload(engine: Engine, slot: Slot) -> int:
    """Return the checksum's part of a payload in pieces of any length."""
    base = base_of(engine)
    total = sum_bytes(base + slot.first, slot.first_length)
    place = slot.first_length
    total += _sum_at(base + slot.second, slot.second_length, place)
    place += slot.second_length
    for index in range(slot.more_count):
        piece = piece_at(base + slot.more + index * PIECE_SIZE)
        total += _sum_at(base + piece.offset, piece.length, place)
        place += piece.length
    return total


@kernel
def _sum_at(address: int, length: int, place: int) -> int:
    """Return the sum of bytes that stand at an even or odd place of the payload (RFC 1071 §2)."""
    if length == 0:
        return 0
    return swap16(sum_bytes(address, length)) if place & 1 else sum_bytes(address, length)
