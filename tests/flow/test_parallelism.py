"""Engines share out flows, VIPs or NICs; whichever it is, a flow stays on its engine."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from ncore_ray.flow.distributor import (
    Algorithm,
    DistributorPlan,
    Parallelism,
    distributor_view,
    live_flows,
    set_active_engines,
)
from ncore_ray.flow.explain import explain
from ncore_ray.flow.records import Rule
from ncore_ray.flow.scaling import share_things
from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import MAC_A, arp, ethernet, icmp, ipv4, tcp_packet, udp_packet
from ncore_ray.tables.port_owner import port_ranges
from ncore_ray.tables.service import VserverProtocol

SYN, ACK = 2, 16
CLIENT = "10.1.0.7"
PORTS = (80, 443, 8080)
SETS = (0b0011, 0b0100, 0b1010)
"""Engines of the vServers on `PORTS`, or of NIC 0, 1 and (not there) 2."""


def by_vip(**options: Any) -> Appliance:
    return make_appliance(PORTS, parallelism=Parallelism.VIP, engine_sets=SETS, **options)


def by_nic(**options: Any) -> Appliance:
    return make_appliance(PORTS, parallelism=Parallelism.NIC, engine_sets=SETS[:2], **options)


def members(engines: int) -> set[int]:
    return {engine for engine in range(64) if engines >> engine & 1}


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_vserver_has_its_engines_and_no_other(algorithm: Algorithm) -> None:
    appliance = by_vip(algorithm=algorithm)
    for port, engines in zip(PORTS, SETS, strict=True):
        packets = [tcp_packet(CLIENT, 1000 + number, VIP, port, SYN) for number in range(40)]
        went = [appliance.send(packet, nic=number % 2) for number, packet in enumerate(packets)]
        assert set(went) == members(engines)
        again = [tcp_packet(CLIENT, 1000 + number, VIP, port, ACK) for number in range(40)]
        assert [appliance.send(packet) for packet in again] == went
    assert sum(live_flows(appliance.arena.array)) == 120


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_nic_has_its_engines_and_no_other(algorithm: Algorithm) -> None:
    appliance = by_nic(algorithm=algorithm)
    for nic in (0, 1):
        packets = [tcp_packet(CLIENT, 1000 * nic + 1 + number, VIP, 80, SYN) for number in range(40)]
        assert {appliance.send(packet, nic=nic) for packet in packets} == members(SETS[nic])


@pytest.mark.parametrize("make", [make_appliance, by_vip, by_nic], ids=["flow", "vip", "nic"])
def test_first_and_third_packet_on_different_nics_go_to_one_engine(make: Any) -> None:
    appliance = make(algorithm=Algorithm.ROUND_ROBIN)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    for port in range(1000, 1030):
        for first in (0, 1):
            source = port + 1000 * first
            engine = appliance.send(tcp_packet(CLIENT, source, VIP, 80, SYN), nic=first)
            assert appliance.send(tcp_packet(CLIENT, source, VIP, 80, ACK), nic=first) == engine
            assert appliance.send(tcp_packet(CLIENT, source, VIP, 80, ACK), nic=1 - first) == engine
            quoted = ipv4(VIP, CLIENT, 6, tcp_packet(VIP, 80, CLIENT, source, ACK)[34:])[:28]
            error = ethernet(ipv4("10.1.0.1", VIP, 1, icmp(3, 0, bytes(4) + quoted)))
            assert appliance.send(error, nic=1 - first) == engine


@pytest.mark.parametrize("make", [by_vip, by_nic], ids=["vip", "nic"])
def test_answers_of_servers_go_by_port_whatever_the_nic(make: Any) -> None:
    appliance = make()
    for engine, (first, _) in enumerate(port_ranges(4)):
        for build in (tcp_packet, udp_packet):
            for nic in (0, 1):
                assert appliance.send(build("10.2.0.2", 80, SNIPS[1], first), nic=nic) == engine


def test_turns_of_vips_do_not_disturb_each_other() -> None:
    """Round robin of one VIP is exact while flows to others come in between."""
    appliance = by_vip(algorithm=Algorithm.ROUND_ROBIN)
    went = {port: Counter[int | str]() for port in PORTS}
    for number in range(60):
        for port in PORTS:
            went[port][appliance.send(tcp_packet(CLIENT, 1 + number, VIP, port, SYN))] += 1
    assert went == {80: {0: 30, 1: 30}, 443: {2: 60}, 8080: {1: 30, 3: 30}}


def test_segments_without_a_flow_go_to_an_engine_of_the_vip() -> None:
    appliance = by_vip()
    for port, engines in zip(PORTS, SETS, strict=True):
        went = {appliance.send(tcp_packet(CLIENT, number, VIP, port, ACK)) for number in range(1, 40)}
        assert went == members(engines)
    assert appliance.counters()["flows_created"] == 0


def test_what_has_no_vip_goes_by_hash_or_by_nic() -> None:
    packets = [ethernet(arp(1, MAC_A, f"10.1.0.{host}", 0, VIP), 0x0806) for host in range(1, 60)]
    packets += [ethernet(ipv4(f"10.1.0.{host}", VIP, 1, icmp(8, 0, bytes(8)))) for host in range(1, 60)]
    packets += [tcp_packet(CLIENT, port, VIP, 9, SYN) for port in range(1, 60)]
    vip, nic = by_vip(), by_nic()
    assert {vip.send(packet) for packet in packets} == {0, 1, 2, 3}
    assert {nic.send(packet) for packet in packets} == members(SETS[0])
    assert {nic.send(packet, nic=1) for packet in packets} == members(SETS[1])


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_vip_outlives_its_engines(algorithm: Algorithm) -> None:
    appliance = by_vip(algorithm=algorithm)
    array = appliance.arena.array

    def sent(first: int) -> set[int | str]:
        return {appliance.send(tcp_packet(CLIENT, first + number, VIP, 443, SYN)) for number in range(40)}

    set_active_engines(array, distributor_view(array), [0, 1, 3])
    assert sent(100) == {0, 1, 3}
    set_active_engines(array, distributor_view(array), [0, 1, 2, 3])
    assert sent(200) == {2}
    set_active_engines(array, distributor_view(array), [])
    assert sent(300) == {"drop_flow_no_engine_packets"}


def test_a_vip_that_gets_other_engines_keeps_its_flows() -> None:
    appliance = by_vip()
    old = [tcp_packet(CLIENT, 500 + number, VIP, 443, SYN) for number in range(20)]
    assert {appliance.send(packet) for packet in old} == {2}
    assert share_things(appliance.arena.array, {1: 0b1001})
    assert not share_things(appliance.arena.array, {1: 0b1001, 99: 1})
    assert {appliance.send(tcp_packet(CLIENT, 600 + number, VIP, 443, SYN)) for number in range(40)} == {0, 3}
    assert {appliance.send(packet) for packet in old} == {2}


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("make", [by_vip, by_nic], ids=["vip", "nic"])
def test_explanation_is_what_happens_and_changes_nothing(make: Any, algorithm: Algorithm) -> None:
    appliance = make(algorithm=algorithm)
    array = appliance.arena.array
    for number in range(12):
        port, nic, source = PORTS[number % 3], number % 2, 1000 + number
        before = appliance.arena.snapshot()
        told = explain(array, CLIENT, source, VIP, port, now=appliance.now, nic=nic)
        assert appliance.arena.snapshot() == before
        assert told.rule == Rule.ASSIGNED
        assert appliance.send(tcp_packet(CLIENT, source, VIP, port), nic=nic) == told.engine
        assert "among the engines of its " in str(told)


def test_one_hot_vip_is_spread_by_flow_and_not_by_vip() -> None:
    """Nine of ten flows are for one VIP of four, on four engines."""
    seed = 20261125
    uneven = {}
    for parallelism in (Parallelism.FLOW, Parallelism.VIP):
        sets = tuple(1 << number for number in range(4))
        appliance = make_appliance((80, 81, 82, 83), parallelism=parallelism, engine_sets=sets, flows=1000)
        chance = random.Random(seed)
        for number in range(1000):
            port = 80 if number % 10 else 81 + number // 10 % 3
            client = (f"10.3.{number >> 8}.{number & 255}", chance.randrange(1024, 65536))
            appliance.send(tcp_packet(*client, VIP, port, SYN))
        counts = live_flows(appliance.arena.array)
        uneven[parallelism] = max(counts) * 4 / sum(counts)
    print(f"seed {seed}", {parallelism.name: round(value, 3) for parallelism, value in uneven.items()})
    assert uneven[Parallelism.VIP] >= 2 * uneven[Parallelism.FLOW]


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_set_has_a_bit_for_the_last_of_64_engines(algorithm: Algorithm) -> None:
    sets = ((1 << 64) - 1, 1 << 63 | 1, 1 << 63)
    appliance = make_appliance(
        PORTS, engines=64, algorithm=algorithm, parallelism=Parallelism.VIP, engine_sets=sets, flows=1024
    )
    chance = random.Random(20261128)
    for port, engines, most in zip(PORTS, sets, (64, 2, 1), strict=True):
        packets = [tcp_packet(CLIENT, source, VIP, port, SYN) for source in chance.sample(range(1, 65536), 200)]
        went = {appliance.send(packet) for packet in packets}
        assert went <= members(engines)
        assert len(went) > most * 0.7


def test_sets_of_engines_that_do_not_exist_are_refused() -> None:
    for wrong in (0, 1 << 4, -1):
        with pytest.raises(ValueError, match="set"):
            DistributorPlan(engines=4, parallelism=Parallelism.VIP, engine_sets=(1, wrong))
