"""Which engines run which VIPs or serve which NICs, by the configuration or even by number."""

from __future__ import annotations

from collections import Counter

import pytest

from ncore_ray.blueprint.build import draw
from ncore_ray.blueprint.parallelism import (
    application_engines,
    engine_sets,
    has_links,
    has_transactions,
    nic_towards,
    shared_out,
)
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration
from ncore_ray.engine.transaction.turn import TURN_SIZE

TEXT = """
appliance: {name: edge, engines: %d}
distribution: {parallelism: %s}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24]}
  - {name: nc1, driver: memory, addresses: [10.2.0.10/24], gateway: 10.2.0.1}
  - {name: nc2, driver: memory, addresses: [10.3.0.10/24]}
services:
  - {name: web1, address: "10.2.0.2:80"}
vservers:
  - {name: a, address: "10.1.0.100:80", protocol: HTTP, services: [web1]}
  - {name: b, address: "10.1.0.100:81", protocol: HTTP, services: [web1]}
  - {name: c, address: "10.1.0.101:80", protocol: HTTP, services: [web1]}
  - {name: d, address: "10.1.0.102:80", protocol: HTTP, services: [web1]}
"""


def sets(engines: int, parallelism: str, change: str = "", to: str = "") -> list[list[int]]:
    text = TEXT % (engines, parallelism)
    assert change in text
    masks = engine_sets(parse(text.replace(change, to) if change else text), 0)
    return [[engine for engine in range(engines) if mask >> engine & 1] for mask in masks]


@pytest.mark.parametrize("things", range(1, 12))
@pytest.mark.parametrize("engines", [1, 2, 3, 8, 64])
def test_shared_out_even_by_number(things: int, engines: int) -> None:
    shares = shared_out(things, engines)
    each = [len(share) for share in shares]
    work = Counter(engine for share in shares for engine in share)
    assert len(shares) == things
    assert set(work) == set(range(engines)) if things <= engines else set(work) <= set(range(engines))
    assert max(each) - min(each) <= 1
    assert max(work.values()) - min(work.values()) <= 1
    assert len(work) == min(engines, max(things, engines))


def test_flows_have_no_sets() -> None:
    assert sets(4, "flow") == []


def test_vips_in_turn_with_all_their_ports() -> None:
    assert sets(2, "vip") == [[0], [0], [1], [0]]
    assert sets(3, "vip") == [[0], [0], [1], [2]]
    assert sets(5, "vip") == [[0, 3], [0, 3], [1, 4], [2]]


def test_vips_as_configured() -> None:
    own = '.100:81", engines: [3, 1]'
    assert sets(4, "vip", '.100:81"', own) == [[0, 3], [1, 3], [1], [2]]


def test_nics_in_turn_or_as_configured() -> None:
    assert sets(2, "nic") == [[0], [1], [0]]
    assert sets(6, "nic") == [[0, 3], [1, 4], [2, 5]]
    assert sets(6, "nic", "[10.1.0.10/24]", "[10.1.0.10/24], engines: [5]") == [[5], [0, 2, 4], [1, 3, 5]]


def test_nic_that_an_address_comes_in_on() -> None:
    configuration = parse(TEXT % (2, "nic"))
    assert [nic_towards(configuration, source) for source in ("10.3.0.9", "10.1.0.9", "192.0.2.1", "?")] == [2, 0, 1, 0]


def functional(functions: str, engines: int = 4) -> Configuration:
    return parse(TEXT.replace("%s}", f"functional, functions: {functions}}}") % engines)


def test_engines_that_clients_reach_and_those_that_serve_them() -> None:
    configuration = functional("[transport, both, application, application]")
    assert engine_sets(configuration, 4) == (0b0011,) * 4
    assert [application_engines(configuration, vserver) for vserver in configuration.vservers] == [0b1110] * 4
    assert engine_sets(functional("auto"), 4) == (0b0001,) * 4
    assert application_engines(functional("auto"), configuration.vservers[0]) == 0b1110
    assert application_engines(functional("auto", 1), configuration.vservers[0]) == 0b1


def test_key_chooses_among_the_engines_of_its_vip() -> None:
    configuration = parse(TEXT.replace('.102:80", ', '.102:80", engines: [1, 2], key: {cookie: a}, ') % (4, "vip"))
    assert application_engines(configuration, configuration.vservers[3]) == 0b0110


def test_engines_are_linked_only_where_that_is_asked_for() -> None:
    keyed = TEXT.replace('.102:80", ', '.102:80", key: {header: a}, ')
    assert [has_links(parse(keyed % (engines, "flow"))) for engines in (1, 2)] == [False, True]
    assert [has_links(parse(TEXT % (engines, "functional"))) for engines in (1, 2)] == [False, True]
    assert not has_links(parse(TEXT % (4, "flow")))


@pytest.mark.parametrize("engines", [2, 3, 8, 64])
@pytest.mark.parametrize("parallelism", ["flow", "functional"])
def test_links_fit_into_the_arena(engines: int, parallelism: str) -> None:
    keyed = TEXT.replace('.102:80", ', '.102:80", key: {header: a}, ') % (engines, parallelism)
    configuration = parse(keyed.replace("edge,", "edge, arena: 512MiB,"))
    blueprint = draw(configuration)
    assert blueprint.size <= configuration.appliance.arena
    assert blueprint.links is not None
    plan, _ = blueprint.links
    assert plan.halves >= blueprint.dimensions.connections - 1
    assert plan.home_capacity >= blueprint.dimensions.engine_frames
    assert {plan.pair(a, b) for a in range(engines) for b in range(engines) if a != b} == set(range(plan.pairs))


@pytest.mark.parametrize("engines", [2, 3, 8, 64])
def test_links_for_transactions_fit_into_the_arena(engines: int) -> None:
    shared = TEXT.replace('.102:80", ', '.102:80", unit: transaction, ') % (engines, "flow")
    configuration = parse(shared.replace("edge,", "edge, arena: 512MiB,"))
    blueprint = draw(configuration)
    assert blueprint.size <= configuration.appliance.arena
    assert blueprint.links is not None
    plan, _ = blueprint.links
    assert {plan.pair(a, b) for a in range(engines) for b in range(engines)} == set(range(plan.pairs))
    assert blueprint.layout.spans["engine.0.turns"].size >= blueprint.dimensions.connections * TURN_SIZE


def test_transactions_of_one_engine_need_no_links() -> None:
    shared = TEXT.replace('.102:80", ', '.102:80", unit: transaction, ')
    assert [has_transactions(parse(shared % (engines, "vip"))) for engines in (1, 2)] == [False, True]
    assert [has_links(parse(shared % (engines, "vip"))) for engines in (1, 2)] == [False, True]


def test_without_links_nothing_is_reserved_for_them() -> None:
    blueprint = draw(parse(TEXT % (4, "flow")))
    assert blueprint.links is None
    assert not {"message_rings", "home_rings", "engine.0.links", "engine.0.halves"} & set(blueprint.layout.spans)
