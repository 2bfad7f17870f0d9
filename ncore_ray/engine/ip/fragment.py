"""Packets of ours that are longer than a NIC's MTU, or the way's: sent in fragments (RFC 791 §3.2, RFC 8200 §4.5).

Only datagrams and echo replies are: TCP makes its segments to measure. Each fragment names its part of the payload
where it lies; the first has room for a transport header of 8 bytes before it.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.ip.paths import datagram_mtu
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.transmit import header_address, slot_of, slots_left, take_slot
from ncore_ray.machine.hash import hash_tuple
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.ethernet import ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6, write_ethernet
from ncore_ray.wire.ipv4 import IPV4_HEADER, write_ipv4_fragment
from ncore_ray.wire.ipv6 import FRAGMENT, FRAGMENT_HEADER, IPV6_HEADER, write_fragment_header, write_ipv6

TRANSPORT: Final = 8
"""Bytes of the transport header in the first fragment (UDP and ICMP)."""
NOT_SENT: Final = -1
_FRAGMENTS: Final = 0x6672_6167
"""Keeps the hash apart from others under the same key."""
_APART: Final = 10
"""Bits by which the numbers of two engines differ at first, of 16; …"""
_APART6: Final = 26
"""… and of 32, in IPv6: 64 engines at the most."""


@kernel
def is_too_long(engine: Engine, nic: int, high: int, low: int, length: int) -> int:
    """Return 1 if a packet to an address with ``length`` bytes behind its IP header is too long to leave whole."""
    header = IPV4_HEADER if is_ipv4(high, low) else IPV6_HEADER
    return 1 if header + length > datagram_mtu(engine, nic, high, low) else 0


@kernel
def fragment_headers(high: int, low: int) -> int:
    """Return the bytes of all headers of a fragment to an address, up to its content."""
    return ETHERNET_HEADER + (IPV4_HEADER if is_ipv4(high, low) else IPV6_HEADER + FRAGMENT_HEADER)


@kernel
def send_fragments(
    engine: Engine,
    nic: int,
    mac: int,
    source_high: int,
    source_low: int,
    high: int,
    low: int,
    protocol: int,
    payload: int,
    length: int,
) -> int:
    """Make the fragments of a packet with a transport header and ``length`` bytes at an address of the arena.

    Return the address at which the transport header is to be written, or NOT_SENT if there are not enough slots.
    """
    headers = fragment_headers(high, low)
    most = (datagram_mtu(engine, nic, high, low) - headers + ETHERNET_HEADER) & ~7
    total = TRANSPORT + length
    if slots_left(engine) < (total + most - 1) // most:
        return NOT_SENT
    engine.identification += 1
    number = _identification(engine, source_high, source_low, high, low, protocol)
    transport, offset = NOT_SENT, 0
    while offset < total:
        content = min(most, total - offset)
        before = 0 if offset else TRANSPORT
        index = take_slot(engine, nic, headers + before)
        at = header_address(engine, index)
        more = 1 if offset + content < total else 0
        _write(engine, at, nic, mac, source_high, source_low, high, low, protocol, content, number, offset | more)
        slot = slot_of(engine, index)
        slot.first = payload + max(offset - TRANSPORT, 0) - base_of(engine)
        slot.first_length = content - before
        if before:
            transport = at + headers
        offset += content
    return transport


@kernel
def _identification(engine: Engine, source_high: int, source_low: int, high: int, low: int, protocol: int) -> int:
    """Return the number of a packet: a counter from where nobody else knows, for each host (RFC 7739 §5.3).

    A counter alone would tell whoever may send fragments in our name which numbers come next. Engines count for
    themselves, each from another place: or else two packets of theirs to one host would have the same.
    """
    arena = arena_at(base_of(engine))
    first = hash_tuple(arena.secret_0, arena.secret_1, source_high ^ high, source_low, low, protocol, _FRAGMENTS)
    return first + (engine.index << (_APART if is_ipv4(high, low) else _APART6)) + engine.identification


@kernel
def _write(
    engine: Engine,
    at: int,
    nic: int,
    mac: int,
    source_high: int,
    source_low: int,
    high: int,
    low: int,
    protocol: int,
    length: int,
    number: int,
    offset_and_more: int,
) -> int:
    own = nic_of(base_of(engine), nic).mac
    if is_ipv4(high, low):
        at += write_ethernet(at, mac, own, TYPE_IPV4)
        return write_ipv4_fragment(at, source_low, low, protocol, length, number & 0xFFFF, offset_and_more)
    at += write_ethernet(at, mac, own, TYPE_IPV6)
    at += write_ipv6(at, source_high, source_low, high, low, FRAGMENT, FRAGMENT_HEADER + length)
    return write_fragment_header(at, protocol, number & 0xFFFF_FFFF, offset_and_more)
