"""Neighbour Discovery for IPv6 over Ethernet: solicitations and advertisements (RFC 4861 §4.3, §4.4, §4.6)."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load64be, store8, store32be, store64be
from ncore_ray.wire.ethernet import TYPE_IPV6, load_mac, store_mac, write_ethernet
from ncore_ray.wire.icmpv6 import finish_icmpv6
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6, is_multicast6, write_ipv6
from ncore_ray.wire.packet import Packet, Verdict

SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
FLAG_SOLICITED: Final = 0x40
FLAG_OVERRIDE: Final = 0x20
NO_LINK_ADDRESS: Final = -1
ALL_NODES_HIGH: Final = -(0xFE << 48)
"""ff02::1, as signed words."""
ALL_NODES_LOW: Final = 1
ALL_NODES_MAC: Final = 0x3333_0000_0001
_MESSAGE: Final = 24
_OPTION: Final = 8
_SOURCE_OPTION: Final = 1
_TARGET_OPTION: Final = 2
_SOLICITED_HIGH: Final = ALL_NODES_HIGH
_SOLICITED_LOW: Final = 0x1_FF00_0000
_SOLICITED_MAC: Final = 0x3333_FF00_0000
_LAST_HOP_LIMIT: Final = 255


@kernel
def solicited_low(low: int) -> int:
    """Return the low word of an address's solicited-node multicast address (RFC 4291 §2.7.1)."""
    return _SOLICITED_LOW | low & 0xFF_FFFF


@kernel
def is_ndp(packet: Packet) -> int:
    """Return 1 if an ICMPv6 packet is a solicitation or advertisement, long enough to have a target."""
    if packet.transport_length < _MESSAGE:
        return 0
    kind = load8(packet.transport)
    return 1 if kind in (SOLICITATION, ADVERTISEMENT) else 0


@kernel
def check_ndp(packet: Packet) -> Verdict:
    """Say whether a message with the right checksum is a valid solicitation or advertisement (RFC 4861 §7.1)."""
    if packet.transport_length < _MESSAGE:
        return Verdict.TRUNCATED
    if (
        packet.hop_limit != _LAST_HOP_LIMIT
        or load8(packet.transport + 1) != 0
        or is_multicast6(ndp_target_high(packet))
    ):
        return Verdict.BAD_HEADER
    at, end = packet.transport + _MESSAGE, packet.transport + packet.transport_length
    while at < end:
        if at + 2 > end or load8(at + 1) == 0 or at + 8 * load8(at + 1) > end:
            return Verdict.BAD_HEADER
        at += 8 * load8(at + 1)
    return _check_purpose(packet)


@kernel
def _check_purpose(packet: Packet) -> Verdict:
    """A probe for a duplicate goes to the solicited-node address and names no link-layer address of its own."""
    is_probe = packet.source_high == 0 and packet.source_low == 0
    is_multicast = is_multicast6(packet.destination_high)
    if load8(packet.transport) == SOLICITATION:
        if is_probe and (link_address(packet) != NO_LINK_ADDRESS or not is_multicast):
            return Verdict.BAD_HEADER
        return Verdict.GOOD
    if is_probe or (is_multicast and ndp_flags(packet) & FLAG_SOLICITED):
        return Verdict.BAD_HEADER
    return Verdict.GOOD


@kernel
def ndp_flags(packet: Packet) -> int:
    """Return the flags of an advertisement."""
    return load8(packet.transport + 4)


@kernel
def ndp_target_high(packet: Packet) -> int:
    """Return the high word of the address that is asked for or advertised."""
    return load64be(packet.transport + 8)


@kernel
def ndp_target_low(packet: Packet) -> int:
    """Return the low word of it."""
    return load64be(packet.transport + 16)


@kernel
def link_address(packet: Packet) -> int:
    """Return the link-layer address that a message (of valid options) tells of its sender, or NO_LINK_ADDRESS."""
    wanted = _SOURCE_OPTION if load8(packet.transport) == SOLICITATION else _TARGET_OPTION
    at, end = packet.transport + _MESSAGE, packet.transport + packet.transport_length
    while at + _OPTION <= end:
        if load8(at) == wanted:
            return load_mac(at + 2)
        at += 8 * load8(at + 1)
    return NO_LINK_ADDRESS


@kernel
def _write(at: int, kind: int, flags: int, target_high: int, target_low: int, option: int, mac: int) -> int:
    """Write a message with a checksum of 0; return its length."""
    store32be(at, kind << 24)
    store32be(at + 4, flags << 24)
    store64be(at + 8, target_high)
    store64be(at + 16, target_low)
    if mac == NO_LINK_ADDRESS:
        return _MESSAGE
    store8(at + _MESSAGE, option)
    store8(at + _MESSAGE + 1, 1)
    store_mac(at + _MESSAGE + 2, mac)
    return _MESSAGE + _OPTION


@kernel
def write_solicitation(
    frame: int, own_mac: int, source_high: int, source_low: int, high: int, low: int, known_mac: int
) -> int:
    """Write an Ethernet frame that asks for a neighbour's link-layer address; return its length.

    With a ``known_mac`` only that neighbour is asked whether it is still there (RFC 4861 §7.3.3); without one
    (NO_LINK_ADDRESS) all whose address ends alike. A source of 0 probes for a duplicate (RFC 4862 §5.4.2).
    """
    is_probe = source_high == 0 and source_low == 0
    unicast = known_mac != NO_LINK_ADDRESS
    to_high = high if unicast else _SOLICITED_HIGH
    to_low = low if unicast else solicited_low(low)
    mac = known_mac if unicast else _SOLICITED_MAC | low & 0xFF_FFFF
    length = _MESSAGE if is_probe else _MESSAGE + _OPTION
    at = frame + write_ethernet(frame, mac, own_mac, TYPE_IPV6)
    at += write_ipv6(at, source_high, source_low, to_high, to_low, PROTOCOL_ICMPV6, length)
    store8(at - 33, _LAST_HOP_LIMIT)
    _write(at, SOLICITATION, 0, high, low, _SOURCE_OPTION, NO_LINK_ADDRESS if is_probe else own_mac)
    finish_icmpv6(at, length, source_high, source_low, to_high, to_low)
    return at + length - frame


@kernel
def write_advertisement(
    frame: int, own_mac: int, high: int, low: int, to_mac: int, to_high: int, to_low: int, flags: int
) -> int:
    """Write an Ethernet frame that tells the link-layer address of an own address; return its length."""
    length = _MESSAGE + _OPTION
    at = frame + write_ethernet(frame, to_mac, own_mac, TYPE_IPV6)
    at += write_ipv6(at, high, low, to_high, to_low, PROTOCOL_ICMPV6, length)
    store8(at - 33, _LAST_HOP_LIMIT)
    _write(at, ADVERTISEMENT, flags, high, low, _TARGET_OPTION, own_mac)
    finish_icmpv6(at, length, high, low, to_high, to_low)
    return at + length - frame
