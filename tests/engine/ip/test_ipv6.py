"""IPv6 through an engine: vServers and services of both families, neighbours, and errors."""

from __future__ import annotations

import struct

import pytest

from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import (
    advertisement,
    ethernet,
    fragment6,
    icmpv6,
    ip_bytes,
    ip_frame,
    ipv6,
    solicitation,
    tcp,
    udp,
)
from ncore_ray.tables.service import Health
from ncore_ray.wire.address import words_of
from tests.engine.ip.dual import CLIENT_MAC, CLIENTS, SERVER_MAC, SERVERS, SNIPS, TEXT, VIPS, Dual
from tests.support.tcp_peer import SYN, Segment
from tests.support.tcp_script import check_accounts, check_nothing_leaked

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OWN = [VIPS[6], "2001:db8:1::10"]


@pytest.mark.parametrize(
    ("client_family", "server_family", "port"), [(6, 4, 80), (4, 6, 80), (6, 6, 81)], ids=["6to4", "4to6", "6to6"]
)
def test_request_of_one_family_to_a_service_of_another(client_family: int, server_family: int, port: int) -> None:
    lab = Dual()
    client = lab.connect(VIPS[client_family], port)
    client.send(REQUEST)
    server = lab.accept()
    request = server.take()
    assert request.startswith(b"GET / HTTP/1.1\r\n")
    assert f"X-Forwarded-For: {CLIENTS[client_family]}\r\n".encode() in request
    assert server.own == (SERVERS[server_family], 80)
    assert server.other[0] == SNIPS[server_family]
    assert server.other[1] >= 16384
    server.send(ANSWER)
    answer = client.take()
    assert answer.endswith(b"\r\n\r\nhello")
    check_nothing_leaked(lab.engine)


@pytest.mark.parametrize(("family", "port"), [(6, 80), (4, 80), (6, 81)])
def test_one_arm(family: int, port: int) -> None:
    """Clients and servers on one NIC."""
    lines = [line for line in TEXT.splitlines() if "name: nc1" not in line]
    one = "\n".join(lines).replace("10.1.0.10/24,", '10.1.0.10/24, 10.2.0.10/24, "2001:db8:2::10/64",')
    lab = Dual(text=one)
    client = lab.connect(VIPS[family], port)
    client.send(REQUEST)
    server = lab.accept()
    assert server.take().startswith(b"GET / HTTP/1.1\r\n")
    server.send(ANSWER)
    assert client.take().endswith(b"hello")
    check_nothing_leaked(lab.engine)


def test_stream_of_many_segments_both_ways() -> None:
    lab = Dual("TCP")
    client = lab.connect(VIPS[6], 81)
    server = lab.accept()
    data = bytes(range(256)) * 400
    client.send(data)
    assert server.take() == data
    server.send(data)
    assert client.take() == data
    client.close()
    server.expect_eof()
    server.close()
    client.expect_eof()
    check_nothing_leaked(lab.engine)


def test_segment_size_leaves_room_for_the_longer_header() -> None:
    lab = Dual("TCP")
    client = lab.connect(VIPS[6], 81)
    assert client._their_mss == 1440
    assert lab.accept()._their_mss == 1440
    assert {tcb.mss for tcb in lab.engine.connections()} == {1440}


def test_client_that_is_answered_by_a_cookie() -> None:
    lab = Dual("TCP")
    lab.engine.engine().half_open_limit = 0
    client = lab.connect(VIPS[6], 81)
    client.send(b"hello")
    assert lab.accept().take() == b"hello"
    assert lab.engine.totals().values["syn_cookies_accepted"] == 1
    check_accounts(lab.engine.totals())


def test_syn_without_a_segment_size() -> None:
    lab = Dual("TCP")
    lab.send(0, CLIENTS[6], VIPS[6], 6, tcp(CLIENTS[6], 9, VIPS[6], 81, SYN))
    lab.engine.receive(*lab._wire.pop())
    lab.engine.breathe()
    assert [tcb.mss for tcb in lab.engine.connections()] == [1220]  # RFC 9293 §3.7.1


