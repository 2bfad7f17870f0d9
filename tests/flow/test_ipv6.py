"""Where packets of IPv6 go: clients, answers, neighbours, errors and fragments; and text forms."""

from __future__ import annotations

import pytest

from ncore_ray.flow.explain import ExplainError, explain, flow_text, list_flows
from ncore_ray.flow.records import Algorithm
from ncore_ray.lab.dry.arena import VIP
from ncore_ray.lab.dry.packets import (
    MAC_A,
    advertisement,
    ethernet,
    fragment6,
    icmpv6,
    ip_frame,
    ipv6,
    solicitation,
    tcp,
    tcp_packet,
    udp,
    udp_packet,
)
from ncore_ray.tables.port_owner import port_ranges
from ncore_ray.tables.service import VserverProtocol
from tests.flow.ipv6 import CLIENT6, SNIPS6, VIP6, with_ipv6

SYN, ACK = 2, 16


def test_flow_keeps_its_engine() -> None:
    appliance = with_ipv6(algorithm=Algorithm.ROUND_ROBIN)
    engines = [appliance.send(tcp_packet(CLIENT6, 1 + i, VIP6, 80, SYN)) for i in range(8)]
    assert engines == [0, 1, 2, 3] * 2
    assert [appliance.send(tcp_packet(CLIENT6, 1 + i, VIP6, 80, ACK)) for i in range(8)] == engines
    assert appliance.counters()["flows_created"] == 8


def test_a_batch_is_guessed_at() -> None:
    """Addresses that differ in their upper halves only are different flows, though the guess looks at the lower."""
    appliance = with_ipv6(algorithm=Algorithm.ROUND_ROBIN)
    sources = [f"2001:db8:{i:x}::7" for i in range(12)]
    for round_ in range(2):
        for source in sources:
            appliance.arena.receive(0, tcp_packet(source, 99, VIP6, 80, SYN if round_ == 0 else ACK))
        assert appliance.breathe() == 12
    assert appliance.counters()["flows_created"] == 12
    assert [len(appliance.arena.take_engine(engine)) for engine in range(4)] == [6] * 4


def test_servers_answer_goes_to_the_owner_of_its_port() -> None:
    appliance = with_ipv6()
    for engine, (first, count) in enumerate(port_ranges(4)):
        for port in (first, first + count - 1):
            assert appliance.send(tcp_packet("2001:db8:2::2", 80, SNIPS6[1], port, ACK), nic=1) == engine
            assert appliance.send(udp_packet("2001:db8:2::2", 80, SNIPS6[1], port), nic=1) == engine


def test_neighbours() -> None:
    appliance = with_ipv6()
    engines = set()
    for host in range(1, 60):
        sender = f"2001:db8::{host:x}"
        packets = [solicitation(sender, VIP6, MAC_A), solicitation(sender, VIP6, MAC_A, destination=VIP6)]
        packets.append(advertisement(sender, sender, MAC_A, SNIPS6[0], 0x60))
        went = {appliance.send(packet) for packet in packets}
        assert len(went) == 1
        engines |= went
    assert engines == {0, 1, 2, 3}
    assert appliance.send(solicitation(CLIENT6, "2001:db8::77", MAC_A)) == "drop_flow_not_for_us_packets"
    assert isinstance(appliance.send(solicitation("::", VIP6, None)), int)


def test_echo_goes_by_addresses() -> None:
    appliance = with_ipv6()
    for own in (VIP6, *SNIPS6):
        bodies = [icmpv6(CLIENT6, own, 128, 0, bytes(n)) for n in range(4, 30)]
        went = {appliance.send(ip_frame(CLIENT6, own, 58, body)) for body in bodies}
        assert len(went) == 1
        assert isinstance(went.pop(), int)


def test_error_follows_the_packet_that_it_quotes() -> None:
    appliance = with_ipv6(algorithm=Algorithm.ROUND_ROBIN)
    for i in range(4):
        engine = appliance.send(tcp_packet(CLIENT6, 1 + i, VIP6, 80, SYN))
        quoted = ipv6(VIP6, CLIENT6, 6, tcp(VIP6, 80, CLIENT6, 1 + i, ACK))
        body = icmpv6("2001:db8::1", VIP6, 2, 0, bytes(4) + quoted)
        assert appliance.send(ip_frame("2001:db8::1", VIP6, 58, body)) == engine
    first, _ = port_ranges(4)[2]
    quoted = ipv6(SNIPS6[1], "2001:db8:2::2", 17, udp(SNIPS6[1], first, "2001:db8:2::2", 53))
    body = icmpv6("2001:db8:2::2", SNIPS6[1], 1, 4, bytes(4) + quoted)
    assert appliance.send(ip_frame("2001:db8:2::2", SNIPS6[1], 58, body), nic=1) == 2


