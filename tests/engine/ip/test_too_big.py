"""Errors that say a packet was too long: who is believed (RFC 5927), and what becomes of datagrams."""

from __future__ import annotations

import random
import struct

import pytest

from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import icmp, icmpv6, ip_frame, ipv4, ipv6, tcp, udp
from ncore_ray.machine.jit import JIT
from tests.engine.ip.dual import CLIENT_MAC, CLIENTS, SERVER_MAC, SERVERS, SNIPS, VIPS, Dual
from tests.support.tcp_peer import Peer
from tests.support.tcp_script import check_accounts, check_nothing_leaked

ROUTERS = {4: "192.0.2.1", 6: "2001:db8:99::1"}
families = pytest.mark.parametrize("family", [4, 6])
FORGERIES = 20_000 if JIT else 500


def too_big(lab: Dual, nic: int, packet: bytes, mtu: int) -> None:
    """Let a router say that a packet of the engine's was too long."""
    family = packet[0] >> 4
    if family == 4:
        own, router = packet[12:16], ROUTERS[4]
        body, protocol = icmp(3, 4, struct.pack(">HH", 0, mtu) + packet[:28]), 1
        address = ".".join(map(str, own))
    else:
        address = next(each for each in (VIPS[6], SNIPS[6]) if ipv6(each, each, 6, b"")[8:24] == packet[8:24])
        router, protocol = ROUTERS[6], 58
        body = icmpv6(router, address, 2, 0, struct.pack(">I", mtu) + packet[:400])
    mac = CLIENT_MAC if nic == 0 else SERVER_MAC
    lab.inject(nic, ip_frame(router, address, protocol, body, NIC_MACS[nic], mac))


def segment(source: tuple[str, int], destination: tuple[str, int], sequence: int, length: int = 1_400) -> bytes:
    body = tcp(*source, *destination, 16, bytes(length), sequence=sequence % (1 << 32))
    return (ipv6 if ":" in source[0] else ipv4)(source[0], destination[0], 6, body)


def waiting_client(family: int) -> tuple[Dual, Peer, int]:
    """Return a client that acknowledges nothing, with a flight of segments to it, and the first number in flight."""
    lab = Dual("TCP")
    client = lab.connect(VIPS[family], 81 if family == 6 else 80)
    server = lab.accept()
    client.hold_acks = True
    server.send(bytes(8_000))
    lab.settle()
    (tcb,) = [tcb for tcb in lab.engine.connections() if tcb.nic == 0]
    return lab, client, int(tcb.snd_una)


@families
def test_nobody_who_does_not_see_the_packets_makes_segments_small(family: int) -> None:
    """Forged errors name the connection, with sequence numbers by chance and near those in flight."""
    seed = 11
    print(f"seed {seed}")
    choice = random.Random(seed)
    lab, client, first = waiting_client(family)
    (tcb,) = [tcb for tcb in lab.engine.connections() if tcb.nic == 0]
    mss, flight = tcb.mss, (tcb.snd_max - tcb.snd_una) % (1 << 32)
    for number in range(FORGERIES):
        near = choice.choice((-1, -choice.randrange(1, 1 << 20), flight, flight + choice.randrange(1 << 20)))
        sequence = first + near if number % 2 else first + flight + choice.randrange((1 << 32) - flight)
        too_big(lab, 0, segment(client.other, client.own, sequence), choice.choice((0, 68, 552, 1_280, 1_400)))
    assert tcb.mss == mss
    counters = lab.engine.totals().values
    assert counters["path_mtu_bad_sequences"] == FORGERIES
    assert counters["path_mtu_reductions"] == counters["path_mtu_repeated"] == 0
    check_accounts(lab.engine.totals())
    client.acknowledge()
    assert client.take() == bytes(8_000)
    check_nothing_leaked(lab.engine)


@families
def test_errors_about_other_connections_are_counted(family: int) -> None:
    lab, client, first = waiting_client(family)
    own, other = client.own, client.other
    for source, destination in (((other[0], 9), own), (other, (own[0], own[1] + 1))):
        too_big(lab, 0, segment(source, destination, first), 1_300)
    too_big(lab, 0, segment(other, own, first)[: 24 if family == 4 else 44], 1_300)  # quotes too little
    assert lab.engine.totals().values["path_mtu_unknown_flows"] == 3
    check_accounts(lab.engine.totals())
    client.acknowledge()
    assert client.take() == bytes(8_000)


