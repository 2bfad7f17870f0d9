"""A first glance at a frame, before anything is decided: nothing is checked but that what is read lies in the frame."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be, load64be
from ncore_ray.wire.address import mapped
from ncore_ray.wire.ethernet import ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6
from ncore_ray.wire.ipv4 import IPV4_HEADER, PROTOCOL_TCP, PROTOCOL_UDP
from ncore_ray.wire.ipv6 import IPV6_HEADER

_ETHER_TYPE: Final = 12
_FRAGMENT: Final = ETHERNET_HEADER + 6
_PROTOCOL: Final = ETHERNET_HEADER + 9
_SOURCE: Final = ETHERNET_HEADER + 12
_DESTINATION: Final = ETHERNET_HEADER + 16
_NEXT_HEADER6: Final = ETHERNET_HEADER + 6
_SOURCE6: Final = ETHERNET_HEADER + 8
_DESTINATION6: Final = ETHERNET_HEADER + 24
_OFFSET_BITS: Final = 0x1FFF
_PORTS: Final = 4


@kernel
def ports_in(frame: int, length: int) -> int:
    """Return the address of the ports of a TCP or UDP packet, or 0 if it has none, as later fragments.

    Of an IPv6 packet only if they follow its header directly: extension headers are rare.
    """
    if length < ETHERNET_HEADER + IPV4_HEADER + _PORTS:
        return 0
    if load16be(frame + _ETHER_TYPE) != TYPE_IPV4:
        return _ports_in6(frame, length)
    protocol = load8(frame + _PROTOCOL)
    if protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP:
        return 0
    header = (load8(frame + ETHERNET_HEADER) & 15) * 4
    if load16be(frame + _FRAGMENT) & _OFFSET_BITS or ETHERNET_HEADER + header + _PORTS > length:
        return 0
    return frame + ETHERNET_HEADER + header


@kernel
def _ports_in6(frame: int, length: int) -> int:
    if load16be(frame + _ETHER_TYPE) != TYPE_IPV6 or length < ETHERNET_HEADER + IPV6_HEADER + _PORTS:
        return 0
    protocol = load8(frame + _NEXT_HEADER6)
    return frame + ETHERNET_HEADER + IPV6_HEADER if protocol in (PROTOCOL_TCP, PROTOCOL_UDP) else 0


@kernel
def is_ipv6_in(frame: int) -> int:
    """Return 1 for an IPv6 packet; else (there are ports) it is an IPv4 packet."""
    return 1 if load16be(frame + _ETHER_TYPE) == TYPE_IPV6 else 0


@kernel
def protocol_in(frame: int) -> int:
    """Return the protocol of a packet with ports."""
    return load8(frame + _NEXT_HEADER6) if is_ipv6_in(frame) else load8(frame + _PROTOCOL)


@kernel
def source_in(frame: int) -> int:
    """Return the low word of the source address of a packet with ports."""
    return load64be(frame + _SOURCE6 + 8) if is_ipv6_in(frame) else mapped(load32be(frame + _SOURCE))


@kernel
def source_high_in(frame: int) -> int:
    """Return its high word."""
    return load64be(frame + _SOURCE6) if is_ipv6_in(frame) else 0


@kernel
def destination_in(frame: int) -> int:
    """Return the low word of the destination address of a packet with ports."""
    return load64be(frame + _DESTINATION6 + 8) if is_ipv6_in(frame) else mapped(load32be(frame + _DESTINATION))


@kernel
def destination_high_in(frame: int) -> int:
    """Return its high word."""
    return load64be(frame + _DESTINATION6) if is_ipv6_in(frame) else 0
