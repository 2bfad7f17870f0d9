"""IPv6 headers (RFC 8200), and the walk along extension headers: bounded, and each checked before it is read."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be, load64be, store8, store16be, store32be, store64be
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.packet import Packet, Verdict

IPV6_HEADER: Final = 40
LEAST_MTU: Final = 1_280
"""Every link takes so much (RFC 8200 §5)."""
FRAGMENT_HEADER: Final = 8
HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
PROTOCOL_ICMPV6: Final = 58
NO_NEXT_HEADER: Final = 59
DESTINATION_OPTIONS: Final = 60
MOST_EXTENSIONS: Final = 8
"""Extension headers of one packet. More are refused (RFC 8504 §5.3 allows limits)."""
MOST_OPTIONS: Final = 16
"""Options of one extension header."""
_HOP_LIMIT: Final = 64
_OPTION_PAD1: Final = 0
_FIRST_BYTE_MULTICAST: Final = 0xFF


@kernel
def is_multicast6(high: int) -> int:
    """Return 1 if the high word is that of a multicast address (RFC 4291 §2.7)."""
    return 1 if (high >> 56) & 0xFF == _FIRST_BYTE_MULTICAST else 0


@kernel
def is_link_local(high: int) -> int:
    """Return 1 if the high word is that of a link-local unicast address, fe80::/10 (RFC 4291 §2.5.6)."""
    return 1 if (high >> 54) & 0x3FF == 0x3FA else 0


@kernel
def is_bad_source6(high: int, low: int) -> int:
    """Return 1 for multicast addresses, "unspecified" and loopback: no source (RFC 4291 §2.5.2, §2.5.3, §2.7)."""
    return 1 if is_multicast6(high) or (high == 0 and (low == 0 or low == 1)) else 0


@kernel
def read_ipv6(packet: Packet) -> Verdict:
    """Read the network header and what follows it up to the transport header into the packet record.

    Bytes behind the IP packet (Ethernet padding) are left out. A fragment gives ``FRAGMENT``: its transport bytes begin
    with a transport header only if `fragment_offset` is 0. IPv4-mapped addresses never stand in a packet (RFC 4942
    §2.2): here they mean IPv4.
    """
    at = packet.network
    if packet.network_length < IPV6_HEADER:
        return Verdict.TRUNCATED
    if load8(at) >> 4 != 6:
        return Verdict.BAD_HEADER
    length = load16be(at + 4)
    if IPV6_HEADER + length > packet.network_length:
        return Verdict.TRUNCATED
    packet.network_length = IPV6_HEADER + length
    packet.hop_limit = load8(at + 7)
    packet.source_high = load64be(at + 8)
    packet.source_low = load64be(at + 16)
    packet.destination_high = load64be(at + 24)
    packet.destination_low = load64be(at + 32)
    packet.transport = at + IPV6_HEADER
    packet.transport_length = length
    packet.protocol = load8(at + 6)
    packet.fragment_offset = 0
    packet.more_fragments = 0
    packet.next_header_at = at + 6
    if is_ipv4(packet.source_high, packet.source_low) or is_ipv4(packet.destination_high, packet.destination_low):
        return Verdict.BAD_HEADER
    return _walk(packet) if _is_extension(packet.protocol) else Verdict.GOOD


@kernel
def _is_extension(protocol: int) -> int:
    if protocol in (HOP_BY_HOP, ROUTING):
        return 1
    return 1 if protocol in (FRAGMENT, DESTINATION_OPTIONS) else 0


@kernel
def _walk(packet: Packet) -> Verdict:
    """Pass over extension headers; the first fragment's walk ends at its transport header, a later one's at once."""
    for place in range(MOST_EXTENSIONS):
        if packet.transport_length < 8:
            return Verdict.TRUNCATED
        kind = packet.protocol
        verdict = Verdict.GOOD
        if kind == FRAGMENT:
            if packet.more_fragments:
                return Verdict.BAD_HEADER  # a fragment of a fragment
            _read_fragment(packet)
        else:
            verdict = _pass_over(packet, kind, place)
        if verdict != Verdict.GOOD:
            return verdict
        if packet.fragment_offset:
            return Verdict.FRAGMENT
        if not _is_extension(packet.protocol):
            return Verdict.FRAGMENT if packet.more_fragments else Verdict.GOOD
    return Verdict.BAD_HEADER


@kernel
def _read_fragment(packet: Packet) -> int:
    """Read a fragment header (RFC 8200 §4.5). An atomic one is as if it were not there (RFC 6946)."""
    at = packet.transport
    word = load16be(at + 2)
    packet.fragment_offset = word & 0xFFF8
    packet.more_fragments = word & 1
    packet.identification = load32be(at + 4)
    packet.fragment = at
    packet.fragment_next_at = packet.next_header_at
    return _step(packet, FRAGMENT_HEADER)


@kernel
def _step(packet: Packet, length: int) -> int:
    packet.next_header_at = packet.transport
    packet.protocol = load8(packet.transport)
    packet.transport += length
    packet.transport_length -= length
    return 0


@kernel
def _pass_over(packet: Packet, kind: int, place: int) -> Verdict:
    at = packet.transport
    length = 8 + 8 * load8(at + 1)
    if length > packet.transport_length:
        return Verdict.TRUNCATED
    if kind == HOP_BY_HOP and place > 0:
        return Verdict.BAD_HEADER  # only directly behind the IPv6 header (RFC 8200 §4.1)
    if kind == ROUTING and load8(at + 3) != 0:
        return Verdict.BAD_HEADER  # we are on nobody's source route (RFC 8200 §4.4, RFC 5095)
    if kind != ROUTING and not _options_may_be_skipped(at + 2, at + length):
        return Verdict.BAD_HEADER
    _step(packet, length)
    return Verdict.GOOD


@kernel
def _options_may_be_skipped(at: int, end: int) -> int:
    """Return 1 if every option is known, or says by its two highest bits that it may be skipped (RFC 8200 §4.2)."""
    for _ in range(MOST_OPTIONS):
        if at >= end:
            break
        kind = load8(at)
        if kind == _OPTION_PAD1:
            at += 1
            continue
        if kind >> 6 != 0 or at + 1 >= end:
            return 0
        at += 2 + load8(at + 1)
    return 1 if at == end else 0


@kernel
def write_ipv6(
    target: int,
    source_high: int,
    source_low: int,
    destination_high: int,
    destination_low: int,
    protocol: int,
    payload_length: int,
) -> int:
    """Write a header of 40 bytes without extension headers; return its length."""
    store32be(target, 6 << 28)
    store16be(target + 4, payload_length)
    store8(target + 6, protocol)
    store8(target + 7, _HOP_LIMIT)
    store64be(target + 8, source_high)
    store64be(target + 16, source_low)
    store64be(target + 24, destination_high)
    store64be(target + 32, destination_low)
    return IPV6_HEADER


@kernel
def write_fragment_header(target: int, protocol: int, number: int, offset_and_more: int) -> int:
    """Write a fragment header; return its length. The last argument is the offset, and 1 more if more follow it."""
    store16be(target, protocol << 8)
    store16be(target + 2, offset_and_more)
    store32be(target + 4, number)
    return FRAGMENT_HEADER
