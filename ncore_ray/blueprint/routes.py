"""Routes: what the NICs' addresses and gateways make of them, and their rows in the arena.

Connections name routes by the numbers of their rows, so a row never changes while one does: what a change of the
configuration needs beside the rows that there are is written to free ones.
"""

from __future__ import annotations

from collections.abc import Set
from ipaddress import ip_network
from typing import Final

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.rows import TableFullError
from ncore_ray.config.addresses import IpAddress, IpNetwork
from ncore_ray.config.model import Configuration
from ncore_ray.machine.record import dtype_of, size_of, table, view
from ncore_ray.tables.route import NO_ROUTE, Route
from ncore_ray.wire.address import words_of

SPARE: Final = 32
"""Rows for routes and slots for addresses that come while the appliance runs."""
ADDRESSES_PER_NIC: Final = 4
"""Rows and slots more for each NIC that may come."""
Words = tuple[int, ...]
RouteRow = tuple[IpNetwork, int, IpAddress | None, IpAddress]
_FIELDS: Final = dtype_of(Route).names or ()
_UNUSED: Final = (-1,) * len(_FIELDS)
"""Leads to no address that there is."""


def routes_of(configuration: Configuration) -> list[RouteRow]:
    """Return (network, NIC, gateway or None, SNIP), longest prefixes first; one default route of a family."""
    rows: list[RouteRow] = []
    for index, nic in enumerate(configuration.nics):
        rows += [(address.network, index, None, address.ip) for address in nic.addresses]
        rows += [(route.network, index, route.via, nic.source_for(route.via)) for route in nic.routes]
    for version, anywhere in ((4, "0.0.0.0/0"), (6, "::/0")):
        for index, nic in enumerate(configuration.nics):
            gateway = nic.gateway_of(version)
            if gateway is not None:
                rows.append((ip_network(anywhere), index, gateway, nic.source_for(gateway)))
                break
    return sorted(rows, key=lambda row: -row[0].prefixlen)


def route_room(configuration: Configuration) -> int:
    """Return how many rows a table of routes gets."""
    return (
        len(routes_of(configuration)) + SPARE + (configuration.nic_room - len(configuration.nics)) * ADDRESSES_PER_NIC
    )


def words_of_route(row: RouteRow) -> Words:
    """Return the words of a route's record."""
    network, nic, gateway, source = row
    next_hop = (0, 0) if gateway is None else words_of(str(gateway))
    mask = _mask_words(network)
    return (*words_of(str(network.network_address)), *mask, nic, *next_hop, *words_of(str(source)))


def _mask_words(network: IpNetwork) -> Words:
    """Return the mask of a prefix; an IPv4 prefix is held as a mapped one."""
    length = network.prefixlen + (96 if network.version == 4 else 0)
    high, low = min(length, 64), max(length - 64, 0)
    return -(1 << 64 - high) if high else 0, -(1 << 64 - low) if low else 0


def rows_of_routes(array: Bytes, arena: Arena) -> list[Words]:
    """Return the words of all rows."""
    found = table(Route, array, arena.routes, arena.route_count)
    return [tuple(int(row[name]) for name in _FIELDS) for row in found]


def write_routes(array: Bytes, arena: Arena, configuration: Configuration, named: Set[int] = frozenset()) -> None:
    """Write the routes that are missing to rows that are no route of the configuration, and that nothing names.

    Raises:
        TableFullError: there are too few.
    """
    before = rows_of_routes(array, arena)
    wanted = list(dict.fromkeys(map(words_of_route, routes_of(configuration))))
    free = (place for place, row in enumerate(before) if place not in named and row not in wanted)
    for row in wanted:
        if row not in before:
            place = next(free, None)
            if place is None:
                raise TableFullError(f"nics: all {arena.route_count} routes are in use; wait for connections to end")
            _write(array, arena, place, row)


def forget_routes(array: Bytes, arena: Arena) -> None:
    """Make all rows free."""
    for place in range(arena.route_count):
        _write(array, arena, place, _UNUSED)


def _write(array: Bytes, arena: Arena, place: int, words: Words) -> None:
    route = view(Route, array, arena.routes + place * size_of(Route))
    for name, word in zip(_FIELDS, words, strict=True):
        setattr(route, name, word)


def words_towards(configuration: Configuration, address: IpAddress) -> Words | None:
    """Return the words of the route to an address, if there is one."""
    return next((words_of_route(row) for row in routes_of(configuration) if address in row[0]), None)


def route_to(array: Bytes, arena: Arena, configuration: Configuration, address: IpAddress) -> int:
    """Return the number of the row of the route to an address, or NO_ROUTE."""
    words = words_towards(configuration, address)
    return NO_ROUTE if words is None else rows_of_routes(array, arena).index(words)
