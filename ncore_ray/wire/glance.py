"""A first glance at a frame, before anything is decided: nothing is checked but that what is read lies in the frame."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be
from ncore_ray.wire.ethernet import ETHERNET_HEADER, TYPE_IPV4
from ncore_ray.wire.ipv4 import IPV4_HEADER, PROTOCOL_TCP, PROTOCOL_UDP

_ETHER_TYPE: Final = 12
_FRAGMENT: Final = ETHERNET_HEADER + 6
_PROTOCOL: Final = ETHERNET_HEADER + 9
_SOURCE: Final = ETHERNET_HEADER + 12
_DESTINATION: Final = ETHERNET_HEADER + 16
_OFFSET_BITS: Final = 0x1FFF
_PORTS: Final = 4


@kernel
def ports_in(frame: int, length: int) -> int:
    """Return the address of the ports of a TCP or UDP packet over IPv4, or 0 if it has none, as later fragments."""
    if length < ETHERNET_HEADER + IPV4_HEADER + _PORTS or load16be(frame + _ETHER_TYPE) != TYPE_IPV4:
        return 0
    protocol = load8(frame + _PROTOCOL)
    if protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP:
        return 0
    header = (load8(frame + ETHERNET_HEADER) & 15) * 4
    if load16be(frame + _FRAGMENT) & _OFFSET_BITS or ETHERNET_HEADER + header + _PORTS > length:
        return 0
    return frame + ETHERNET_HEADER + header


@kernel
def protocol_in(frame: int) -> int:
    """Return the protocol of an IPv4 packet."""
    return load8(frame + _PROTOCOL)


@kernel
def source_in(frame: int) -> int:
    """Return the source address of an IPv4 packet, 32 bits."""
    return load32be(frame + _SOURCE)


@kernel
def destination_in(frame: int) -> int:
    """Return the destination address of an IPv4 packet, 32 bits."""
    return load32be(frame + _DESTINATION)
