"""From a configuration to an arena: capacities, tables, and what the kernels find in them."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import numpy as np
import pytest

from ncore_ray.arena.frame import FrameMeta
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import PAGE, ArenaError, Bytes, aligned, check_arena, read_regions
from ncore_ray.blueprint.build import Blueprint, build, draw
from ncore_ray.blueprint.decode import read_rows
from ncore_ray.blueprint.placement import CorePlan, place
from ncore_ray.blueprint.records import digest
from ncore_ray.blueprint.routes import routes_of
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration
from ncore_ray.engine.partition import Engine
from ncore_ray.flow.distributor import distributor_view
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import size_of, table, view
from ncore_ray.nic.partition import Reader
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.port_owner import FIRST_PORT, NO_OWNER
from ncore_ray.tables.route import NO_ROUTE, Route, find_route
from ncore_ray.tables.service import MonitorKind, Service, Vserver, find_vserver
from ncore_ray.wire.address import words_of

TEXT = """
appliance: {name: edge, engines: %d, arena: %s}
distribution: {placement: %s}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24, 10.3.0.10/16]}
  - {name: nc1, driver: memory, addresses: [10.2.0.10/24], gateway: 10.2.0.1}
services:
  - {name: web1, address: "10.2.0.2:80", monitor: {type: http, path: /up, host: web, expect: "200-204", fall: 3}}
  - {name: web2, address: "10.2.0.3:80", weight: 2, monitor: none}
  - {name: far, address: "192.0.2.7:53"}
vservers:
  - {name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1, web2], timeouts: {header: 4s}}
  - {name: dns, address: "10.2.0.200:53", protocol: UDP, services: [far], method: leastconnection}
