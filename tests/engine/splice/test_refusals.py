"""Services that refuse or say nothing, tables that are full, and clients beyond a limit, in splice mode."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address

import pytest

from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import ethernet, icmp, ipv4
from ncore_ray.tables.service import Health
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

CONTENT = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(4_000))


def _joined(lab: HttpLab) -> tuple[Peer, Peer]:
    client = lab.client().connect()
    return client, lab.servers[0].accept()


@pytest.mark.parametrize("size", [0, 6, 100_000])
def test_bytes_and_connections_are_counted_as_of_a_proxied_pair(size: int) -> None:
    seen: list[tuple[object, ...]] = []
    for mode in ("proxy", "splice"):
        with running(protocol="TCP", mode=mode) as lab:
            client, server = _joined(lab)
            server.send(CONTENT[:size])
            client.expect(CONTENT[:size])
            client.send(b"thanks").close()
            server.expect(b"thanks").expect_eof()
            server.close()
            client.expect_eof()
            stats, service = lab.vserver(), lab.service_stats()
            live = (stats.connections, service.connections, service.busy) if mode == "splice" else (1, 1, 1)
            seen.append((stats.total_connections, stats.received_bytes, stats.sent_bytes, stats.errors, live))
            seen[-1] += (service.total_connections, service.received_bytes, service.sent_bytes)
            lab.wait(6 * SECOND)
            assert lab.live() == []
            assert (stats.connections, service.connections, service.busy) == (0, 0, 0)
    assert seen[0] == seen[1]


def test_refused_syn_goes_to_the_next_service() -> None:
    with running(protocol="TCP", mode="splice", services=3, timeouts="connect: 2s") as lab:
        lab.servers[0].refuse = True
        lab.servers[1].silent = True
        client = lab.client().connect()
        assert not client.established
        lab.wait(3 * SECOND)
        assert client.established
        server = lab.servers[2].accept()
        client.send(CONTENT[:10_000]).close()
        server.expect(CONTENT[:10_000]).expect_eof()
        server.send(b"done").close()
        client.expect(b"done").expect_eof()
        assert [lab.service_stats(k).failures for k in range(3)] == [1, 1, 0]
        assert [lab.service_stats(k).sent_bytes for k in range(3)] == [0, 0, 10_000]
        assert lab.counters().connections_refused == 2


def test_no_service_accepts() -> None:
    with running(protocol="TCP", mode="splice", services=2) as lab:
        for host in lab.servers:
            host.refuse = True
        lab.client().connect().expect_reset()
        assert lab.vserver().errors == 1
        assert lab.live() == []


def test_no_service_is_up() -> None:
    with running(protocol="TCP", mode="splice", monitor="{type: tcp, interval: 1h, timeout: 1s}") as lab:
        lab.set_health(Health.DOWN)
        lab.client().connect().expect_reset()
        assert (lab.vserver().errors, lab.vserver().total_connections, lab.vserver().connections) == (1, 1, 0)


def test_service_without_a_route() -> None:
    with running(protocol="TCP", mode="splice") as lab:
        lab.service(0).route = -1
        lab.client().connect().expect_reset()
        assert lab.vserver().errors == 1


def test_unreachable_service_is_left_for_another() -> None:
    """A router says so by ICMP, with the SYN that it could not deliver."""
    with running(protocol="TCP", mode="splice", services=2, timeouts="connect: 20s") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect()
        (server,) = (tcb for tcb in lab.live() if tcb.nic == 1)
        local, remote = (str(IPv4Address(low & 0xFFFF_FFFF)) for low in (server.local_low, server.remote_low))
        ports = (server.ports >> 8 & 0xFFFF).to_bytes(2, "big") + (server.ports >> 24).to_bytes(2, "big")
        quoted = ipv4(local, remote, 6, ports + server.iss.to_bytes(4, "big"))
        message = icmp(3, 1, bytes(4) + quoted)
        lab.receive(1, ethernet(ipv4("10.2.0.77", local, 1, message), 0x0800, NIC_MACS[1]))
        lab.settle()
        assert client.established
        assert lab.counters().connections_refused == 1


def test_client_that_gives_up_before_the_service_answers() -> None:
    with running(protocol="TCP", mode="splice") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect()
        client._next = client.iss + 1
        client.reset()
        lab.settle()
        assert lab.live() == []


def test_full_table_refuses_the_new_and_keeps_the_old() -> None:
    with running(protocol="TCP", mode="splice", connections=16) as lab:
        pairs = [_joined(lab) for _ in range(8)]
        late = lab.client().connect()
        assert not late.established
        assert lab.counters().drop_tcp_table_full_packets > 0
        for client, server in pairs:
            client.send(b"x")
            server.expect(b"x")


def test_ended_pairs_make_room() -> None:
    with running(protocol="TCP", mode="splice", connections=16) as lab:
        for _ in range(20):
            client, server = _joined(lab)
            client.close()
            server.expect_eof()
            server.close()
            client.expect_eof()
        assert lab.counters().time_wait_recycled > 0
        lab.wait(6 * SECOND)
        assert lab.live() == []


def test_handshakes_make_room_for_connections_that_are_proven() -> None:
    """The other side of one that had to go is left alone, and goes, too. What comes by cookies is proxied."""
    with running(protocol="TCP", mode="splice", connections=16) as lab:
        lab.servers[0].silent = True
        for _ in range(7):
            lab.client().connect()
        lab.servers[0].silent = False
        lab.engine().half_open_limit = 64
        for _ in range(3):
            lab.client().connect()
        assert lab.counters().half_open_evicted > 0
        lab.wait(10 * SECOND)
        states = {tcb.state for tcb in lab.live()}
        assert states <= {TcpState.SPLICED, TcpState.ESTABLISHED}


def test_beyond_the_limit_of_handshakes_clients_are_proxied() -> None:
    """A cookie has to be answered before a service is asked; then the pair is a proxied one."""
    with running(protocol="TCP", mode="splice", tcp="syn_cookies: always") as lab:
        client, server = _joined(lab)
        assert {tcb.state for tcb in lab.live()} == {TcpState.ESTABLISHED}
        assert lab.counters().syn_cookies_accepted == 1
        server.send(CONTENT)
        client.expect(CONTENT)


def test_limit_of_connections() -> None:
    with running(protocol="TCP", mode="splice") as lab:
        lab.vserver_record(0).connection_limit = 1
        _joined(lab)
        late = lab.client().connect()
        assert not late.established
        assert lab.counters().drop_tcp_connection_limit_packets == 1
        assert lab.vserver().refused == 1


def test_mode_changes_for_new_connections_only() -> None:
    with running(protocol="TCP") as lab:
        proxied, first = _joined(lab)
        lab.vserver_record(0).splice = 1
        spliced, second = _joined(lab)
        for client, server in ((proxied, first), (spliced, second)):
            client.send(b"x")
            server.expect(b"x")
        assert {tcb.state for tcb in lab.live()} == {TcpState.ESTABLISHED, TcpState.SPLICED}
