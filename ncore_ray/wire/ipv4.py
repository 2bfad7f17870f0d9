"""IPv4 headers (RFC 791, RFC 1122 §3.2.1)."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be, store8, store16be, store32be
from ncore_ray.wire.address import ipv4_of, mapped
from ncore_ray.wire.checksum import checksum
from ncore_ray.wire.packet import Packet, Verdict

IPV4_HEADER: Final = 20
LEAST_PATH_MTU: Final = 552
"""No way is believed to let less through, whatever errors say, as in Linux: 68 would make every packet a header."""
PROTOCOL_ICMP: Final = 1
PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
_DONT_FRAGMENT: Final = 0x4000
_HOP_LIMIT: Final = 64


@kernel
def read_ipv4(packet: Packet) -> Verdict:
    """Read the network header into the packet record; the record says then where the transport header begins.

    Bytes behind the IP packet (Ethernet padding) are left out. A fragment gives ``FRAGMENT``: its transport bytes
    begin with a transport header only if `fragment_offset` is 0.
    """
    at = packet.network
    if packet.network_length < IPV4_HEADER:
        return Verdict.TRUNCATED
    header_length = (load8(at) & 15) * 4
    total_length = load16be(at + 2)
    if load8(at) >> 4 != 4 or header_length < IPV4_HEADER or total_length < header_length:
        return Verdict.BAD_HEADER
    if total_length > packet.network_length:
        return Verdict.TRUNCATED
    if checksum(at, header_length) != 0:
        return Verdict.BAD_CHECKSUM
    packet.network_length = total_length
    packet.protocol = load8(at + 9)
    packet.hop_limit = load8(at + 8)
    packet.source_high = 0
    packet.source_low = mapped(load32be(at + 12))
    packet.destination_high = 0
    packet.destination_low = mapped(load32be(at + 16))
    packet.transport = at + header_length
    packet.transport_length = total_length - header_length
    return _read_fragment(packet, load16be(at + 4), load16be(at + 6))


@kernel
def _read_fragment(packet: Packet, identification: int, word: int) -> Verdict:
    packet.identification = identification
    packet.fragment_offset = (word & 0x1FFF) * 8
    packet.more_fragments = (word >> 13) & 1
    if packet.fragment_offset or packet.more_fragments:
        return Verdict.FRAGMENT
    return Verdict.GOOD


@kernel
def write_ipv4_fragment(
    target: int, source_low: int, destination_low: int, protocol: int, length: int, number: int, offset_and_more: int
) -> int:
    """Write a header of 20 bytes of a fragment; return its length.

    The last argument is the offset in bytes, a multiple of 8, and 1 more if it is not the last fragment.
    """
    write_ipv4(target, source_low, destination_low, protocol, length)
    store16be(target + 4, number)
    store16be(target + 6, offset_and_more >> 3 | (offset_and_more & 1) << 13)
    store16be(target + 10, 0)
    store16be(target + 10, checksum(target, IPV4_HEADER))
    return IPV4_HEADER


@kernel
def write_ipv4(target: int, source_low: int, destination_low: int, protocol: int, payload_length: int) -> int:
    """Write a header of 20 bytes with DF set; return its length.

    The identification is 0: a packet that cannot be fragmented needs none (RFC 6864 §4.1).
    """
    store16be(target, 0x4500)
    store16be(target + 2, IPV4_HEADER + payload_length)
    store32be(target + 4, _DONT_FRAGMENT)
    store8(target + 8, _HOP_LIMIT)
    store8(target + 9, protocol)
    store16be(target + 10, 0)
    store32be(target + 12, ipv4_of(source_low))
    store32be(target + 16, ipv4_of(destination_low))
    store16be(target + 10, checksum(target, IPV4_HEADER))
    return IPV4_HEADER
