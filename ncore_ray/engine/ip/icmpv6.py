"""ICMPv6: echo requests are answered, neighbours found, and errors end attempts to connect (RFC 4443, RFC 4861)."""

from __future__ import annotations

from ncore_ray.engine.allowance import may_echo
from ncore_ray.engine.connection import find_connection, make_ports
from ncore_ray.engine.ip.fragment import NOT_SENT, is_too_long, send_fragments
from ncore_ray.engine.ip.header import headers_back, write_headers_back
from ncore_ray.engine.ip.icmp import NOT_FOUND, count_unknown
from ncore_ray.engine.ip.membership import receive_query
from ncore_ray.engine.ip.ndp import receive_ndp
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be, load32be
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.wire.icmp import ICMP_HEADER, icmp_type
from ncore_ray.wire.icmpv6 import (
    ECHO_REQUEST6,
    PACKET_TOO_BIG,
    TIME_EXCEEDED6,
    UNREACHABLE6,
    check_icmpv6,
    is_icmpv6_error,
    quoted6_ports,
    quoted6_protocol,
    quoted6_word,
    write_echo_reply6,
)
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6, is_bad_source6
from ncore_ray.wire.mld import is_mld_query
from ncore_ray.wire.ndp import ADVERTISEMENT, SOLICITATION
from ncore_ray.wire.packet import Packet, Verdict


@kernel
def receive_icmpv6(engine: Engine, packet: Packet) -> int:
    """Take one message; return the number plus 1 of the connection whose segment did not arrive, or NOT_FOUND.

    The one protocol whose packets come to multicast addresses, and from none.
    """
    counters = counters_of(engine)
    if check_icmpv6(packet) != Verdict.GOOD:
        counters.drop_icmp_bad_packets += 1
        return NOT_FOUND
    kind = icmp_type(packet)
    if kind in (SOLICITATION, ADVERTISEMENT):
        return receive_ndp(engine, packet)
    if is_mld_query(packet):
        receive_query(engine, packet)
        return NOT_FOUND
    if is_bad_source6(packet.source_high, packet.source_low):
        counters.drop_ip_bad_source_packets += 1
        return NOT_FOUND
    if find_address(base_of(engine), packet.destination_high, packet.destination_low).kind == AddressKind.FOREIGN:
        counters.drop_ip_not_for_us_packets += 1
        return NOT_FOUND
    if kind == ECHO_REQUEST6:
        counters.used_icmp_packets += 1
        return _answer(engine, packet)
    if not is_icmpv6_error(packet):
        counters.drop_icmp_unused_packets += 1
        return NOT_FOUND
    counters.used_icmp_packets += 1
    is_lost = kind in (UNREACHABLE6, PACKET_TOO_BIG, TIME_EXCEEDED6)
    return _find_quoted(engine, packet) if is_lost else NOT_FOUND


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
    at += write_headers_back(engine, packet, at, PROTOCOL_ICMPV6, packet.transport_length)
    write_echo_reply6(at, packet)
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
        PROTOCOL_ICMPV6,
        packet.transport + ICMP_HEADER,
        packet.transport_length - ICMP_HEADER,
    )
    if at == NOT_SENT:
        counters_of(engine).made_packets += 1
        counters_of(engine).drop_send_no_frame_packets += 1
        return NOT_FOUND
    write_echo_reply6(at, packet)
    counters_of(engine).echo_replies += 1
    counters_of(engine).fragmented_packets += 1
    return NOT_FOUND


@kernel
def _find_quoted(engine: Engine, packet: Packet) -> int:
    """Return the connection whose packet is quoted, as with ICMP for IPv4."""
    ports = quoted6_ports(packet)
    too_big = 1 if icmp_type(packet) == PACKET_TOO_BIG else 0
    if ports == 0 or (quoted6_protocol(packet) != PROTOCOL_TCP and not too_big):
        return count_unknown(engine, too_big)
    number = find_connection(
        engine,
        quoted6_word(packet, 2),
        quoted6_word(packet, 3),
        quoted6_word(packet, 0),
        quoted6_word(packet, 1),
        make_ports(load16be(ports + 2), load16be(ports), quoted6_protocol(packet)),
    )
    return number if number else count_unknown(engine, too_big)


@kernel
def quoted6_sequence(packet: Packet) -> int:
    """Return the sequence number of the quoted segment."""
    return load32be(quoted6_ports(packet) + 4)
