"""The UDP vServer: sessions from a client's port to a service, and back."""

from __future__ import annotations

import pytest

from ncore_ray.tables.service import Health
from tests.support.http_lab import SECOND, SNIPS, VIP, HttpLab, running

LARGEST = 1_500 - 28


def _ask(lab: HttpLab, port: int = 4_000, payload: bytes = b"question", vip_port: int = 80) -> None:
    lab.client_host.send_datagram(port, (VIP, vip_port), payload)
    lab.settle()


def _asked(lab: HttpLab, server: int = 0) -> tuple[int, bytes]:
    """Return the port that a question came from, and its payload."""
    source, port, own, payload = lab.servers[server].datagrams.popleft()
    assert (source, own) == (SNIPS[1], 80)
    return port, payload


@pytest.mark.parametrize("size", [0, 1, 2, 511, 512, 1_471, LARGEST])
def test_datagrams_of_every_size_go_both_ways(size: int) -> None:
    payload = bytes(range(256)) * 6
    with running(protocol="UDP") as lab:
        _ask(lab, payload=payload[:size])
        port, asked = _asked(lab)
        assert asked == payload[:size]
        lab.servers[0].send_datagram(80, (SNIPS[1], port), payload[-size - 1 : -1])
        lab.settle()
        assert lab.client_host.datagrams.popleft() == (VIP, 80, 4_000, payload[-size - 1 : -1])
        assert lab.vserver().received_bytes == lab.vserver().sent_bytes == size
        assert lab.service_stats().sent_bytes == lab.service_stats().received_bytes == size
        assert lab.counters().udp_datagrams == 2
        lab.wait(31 * SECOND)


def test_session_stays_with_its_service() -> None:
    with running(protocol="UDP", services=3) as lab:
        for _ in range(4):
            for client in (4_000, 4_001, 4_002):
                _ask(lab, client, b"%d" % client)
        assert [len(host.datagrams) for host in lab.servers] == [4, 4, 4]
        assert [{payload for *_, payload in host.datagrams} for host in lab.servers] == [
            {b"4000"},
            {b"4001"},
            {b"4002"},
        ]
        assert lab.counters().udp_sessions == 3
        assert lab.vserver().connections == 3
        lab.wait(31 * SECOND)


def test_session_ends_in_time_and_a_new_one_begins() -> None:
    with running(protocol="UDP", timeouts="udp: 5s") as lab:
        _ask(lab)
        port, _ = _asked(lab)
        for _ in range(3):  # answers keep it too
            lab.wait(4 * SECOND)
            lab.servers[0].send_datagram(80, (SNIPS[1], port), b"news")
            lab.settle()
        assert len(lab.client_host.datagrams) == 3
        lab.wait(6 * SECOND)
        assert lab.live() == []
        lab.servers[0].send_datagram(80, (SNIPS[1], port), b"too late")
        _ask(lab)
        assert len(lab.client_host.datagrams) == 3
        assert lab.counters().udp_sessions == 2
        assert lab.counters().drop_udp_no_vserver_packets == 1
        lab.wait(6 * SECOND)


def test_answers_of_others_do_not_pass() -> None:
    with running(protocol="UDP", services=2) as lab:
        _ask(lab)
        port, _ = _asked(lab)
        lab.servers[1].send_datagram(80, (SNIPS[1], port), b"forged")
        lab.servers[0].send_datagram(81, (SNIPS[1], port), b"other port")
        lab.servers[0].send_datagram(80, (SNIPS[1], port + 1), b"other session")
        lab.settle()
        assert not lab.client_host.datagrams
        assert lab.counters().drop_udp_no_vserver_packets == 3
        lab.wait(31 * SECOND)


def test_no_vserver_at_that_port() -> None:
    with running(protocol="UDP") as lab:
        _ask(lab, vip_port=81)
        assert lab.counters().drop_udp_no_vserver_packets == 1
        assert lab.client_host.errors == [(VIP, 3, 3)]


def test_tcp_and_udp_vservers_are_apart() -> None:
    with running(protocol="TCP") as lab:
        _ask(lab)
        assert lab.counters().drop_udp_no_vserver_packets == 1


