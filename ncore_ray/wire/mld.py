"""Multicast Listener Discovery: queries of routers, and reports of who listens (RFC 3810, RFC 2710).

A listener that wants a group from everybody says so in an EXCLUDE record without sources. Reports have a hop limit of 1
and a Router Alert option.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load64be, store8, store32be, store64be
from ncore_ray.wire.ethernet import TYPE_IPV6, write_ethernet
from ncore_ray.wire.icmpv6 import finish_icmpv6
from ncore_ray.wire.ipv6 import HOP_BY_HOP, PROTOCOL_ICMPV6, is_link_local, is_multicast6, write_ipv6
from ncore_ray.wire.ndp import ALL_NODES_HIGH, solicited_low
from ncore_ray.wire.packet import Packet

QUERY: Final = 130
REPORT: Final = 131
"""Of the first version …"""
REPORT2: Final = 143
"""… and of the second."""
_QUERY: Final = 24
_QUERY2: Final = 28
_RECORD: Final = 20
_HEADER: Final = 8
_HOP_LIMIT: Final = 1
_ROUTERS_LOW: Final = 0x16
"""ff02::16, all routers that understand the second version (RFC 3810 §5.2.14)."""
_ROUTERS_MAC: Final = 0x3333_0000_0016
_SOLICITED_MAC: Final = 0x3333_FF00_0000
_ROUTER_ALERT: Final = 0x0502
_PAD: Final = 0x0100
_LINEAR: Final = 32_768


class Record(IntEnum):
    """What a record says (RFC 3810 §5.2.12)."""

    IS_EXCLUDE = 2
    """So it is: the answer to a query."""
    TO_EXCLUDE = 4
    """So it is from now on."""


@kernel
def is_mld_query(packet: Packet) -> int:
    """Return 1 if an ICMPv6 packet to a group is a query, long enough to be one."""
    if packet.transport_length < _QUERY or not is_multicast6(packet.destination_high):
        return 0
    return 1 if load8(packet.transport) == QUERY else 0


@kernel
def is_right_query(packet: Packet) -> int:
    """Return 1 if a query comes from a router on the link, to be looked at by all (RFC 3810 §5.1.14, §6.2)."""
    alerts = load8(packet.network + 6) == HOP_BY_HOP
    length = packet.transport_length == _QUERY or packet.transport_length >= _QUERY2
    return 1 if alerts and length and packet.hop_limit == _HOP_LIMIT and is_link_local(packet.source_high) else 0


@kernel
def is_first_version(packet: Packet) -> int:
    """Return 1 for a query of the first version (RFC 3810 §8.1)."""
    return 1 if packet.transport_length == _QUERY else 0


@kernel
def longest_delay_ms(packet: Packet) -> int:
    """Return how long the answer to a query may wait, ms (RFC 3810 §5.1.3)."""
    code = load16be(packet.transport + 4)
    if code < _LINEAR or is_first_version(packet):
        return code
    return (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)


@kernel
def queried_high(packet: Packet) -> int:
    """Return the high word of the group that is asked about; both words are 0 if all are."""
    return load64be(packet.transport + 8)


@kernel
def queried_low(packet: Packet) -> int:
    """Return the low word of it."""
    return load64be(packet.transport + 16)


@kernel
def write_report(frame: int, own_mac: int, source_high: int, source_low: int, low: int, record: int) -> int:
    """Write an Ethernet frame that tells of the solicited-node group of an address; return its length.

    ``record``: a `Record`, or 0 for a report of the first version, which goes to the group itself. A source of 0 is
    right where there is no link-local address (RFC 3590).
    """
    group = solicited_low(low)
    to_low = _ROUTERS_LOW if record else group
    mac = _ROUTERS_MAC if record else _SOLICITED_MAC | low & 0xFF_FFFF
    length = _HEADER + _RECORD if record else _QUERY
    at = frame + write_ethernet(frame, mac, own_mac, TYPE_IPV6)
    at += write_ipv6(at, source_high, source_low, ALL_NODES_HIGH, to_low, HOP_BY_HOP, _HEADER + length)
    store8(at - 33, _HOP_LIMIT)
    store32be(at, PROTOCOL_ICMPV6 << 24 | _ROUTER_ALERT)
    store32be(at + 4, _PAD)
    at += _HEADER
    store32be(at, (REPORT2 if record else REPORT) << 24)
    store32be(at + 4, 1 if record else 0)
    place = at + _HEADER
    if record:
        store32be(place, record << 24)
        place += 4
    store64be(place, ALL_NODES_HIGH)
    store64be(place + 8, group)
    finish_icmpv6(at, length, source_high, source_low, ALL_NODES_HIGH, to_low)
    return at + length - frame
