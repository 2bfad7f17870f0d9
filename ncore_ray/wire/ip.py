"""IP headers of either family: which one a packet gets is a matter of its addresses."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, store16be
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import update16
from ncore_ray.wire.ethernet import ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6, write_ethernet
from ncore_ray.wire.ipv4 import IPV4_HEADER, write_ipv4
from ncore_ray.wire.ipv6 import IPV6_HEADER, write_ipv6

_CLASS4: Final = 0x00FF
_CLASS6: Final = 0x0FF0
"""The bits of the traffic class in a header's first 16."""


@kernel
def ip_header(high: int, low: int) -> int:
    """Return the bytes of the IP header of a packet to an address."""
    return IPV4_HEADER if is_ipv4(high, low) else IPV6_HEADER


@kernel
def keep_traffic_class(target: int, source: int) -> int:
    """Give an IP header that was just written the traffic class, ECN field included, of another of its family."""
    word = load16be(source) & (_CLASS4 if load8(target) >> 4 == 4 else _CLASS6)
    if word == 0:
        return 0
    before = load16be(target)
    if load8(target) >> 4 == 4:
        store16be(target + 10, update16(load16be(target + 10), before, before | word))
    return store16be(target, before | word)


@kernel
def write_frame(
    target: int,
    destination_mac: int,
    source_mac: int,
    source_high: int,
    source_low: int,
    destination_high: int,
    destination_low: int,
    protocol: int,
    length: int,
) -> int:
    """Write the Ethernet and the IP header of a packet with ``length`` bytes behind them; return their length."""
    if is_ipv4(destination_high, destination_low):
        at = target + write_ethernet(target, destination_mac, source_mac, TYPE_IPV4)
        return ETHERNET_HEADER + write_ipv4(at, source_low, destination_low, protocol, length)
    at = target + write_ethernet(target, destination_mac, source_mac, TYPE_IPV6)
    return ETHERNET_HEADER + write_ipv6(
        at, source_high, source_low, destination_high, destination_low, protocol, length
    )