@pytest.mark.parametrize(
    "quoted",
    [
        ipv6(VIP6, CLIENT6, 6, tcp(VIP6, 80, CLIENT6, 999, ACK)),
        ipv6("2001:db8::77", CLIENT6, 6, tcp(VIP6, 80, CLIENT6, 1, ACK)),
        ipv6(VIP6, CLIENT6, 58, bytes(20)),
        ipv6(VIP6, CLIENT6, 6, bytes(7)),
    ],
)
def test_error_about_what_nobody_sent(quoted: bytes) -> None:
    body = icmpv6("2001:db8::1", VIP6, 1, 0, bytes(4) + quoted)
    assert with_ipv6().send(ip_frame("2001:db8::1", VIP6, 58, body)) == "drop_flow_unrelated_icmp_packets"


def test_later_fragments_follow_the_first() -> None:
    appliance = with_ipv6(algorithm=Algorithm.ROUND_ROBIN)
    appliance.arena.add_vserver(VIP6, 53, VserverProtocol.UDP)
    for number in range(4):
        body = udp(CLIENT6, 1 + number, VIP6, 53, bytes(100))
        first = ip_frame(CLIENT6, VIP6, 44, fragment6(17, 7 + number, 0, True, body[:64]))
        later = ip_frame(CLIENT6, VIP6, 44, fragment6(60, 7 + number, 64, False, body[64:]))
        assert appliance.send(later) == "drop_flow_unknown_fragment_packets"
        assert appliance.send(first) == number == appliance.send(later)


@pytest.mark.parametrize(
    ("packet", "cause"),
    [
        (tcp_packet("ff02::1", 1, VIP6, 80), "bad_source"),
        (tcp_packet("::", 1, VIP6, 80), "bad_source"),
        (tcp_packet(CLIENT6, 1, "ff02::1", 80), "not_for_us"),
        (ip_frame(CLIENT6, VIP6, 6, bytes(20))[:53], "truncated"),
        (ip_frame(CLIENT6, VIP6, 132, bytes(20)), "other_protocol"),
        (ip_frame(CLIENT6, VIP6, 43, bytes([6, 0, 4, 1]) + bytes(24)), "bad_header"),
        (ip_frame(CLIENT6, VIP6, 60, bytes([6, 0, 0x81, 0]) + bytes(24)), "bad_header"),
    ],
)
def test_drops(packet: bytes, cause: str) -> None:
    assert with_ipv6().send(packet) == f"drop_flow_{cause}_packets"


def test_explain_and_list() -> None:
    appliance = with_ipv6()
    array = appliance.arena.array
    foreseen = explain(array, CLIENT6, 4711, VIP6, 80, now=appliance.now)
    assert str(foreseen).startswith("tcp [2001:db8::7]:4711 → [2001:db8::100]:80: engine ")
    assert appliance.send(tcp_packet(CLIENT6, 4711, VIP6, 80, SYN)) == foreseen.engine
    (row,) = list_flows(array, appliance.now)
    assert flow_text(row) == "tcp [2001:db8::7]:4711 → [2001:db8::100]:80"
    with pytest.raises(ExplainError, match="two families"):
        explain(array, CLIENT6, 1, VIP, 80)


@pytest.mark.parametrize("group", ["ff02::1", "ff02::1:ff00:100"])
def test_a_routers_question_goes_to_the_engine_that_reports(group: str) -> None:
    appliance = with_ipv6()
    body = icmpv6("fe80::1", group, 130, 0, bytes(24))
    alert = bytes.fromhex("3a00050200000100")
    assert appliance.send(ethernet(ipv6("fe80::1", group, 0, alert + body, hop_limit=1), 0x86DD)) == 0
    report = icmpv6("fe80::1", group, 131, 0, bytes(20))
    assert appliance.send(ethernet(ipv6("fe80::1", group, 0, alert + report), 0x86DD)) == "drop_flow_not_for_us_packets"
