"""Segments of ours: building them into slots, and the receive window that they advertise."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import frame_address, frame_meta
from ncore_ray.engine.allowance import may_reset
from ncore_ray.engine.buffer import NO_FRAME
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    hold_chain,
    local_port,
    peer_of,
    remote_port,
    send_chain,
)
from ncore_ray.engine.ip.header import (
    headers_back,
    headers_to,
    pseudo_back,
    pseudo_to,
    write_headers_back,
    write_headers_to,
)
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp.buffers import PRESSED_WINDOW, receive_limit_of
from ncore_ray.engine.tcp.ecn import syn_flags, write_marks
from ncore_ray.engine.tcp.fast_open import write_fast_open_cookie
from ncore_ray.engine.tcp.sack import has_blocks, write_blocks
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_max
from ncore_ray.engine.tcp.state import FastOpen
from ncore_ray.engine.tcp.timestamps import options_length, write_own_timestamps
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.nic.direct import PIECE_SIZE, Offload, Slot, piece_at
from ncore_ray.tables.nic import nic_of
from ncore_ray.tables.service import service_of, vserver_of
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import sum_bytes
from ncore_ray.wire.ethernet import ETHERNET_HEADER
from ncore_ray.wire.ip import ip_header
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import (
    ACK,
    FIN,
    RST,
    SYN,
    TCP_HEADER,
    begin_tcp_checksum,
    finish_tcp_checksum,
    write_syn_options,
    write_tcp,
)

_MAX_WINDOW: Final = 65535
_LARGE_PAYLOAD: Final = 61_440
"""Bytes of one large segment at the most: with its headers it has to fit into the IP header's length."""


@kernel
def own_mss(engine: Engine, tcb: Tcb) -> int:
    """Return the largest payload that the NIC's MTU lets in (RFC 9293 §3.7.1, RFC 8200 §8.3)."""
    return nic_of(base_of(engine), tcb.nic).mtu - ip_header(tcb.remote_high, tcb.remote_low) - TCP_HEADER


@kernel
def told_mss(engine: Engine, nic: int, high: int, low: int, limit: int) -> int:
    """Return the segment size that a SYN to an address tells: what a NIC lets in, or less where a limit is set."""
    own = nic_of(base_of(engine), nic).mtu - ip_header(high, low) - TCP_HEADER
    return min(own, limit) if limit else own


@kernel
def mss_limit_of(engine: Engine, tcb: Tcb) -> int:
    """Return the configured limit of the segment size: the vServer's for clients, else the service's; 0: none."""
    if tcb.role == Role.SERVER or tcb.role == Role.MONITOR:
        return service_of(base_of(engine), tcb.service).mss
    return vserver_of(base_of(engine), tcb.vserver).mss


@kernel
def receive_room(engine: Engine, tcb: Tcb) -> int:
    """Return how many more bytes the connection may take in: its limit, less what is held here or waits in the peer."""
    if tcb.discard:
        return engine.receive_limit
    used = hold_chain(tcb).length
    if tcb.peer:
        used += send_chain(peer_of(engine, tcb)).length
    return max(min(receive_limit_of(engine, tcb) - used, engine.receive_most), 0)


@kernel
def window_gain(engine: Engine, tcb: Tcb, scale: int) -> int:
    """Return by how much the right edge of the window could move on."""
    return min(receive_room(engine, tcb), _MAX_WINDOW << scale) - seq_diff(tcb.rcv_edge, tcb.rcv_nxt)


@kernel
def window_step(engine: Engine, tcb: Tcb) -> int:
    """Return by how much the window's edge moves at the least (RFC 9293 §3.8.6.2.2)."""
    return min(engine.receive_limit >> 1, tcb.mss)


@kernel
def whole_room(engine: Engine, tcb: Tcb) -> int:
    """Return how many bytes are sure to come in before any is taken: the window's edge may stay short by a step."""
    return min(engine.receive_limit, PRESSED_WINDOW) - window_step(engine, tcb)


@kernel
def _advertise(engine: Engine, tcb: Tcb, is_syn: int) -> int:
    """Return the window field, and note the edge: it never moves back, and on by good steps only."""
    scale = 0 if is_syn else tcb.rcv_scale
    room = seq_diff(tcb.rcv_edge, tcb.rcv_nxt)
    gain = window_gain(engine, tcb, scale)
    if gain >= window_step(engine, tcb):
        room += gain
    field = min(room >> scale, _MAX_WINDOW)
    tcb.rcv_edge = seq_max(tcb.rcv_edge, seq_add(tcb.rcv_nxt, field << scale))
    return field


@kernel
def _write_headers(engine: Engine, tcb: Tcb, slot: int, tcp_length: int) -> int:
    """Write the Ethernet and IP headers; return the address behind them."""
    at = header_address(engine, slot)
    return at + write_headers_to(engine, tcb, at, PROTOCOL_TCP, tcp_length)


