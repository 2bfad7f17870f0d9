"""What vServers of protocol ANY forward: questions of ICMP are flows, other protocols go to one engine, both ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncore_ray.flow.distributor import Algorithm, distributor_view, set_active_engines
from ncore_ray.flow.explain import explain, flow_text, list_flows
from ncore_ray.flow.records import Drop, Rule
from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import ethernet, icmp, ipv4, tcp_packet, udp_packet
from ncore_ray.machine.record import view
from ncore_ray.tables.port_owner import port_ranges
from ncore_ray.tables.service import VserverProtocol
from ncore_ray.tables.settings import Settings

CLIENT = "10.1.0.7"
SERVER = "10.2.0.2"


def any_appliance(**fields: object) -> Appliance:
    appliance = make_appliance(**fields)  # type: ignore[arg-type]
    appliance.arena.add_vserver(VIP, 0, VserverProtocol.ANY)
    view(Settings, appliance.arena.array, appliance.arena.header.settings).any_vservers = 1
    return appliance


def ping(identifier: int, kind: int = 8, source: str = CLIENT, destination: str = VIP) -> bytes:
    return ethernet(ipv4(source, destination, 1, icmp(kind, 0, identifier.to_bytes(2, "big") + b"\0\1data")))


def test_questions_are_flows_by_their_identifier() -> None:
    appliance = any_appliance(algorithm=Algorithm.ROUND_ROBIN)
    assert [appliance.send(ping(i // 2)) for i in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [appliance.send(ping(i, 13)) for i in range(4)] == [0, 1, 2, 3]
    assert appliance.counters()["flows_created"] == 4
    set_active_engines(appliance.arena.array, distributor_view(appliance.arena.array), [0])
    assert [appliance.send(ping(i)) for i in range(4)] == [0, 1, 2, 3]  # a flow keeps its engine
    rows = list_flows(appliance.arena.array, appliance.now)
    assert sorted(flow_text(row) for row in rows) == [f"icmp {CLIENT}:{i} → {VIP}:0" for i in range(4)]


def test_answers_go_to_the_owner_of_their_identifier() -> None:
    appliance = any_appliance()
    for engine, (first, count) in enumerate(port_ranges(4)):
        for identifier in (first, first + count - 1):
            assert appliance.send(ping(identifier, 0, SERVER, SNIPS[1]), nic=1) == engine
    assert appliance.counters()["flows_created"] == 0


def test_pings_to_other_own_addresses_make_no_flow() -> None:
    appliance = any_appliance()
    assert len({appliance.send(ping(i, destination=SNIPS[0])) for i in range(20)}) == 1
    assert appliance.counters()["flows_created"] == 0


def test_both_directions_of_another_protocol_meet() -> None:
    appliance = any_appliance()
    engines = set()
    for protocol in (47, 50, 89, 103, 132, 136):
        there = [appliance.send(ethernet(ipv4(f"10.1.0.{k}", VIP, protocol, b"x" * 20))) for k in range(2, 9)]
        back = [appliance.send(ethernet(ipv4(f"10.2.0.{k}", SNIPS[1], protocol, b"x")), nic=1) for k in range(2, 9)]
        assert len({*there, *back}) == 1
        engines.add(there[0])
    assert len(engines) > 1
    assert appliance.counters()["flows_created"] == 0


@pytest.mark.parametrize("protocol", [1, 47])
def test_fragments_follow_the_first(protocol: int) -> None:
    appliance = any_appliance(algorithm=Algorithm.ROUND_ROBIN)
    body = icmp(8, 0, bytes(100)) if protocol == 1 else bytes(100)
    cut = [(0, body[:40], True), (40, body[40:80], True), (80, body[80:], False)]
    packets = [
        ethernet(ipv4(CLIENT, VIP, protocol, part, identification=5, offset=at, more=more)) for at, part, more in cut
    ]
    assert appliance.send(packets[2]) == "drop_flow_unknown_fragment_packets"
    first = appliance.send(packets[0])
    assert [appliance.send(packet) for packet in packets[1:]] == [first, first]


def test_without_such_a_vserver_other_protocols_are_dropped() -> None:
    appliance = make_appliance()
    for destination in (VIP, *SNIPS):
        assert appliance.send(ethernet(ipv4(CLIENT, destination, 47, b"x"))) == "drop_flow_other_protocol_packets"


def test_datagrams_to_any_port_are_flows_and_segments_are_not() -> None:
    appliance = any_appliance(algorithm=Algorithm.ROUND_ROBIN)
    assert [appliance.send(udp_packet(CLIENT, 1 + i // 2, VIP, 5_000)) for i in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    appliance.send(tcp_packet(CLIENT, 1, VIP, 0))
    appliance.send(tcp_packet(CLIENT, 1, VIP, 81))
    assert appliance.counters()["flows_created"] == 4


@pytest.mark.parametrize("protocol", ["icmp", "47", "udp"])
def test_explanation_is_what_happens(protocol: str) -> None:
    appliance = any_appliance(algorithm=Algorithm.ROUND_ROBIN)
    packets: dict[str, Callable[[int], bytes]] = {
        "icmp": ping,
        "47": lambda _: ethernet(ipv4(CLIENT, VIP, 47, b"x" * 9)),
        "udp": lambda port: udp_packet(CLIENT, port, VIP, 0),
    }
    for port in range(1, 9):
        told = explain(appliance.arena.array, CLIENT, port, VIP, 0, protocol, now=appliance.now)
        assert told.rule == (Rule.PROTOCOL if protocol == "47" else Rule.ASSIGNED)
        assert appliance.send(packets[protocol](port)) == told.engine
    text = str(explain(appliance.arena.array, CLIENT, 1, VIP, 0, "47", now=appliance.now))
    assert text.startswith(f"47 {CLIENT}:1 → {VIP}:0: engine ")
    assert "which has all packets of this protocol" in text
    nobody = explain(make_appliance().arena.array, CLIENT, 1, VIP, 0, "47")
    assert nobody.cause == Drop.OTHER_PROTOCOL