@families
def test_true_errors_are_believed_by_clients_connections(family: int) -> None:
    lab, client, first = waiting_client(family)
    too_big(lab, 0, segment(client.other, client.own, first), 1_300)
    (tcb,) = [tcb for tcb in lab.engine.connections() if tcb.nic == 0]
    assert tcb.mss == 1_300 - (60 if family == 6 else 40)
    assert lab.engine.totals().values["retransmitted_segments"] == 1
    client.hold_acks = False
    client.acknowledge()
    assert client.take() == bytes(8_000)
    check_nothing_leaked(lab.engine)


@pytest.mark.parametrize(("mtu", "believed"), [(0, 0), (68, 0), (1_279, 0), (1_280, 1), (1_499, 1)])
def test_what_is_said_of_ipv6_is_at_least_what_every_link_takes(mtu: int, believed: int) -> None:
    lab, client, first = waiting_client(6)
    too_big(lab, 0, segment(client.other, client.own, first), mtu)
    counters = lab.engine.totals().values
    assert (counters["path_mtu_reductions"], counters["path_mtu_bad_sizes"]) == (believed, 1 - believed)
    client.acknowledge()


def session(lab: Dual, family: int) -> tuple[str, int]:
    """Begin a session of UDP; return the appliance's end towards the server."""
    lab.send_datagram(CLIENTS[family], 5_000, VIPS[family], 53, b"first", 0)  # the neighbour is not known yet
    lab.send_datagram(CLIENTS[family], 5_000, VIPS[family], 53, b"second", 0)
    source, port, *_ = lab.datagrams.pop()
    return source, port


def fragments(lab: Dual, family: int, length: int) -> list[int]:
    """Let the client send a datagram; return the lengths of the IP packets to the server."""
    lab.raw = []
    lab.send_datagram(CLIENTS[family], 5_000, VIPS[family], 53, bytes(length), 0)
    found, lab.raw = [len(frame) - 14 for nic, frame in lab.raw if nic == 1], None
    return found


@pytest.mark.parametrize(
    ("family", "mtu", "expected"),
    [  # clients of one family, services of the other
        (6, 1_300, [1_300, 148]),
        (6, 600, [596, 596, 276]),
        (6, 0, [1_004, 444]),  # the plateau below 1,428 bytes is 1,006
        (6, 68, [548, 548, 372]),
        (4, 1_300, [1_296, 208]),
        (4, 1_000, [1_448]),
    ],
)
def test_longer_datagrams_leave_in_fragments(family: int, mtu: int, expected: list[int]) -> None:
    length = 1_400
    lab = Dual()
    source, port = session(lab, family)
    server = SERVERS[10 - family]
    whole = [(20 if family == 6 else 40) + 8 + length]
    assert fragments(lab, family, length) == whole
    body = udp(source, port, server, 53, bytes(length))
    too_big(lab, 1, (ipv4 if family == 6 else ipv6)(source, server, 17, body), mtu)
    found = fragments(lab, family, length)
    assert found == expected
    believed = found != whole
    counters = lab.engine.totals().values
    assert (counters["path_mtu_datagrams"], counters["path_mtu_bad_sizes"]) == (believed, 1 - believed)
    lab.wait(5_000_000)
    check_accounts(lab.engine.totals())


def test_what_is_said_of_datagrams_is_not_believed_of_segments() -> None:
    """Nobody who merely guesses the ports of a session makes segments to that host small."""
    lab = Dual("TCP")
    source, port = session(lab, 4)
    too_big(lab, 1, ipv6(source, SERVERS[6], 17, udp(source, port, SERVERS[6], 53, bytes(1_400))), 1_300)
    lab.connect(VIPS[6], 81)
    lab.accept()
    assert {tcb.mss for tcb in lab.engine.connections() if tcb.ports & 0xFF == 6} == {1_440}


def test_error_about_no_session_is_counted() -> None:
    lab = Dual()
    source, port = session(lab, 4)
    too_big(lab, 1, ipv6(source, SERVERS[6], 17, udp(source, port + 1, SERVERS[6], 53, bytes(1_400))), 1_300)
    assert lab.engine.totals().values["path_mtu_unknown_flows"] == 1
