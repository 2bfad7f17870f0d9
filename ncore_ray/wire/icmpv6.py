"""ICMP for IPv6 (RFC 4443)."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, load16be, load32be, load64be, store8, store16be
from ncore_ray.wire.checksum import fold, sum_bytes, sum_pseudo_header, update16
from ncore_ray.wire.icmp import ICMP_HEADER
from ncore_ray.wire.ipv4 import PROTOCOL_TCP, PROTOCOL_UDP
from ncore_ray.wire.ipv6 import IPV6_HEADER, PROTOCOL_ICMPV6
from ncore_ray.wire.packet import Packet, Verdict

UNREACHABLE6: Final = 1
PACKET_TOO_BIG: Final = 2
TIME_EXCEEDED6: Final = 3
PARAMETER_PROBLEM6: Final = 4
ECHO_REQUEST6: Final = 128
ECHO_REPLY6: Final = 129
_LAST_ERROR: Final = 127


@kernel
def check_icmpv6(packet: Packet) -> Verdict:
    """Say whether the transport part is a well-formed ICMPv6 message."""
    length = packet.transport_length
    if length < ICMP_HEADER:
        return Verdict.TRUNCATED
    pseudo = sum_pseudo_header(
        packet.source_high,
        packet.source_low,
        packet.destination_high,
        packet.destination_low,
        PROTOCOL_ICMPV6,
        length,
    )
    return Verdict.GOOD if fold(pseudo + sum_bytes(packet.transport, length)) == 0xFFFF else Verdict.BAD_CHECKSUM


@kernel
def is_icmpv6_error(packet: Packet) -> int:
    """Return 1 if the message reports a problem with a packet that it quotes (RFC 4443 §2.1)."""
    return 1 if load8(packet.transport) <= _LAST_ERROR else 0


@kernel
def told_mtu6(packet: Packet) -> int:
    """Return the MTU that "packet too big" tells of (RFC 4443 §3.2)."""
    return load32be(packet.transport + 4)


@kernel
def quoted6_length(packet: Packet) -> int:
    """Return the length of the quoted packet, from its IPv6 header on."""
    return IPV6_HEADER + load16be(packet.transport + ICMP_HEADER + 4)


@kernel
def quoted6_ports(packet: Packet) -> int:
    """Return the address of the quoted packet's first transport bytes (the ports), or 0 if it quotes too little.

    Our own packets have no extension headers: what quotes one with some quotes none of ours.
    """
    inner = packet.transport + ICMP_HEADER
    if packet.transport_length < ICMP_HEADER + IPV6_HEADER + 8 or load8(inner) >> 4 != 6:
        return 0
    protocol = load8(inner + 6)
    return inner + IPV6_HEADER if protocol in (PROTOCOL_TCP, PROTOCOL_UDP) else 0


@kernel
def quoted6_protocol(packet: Packet) -> int:
    """Return the protocol of the quoted packet."""
    return load8(packet.transport + ICMP_HEADER + 6)


@kernel
def quoted6_word(packet: Packet, index: int) -> int:
    """Return a word of the quoted packet's addresses: 0 and 1 of its source, 2 and 3 of its destination."""
    return load64be(packet.transport + ICMP_HEADER + 8 + 8 * index)


@kernel
def write_echo_reply6(target: int, packet: Packet) -> int:
    """Write the header of the answer to an echo request, whose data stays the same (RFC 4443 §4.2); return its length.

    The pseudo header's sum is the same with its ends swapped.
    """
    copy(target, packet.transport, ICMP_HEADER)
    store8(target, ECHO_REPLY6)
    code = load8(packet.transport + 1)
    after = update16(load16be(packet.transport + 2), ECHO_REQUEST6 << 8 | code, ECHO_REPLY6 << 8 | code)
    store16be(target + 2, after if after else 0xFFFF)
    return ICMP_HEADER


@kernel
def finish_icmpv6(target: int, length: int, source_high: int, source_low: int, high: int, low: int) -> int:
    """Write the checksum of a message whose checksum field is 0; the last two words are the destination."""
    pseudo = sum_pseudo_header(source_high, source_low, high, low, PROTOCOL_ICMPV6, length)
    return store16be(target + 2, fold(pseudo + sum_bytes(target, length)) ^ 0xFFFF)
