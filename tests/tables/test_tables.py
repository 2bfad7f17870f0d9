"""Addresses, routes, ports and vServers against plain Python."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.lab.dry.arena import SNIPS, VIP, SmallArena, make_arena
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import table, view
from ncore_ray.tables.nic import nic_of
from ncore_ray.tables.own_address import AddressKind, address_slots, find_address
from ncore_ray.tables.port_owner import FIRST_PORT, NO_OWNER, PORTS, port_owner, port_ranges
from ncore_ray.tables.route import NO_ROUTE, Route, find_route
from ncore_ray.tables.service import NO_VSERVER, VserverProtocol, find_vserver
from ncore_ray.wire.address import words_of

ipv4s = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
ipv6s = st.integers(0, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number)))
addresses = st.one_of(ipv4s, ipv6s)


@entry_kernel
def kind_of(base: int, high: int, low: int) -> int:
    return find_address(base, high, low).kind


@entry_kernel
def mac_by_address(base: int, high: int, low: int) -> int:
    return nic_of(base, find_address(base, high, low).nic).mac


@entry_kernel
def route_to(base: int, high: int, low: int) -> int:
    return find_route(base, high, low)


@entry_kernel
def vserver_at(base: int, high: int, low: int, port: int, is_udp: int) -> int:
    return find_vserver(base, high, low, port, is_udp)


@entry_kernel
def owner_of(base: int, port: int) -> int:
    return port_owner(base, port)


@settings(max_examples=40)
@given(st.dictionaries(addresses, st.sampled_from([AddressKind.VIP, AddressKind.SNIP]), max_size=5), addresses)
def test_own_addresses_are_found_and_others_are_foreign(own: dict[str, AddressKind], other: str) -> None:
    arena = make_arena()
    known = {SNIPS[0]: AddressKind.SNIP, SNIPS[1]: AddressKind.SNIP, VIP: AddressKind.VIP} | own
    for text, kind in own.items():
        arena.add_address(text, kind)
    for text, kind in known.items():
        assert kind_of(arena.base, *words_of(text)) == kind
    assert kind_of(arena.base, *words_of(other)) == known.get(other, AddressKind.FOREIGN)


def test_address_knows_its_nic() -> None:
    arena = make_arena()
    for nic, text in enumerate(SNIPS):
        assert mac_by_address(arena.base, *words_of(text)) == 0x0200_0000_0001 + nic


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 1000])
def test_address_table_is_a_power_of_two_at_most_half_full(count: int) -> None:
    slots = address_slots(count)
    assert slots & (slots - 1) == 0
    assert slots >= max(16, 2 * count)


networks = st.lists(st.tuples(ipv4s, st.integers(0, 32)), max_size=6).map(
    lambda pairs: [ipaddress.ip_network((address, length), strict=False) for address, length in pairs]
)


def with_routes(prefixes: list[ipaddress.IPv4Network]) -> SmallArena:
    """Longest prefixes first, as the configuration writes them."""
    arena = make_arena(nics=8)
    arena.header.route_count = len(prefixes)
    rows = table(Route, arena.array, arena.header.routes, 8)
    for row, network in zip(rows, prefixes, strict=False):
        row["high"], row["low"] = words_of(str(network.network_address))
        mask = (2**128 - 1) ^ (2 ** (32 - network.prefixlen) - 1)
        row["mask_high"], row["mask_low"] = -1, (mask & (2**64 - 1)) - 2**64
    return arena


@settings(max_examples=40)
@given(networks, ipv4s)
def test_longest_prefix_wins(prefixes: list[ipaddress.IPv4Network], text: str) -> None:
    ordered = sorted(prefixes, key=lambda network: -network.prefixlen)
    arena = with_routes(ordered)
    for address in (text, *(str(network.broadcast_address) for network in prefixes)):
        matching = [i for i, network in enumerate(ordered) if ipaddress.IPv4Address(address) in network]
        assert route_to(arena.base, *words_of(address)) == (matching[0] if matching else NO_ROUTE)


def test_ipv6_address_takes_no_ipv4_route() -> None:
    arena = with_routes([ipaddress.IPv4Network("0.0.0.0/0")])
    assert route_to(arena.base, *words_of("2001:db8::1")) == NO_ROUTE
    assert route_to(arena.base, *words_of("192.0.2.1")) == 0


def test_ipv4_address_takes_no_ipv6_route() -> None:
    arena = with_routes([ipaddress.IPv4Network("0.0.0.0/0")])
    row = table(Route, arena.array, arena.header.routes, 8)[0]
    row["low"] = row["mask_high"] = row["mask_low"] = 0
    assert route_to(arena.base, *words_of("2001:db8::1")) == 0
    assert route_to(arena.base, *words_of("192.0.2.1")) == NO_ROUTE


@pytest.mark.parametrize("engines", [1, 2, 3, 4, 64])
def test_port_ranges_are_equal_and_do_not_overlap(engines: int) -> None:
    ranges = port_ranges(engines)
    assert len({count for _, count in ranges}) == 1
    assert ranges[0][0] == FIRST_PORT
    assert all(a + count == b for (a, count), (b, _) in pairwise(ranges))
    assert PORTS - engines < sum(ranges[-1]) <= PORTS


def test_port_owners() -> None:
    arena = make_arena(engines=3)
    expected = {
        port: engine for engine, (first, count) in enumerate(port_ranges(3)) for port in range(first, first + count)
    }
    for port in (0, 80, FIRST_PORT - 1, FIRST_PORT, 30000, 32767, 32768, 49152, 65534, 65535):
        assert owner_of(arena.base, port) == expected.get(port, NO_OWNER)


listeners = st.tuples(addresses, st.integers(0, 65535), st.sampled_from(VserverProtocol))


@settings(max_examples=60)
@given(st.lists(listeners, max_size=31), listeners)
def test_vservers_are_found_by_address_port_and_transport(
    wanted: list[tuple[str, int, VserverProtocol]], other: tuple[str, int, VserverProtocol]
) -> None:
    arena = make_arena(engines=1, nics=1, frames=1, guard=False)
    known: dict[tuple[str, int, bool], int] = {}
    for address, port, protocol in wanted:
        key = address, port, protocol >= VserverProtocol.UDP
        if key not in known:
            known[key] = arena.vservers
            arena.add_vserver(address, port, protocol)
    questions = [*known, (other[0], other[1], other[2] >= VserverProtocol.UDP)]
    questions += [(address, port, not is_udp) for address, port, is_udp in known]
    for address, port, is_udp in questions:
        expected = known.get((address, port, is_udp), NO_VSERVER)
        assert vserver_at(arena.base, *words_of(address), port, int(is_udp)) == expected


def test_views_of_records_stay_inside_the_arena() -> None:
    arena = make_arena()
    with pytest.raises(ValueError, match="does not fit"):
        view(Route, arena.array, arena.array.size - 8)
