"""Routes: which NIC, which SNIP and which next hop lead to an address."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of
from ncore_ray.tables.nic import nic_of
from ncore_ray.tables.own_address import is_given_up
from ncore_ray.wire.address import is_ipv4


class Route(Record):
    """One route; an IPv4 prefix of length n is held as a mapped prefix of length 96 + n. Longest prefixes first."""

    high: I64
    low: I64
    mask_high: I64
    mask_low: I64
    nic: I64
    gateway_high: I64
    """Next hop; both words 0 for a network that is on the link."""
    gateway_low: I64
    source_high: I64
    """SNIP to use."""
    source_low: I64


route_at = pointer_to(Route)
_SIZE: Final = size_of(Route)
NO_ROUTE: Final = -1


@kernel
def route_of(base: int, index: int) -> Route:
    """Return a route by its number."""
    if CHECKED:
        check_index(index, arena_at(base).route_count)
    return route_at(base + arena_at(base).routes + index * _SIZE)


@kernel
def may_leave(base: int, index: int) -> int:
    """Return 1 if a service can be reached: there is a route, and its SNIP was not given up."""
    if index < 0:
        return 0
    route = route_of(base, index)
    if is_ipv4(route.source_high, route.source_low):
        return 1
    return 1 - is_given_up(base, route.source_high, route.source_low)


@kernel
def find_route(base: int, high: int, low: int) -> int:
    """Return the number of the route to an address, or NO_ROUTE: a look at each, done once per connection."""
    for index in range(arena_at(base).route_count):
        route = route_of(base, index)
        if is_ipv4(high, low) != is_ipv4(route.high, route.low):
            continue  # the IPv6 default route is none to IPv4
        if (high & route.mask_high) == route.high and (low & route.mask_low) == route.low:
            return index
    return NO_ROUTE


@kernel
def is_on_link(base: int, high: int, low: int, nic: int) -> int:
    """Return 1 if a host with that address may be a neighbour at a NIC, or at the other side of its bridge.

    What hosts of one network say of themselves must not lead the packets of another network astray.
    """
    partner = nic_of(base, nic).bridge - 1
    for index in range(arena_at(base).route_count):
        route = route_of(base, index)
        if route.gateway_high or route.gateway_low or is_ipv4(high, low) != is_ipv4(route.high, route.low):
            continue
        if (high & route.mask_high) == route.high and (low & route.mask_low) == route.low:
            if route.nic == nic or route.nic == partner:
                return 1
    return 0