@kernel
def _acknowledged(tcb: Tcb) -> int:
    """Note that everything received is acknowledged by the segment being made."""
    tcb.ack_now = 0
    tcb.ack_pending = 0
    tcb.ack_at = 0
    tcb.last_ack_sent = tcb.rcv_nxt
    return 0


@kernel
def send_segment(engine: Engine, tcb: Tcb, sequence: int, flags: int, length: int) -> int:
    """Make a segment of ``length`` bytes that lie in the send chain from ``sequence`` on; return the payload's bytes.

    The cursor (`cursor_frame`) is at the frame that holds the first byte. Only so many frames can be named, so the
    payload can be shorter than asked for; then it carries no FIN. More than an MSS only where the NIC cuts segments.
    """
    header = TCP_HEADER + options_length(tcb)
    index = take_slot(engine, tcb.nic, headers_to(tcb) + header)
    slot = slot_of(engine, index)
    taken = 0
    if length > 0:
        taken = _name_payload(engine, tcb, slot, sequence, length)
        if taken < length:
            flags &= ~FIN
    pseudo = pseudo_to(tcb, PROTOCOL_TCP, header + taken)
    at = _write_headers(engine, tcb, index, header + taken)
    window = _advertise(engine, tcb, 0)
    if tcb.ecn:
        flags = write_marks(tcb, header_address(engine, index) + ETHERNET_HEADER, flags, sequence, taken)
    write_tcp(at, local_port(tcb), remote_port(tcb), sequence, tcb.rcv_nxt, flags | ACK, window, header)
    if tcb.timestamps:
        write_own_timestamps(engine, tcb, at + TCP_HEADER)
    if slot.offload:
        slot.offload = Offload.CHECKSUM if is_ipv4(tcb.remote_high, tcb.remote_low) else Offload.CHECKSUM6
        slot.segment = tcb.mss if taken > tcb.mss else 0
        begin_tcp_checksum(at, pseudo)
    else:
        finish_tcp_checksum(at, header, pseudo + _sum_payload(engine, slot))
    _acknowledged(tcb)
    return taken