@pytest.mark.parametrize(("client", "server"), [(6, 4), (4, 6)])
def test_datagrams(client: int, server: int) -> None:
    lab = Dual()
    lab.send_datagram(CLIENTS[client], 5_000, VIPS[client], 53, b"first", 0)  # the neighbour is not known yet
    lab.send_datagram(CLIENTS[client], 5_000, VIPS[client], 53, b"question", 0)
    (source, source_port, destination, port, data) = lab.datagrams.pop()
    assert (source, destination, port, data) == (SNIPS[server], SERVERS[server], 53, b"question")
    lab.send_datagram(SERVERS[server], 53, source, source_port, b"answer", 1)
    assert lab.datagrams.pop() == (VIPS[client], 53, CLIENTS[client], 5_000, b"answer")


def test_datagram_without_a_checksum_is_refused() -> None:
    lab = Dual()
    body = udp(CLIENTS[6], 5_000, VIPS[6], 53, b"question")
    lab.send(0, CLIENTS[6], VIPS[6], 17, body[:6] + b"\0\0" + body[8:])
    lab.settle()
    assert lab.engine.totals().values["drop_udp_bad_packets"] == 1


def test_monitor_over_ipv6() -> None:
    lab = Dual(monitor="{type: http, interval: 1s, timeout: 500ms, fall: 1}")
    lab.wait(20_000)
    probe = lab.accept()
    assert b"Host: [2001:db8:2::2]:80\r\n" in probe.take()
    probe.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    lab.settle()
    assert lab.engine.watch(1).health == Health.UP


@pytest.mark.parametrize("own", OWN)
def test_echo(own: str) -> None:
    lab = Dual()
    body = icmpv6(CLIENTS[6], own, 128, 0, b"\0\7\0\1" + b"data" * 20)
    ((nic, answer),) = lab.inject(0, ip_frame(CLIENTS[6], own, 58, body, NIC_MACS[0], CLIENT_MAC))
    expected = icmpv6(own, CLIENTS[6], 129, 0, b"\0\7\0\1" + b"data" * 20)
    assert (nic, answer) == (0, ip_frame(own, CLIENTS[6], 58, expected, CLIENT_MAC, NIC_MACS[0]))
    check_accounts(lab.engine.totals())


@pytest.mark.parametrize("own", OWN)
def test_question_for_an_own_address(own: str) -> None:
    lab = Dual()
    ((nic, answer),) = lab.inject(0, solicitation(CLIENTS[6], own, CLIENT_MAC))
    macs = CLIENT_MAC, NIC_MACS[0]
    assert (nic, answer) == (0, advertisement(own, own, NIC_MACS[0], CLIENTS[6], 0x60, macs))
    check_accounts(lab.engine.totals())


def test_host_of_another_network_is_answered_and_not_believed() -> None:
    lab = Dual()
    assert len(lab.inject(0, solicitation(SERVERS[6], OWN[0], CLIENT_MAC))) == 1
    assert not lab.inject(0, advertisement(SERVERS[6], SERVERS[6], CLIENT_MAC, OWN[0], 0x60))
    assert lab.engine.totals().values["foreign_neighbours"] == 2


def test_neighbour_that_looks_whether_we_are_still_there() -> None:
    lab = Dual()
    ((_, answer),) = lab.inject(0, solicitation(CLIENTS[6], OWN[0], CLIENT_MAC, destination=OWN[0]))
    assert answer[54] == 136


@pytest.mark.parametrize("target", ["2001:db8:1::11", SNIPS[6], CLIENTS[6]])
def test_question_for_another_address(target: str) -> None:
    """That of the other NIC is another address, too."""
    lab = Dual()
    assert not lab.inject(0, solicitation(CLIENTS[6], target, CLIENT_MAC))
    assert lab.engine.totals().values["drop_ip_not_for_us_packets"] == 1


