"""Proxied pairs that become spliced ones: HTTP after an upgrade, and what began with a cookie."""

from __future__ import annotations

import hashlib

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.engine.http.test_http_exchange import SWITCHING, SWITCHING_PASSED, UPGRADE, UPGRADE_PASSED
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

CONTENT = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(3_000))
QUIET_US = 100_000
"""Longer than an acknowledgment is kept back."""


def _states(lab: HttpLab) -> set[int]:
    return {tcb.state for tcb in lab.live()}


def _upgraded(lab: HttpLab, **fields: int) -> tuple[Peer, Peer]:
    client = lab.client(**fields).connect().send(UPGRADE)
    server = lab.servers[0].accept()
    server.expect(UPGRADE_PASSED)
    server.send(SWITCHING)
    client.expect(SWITCHING_PASSED)
    lab.wait(QUIET_US)
    return client, server


@pytest.mark.parametrize("tcp", ["", "timestamps: true", "sack: false", "receive_window: 32KiB, send_buffer: 32KiB"])
def test_tunnel_goes_on_as_one_connection(tcp: str) -> None:
    with running(mode="splice", tcp=tcp) as lab:
        client, server = _upgraded(lab)
        assert _states(lab) == {TcpState.SPLICED}
        for start in range(0, len(CONTENT), 20_000):
            client.send(CONTENT[start : start + 20_000])
            server.expect(CONTENT[start : start + 20_000])
            server.send(CONTENT[start : start + 9_000])
            client.expect(CONTENT[start : start + 9_000])
        client.send(b"bye").close()
        server.expect(b"bye").expect_eof()
        server.send(b"and you").close()
        client.expect(b"and you").expect_eof()
        assert (lab.counters().spliced_connections, lab.counters().joined_connections) == (1, 1)
        lab.wait(6 * SECOND)
        assert lab.live() == []
        assert lab.counters().connections_reset == 0


def test_bytes_count_on() -> None:
    seen = []
    for mode in ("proxy", "splice"):
        with running(mode=mode) as lab:
            client, server = _upgraded(lab)
            client.send(CONTENT[:5_000])
            server.expect(CONTENT[:5_000])
            server.send(CONTENT[:300])
            client.expect(CONTENT[:300])
            stats, service = lab.vserver(), lab.service_stats()
            seen.append((stats.received_bytes, stats.sent_bytes, service.received_bytes, service.sent_bytes))
            assert (stats.connections, service.connections, service.busy) == (1, 1, 1)
    assert seen[0] == seen[1]


def test_requests_before_and_elsewhere_are_read() -> None:
    with running(mode="splice") as lab:
        client = lab.client().connect().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server = lab.servers[0].accept()
        server.take()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.take().endswith(b"ok")
        lab.wait(QUIET_US)
        assert TcpState.SPLICED not in _states(lab)
        assert lab.vserver().requests == 1


def test_pair_waits_until_nothing_is_under_way() -> None:
    with running(mode="splice") as lab:
        client, server = _upgraded(lab)
        assert _states(lab) == {TcpState.SPLICED}
        busy = lab.client().connect().send(UPGRADE)
        other = lab.servers[0].accept()
        other.expect(UPGRADE_PASSED)
        busy.hold_acks = True
        other.send(SWITCHING)
        busy.expect(SWITCHING_PASSED)
        lab.wait(QUIET_US)
        assert _states(lab) == {TcpState.SPLICED, TcpState.ESTABLISHED}
        busy.acknowledge()
        lab.wait(QUIET_US)
        assert _states(lab) == {TcpState.SPLICED}
        for one, another in ((client, server), (busy, other), (other, busy)):
            one.send(b"x")
            another.expect(b"x")


def test_segment_sizes_of_the_ends_may_differ() -> None:
    """What the service was told by the appliance is more than the client takes: it is cut."""
    with running(mode="splice") as lab:
        client, server = _upgraded(lab, mss=600)
        server.send(CONTENT[:30_000])
        client.expect(CONTENT[:30_000])
        client.send(CONTENT[:3_000])
        server.expect(CONTENT[:3_000])


def test_what_began_with_a_cookie() -> None:
    with running(protocol="TCP", mode="splice", tcp="syn_cookies: always") as lab:
        client = lab.client().connect()
        server = lab.servers[0].accept()
        client.send(CONTENT[:100])
        server.expect(CONTENT[:100])
        lab.wait(QUIET_US)
        assert _states(lab) == {TcpState.SPLICED}
        server.send(CONTENT)
        client.expect(CONTENT)
        client.reset()
        server.expect_reset()
        assert lab.counters().joined_connections == 1


def test_proxied_vserver_joins_nothing() -> None:
    with running() as lab:
        _upgraded(lab)
        lab.wait(SECOND)
        assert _states(lab) == {TcpState.ESTABLISHED}
        assert lab.counters().joined_connections == 0


def test_idle_tunnel_ends() -> None:
    with running(mode="splice", timeouts="client_idle: 5s") as lab:
        client, server = _upgraded(lab)
        lab.wait(4 * SECOND)
        client.send(b"x")
        server.expect(b"x")
        lab.wait(4 * SECOND)
        assert not client.was_reset
        lab.wait(2 * SECOND)
        assert client.was_reset
        assert server.was_reset
        assert lab.counters().connections_timed_out == 1


@pytest.mark.parametrize("reader", ["client", "server"])
def test_slow_reader_is_waited_for_by_the_other_end(reader: str) -> None:
    """No byte is held: the window is the reader's own, in the scale that the other end was told."""
    with running(mode="splice") as lab:
        client, server = _upgraded(lab)
        slow, fast = (client, server) if reader == "client" else (server, client)
        slow.paused, slow.limit = True, 16_384
        slow.acknowledge()
        lab.settle()
        fast.send(CONTENT).close()
        data = b""
        for _ in range(400):
            lab.wait(20_000, 10_000)
            data += slow.read(4_000)
            assert lab.frames_in_use() == 0
            if slow.eof and not slow.received:
                break
        assert data == CONTENT
