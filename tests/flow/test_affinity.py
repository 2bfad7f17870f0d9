"""Every packet of a flow goes to one engine, whatever happens to the set of engines; new flows see the new set."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.arena.frame import IN_TRANSIT, RECEIVED
from ncore_ray.flow.assignment import AssignmentError, spread
from ncore_ray.flow.distributor import (
    Algorithm,
    active_engines,
    distributor_view,
    forwarded_packets,
    live_flows,
    set_active_engines,
)
from ncore_ray.flow.explain import explain
from ncore_ray.flow.toeplitz import MICROSOFT_KEY, SYMMETRIC_KEY
from ncore_ray.lab.dry.arena import VIP, put, take_all
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.tables.own_address import AddressKind

engine_sets = st.sets(st.integers(0, 3), min_size=1).map(sorted)
flows = st.tuples(st.integers(1, 6), st.integers(1, 3))
actions = st.one_of(flows, engine_sets)


@settings(max_examples=60)
@given(st.sampled_from(Algorithm), st.lists(actions, max_size=60))
def test_affinity_while_engines_come_and_go(algorithm: Algorithm, walk: list[tuple[int, int] | list[int]]) -> None:
    appliance = make_appliance(algorithm=algorithm)
    array = appliance.arena.array
    known: dict[tuple[int, int], int | str] = {}
    for action in walk:
        if isinstance(action, list):
            set_active_engines(array, distributor_view(array), action)
            assert active_engines(array, distributor_view(array)) == action
            continue
        host, port = action
        flags = 16 if action in known else 2
        engine = appliance.send(tcp_packet(f"10.1.0.{host}", port, VIP, 80, flags))
        assert engine == known.setdefault(action, engine)
        if flags == 2:
            assert engine in active_engines(array, distributor_view(array))
    assert live_flows(array) == [Counter(known.values())[engine] for engine in range(4)]
    assert appliance.is_balanced()


@pytest.mark.parametrize("hash_key", [SYMMETRIC_KEY, MICROSOFT_KEY], ids=["symmetric", "microsoft"])
def test_symmetric_flow_has_one_entry_for_both_directions(hash_key: bytes) -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN, symmetric=True, hash_key=hash_key)
    other = "10.1.0.101"
    appliance.arena.add_address(other, AddressKind.VIP)
    for port in range(1, 13):
        appliance.arena.add_vserver(other, port)
        there, back = tcp_packet(VIP, 80, other, port, 2), tcp_packet(other, port, VIP, 80, 18)
        first, second = (there, back) if port % 2 else (tcp_packet(other, port, VIP, 80, 2), there)
        assert appliance.send(first) == appliance.send(second) == (port - 1) % 4
    assert appliance.counters()["flows_created"] == 12


@settings(max_examples=100)
@given(st.integers(1, 65535), st.integers(0, 255), st.integers(1, 254))
def test_symmetric_key_gives_both_directions_one_engine_without_a_flow(port: int, third: int, last: int) -> None:
    appliance = _WITHOUT_FLOWS
    other = f"10.1.{third}.{last}"
    there = explain(appliance.arena.array, other, port, VIP, 9, now=appliance.now)
    back = explain(appliance.arena.array, VIP, 9, VIP, port, now=appliance.now)
    again = explain(appliance.arena.array, VIP, port, VIP, 9, now=appliance.now)
    assert back.engine_hash == again.engine_hash
    assert there.engine == appliance.send(tcp_packet(other, port, VIP, 9, 16))


_WITHOUT_FLOWS = make_appliance()


def fill(appliance: Appliance, count: int) -> None:
    random.seed(5)
    for _ in range(count):
        source = f"10.3.{random.randrange(256)}.{random.randrange(1, 255)}"
        appliance.send(tcp_packet(source, random.randrange(1024, 65536), VIP, 80, 2))


@pytest.mark.parametrize(
    ("algorithm", "most"), [(Algorithm.LEAST_FLOWS, 1.01), (Algorithm.ROUND_ROBIN, 1.01), (Algorithm.HASH, 1.25)]
)
def test_new_flows_are_spread_evenly(algorithm: Algorithm, most: float) -> None:
    appliance = make_appliance(algorithm=algorithm, engines=8, flows=2000)
    fill(appliance, 2000)
    counts = live_flows(appliance.arena.array)
    assert sum(counts) >= 1990
    assert max(counts) / (sum(counts) / 8) <= most
    assert forwarded_packets(appliance.arena.array).sum() == 2000


def test_least_flows_fills_up_an_engine_that_comes_back() -> None:
    appliance = make_appliance(algorithm=Algorithm.LEAST_FLOWS)
    array = appliance.arena.array
    set_active_engines(array, distributor_view(array), [0, 1, 2])
    fill(appliance, 90)
    set_active_engines(array, distributor_view(array), [0, 1, 2, 3])
    for port in range(1, 31):
        assert appliance.send(tcp_packet("10.4.0.1", port, VIP, 80, 2)) == 3
    assert live_flows(array) == [30, 30, 30, 30]


@given(st.lists(engine_sets, min_size=1, max_size=8))
def test_indirection_table_is_even_and_changes_no_more_than_it_must(sets: list[list[int]]) -> None:
    table, before = [255] * 128, [255]
    for engines in sets:
        after = spread(table, engines)
        counts = Counter(after)
        assert sorted(counts) == engines
        assert max(counts.values()) - min(counts.values()) <= 1
        must = sum(max(0, counts[engine] - table.count(engine)) for engine in engines)
        assert sum(a != b for a, b in zip(table, after, strict=True)) == must
        table, before = after, engines
    assert before == sets[-1]


def test_engines_that_do_not_exist_are_refused() -> None:
    appliance = make_appliance()
    array = appliance.arena.array
    for engines in ([4], [-1], [1, 1]):
        with pytest.raises(AssignmentError):
            set_active_engines(array, distributor_view(array), engines)
    assert active_engines(array, distributor_view(array)) == [0, 1, 2, 3]


def test_batch_keeps_order_and_serves_all_nics() -> None:
    appliance = make_appliance()
    arena = appliance.arena
    sent = {
        nic: [arena.receive(nic, tcp_packet("10.1.0.7", 1, VIP, 80, 2 if i == 0 else 16)) for i in range(30)]
        for nic in (0, 1)
    }
    assert appliance.breathe() == 60
    got = [word for engine in range(4) for word in arena.take_engine(engine)]
    for nic in (0, 1):
        assert [word for word in got if word >> 52 & 0xFF == nic] == sent[nic]
    assert arena.inbound_ring(0).head == 30


def test_full_engine_ring_sends_frames_home() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    arena = appliance.arena
    packet = tcp_packet("10.1.0.7", 1, VIP, 80, 2)
    assert appliance.send(packet) == 0
    ring = arena.engine_ring(0)
    for word in range(ring.capacity - 1):
        put(ring, word)
    sent = [arena.receive(1, packet) for _ in range(3)]
    assert appliance.breathe() == 3
    assert take_all(ring)[-1] == sent[0]
    assert arena.take_home(1) == sent[1:]
    assert appliance.counters()["drop_engine_ring_full_packets"] == 2
    assert [arena.meta(word & 0xFFFFFFFF).owner for word in sent] == [RECEIVED + 1, IN_TRANSIT, IN_TRANSIT]
    assert appliance.is_balanced()


def test_sleeping_engine_is_woken_once_and_only_for_work() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    arena = appliance.arena
    for actor in (1, 2):
        arena.core(actor).asleep = 1
    for _ in range(3):
        arena.receive(0, tcp_packet("10.1.0.7", 1, VIP, 80, 2))
    appliance.breathe()
    assert (arena.core(1).asleep, arena.core(1).bell) == (0, 1)
    assert (arena.core(2).asleep, arena.core(2).bell) == (1, 0)
    assert arena.core(0).wakes_sent == 1