def test_probe_for_a_duplicate_is_answered_to_all() -> None:
    """RFC 4862 §5.4.3, RFC 4861 §7.2.4."""
    lab = Dual()
    ((_, answer),) = lab.inject(0, solicitation("::", OWN[0], None))
    assert answer == advertisement(OWN[0], OWN[0], NIC_MACS[0], "ff02::1", 0x20, (0x3333_0000_0001, NIC_MACS[0]))


@pytest.mark.parametrize(
    "frame",
    [
        solicitation(CLIENTS[6], OWN[0], CLIENT_MAC, hop_limit=254),
        solicitation("::", OWN[0], CLIENT_MAC),
        solicitation("::", OWN[0], None, destination=OWN[0]),
        advertisement(SERVERS[6], SERVERS[6], 1, "ff02::1", 0x40),
        ip_frame(CLIENTS[6], OWN[0], 58, icmpv6(CLIENTS[6], OWN[0], 135, 1, bytes(4) + ip_bytes(OWN[0]))),
    ],
)
def test_question_that_may_not_be(frame: bytes) -> None:
    """RFC 4861 §7.1: from behind a router, of nobody with an address, and so on."""
    lab = Dual()
    assert not lab.inject(0, frame)
    assert lab.engine.totals().values["drop_nd_bad_packets"] == 1


def test_option_without_a_length_is_refused() -> None:
    lab = Dual()
    body = icmpv6(CLIENTS[6], OWN[0], 135, 0, bytes(4) + ip_bytes(OWN[0]) + bytes(8))
    assert not lab.inject(0, ethernet(ipv6(CLIENTS[6], OWN[0], 58, body, hop_limit=255), 0x86DD))
    assert lab.engine.totals().values["drop_nd_bad_packets"] == 1


def test_another_host_with_an_own_address() -> None:
    lab = Dual()
    assert not lab.inject(0, advertisement(OWN[0], OWN[0], CLIENT_MAC, "ff02::1", 0x20, (0x3333_0000_0001, CLIENT_MAC)))
    assert lab.engine.totals().values["address_conflicts"] == 1


def test_server_is_asked_for_by_its_multicast_address_and_then_directly() -> None:
    lab = Dual("TCP")
    lab.connect(VIPS[6], 81)
    (first,) = lab.questions
    assert first[:6] == bytes.fromhex("3333ff000002")
    assert first == solicitation(SNIPS[6], SERVERS[6], NIC_MACS[1])
    lab.wait(31_000_000)
    lab.connect(VIPS[6], 81)
    probe = lab.questions[-1]
    assert probe[:6] == SERVER_MAC.to_bytes(6, "big")  # RFC 4861 §7.3.3: of those who are known only they are asked
    assert probe[38:54] == ip_bytes(SERVERS[6])


@pytest.mark.parametrize(("code", "kind", "refused"), [(0, 1, 1), (4, 1, 1), (0, 2, 0), (0, 3, 0), (0, 4, 0)])
def test_unreachable_server(code: int, kind: int, refused: int) -> None:
    lab = Dual("TCP")
    seen: list[tuple[str, str, Segment]] = []
    answer = lab._take_segment
    lab._take_segment = (  # type: ignore[method-assign]
        lambda nic, *segment: answer(nic, *segment) if nic == 0 else seen.append(segment)
    )
    lab.connect(VIPS[6], 81)
    lab.wait(10_000)
    source, destination, syn = seen[0]
    quoted = tcp(source, syn.source_port, destination, syn.destination_port, SYN, sequence=syn.sequence)
    error = icmpv6(SERVERS[6], source, kind, code, bytes(4) + ipv6(source, destination, 6, quoted))
    lab.inject(1, ip_frame(SERVERS[6], source, 58, error, NIC_MACS[1], SERVER_MAC))
    assert lab.engine.totals().values["connections_refused"] == refused
    assert lab.engine.totals().values["used_icmp_packets"] == 1


