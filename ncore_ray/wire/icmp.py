"""ICMP for IPv4 (RFC 792)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, load16be, load32be, store8, store16be
from ncore_ray.wire.checksum import checksum, update16
from ncore_ray.wire.ipv4 import IPV4_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP
from ncore_ray.wire.packet import Packet, Verdict

ICMP_HEADER: Final = 8
IDENTIFIER: Final = 4
"""Where the identifier of a query stands."""
ECHO_REPLY: Final = 0
DESTINATION_UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
REDIRECT: Final = 5
ECHO_REQUEST: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
FRAGMENTATION_NEEDED: Final = 4
"""Code of "destination unreachable": too long for the next link, and DF is set."""
TIMESTAMP: Final = 13
TIMESTAMP_REPLY: Final = 14
_ECHO_REQUEST6: Final = 128
_ECHO_REPLY6: Final = 129


class Query(IntEnum):
    """What a message is in an exchange of question and answer, which an identifier holds together."""

    NONE = 0
    REQUEST = 1
    REPLY = 2


@kernel
def check_icmp(packet: Packet) -> Verdict:
    """Say whether the transport part is a well-formed ICMP message."""
    if packet.transport_length < ICMP_HEADER:
        return Verdict.TRUNCATED
    if checksum(packet.transport, packet.transport_length) != 0:
        return Verdict.BAD_CHECKSUM
    return Verdict.GOOD


@kernel
def icmp_type(packet: Packet) -> int:
    """Return the message's type."""
    return load8(packet.transport)


@kernel
def icmp_query(packet: Packet) -> Query:
    """Say whether a message of ICMP or ICMPv6 asks or answers; what it is goes by type and protocol (RFC 5508 §3)."""
    kind = load8(packet.transport)
    if packet.protocol != PROTOCOL_ICMP:
        if kind == _ECHO_REQUEST6:
            return Query.REQUEST
        return Query.REPLY if kind == _ECHO_REPLY6 else Query.NONE
    if kind in (ECHO_REQUEST, TIMESTAMP):
        return Query.REQUEST
    return Query.REPLY if kind in (ECHO_REPLY, TIMESTAMP_REPLY) else Query.NONE


@kernel
def identifier_of(packet: Packet) -> int:
    """Return the identifier of a query."""
    return load16be(packet.transport + IDENTIFIER)


@kernel
def is_icmp_error(packet: Packet) -> int:
    """Return 1 if the message reports a problem with a packet that it quotes (at least 8 bytes are there)."""
    kind = load8(packet.transport)
    errors = 1 << DESTINATION_UNREACHABLE | 1 << SOURCE_QUENCH | 1 << REDIRECT | 1 << TIME_EXCEEDED
    return ((errors | 1 << PARAMETER_PROBLEM) >> kind) & 1 if kind < 32 else 0


@kernel
def is_too_big(packet: Packet) -> int:
    """Return 1 if an error says that the quoted packet was too long for a link (at least 8 bytes are there)."""
    kind, code = load8(packet.transport), load8(packet.transport + 1)
    return 1 if kind == DESTINATION_UNREACHABLE and code == FRAGMENTATION_NEEDED else 0


@kernel
def told_mtu(packet: Packet) -> int:
    """Return the MTU that "fragmentation needed" tells of; old routers leave the field 0 (RFC 1191 §4)."""
    return load16be(packet.transport + 6)


@kernel
def quoted_length(packet: Packet) -> int:
    """Return the length of the quoted packet, from its IP header on."""
    return load16be(packet.transport + ICMP_HEADER + 2)


@kernel
def quoted_ports(packet: Packet) -> int:
    """Return the address of the quoted packet's first transport bytes (the ports), or 0 if it quotes too little.

    An error quotes the IP header and at least 8 bytes behind it (RFC 792); of TCP and UDP packets only, never of a
    later fragment.
    """
    inner = packet.transport + ICMP_HEADER
    room = packet.transport_length - ICMP_HEADER
    if room < IPV4_HEADER:
        return 0
    header_length = (load8(inner) & 15) * 4
    if load8(inner) >> 4 != 4 or header_length < IPV4_HEADER or room < header_length + 8:
        return 0
    protocol = load8(inner + 9)
    if (protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP) or load16be(inner + 6) & 0x1FFF:
        return 0
    return inner + header_length


@kernel
def quoted_protocol(packet: Packet) -> int:
    """Return the protocol of the quoted packet."""
    return load8(packet.transport + ICMP_HEADER + 9)


@kernel
def quoted_source(packet: Packet) -> int:
    """Return the source of the quoted packet as a 32-bit integer."""
    return load32be(packet.transport + ICMP_HEADER + 12)


@kernel
def quoted_destination(packet: Packet) -> int:
    """Return the destination of the quoted packet as a 32-bit integer."""
    return load32be(packet.transport + ICMP_HEADER + 16)


@kernel
def write_echo_reply(target: int, packet: Packet) -> int:
    """Write the header of the answer to an echo request, whose data stays the same (RFC 792); return its length."""
    copy(target, packet.transport, ICMP_HEADER)
    store8(target, ECHO_REPLY)
    code = load8(packet.transport + 1)
    before = load16be(packet.transport + 2)
    after = update16(before, ECHO_REQUEST << 8 | code, ECHO_REPLY << 8 | code)
    store16be(target + 2, after if after else 0xFFFF)  # the other zero: right too, and alone so if all else is 0
    return ICMP_HEADER