"""


def configuration(engines: int = 2, arena: str = "64MiB", placement: str = "core") -> Configuration:
    return parse(TEXT % (engines, arena, placement))


def built(engines: int = 2, placement: str = "core") -> tuple[Bytes, Blueprint]:
    blueprint = draw(configuration(engines, placement=placement))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    build(array, blueprint, epoch=7, secret=(1, 2), now=1_000_000)
    return array, blueprint


@entry_kernel
def address_kind(base: int, high: int, low: int) -> int:
    return find_address(base, high, low).kind


@entry_kernel
def address_nic(base: int, high: int, low: int) -> int:
    return find_address(base, high, low).nic


@entry_kernel
def route_number(base: int, high: int, low: int) -> int:
    return find_route(base, high, low)


@entry_kernel
def vserver_number(base: int, high: int, low: int, port: int, is_udp: int) -> int:
    return find_vserver(base, high, low, port, is_udp)


@pytest.mark.parametrize("engines", [1, 2, 4, 16])
@pytest.mark.parametrize("arena", ["64MiB", "256MiB", "1GiB"])
def test_everything_fits_into_the_arena_asked_for(engines: int, arena: str) -> None:
    blueprint = draw(configuration(engines, arena))
    assert blueprint.size <= blueprint.configuration.appliance.arena
    assert blueprint.size > blueprint.configuration.appliance.arena * 0.8


def test_an_arena_too_small_is_refused_by_name() -> None:
    with pytest.raises(ArenaError, match=r"appliance\.arena: 32 MiB is too small for 64 engines, 2 NICs"):
        draw(configuration(64, "32MiB"))


def test_connections_asked_for_are_given_or_refused() -> None:
    asked = parse((TEXT % (2, "64MiB", "core")) + "limits: {connections: 1000}\n")
    assert draw(asked).dimensions.connections == 1000
    with pytest.raises(ArenaError, match=r"lower limits\.connections"):
        draw(parse((TEXT % (2, "64MiB", "core")) + "limits: {connections: 1000000}\n"))


def test_regions_do_not_overlap_and_are_named_in_the_arena() -> None:
    array, blueprint = built()
    spans = sorted(read_regions(array).values(), key=lambda span: span.offset)
    assert [span.name for span in spans] == [span.name for span in blueprint.layout.spans.values()]
    for before, after in pairwise(spans):
        assert before.offset + before.size <= after.offset
        assert after.offset % PAGE == 0


def test_a_stale_or_foreign_arena_is_refused() -> None:
    array, _ = built()
    assert check_arena(array, 7, digest()).engine_count == 2
    with pytest.raises(ArenaError, match="newer one"):
        check_arena(array, 8, digest())
    with pytest.raises(ArenaError, match="another version"):
        check_arena(array, 7, digest() + 1)
    array[:8] = 0
    with pytest.raises(ArenaError, match="does not hold"):
        check_arena(array, 7, digest())


def test_every_frame_has_exactly_one_owner_and_stands_on_one_free_list() -> None:
    array, blueprint = built()
    arena = check_arena(array, 7, digest())
    owners = table(FrameMeta, array, arena.frame_metas, arena.frame_count)["owner"]
    nic_frames, engine_frames = blueprint.dimensions.nic_frames, blueprint.dimensions.engine_frames
    assert owners.tolist() == [3] * nic_frames + [4] * nic_frames + [1] * engine_frames + [2] * engine_frames
    free: list[int] = []
    for index in range(2):
        engine = view(Engine, array, arena.engines + index * arena.engine_stride)
        free += array[engine.free_frames : engine.free_frames + 4 * engine.free_frame_count].view("<i4").tolist()
    assert sorted(free) == list(range(2 * nic_frames, arena.frame_count))


def test_engines_that_decide_themselves_have_a_queue_of_each_nic() -> None:
    array, blueprint = built(placement="per-core")
    arena = check_arena(array, 7, digest())
    owners = table(FrameMeta, array, arena.frame_metas, arena.frame_count)["owner"]
    nic_frames, engine_frames = blueprint.dimensions.nic_frames, blueprint.dimensions.engine_frames
    readers = [actor for actor in (3, 4, 5, 6) for _ in range(nic_frames)]
    assert owners.tolist() == readers + [1] * engine_frames + [2] * engine_frames
    found = [view(Reader, array, arena.readers + queue * arena.reader_stride) for queue in range(arena.queue_count)]
    assert [(reader.queue, reader.actor, reader.decider) for reader in found] == [
        (0, 3, 1),
        (1, 4, 1),
        (2, 5, 2),
        (3, 6, 2),
    ]
    assert [distributor_view(array, number).actor for number in range(2)] == [1, 2]
    assert arena.actor_count == 1 + 2 + 4 + 2


def test_more_queues_than_descriptors_can_name_are_refused() -> None:
    text = TEXT % (64, "512MiB", "rss")
    more = "".join(f"  - {{name: x{n}, driver: memory, addresses: [10.{n + 10}.0.1/24]}}\n" for n in range(2))
    with pytest.raises(ArenaError, match=r"distribution\.placement: 4 NICs .* 64 engines are more than 255 queues"):
        draw(parse(text.replace("services:\n", more + "services:\n", 1)))


def test_addresses_know_their_nic() -> None:
    array, _ = built()
    base = array.ctypes.data
    rows = {"10.1.0.10": (2, 0), "10.3.0.10": (2, 0), "10.2.0.10": (2, 1), "10.1.0.100": (1, 0), "10.2.0.200": (1, 1)}
    for text, (kind, nic) in rows.items():
        assert (address_kind(base, *words_of(text)), address_nic(base, *words_of(text))) == (kind, nic), text
    assert address_kind(base, *words_of("10.1.0.11")) == AddressKind.FOREIGN


def test_routes_are_tried_longest_prefix_first() -> None:
    rows = routes_of(configuration())
    assert [row[0].prefixlen for row in rows] == [24, 24, 16, 0]
    assert rows[3] == (IPv4Network("0.0.0.0/0"), 1, IPv4Address("10.2.0.1"), IPv4Address("10.2.0.10"))
    array, _ = built()
    found = [route_number(array.ctypes.data, *words_of(a)) for a in ("10.1.0.9", "10.2.0.9", "10.3.9.9", "8.8.8.8")]
    assert found == [0, 1, 2, 3]


def test_without_a_gateway_there_is_no_route_to_other_networks() -> None:
    text = (TEXT % (1, "64MiB", "core")).replace(", gateway: 10.2.0.1", "").replace("192.0.2.7", "10.2.0.7")
    blueprint = draw(parse(text))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    build(array, blueprint)
    assert route_number(array.ctypes.data, *words_of("8.8.8.8")) == NO_ROUTE


def test_vservers_are_found_by_address_port_and_transport() -> None:
    array, _ = built()
    base = array.ctypes.data
    assert vserver_number(base, *words_of("10.1.0.100"), 80, 0) == 0
    assert vserver_number(base, *words_of("10.2.0.200"), 53, 1) == 1
    assert vserver_number(base, *words_of("10.2.0.200"), 53, 0) == -1
    assert vserver_number(base, *words_of("10.1.0.100"), 81, 0) == -1


def test_services_and_limits_are_those_of_the_configuration() -> None:
    array, _ = built()
    arena = check_arena(array, 7, digest())
    web1, web2, far = (view(Service, array, arena.services + k * size_of(Service)) for k in range(3))
    assert (web1.monitor, web1.fall, web1.expect_low, web1.expect_high) == (MonitorKind.HTTP, 3, 200, 204)
    start = arena.texts + web1.probe
    probe = array[start : start + web1.probe_length].tobytes()
    assert probe.startswith(b"GET /up HTTP/1.1\r\nHost: web\r\n")
    assert (web2.monitor, web2.weight, web2.monitor_engine) == (MonitorKind.NONE, 2, 1)
    assert (far.monitor, far.route) == (MonitorKind.TCP, 3)
    www = view(Vserver, array, arena.vservers)
    assert (www.header_us, www.client_idle_us, www.max_body) == (4_000_000, 60_000_000, -1)


@pytest.mark.parametrize("engines", [1, 3, 64])
def test_every_source_port_has_at_most_one_owner(engines: int) -> None:
    array, _ = built() if engines == 2 else _built_large(engines)
    arena = check_arena(array, None, digest())
    owners = array[arena.port_owners : arena.port_owners + 65536]
    assert (owners[:FIRST_PORT] == NO_OWNER).all()
    counts = [int((owners == k).sum()) for k in range(engines)]
    assert counts == [(65536 - FIRST_PORT) // engines] * engines


def _built_large(engines: int) -> tuple[Bytes, Blueprint]:
    blueprint = draw(configuration(engines, "256MiB"))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    build(array, blueprint)
    return array, blueprint


def test_cores_engines_first_then_readers_and_distributor_share_one() -> None:
    two = configuration(2)
    assert place(two, [0, 1, 2, 3]) == CorePlan(0, (1, 2), (0, 0))
    assert place(two, [0, 1]) == CorePlan(0, (1, 0), (0, 0))
    assert place(two, [5]) == CorePlan(5, (5, 5), (5, 5))
    appliance = two.appliance.model_copy(update={"cores": (2, 3)})
    assert place(two.model_copy(update={"appliance": appliance}), [0, 1, 2, 3]) == CorePlan(0, (2, 3), (0, 0))


def test_dimensions_are_plain_numbers() -> None:
    found = dataclasses.asdict(draw(configuration()).dimensions)
    assert found.pop("uneven") == ()
    assert all(isinstance(value, int) and value > 0 for value in found.values())


DUAL = """
appliance: {name: dual}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24, "2001:db8:1::10/64"], gateway6: "fe80::1"}
  - {name: nc1, driver: memory, addresses: ["2001:db8:2::10/48"]}