@pytest.mark.parametrize(
    ("mtu", "offset", "expected"),
    [
        (1_400, 0, 1_340),
        (1_280, 0, 1_220),
        (1_279, 0, 1_440),
        (1_499, 1_440, 1_439),
        (1_400, -1, 1_440),
        (9_000, 0, 1_440),
    ],
)
def test_packet_too_big(mtu: int, offset: int, expected: int) -> None:
    """RFC 8201: only about what is in flight; what tells of less than every link takes is discarded (§4)."""
    lab = Dual("TCP")
    client = lab.connect(VIPS[6], 81)
    server = lab.accept()
    client.take()
    server.hold_acks = True
    client.send(bytes(4_000))
    lab.settle()
    (tcb,) = [tcb for tcb in lab.engine.connections() if tcb.remote_high == words_of(SERVERS[6])[0]]
    quoted = tcp(*server.other, *server.own, 16, sequence=(tcb.snd_una + offset) % (1 << 32))
    error = icmpv6("2001:db8:2::1", SNIPS[6], 2, 0, struct.pack(">I", mtu) + ipv6(SNIPS[6], SERVERS[6], 6, quoted))
    lab.inject(1, ip_frame("2001:db8:2::1", SNIPS[6], 58, error, NIC_MACS[1], SERVER_MAC))
    assert tcb.mss == expected
    assert lab.engine.totals().values["path_mtu_reductions"] == (expected < 1_440)
    server.acknowledge()
    assert server.take() == bytes(4_000)


def test_segment_of_no_connection_is_reset() -> None:
    lab = Dual()
    got = []
    lab._take_segment = lambda *arguments: got.append(arguments)  # type: ignore[method-assign]
    lab.send(0, CLIENTS[6], VIPS[6], 6, tcp(CLIENTS[6], 9, VIPS[6], 9999, SYN, sequence=7))
    lab.settle()
    ((_, source, destination, segment),) = got
    assert (source, destination, segment.flags, segment.acknowledgment) == (VIPS[6], CLIENTS[6], 0x14, 8)


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (ip_frame("ff02::9", VIPS[6], 6, bytes(20)), "ip_bad_source"),
        (ip_frame("::1", VIPS[6], 17, bytes(20)), "ip_bad_source"),
        (ip_frame(CLIENTS[6], "2001:db8:1::77", 6, bytes(20)), "ip_not_for_us"),
        (ethernet(ipv6("::ffff:10.1.0.2", VIPS[6], 6, bytes(20)), 0x86DD), "ip_bad_header"),
        (ethernet(ipv6(CLIENTS[6], "::ffff:10.1.0.100", 6, bytes(20)), 0x86DD), "ip_bad_header"),
        (ip_frame(CLIENTS[6], VIPS[6], 132, b"sctp"), "ip_unknown_protocol"),
        (ip_frame(CLIENTS[6], VIPS[6], 59, b""), "ip_unknown_protocol"),
        (ethernet(ipv6(CLIENTS[6], VIPS[6], 6, bytes(20))[:50], 0x86DD), "ip_truncated"),
        (ip_frame(CLIENTS[6], VIPS[6], 58, bytes(8)), "icmp_bad"),
    ],
)
def test_packets_that_are_dropped(frame: bytes, cause: str) -> None:
    lab = Dual()
    assert not lab.inject(0, frame)
    values = lab.engine.totals().values
    assert values[f"drop_{cause}_packets"] == 1, {name: n for name, n in values.items() if n}
    check_accounts(lab.engine.totals())


def test_extension_headers_are_passed_over() -> None:
    lab = Dual("TCP")
    got = []
    lab._take_segment = lambda *arguments: got.append(arguments)  # type: ignore[method-assign]
    segment = tcp(CLIENTS[6], 9, VIPS[6], 9999, SYN, sequence=7)
    options = struct.pack(">BBBBI", 60, 0, 1, 4, 0) + struct.pack(">BBBBI", 43, 0, 1, 4, 0)
    routing = struct.pack(">BBBBI", 44, 0, 4, 0, 0)
    atomic = fragment6(6, 77, 0, False, segment)  # RFC 6946
    lab.send(0, CLIENTS[6], VIPS[6], 0, options + routing + atomic)
    lab.settle()
    assert got[0][3].acknowledgment == 8