@kernel
def most_payload(engine: Engine, tcb: Tcb) -> int:
    """Return the most bytes that one segment can be asked to carry: where the NIC cuts segments, many times the MSS."""
    if nic_of(base_of(engine), tcb.nic).offload == 0:
        return tcb.mss
    return max(_LARGE_PAYLOAD // tcb.mss * tcb.mss, tcb.mss)


@kernel
def _name_payload(engine: Engine, tcb: Tcb, slot: Slot, sequence: int, length: int) -> int:
    """Name the pieces of a payload, from the cursor's frame on; return their bytes."""
    base = base_of(engine)
    meta = frame_meta(base, tcb.cursor_frame)
    skip = meta.start + seq_diff(sequence, tcb.cursor_sequence)
    taken = min(length, meta.end - skip)
    slot.first = frame_address(base, tcb.cursor_frame) + skip - base
    slot.first_length = taken
    following = meta.next
    if taken < length and following != NO_FRAME and (slot.offload or taken & 1 == 0):
        meta = frame_meta(base, following)
        slot.second = frame_address(base, following) + meta.start - base
        slot.second_length = min(length - taken, meta.end - meta.start)
        taken += slot.second_length
        if slot.offload and taken < length:
            taken += _name_more(engine, slot, meta.next, length - taken)
    return taken


@kernel
def _name_more(engine: Engine, slot: Slot, frame: int, wanted: int) -> int:
    """Name further pieces of a large segment's payload; return their bytes."""
    base = base_of(engine)
    slot.more = engine.pieces + engine.pieces_used * PIECE_SIZE
    while wanted > slot.more_length and frame != NO_FRAME and engine.pieces_used < engine.piece_count:
        meta = frame_meta(base, frame)
        piece = piece_at(base + engine.pieces + engine.pieces_used * PIECE_SIZE)
        piece.offset = frame_address(base, frame) + meta.start - base
        piece.length = min(wanted - slot.more_length, meta.end - meta.start)
        slot.more_length += piece.length
        slot.more_count += 1
        engine.pieces_used += 1
        frame = meta.next
    return slot.more_length


@kernel
def _sum_payload(engine: Engine, slot: Slot) -> int:
    """Return the checksum's part of a payload of up to two pieces, the first of even length if there is a second."""
    base = base_of(engine)
    total = sum_bytes(base + slot.first, slot.first_length) if slot.first_length else 0
    return total + sum_bytes(base + slot.second, slot.second_length) if slot.second_length else total


@kernel
def send_acknowledgment(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Make a segment without payload, with what came too early or twice where the peer understands it (RFC 2018 §3)."""
    if not has_blocks(tcb):
        return send_segment(engine, tcb, sequence, 0, 0)
    before = headers_to(tcb)
    index = take_slot(engine, tcb.nic, before)
    options = header_address(engine, index) + before + TCP_HEADER
    length = TCP_HEADER
    if tcb.timestamps:
        length += write_own_timestamps(engine, tcb, options)
    length += write_blocks(engine, tcb, options - TCP_HEADER + length)
    slot_of(engine, index).header_length = before + length
    at = _write_headers(engine, tcb, index, length)
    window = _advertise(engine, tcb, 0)
    flags = ACK | write_marks(tcb, at, 0, sequence, 0) if tcb.ecn else ACK
    write_tcp(at, local_port(tcb), remote_port(tcb), sequence, tcb.rcv_nxt, flags, window, length)
    finish_tcp_checksum(at, length, pseudo_to(tcb, PROTOCOL_TCP, length))
    return _acknowledged(tcb)


@kernel
def send_syn(engine: Engine, tcb: Tcb, flags: int) -> int:
    """Make a SYN, or a SYN with ACK, whose options answer the peer's (RFC 7323 §2.2, RFC 2018 §2)."""
    scale = engine.receive_scale if flags & ACK == 0 or tcb.snd_scale >= 0 else -1
    before = headers_to(tcb)
    index = take_slot(engine, tcb.nic, before)
    options = header_address(engine, index) + before + TCP_HEADER
    mss = told_mss(engine, tcb.nic, tcb.remote_high, tcb.remote_low, mss_limit_of(engine, tcb))
    length = TCP_HEADER + write_syn_options(options, mss, scale, 1 if tcb.sack_permitted else 0)
    if tcb.timestamps:
        length += write_own_timestamps(engine, tcb, options - TCP_HEADER + length)
    if tcb.fast_open == FastOpen.TELL:
        length += write_fast_open_cookie(engine, options - TCP_HEADER + length, tcb.remote_high, tcb.remote_low)
    slot_of(engine, index).header_length = before + length
    at = _write_headers(engine, tcb, index, length)
    acknowledgment = tcb.rcv_nxt if flags & ACK else 0
    window = _advertise(engine, tcb, 1)
    flags |= syn_flags(engine, tcb, flags)
    write_tcp(at, local_port(tcb), remote_port(tcb), tcb.iss, acknowledgment, flags, window, length)
    finish_tcp_checksum(at, length, pseudo_to(tcb, PROTOCOL_TCP, length))
    return _acknowledged(tcb)


@kernel
def send_reset(engine: Engine, tcb: Tcb) -> int:
    """Make a reset for a connection that is given up (RFC 9293 §3.10.5)."""
    index = take_slot(engine, tcb.nic, headers_to(tcb) + TCP_HEADER)
    at = _write_headers(engine, tcb, index, TCP_HEADER)
    # Of all that is in flight the last: never before the peer's window (RFC 5961 §3.2 lets it ask again).
    write_tcp(at, local_port(tcb), remote_port(tcb), tcb.snd_max, tcb.rcv_nxt, RST | ACK, 0, TCP_HEADER)
    finish_tcp_checksum(at, TCP_HEADER, pseudo_to(tcb, PROTOCOL_TCP, TCP_HEADER))
    counters_of(engine).resets_sent += 1
    return 0


@kernel
def answer_reset(engine: Engine, packet: Packet) -> int:
    """Answer a segment that belongs to no connection (RFC 9293 §3.10.7.1), as long as there are not too many."""
    if packet.flags & RST:
        return 0
    if not may_reset(engine):
        counters_of(engine).resets_suppressed += 1
        return 0
    if packet.flags & ACK:
        return _reset_packet(engine, packet, packet.acknowledgment, 0, RST)
    length = packet.payload_length + (1 if packet.flags & SYN else 0) + (1 if packet.flags & FIN else 0)
    return _reset_packet(engine, packet, 0, seq_add(packet.sequence, length), RST | ACK)


@kernel
def _reset_packet(engine: Engine, packet: Packet, sequence: int, acknowledgment: int, flags: int) -> int:
    index = take_slot(engine, packet.nic, headers_back(packet) + TCP_HEADER)
    at = header_address(engine, index)
    at += write_headers_back(engine, packet, at, PROTOCOL_TCP, TCP_HEADER)
    write_tcp(at, packet.destination_port, packet.source_port, sequence, acknowledgment, flags, 0, TCP_HEADER)
    finish_tcp_checksum(at, TCP_HEADER, pseudo_back(packet, PROTOCOL_TCP, TCP_HEADER))
    counters_of(engine).resets_sent += 1
    return 0
