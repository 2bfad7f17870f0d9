"""Connections that the appliance has closed and whose peers never let go: in a full table they give way."""

from __future__ import annotations

import pytest

from ncore_ray.engine.connection import TCB_SIZE, Tcb
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.record import view
from tests.engine.http.http_talk import get
from tests.engine.tcp.test_limits import another
from tests.support.http_lab import SECOND, HttpLab, configuration
from tests.support.tcp_peer import Peer
from tests.support.tcp_script import FLAGS, SYN, SYN_ACK, closing, is_orphan, last_ack

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n" + bytes(300_000)


def _orphans(lab: HttpLab) -> list[Tcb]:
    """Return the queue in its order; its links are right both ways, and nobody is missing."""
    engine = lab.engine()
    found, number, before = [], engine.orphan_first, 0
    while number:
        tcb = view(Tcb, lab.array, engine.connections + (number - 1) * TCB_SIZE)
        assert (is_orphan(tcb), tcb.list_previous) == (True, before)
        found.append(tcb)
        before, number = number, tcb.list_next
    assert engine.orphan_last == before
    assert len(found) == sum(is_orphan(tcb) for tcb in lab.connections())
    return found


def test_closing_gives_way_before_the_oldest_handshake() -> None:
    with closing("client", connections=16) as s:
        s.lab.engine().half_open_limit = 99
        for port in range(41000, 41016):  # the last one finds a full table, and gets a cookie
            another(s, port)
            s.client.opens()
            s.client.gets(SYN_ACK)
        s.client.sends("A", 1, ack=1)
        s.service.gets(SYN)
        assert [segment.flags for segment in s.strays] == [FLAGS["R"] | FLAGS["A"]]
        s.strays.clear()
        s.counted(
            connections_accepted=16,
            connections_opened=1,
            syn_cookies_sent=1,
            syn_cookies_accepted=1,
            orphans_evicted=1,
            half_open_evicted=1,
            connections_reset=1,
            connections_closed=2,
            resets_sent=1,
        )


def test_last_ack_of_a_pair_is_an_orphan_until_it_is_acknowledged() -> None:
    with last_ack("client") as s:
        assert is_orphan(s.client.live())
        assert s.lab.engine().orphan_first == s.lab.engine().orphan_last != 0
        s.client.sends("A")
        s.client.gets()
        assert s.lab.engine().orphan_first == s.lab.engine().orphan_last == 0
        s.counted(connections_closed=1)


def _refused(lab: HttpLab) -> Peer:
    """Return a client that is sent home and does not let go."""
    client = lab.client().connect()
    client.send(b"nonsense\r\n\r\n")
    lab.settle()
    assert client.eof
    return client


@pytest.mark.parametrize("cookies", ["auto", "off"])
def test_clients_that_never_close_stand_in_nobodys_way(cookies: str) -> None:
    lab = HttpLab(configuration(tcp=f"syn_cookies: {cookies}"), connections=16)
    stubborn = [_refused(lab) for _ in range(16)]
    assert [tcb.state for tcb in _orphans(lab)] == [TcpState.FIN_WAIT_2] * 16
    client = lab.client().connect()
    client.send(get(1))
    server = lab.servers[0].accept()
    assert [peer.was_reset for peer in stubborn] == [True] * 2 + [False] * 14  # the oldest, for client and service
    assert server.take().startswith(b"GET /1 ")
    assert len(_orphans(lab)) == 14
    assert lab.totals().values["orphans_evicted"] == 2
    lab.end()


def test_who_still_reads_is_spared_for_who_does_not() -> None:
    lab = HttpLab(configuration(timeouts="fin_wait: 60s"), connections=16)
    reader = lab.client(paused=True, limit=65_000).connect()
    reader.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    server = lab.servers[0].accept()
    server.take()
    server.send(LARGE).close()
    lab.settle()
    others = [_refused(lab) for _ in range(15)]
    for _ in range(4):
        reader.read(20_000)
        lab.settle()
    first = _orphans(lab)[0]
    assert (first.state, first.discard, first.send_chain_length > 0) == (TcpState.ESTABLISHED, 1, True)
    client = lab.client().connect()
    client.send(get(2))
    lab.servers[0].accept()
    assert [peer.was_reset for peer in others] == [True] * 2 + [False] * 13
    assert not reader.was_reset
    lab.wait(6 * SECOND)  # nobody reads: its window is closed, it is probed
    more = [lab.client().connect() for _ in range(3)]
    assert reader.was_reset  # it answers the probes, but takes nothing
    assert all(peer.established for peer in more)
    lab.patience = 70 * SECOND
    lab.end()


@pytest.mark.parametrize("seconds", [1, 5])
def test_the_peer_has_as_long_as_the_vserver_grants(seconds: int) -> None:
    lab = HttpLab(configuration(timeouts=f"fin_wait: {seconds}s"))
    client = _refused(lab)
    lab.wait(seconds * SECOND - 100_000)
    assert not client.was_reset
    lab.wait(200_000)
    assert client.was_reset
    lab.end()
