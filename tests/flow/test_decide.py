"""One kind of packet after the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncore_ray.flow.distributor import Algorithm, counters_view, distributor_view, live_flows, set_active_engines
from ncore_ray.flow.key import FlowKeyError, fields_of
from ncore_ray.flow.records import Fragment
from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import MAC_A, arp, ethernet, icmp, ipv4, tcp, tcp_packet, udp, udp_packet
from ncore_ray.machine.record import table
from ncore_ray.tables.port_owner import port_ranges
from ncore_ray.tables.service import VserverProtocol

SYN, ACK, FIN, RST = 2, 16, 1, 4
CLIENT = "10.1.0.7"
SECOND = 1_000_000


def open_flow(appliance: Appliance, port: int) -> int:
    engine = appliance.send(tcp_packet(CLIENT, port, VIP, 80, SYN))
    assert isinstance(engine, int)
    assert appliance.send(tcp_packet(CLIENT, port, VIP, 80, ACK)) == engine
    return engine


def icmp_error(kind: int, quoted: bytes, source: str = "10.1.0.1", destination: str = VIP) -> bytes:
    return ethernet(ipv4(source, destination, 1, icmp(kind, 0, bytes(4) + quoted)))


def test_syn_makes_an_entry_and_later_packets_follow_it() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    engines = [open_flow(appliance, 1000 + i) for i in range(8)]
    assert engines == [0, 1, 2, 3, 0, 1, 2, 3]
    assert live_flows(appliance.arena.array) == [2, 2, 2, 2]
    assert appliance.counters()["flows_created"] == 8


def test_segment_without_a_flow_makes_no_entry() -> None:
    appliance = make_appliance()
    for flags in (ACK, FIN, RST, SYN | ACK, 0, SYN | RST, SYN | FIN):
        assert isinstance(appliance.send(tcp_packet(CLIENT, 1, VIP, 80, flags)), int)
    assert appliance.counters()["flows_created"] == 0


def test_port_without_a_vserver_makes_no_entry() -> None:
    appliance = make_appliance()
    assert isinstance(appliance.send(tcp_packet(CLIENT, 1, VIP, 81, SYN)), int)
    assert isinstance(appliance.send(udp_packet(CLIENT, 1, VIP, 80)), int)
    assert appliance.counters()["flows_created"] == 0


def test_udp_makes_an_entry() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    engines = [appliance.send(udp_packet(CLIENT, 1 + i // 2, VIP, 53)) for i in range(8)]
    assert engines == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("build", [tcp_packet, udp_packet])
def test_servers_answer_goes_to_the_owner_of_its_port(build: Callable[[str, int, str, int], bytes]) -> None:
    appliance = make_appliance()
    for engine, (first, count) in enumerate(port_ranges(4)):
        for port in (first, first + count // 2, first + count - 1):
            assert appliance.send(build("10.2.0.2", 80, SNIPS[1], port), nic=1) == engine
    assert appliance.counters()["flows_created"] == 0


def test_vserver_on_a_snip_has_flows() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    appliance.arena.add_vserver(SNIPS[0], 80)
    assert [appliance.send(tcp_packet(CLIENT, 1 + i, SNIPS[0], 80, SYN)) for i in range(4)] == [0, 1, 2, 3]
    assert appliance.counters()["flows_created"] == 4


def test_arp_of_one_neighbour_goes_to_one_engine() -> None:
    appliance = make_appliance()
    engines = {}
    for host in range(1, 60):
        sender = f"10.1.0.{host}"
        packets = [ethernet(arp(operation, MAC_A, sender, 0, VIP), 0x0806) for operation in (1, 2)]
        went = {appliance.send(packet) for packet in packets}
        assert len(went) == 1
        engines[host] = went.pop()
    assert set(engines.values()) == {0, 1, 2, 3}


def test_echo_goes_by_addresses() -> None:
    appliance = make_appliance()
    for destination in (VIP, *SNIPS):
        went = {appliance.send(ethernet(ipv4(CLIENT, destination, 1, icmp(8, 0, bytes(i))))) for i in range(4, 40)}
        assert len(went) == 1
        assert isinstance(went.pop(), int)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_icmp_error_follows_the_client_flow_it_quotes(kind: int) -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    for i in range(8):
        engine = open_flow(appliance, 5000 + i)
        before = appliance.counters()["flows_created"]
        quoted = ipv4(VIP, CLIENT, 6, tcp(VIP, 80, CLIENT, 5000 + i, ACK))[:28]
        assert appliance.send(icmp_error(kind, quoted)) == engine
        assert appliance.counters()["flows_created"] == before


def test_icmp_error_follows_the_port_owner_of_what_it_quotes() -> None:
    appliance = make_appliance()
    for engine, (first, _) in enumerate(port_ranges(4)):
        for packet in (tcp(SNIPS[1], first, "10.2.0.2", 80, SYN), udp(SNIPS[1], first, "10.2.0.2", 53, b"query")):
            protocol = 6 if len(packet) >= 20 else 17
            quoted = ipv4(SNIPS[1], "10.2.0.2", protocol, packet)[:28]
            assert appliance.send(icmp_error(3, quoted, "10.2.0.2", SNIPS[1])) == engine


@pytest.mark.parametrize(
    "quoted",
    [
        b"",
        ipv4(VIP, CLIENT, 6, tcp(VIP, 80, CLIENT, 5, ACK))[:27],
        ipv4(VIP, CLIENT, 6, tcp(VIP, 80, CLIENT, 5, ACK))[:28],
        ipv4("9.9.9.9", CLIENT, 6, tcp("9.9.9.9", 80, CLIENT, 5, ACK)),
        ipv4(VIP, CLIENT, 1, icmp(0)),
        ipv4(VIP, CLIENT, 6, tcp(VIP, 80, CLIENT, 5, ACK), offset=8),
    ],
)
def test_icmp_error_about_what_nobody_sent_is_dropped(quoted: bytes) -> None:
    assert make_appliance().send(icmp_error(3, quoted)) == "drop_flow_unrelated_icmp_packets"


def test_fragments_follow_the_first() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    for identification in range(4):
        datagram = udp(CLIENT, 1 + identification, VIP, 53, bytes(100))
        first, *later = fragments(datagram, identification)
        assert {appliance.send(packet) for packet in later} == {"drop_flow_unknown_fragment_packets"}
        assert appliance.send(first) == identification
        assert {appliance.send(packet) for packet in later} == {identification}


def fragments(datagram: bytes, identification: int) -> list[bytes]:
    pieces = [(0, datagram[:40], True), (40, datagram[40:80], True), (80, datagram[80:], False)]
    return [
        ethernet(ipv4(CLIENT, VIP, 17, piece, identification=identification, offset=offset, more=more))
        for offset, piece, more in pieces
    ]


def test_fragment_memory_ends_and_is_bounded() -> None:
    appliance = make_appliance(fragments=16)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    datagram = udp(CLIENT, 1, VIP, 53, bytes(100))
    answers = [appliance.send(fragments(datagram, number)[0]) for number in range(40)]
    assert all(isinstance(answer, int) for answer in answers)
    later = [appliance.send(fragments(datagram, number)[1]) for number in range(40)]
    known = [number for number in range(40) if isinstance(later[number], int)]
    assert 8 <= len(known) <= 16
    assert all(later[number] == answers[number] for number in known)
    appliance.now += 30 * SECOND + 1
    assert appliance.send(fragments(datagram, known[0])[1]) == "drop_flow_unknown_fragment_packets"
    assert isinstance(appliance.send(fragments(datagram, 99)[0]), int)


def test_forged_first_fragments_keep_no_fragments_out() -> None:
    """Of eight places the oldest gives way, so whoever sends all his fragments at once is served."""
    appliance = make_appliance(fragments=16)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    datagram = udp(CLIENT, 1, VIP, 53, bytes(100))
    for number in range(1, 200):
        appliance.now += 10_000
        appliance.send(fragments(datagram, 1_000 + number)[0])
        first, *later = fragments(datagram, number)
        engine = appliance.send(first)
        assert isinstance(engine, int)
        assert {appliance.send(packet) for packet in later} == {engine}


def test_fragment_places_that_a_dead_decider_locked_are_passed_over() -> None:
    appliance = make_appliance(fragments=16)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    rows = table(Fragment, appliance.arena.array, distributor_view(appliance.arena.array).fragments, 16)
    rows["version"][::2] = 1
    datagram = udp(CLIENT, 1, VIP, 53, bytes(100))
    answers = [appliance.send(fragments(datagram, number)[0]) for number in range(4)]
    assert all(isinstance(answer, int) for answer in answers)
    assert [appliance.send(fragments(datagram, number)[1]) for number in range(4)] == answers


GOOD = tcp_packet(CLIENT, 1, VIP, 80, SYN)


def changed(at: int, value: int, packet: bytes = GOOD) -> bytes:
    return packet[:at] + bytes([value]) + packet[at + 1 :]


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        (b"", "truncated"),
        (GOOD[:13], "truncated"),
        (GOOD[:33], "truncated"),
        (GOOD[:53], "truncated"),
        (ethernet(ipv4(CLIENT, VIP, 6, bytes(19))), "truncated"),
        (ethernet(ipv4(CLIENT, VIP, 17, bytes(7))), "truncated"),
        (ethernet(ipv4(CLIENT, VIP, 1, bytes(7))), "truncated"),
        (ethernet(ipv4(CLIENT, VIP, 17, bytes([0, 1, 0, 2, 0, 99, 0, 0]))), "truncated"),
        (changed(14 + 20 + 12, 0xF0), "truncated"),
        (ethernet(arp(1, MAC_A, CLIENT, 0, VIP)[:27], 0x0806), "truncated"),
        (changed(14, 0x65), "bad_header"),
        (changed(14, 0x44), "bad_header"),
        (changed(14 + 20 + 12, 0x40), "bad_header"),
        (ethernet(ipv4(CLIENT, VIP, 17, bytes([0, 1, 0, 2, 0, 7, 0, 0]))), "bad_header"),
        (ethernet(b"\0\6" + arp(1, MAC_A, CLIENT, 0, VIP)[2:], 0x0806), "bad_header"),
        (changed(14 + 8, 63), "bad_checksum"),
        (ethernet(bytes(40), 0x88CC), "other_ether_type"),
        (ethernet(ipv4(CLIENT, VIP, 47, bytes(40))), "other_protocol"),
        (ethernet(arp(3, MAC_A, CLIENT, 0, VIP), 0x0806), "other_protocol"),
        (tcp_packet(CLIENT, 1, "10.1.0.101", 80), "not_for_us"),
        (tcp_packet(CLIENT, 1, "255.255.255.255", 80), "not_for_us"),
        (tcp_packet("127.0.0.1", 1, VIP, 80), "bad_source"),
        (tcp_packet("224.0.0.1", 1, VIP, 80), "bad_source"),
        (tcp_packet("0.0.0.0", 1, VIP, 80), "bad_source"),
    ],
)
def test_drop_is_counted_under_its_cause(packet: bytes, counter: str) -> None:
    appliance = make_appliance()
    assert appliance.send(packet) == f"drop_flow_{counter}_packets"
    assert appliance.is_balanced()


def test_without_active_engines_new_flows_are_dropped_and_old_ones_live() -> None:
    appliance = make_appliance()
    engine = open_flow(appliance, 1)
    set_active_engines(appliance.arena.array, distributor_view(appliance.arena.array), [])
    assert appliance.send(tcp_packet(CLIENT, 2, VIP, 80, SYN)) == "drop_flow_no_engine_packets"
    assert appliance.send(tcp_packet(CLIENT, 1, VIP, 80, ACK)) == engine
    assert counters_view(appliance.arena.array).flows_created == 1
    assert sum(live_flows(appliance.arena.array)) == 1


def test_key_of_the_source_address_alone_keeps_a_client_on_one_engine() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN, key=fields_of(["src-ip"]))
    for host in range(1, 9):
        went = {appliance.send(tcp_packet(f"10.1.0.{host}", port, VIP, 80, SYN)) for port in range(1, 20)}
        went |= {appliance.send(tcp_packet(f"10.1.0.{host}", 1, VIP, 443, flags)) for flags in (ACK, FIN, RST, ACK)}
        assert went == {(host - 1) % 4}
    assert appliance.counters()["flows_created"] == 8


def test_wrong_keys_are_refused() -> None:
    with pytest.raises(FlowKeyError, match="no field 'colour'"):
        fields_of(["src-ip", "colour"])
    with pytest.raises(FlowKeyError, match="at least one"):
        fields_of(["protocol"])
