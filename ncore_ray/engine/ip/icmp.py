"""ICMP: echo requests to the appliance's addresses are answered; errors end attempts to connect, or shorten segments.

RFC 792, RFC 1191, RFC 5927.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.allowance import may_echo
from ncore_ray.engine.connection import find_connection, make_ports
from ncore_ray.engine.ip.fragment import NOT_SENT, is_too_long, send_fragments
from ncore_ray.engine.ip.header import headers_back, write_headers_back
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be, load32be
from ncore_ray.wire.address import mapped
from ncore_ray.wire.icmp import (
    DESTINATION_UNREACHABLE,
    ECHO_REQUEST,
    ICMP_HEADER,
    TIME_EXCEEDED,
    check_icmp,
    icmp_type,
    is_icmp_error,
    is_too_big,
    quoted_destination,
    quoted_ports,
    quoted_protocol,
    quoted_source,
    told_mtu,
    write_echo_reply,
)
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_TCP
from ncore_ray.wire.packet import Packet, Verdict

NOT_FOUND: Final = 0


@kernel
def receive_icmp(engine: Engine, packet: Packet) -> int:
    """Take one ICMP message; return the number plus 1 of the connection whose packet did not arrive, or NOT_FOUND."""
    counters = counters_of(engine)
    if check_icmp(packet) != Verdict.GOOD:
        counters.drop_icmp_bad_packets += 1
        return NOT_FOUND
    if icmp_type(packet) == ECHO_REQUEST:
        counters.used_icmp_packets += 1
        return _answer(engine, packet)
    if not is_icmp_error(packet):
        counters.drop_icmp_unused_packets += 1
        return NOT_FOUND
    counters.used_icmp_packets += 1
    kind = icmp_type(packet)
    return _find_quoted(engine, packet) if kind in (DESTINATION_UNREACHABLE, TIME_EXCEEDED) else NOT_FOUND


@kernel
def _answer(engine: Engine, packet: Packet) -> int:
    """Answer an echo request; the reply's data is sent from where the request lies, which stays until the flush."""
    if not may_echo(engine):
        counters_of(engine).echo_replies_suppressed += 1
        return NOT_FOUND
    if is_too_long(engine, packet.nic, packet.source_high, packet.source_low, packet.transport_length):
        return _answer_in_fragments(engine, packet)
    index = take_slot(engine, packet.nic, headers_back(packet) + ICMP_HEADER)
    at = header_address(engine, index)
    at += write_headers_back(engine, packet, at, PROTOCOL_ICMP, packet.transport_length)
    write_echo_reply(at, packet)
    slot = slot_of(engine, index)
    slot.first = packet.transport + ICMP_HEADER - base_of(engine)
    slot.first_length = packet.transport_length - ICMP_HEADER
    counters_of(engine).echo_replies += 1
    return NOT_FOUND


@kernel
def _answer_in_fragments(engine: Engine, packet: Packet) -> int:
    at = send_fragments(
        engine,
        packet.nic,
        packet.ethernet_source,
        packet.destination_high,
        packet.destination_low,
        packet.source_high,
        packet.source_low,
        PROTOCOL_ICMP,
        packet.transport + ICMP_HEADER,
        packet.transport_length - ICMP_HEADER,
    )
    if at == NOT_SENT:
        counters_of(engine).made_packets += 1
        counters_of(engine).drop_send_no_frame_packets += 1
        return NOT_FOUND
    write_echo_reply(at, packet)
    counters_of(engine).echo_replies += 1
    counters_of(engine).fragmented_packets += 1
    return NOT_FOUND


@kernel
def _find_quoted(engine: Engine, packet: Packet) -> int:
    """Return the connection whose packet is quoted; the caller looks at the sequence number (RFC 5927 §4).

    A session of UDP only where the packet was too long: nothing else ends or changes one.
    """
    ports = quoted_ports(packet)
    too_big = is_too_big(packet)
    if ports == 0 or (quoted_protocol(packet) != PROTOCOL_TCP and not too_big):
        return count_unknown(engine, too_big)
    number = find_connection(
        engine,
        0,
        mapped(quoted_destination(packet)),
        0,
        mapped(quoted_source(packet)),
        make_ports(load16be(ports + 2), load16be(ports), quoted_protocol(packet)),
    )
    return number if number else count_unknown(engine, too_big)


@kernel
def count_unknown(engine: Engine, too_big: int) -> int:
    """Count an error that quotes a packet of no connection, if it says that this was too long; return NOT_FOUND."""
    counters_of(engine).path_mtu_unknown_flows += too_big
    return NOT_FOUND


@kernel
def is_hard_error(packet: Packet) -> int:
    """Return 1 if an error says that the destination cannot be reached (RFC 1122 §4.2.3.9)."""
    return 1 if icmp_type(packet) == DESTINATION_UNREACHABLE and not is_too_big(packet) else 0


@kernel
def next_hop_mtu(packet: Packet) -> int:
    """Return the MTU that "fragmentation needed" tells of (RFC 1191 §4), or 0."""
    return told_mtu(packet) if is_too_big(packet) else 0


@kernel
def quoted_sequence(packet: Packet) -> int:
    """Return the sequence number of the quoted segment."""
    return load32be(quoted_ports(packet) + 4)
