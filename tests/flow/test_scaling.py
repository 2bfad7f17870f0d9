"""Engines that come and go, seen by the deciders: flows keep their engine, new ones see the new set."""

from __future__ import annotations

import pytest

from ncore_ray.flow.distributor import (
    Algorithm,
    DistributorPlan,
    counters_view,
    distributor_view,
    live_flows,
    slot_view,
)
from ncore_ray.flow.recount import Recount
from ncore_ray.flow.repair import add_flows
from ncore_ray.flow.scaling import (
    count_entries,
    distribute_by,
    engines_of_new_flows,
    give_new_flows_to,
    own_ports,
    share_sweep,
)
from ncore_ray.lab.dry.arena import SNIPS, VIP, make_arena
from ncore_ray.lab.dry.distributor import make_appliance
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.tables.port_owner import port_ranges
from ncore_ray.wire.tcp import ACK, SYN


def client(port: int, flags: int = SYN) -> bytes:
    return tcp_packet("10.1.0.2", port, VIP, 80, flags)


def test_only_those_that_are_there_get_flows() -> None:
    appliance = make_appliance(engines=4, active=1)
    array = appliance.arena.array
    assert engines_of_new_flows(array) == [0]
    assert {appliance.send(client(port)) for port in range(1000, 1064)} == {0}
    give_new_flows_to(array, range(4))
    assert {appliance.send(client(port)) for port in range(2000, 2064)} == {0, 1, 2, 3}


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_flows_keep_their_engine_and_new_ones_go_to_those_that_stay(algorithm: Algorithm) -> None:
    appliance = make_appliance(engines=4, algorithm=algorithm)
    array = appliance.arena.array
    had = {port: appliance.send(client(port)) for port in range(1000, 1064)}
    assert set(had.values()) == {0, 1, 2, 3}
    give_new_flows_to(array, [0, 1])
    for port, engine in had.items():
        assert appliance.send(client(port, ACK)) == engine
    assert {appliance.send(client(port)) for port in range(2000, 2064)} == {0, 1}
    assert [count_entries(array, engine) for engine in range(4)] == live_flows(array)


@pytest.mark.parametrize("working", [[0], [0, 1], [0, 2, 3], [0, 1, 2, 3]])
def test_those_that_work_look_after_the_whole_table(working: list[int]) -> None:
    arena = make_arena(engines=4, plan=DistributorPlan(engines=4, deciders=4, decides_itself=True, active=2))
    deciders = [distributor_view(arena.array, number) for number in range(4)]
    arena.header.decider_count = 4
    share_sweep(arena.array, working)
    swept = sorted(
        bucket for number in working for bucket in range(deciders[number].sweep_first, deciders[number].sweep_end)
    )
    assert swept == list(range(deciders[0].flow_bucket_count))
    assert all(one.sweep_first == one.sweep_end for one in deciders if one.number not in working)


def test_at_the_start_too() -> None:
    arena = make_arena(engines=4, plan=DistributorPlan(engines=4, deciders=4, decides_itself=True, active=2))
    deciders = [distributor_view(arena.array, number) for number in range(4)]
    count = deciders[0].flow_bucket_count
    assert [(one.sweep_first, one.sweep_end) for one in deciders] == [
        (0, count // 2),
        (count // 2, count),
        (count, count),
        (count, count),
    ]


def test_another_algorithm_for_new_flows() -> None:
    appliance = make_appliance(engines=2)
    array = appliance.arena.array
    assert distribute_by(array, Algorithm.WEIGHTED, [1, 3])
    assert not distribute_by(array, Algorithm.WEIGHTED, [1, 3])
    given = [appliance.send(client(port)) for port in range(1000, 1040)]
    assert (given.count(0), given.count(1)) == (10, 30)
    assert distribute_by(array, Algorithm.ROUND_ROBIN, [])
    assert [slot_view(array, engine).weight for engine in range(2)] == [1, 1]
    turns = [appliance.send(client(port)) for port in range(2000, 2004)]
    assert turns[0] != turns[1]
    assert turns[:2] == turns[2:]


def test_ports_of_an_engine_that_rests_are_nobodys() -> None:
    appliance = make_appliance(engines=2)
    array, (first, _) = appliance.arena.array, port_ranges(2)[1]
    answer = tcp_packet("10.2.0.2", 80, SNIPS[1], first, ACK)
    assert appliance.send(answer) == 1
    own_ports(array, 1, owned=False)
    give_new_flows_to(array, [0])
    assert appliance.send(answer) == 0
    own_ports(array, 1, owned=True)
    assert appliance.send(answer) == 1


def test_a_count_that_is_off_is_put_right_when_nothing_changes() -> None:
    appliance = make_appliance(engines=2)
    array = appliance.arena.array
    for port in range(1000, 1020):
        appliance.send(client(port))
    right = live_flows(array)
    recount = Recount(array)
    add_flows(appliance.arena.base, 0, 1)
    add_flows(appliance.arena.base, 1, -1)
    assert recount.look() == 0
    appliance.send(client(3000))  # something has changed: nobody knows what was off
    assert recount.look() == 0
    assert recount.look() == 2
    assert sum(live_flows(array)) == sum(right) + 1
    assert [count_entries(array, engine) for engine in range(2)] == live_flows(array)
    assert recount.look() == 0
    assert counters_view(array).flows_created == 21