services:
  - {name: six, address: "[2001:db8:2::2]:80", monitor: {type: http}}
  - {name: far, address: "[2001:db9::2]:80"}
vservers:
  - {name: www, address: "[2001:db8:1::100]:80", protocol: HTTP, services: [six, far]}
"""


def test_ipv6_addresses_routes_and_services() -> None:
    blueprint = draw(parse(DUAL))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    arena = build(array, blueprint, epoch=1, secret=(1, 2), now=1)
    base = array.ctypes.data
    rows = {"2001:db8:1::10": (2, 0), "2001:db8:2::10": (2, 1), "2001:db8:1::100": (1, 0)}
    for text, (kind, nic) in rows.items():
        assert (address_kind(base, *words_of(text)), address_nic(base, *words_of(text))) == (kind, nic), text
    near, far, nowhere = (route_number(base, *words_of(a)) for a in ("2001:db8:2::2", "2001:db9::2", "8.8.8.8"))
    records = [view(Service, array, arena.services + n * size_of(Service)) for n in range(2)]
    assert [record.route for record in records] == [near, far]
    assert nowhere == NO_ROUTE
    gateway = view(Route, array, arena.routes + far * size_of(Route))
    assert (gateway.gateway_high, gateway.gateway_low) == words_of("fe80::1")
    assert (gateway.source_high, gateway.source_low) == words_of("2001:db8:1::10")
    assert array_text(array, arena, records[0].host, records[0].host_length) == "[2001:db8:2::2]:80"
    services = [row.service.address for row in read_rows(array, 0).services.values()]
    assert services == [service.address for service in parse(DUAL).services]


def array_text(array: Bytes, arena: Arena, offset: int, length: int) -> str:
    return array[arena.texts + offset : arena.texts + offset + length].tobytes().decode()


def test_static_routes_stand_between_networks_and_gateways() -> None:
    text = TEXT.replace(
        "gateway: 10.2.0.1}", 'gateway: 10.2.0.1, routes: ["192.0.2.0/25 via 10.2.0.7", "10.2.0.0/16 via 10.2.0.8"]}'
    )
    rows = routes_of(parse(text % (1, "64MiB", "core")))
    assert [row[0].prefixlen for row in rows] == [25, 24, 24, 16, 16, 0]
    assert [str(row[2]) for row in rows if row[2]] == ["10.2.0.7", "10.2.0.8", "10.2.0.1"]
    blueprint = draw(parse(text % (1, "64MiB", "core")))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    arena = build(array, blueprint, epoch=1, secret=(1, 2), now=1)
    far = view(Service, array, arena.services + 2 * size_of(Service))
    route = view(Route, array, arena.routes + far.route * size_of(Route))
    assert (route.gateway_high, route.gateway_low) == words_of("10.2.0.7")
    assert (route.source_high, route.source_low) == words_of("10.2.0.10")