def test_no_service() -> None:
    with running(protocol="UDP", monitor="{type: tcp, interval: 1h, timeout: 1s}") as lab:
        lab.wait(20_000)
        lab.set_health(Health.DOWN)
        _ask(lab)
        assert lab.counters().drop_udp_no_service_packets == 1
        assert lab.vserver().errors == 1
        assert lab.live() == []
        lab.wait(2 * SECOND)


def test_session_of_a_service_that_fails_moves() -> None:
    with running(protocol="UDP", services=2, monitor="{type: tcp, interval: 1h, timeout: 1s}") as lab:
        lab.wait(SECOND)
        _ask(lab)
        _asked(lab, 0)
        lab.watch(0).health = int(Health.DOWN)
        _ask(lab)
        _asked(lab, 1)
        assert lab.vserver().connections == 1
        assert [lab.service_stats(k).busy for k in range(2)] == [0, 1]
        lab.wait(31 * SECOND)


@pytest.mark.parametrize("room", [16, 17])
def test_full_table_refuses_the_new_and_keeps_the_old(room: int) -> None:
    with running(protocol="UDP", connections=room) as lab:
        for port in range(4_000, 4_010):
            _ask(lab, port)
        assert lab.counters().udp_sessions == 8
        assert lab.counters().drop_udp_table_full_packets == 2
        assert len(lab.live()) == 16
        _ask(lab, 4_000, b"again")
        assert lab.servers[0].datagrams[-1][3] == b"again"
        lab.wait(31 * SECOND)


def test_made_up_clients_keep_half_of_the_table_and_no_lively_session() -> None:
    with running(protocol="UDP", connections=64, also="TCP") as lab:
        _ask(lab, 3_000)
        port, _ = _asked(lab)
        for number in range(400):
            _ask(lab, 4_000 + number)
            if number % 4 == 0:
                lab.wait(10_000)
                lab.servers[0].send_datagram(80, (SNIPS[1], port), b"news")
                lab.settle()
        assert lab.client_host.datagrams.count((VIP, 80, 3_000, b"news")) == 100
        engine = lab.engine()
        assert (engine.datagrams, engine.live_connections) == (32, 32)
        counters = lab.counters()
        assert counters.datagram_sessions_evicted + 16 == counters.udp_sessions
        assert counters.udp_sessions + counters.drop_udp_table_full_packets == 401
        assert counters.datagram_sessions_evicted > 100
        lab.wait(31 * SECOND)
        assert lab.engine().datagrams == 0


def test_unknown_neighbour_costs_the_datagram_only() -> None:
    with running(protocol="UDP") as lab:
        lab.wait(40 * SECOND)
        lab.servers[0].silent = True
        lab.wait(300 * SECOND, 5 * SECOND)
        _ask(lab)
        lab.servers[0].silent = False
        lab.wait(SECOND)
        _ask(lab, payload=b"second")
        lab.wait(SECOND)
        _ask(lab, payload=b"third")
        assert [payload for *_, payload in lab.servers[0].datagrams][-1] == b"third"
        lab.wait(31 * SECOND)


def test_least_connection_counts_sessions() -> None:
    with running(protocol="UDP", services=2, method="leastconnection") as lab:
        for port in range(4_000, 4_006):
            _ask(lab, port)
        assert [lab.service_stats(k).busy for k in range(2)] == [3, 3]
        lab.wait(31 * SECOND)
        assert [lab.service_stats(k).busy for k in range(2)] == [0, 0]


def test_no_port_is_left() -> None:
    with running(protocol="UDP") as lab:
        lab.engine().port_count = 3
        for port in range(4_000, 4_005):
            _ask(lab, port)
        assert lab.counters().udp_sessions == 3
        assert lab.counters().drop_udp_table_full_packets == 2
        assert len(lab.live()) == 6
        lab.wait(31 * SECOND)


def test_service_without_a_route() -> None:
    with running(protocol="UDP") as lab:
        lab.service(0).route = -1
        _ask(lab)
        assert lab.counters().drop_udp_no_service_packets == 1
