"""The answer to a SYN of which nothing is kept."""

from __future__ import annotations

from ncore_ray.engine.handshake.cookie import LIFETIME_US, make_cookie, stamp_with
from ncore_ray.engine.ip.header import headers_back, pseudo_back, write_headers_back
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.tcp.segment import told_mss
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.timestamps import TICK_BITS
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ACK, SYN, TCP_HEADER, finish_tcp_checksum, write_syn_options, write_tcp, write_timestamps


@kernel
def answer_with_cookie(engine: Engine, packet: Packet, vserver: int) -> int:
    """Send a SYN with ACK whose numbers hold all that is to be known of the client: no memory is taken."""
    sack = engine.sack & packet.option_sack_permitted
    timestamps = engine.timestamps & packet.has_timestamp
    cookie = make_cookie(engine, packet, packet.option_window_scale, sack, timestamps)
    before = headers_back(packet)
    index = take_slot(engine, packet.nic, before)
    options = header_address(engine, index) + before + TCP_HEADER
    length = TCP_HEADER + _write_options(engine, packet, options, cookie, vserver)
    slot_of(engine, index).header_length = before + length
    _write_headers(engine, packet, header_address(engine, index), cookie, length)
    engine.cookies_until = engine.now + LIFETIME_US
    counters_of(engine).syn_cookies_sent += 1
    counters_of(engine).used_tcp_packets += 1
    vserver_stats(engine, vserver).cookies += 1
    return 0


@kernel
def _write_options(engine: Engine, packet: Packet, target: int, cookie: int, vserver: int) -> int:
    """Write the options of a SYN that answer the client's; return their bytes."""
    sack = engine.sack & packet.option_sack_permitted
    scale = engine.receive_scale if packet.option_window_scale >= 0 else -1
    limit = vserver_of(base_of(engine), vserver).mss
    mss = told_mss(engine, packet.nic, packet.source_high, packet.source_low, limit)
    length = write_syn_options(target, mss, scale, sack)
    if engine.timestamps & packet.has_timestamp:
        stamp = stamp_with(seq_add(cookie, engine.now >> TICK_BITS), packet.option_window_scale, sack)
        length += write_timestamps(target + length, stamp, packet.timestamp)
    return length


@kernel
def _write_headers(engine: Engine, packet: Packet, at: int, cookie: int, length: int) -> int:
    """Write all that stands before the options, which are there already (the checksum covers them)."""
    at += write_headers_back(engine, packet, at, PROTOCOL_TCP, length)
    window = min(engine.receive_limit, 65535)
    received = seq_add(packet.sequence, 1)
    write_tcp(at, packet.destination_port, packet.source_port, cookie, received, SYN | ACK, window, length)
    return finish_tcp_checksum(at, length, pseudo_back(packet, PROTOCOL_TCP, length))
