"""HTTP exchanges and UDP sessions that move to another engine at every step: the same answers, nothing kept behind."""

from __future__ import annotations

import random
import socket

from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.handover.frozen import Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.machine.record import size_of, view
from tests.engine.http.http_talk import answer, get, passed_request, passed_response
from tests.engine.remote.virtual_lab import FUNCTIONAL
from tests.support.http_lab import SECOND, SNIPS, VIP, HttpLab, configuration
from tests.support.tcp_peer import Peer


class MovingHttp(HttpLab):
    """Hosts around two engines, whose flows move when a test says so."""

    moves = 0

    def move_all(self, source: int) -> list[Refusal]:
        """Hand over all flows of an engine, and let their packets follow; return what was refused."""
        handover, refused = Handover(self.array), []
        for number in list(handover.flows(source)):
            found = handover.move(source, 1 - source, number, self.now)
            if isinstance(found, Refusal):
                refused.append(found)
                continue
            self.moves += 1
            self._follow(1 - source, found)
        return refused

    def _follow(self, engine: int, number: int) -> None:
        tcb = self._tcb(engine, number)
        for each in [tcb, *([self._tcb(engine, tcb.peer - 1)] if tcb.peer else [])]:
            remote, local = (
                socket.inet_ntoa((low & 0xFFFF_FFFF).to_bytes(4, "big")) for low in (each.remote_low, each.local_low)
            )
            self.hosts[remote].engines[each.ports >> 24, local, each.ports >> 8 & 0xFFFF] = engine

    def _tcb(self, engine: int, number: int) -> Tcb:
        return view(Tcb, self.array, self.engine(engine).connections + number * size_of(Tcb))


def moving(**settings: object) -> MovingHttp:
    return MovingHttp(configuration(engines=2, **settings), connections=64, frames=512)  # type: ignore[arg-type]


def exchange(lab: MovingHttp, client: Peer, number: int, choice: random.Random) -> None:
    """Do a request with a body in pieces, moving after each."""
    body = choice.randbytes(choice.randrange(1, 9_000))
    request = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body)
    send_in_pieces(lab, client, request, choice)
    servers = [peer for peer in lab.servers[0].peers.values() if peer.received]
    assert [bytes(peer.received) for peer in servers] == [passed_request(request)]
    servers[0].received.clear()
    response = answer(choice.randbytes(choice.randrange(9_000)))
    send_in_pieces(lab, servers[0], response, choice)
    client.expect(passed_response(response))


def send_in_pieces(lab: MovingHttp, peer: Peer, data: bytes, choice: random.Random) -> None:
    """Send a message in some pieces, and move all flows after each of them."""
    cuts = sorted(choice.randrange(len(data) + 1) for _ in range(3))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        peer.send(data[start:end])
        lab.settle()
        for engine in lab.engine_indexes if choice.random() < 0.2 else [choice.randrange(2)]:
            assert lab.move_all(engine) == []


def test_exchanges_go_on_elsewhere() -> None:
    choice, lab = random.Random(11), moving()
    clients = [lab.client().connect() for _ in range(3)]
    for number in range(12):
        exchange(lab, clients[number % 3], number, choice)
    assert lab.moves > 50
    assert sum(lab.totals(engine).values["http_requests"] for engine in range(2)) == 12
    lab.end()


def test_an_idle_server_connection_is_used_at_its_new_engine() -> None:
    lab = moving()
    client = lab.client().connect()
    client.send(get(1))
    server = lab.servers[0].accept()
    server.take()
    server.send(answer(b"1"))
    client.take()
    assert lab.service_stats(0, 0).idle_connections == 1
    lab.move_all(0)
    assert (lab.service_stats(0, 0).idle_connections, lab.service_stats(0, 1).idle_connections) == (0, 1)
    client.send(get(2))
    lab.settle()
    assert server.take() == passed_request(get(2))
    assert lab.totals(1).values["http_reused_connections"] == 1
    server.send(answer(b"2"))
    client.expect(passed_response(answer(b"2")))
    lab.end()


def test_time_wait_moves_and_ends() -> None:
    lab = moving()
    client = lab.client().connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    server = lab.servers[0].accept()
    server.take()
    server.send(answer(b"1"))
    lab.settle()
    client.close()
    lab.settle()
    assert lab.engine(0).time_wait_first
    assert lab.move_all(0) == []
    assert (lab.engine(0).time_wait_first, bool(lab.engine(1).time_wait_first)) == (0, True)
    lab.end()


def test_a_session_of_datagrams_moves() -> None:
    lab = moving(protocol="UDP")
    lab.client_host.send_datagram(4_000, (VIP, 80), b"one")
    lab.settle()
    source, port, own, payload = lab.servers[0].datagrams.popleft()
    assert (source, own, payload) == (SNIPS[1], 80, b"one")
    assert lab.move_all(0) == []
    lab.servers[0].send_datagram(80, (SNIPS[1], port), b"two", engine=1)
    lab.settle()
    assert lab.client_host.datagrams.popleft() == (VIP, 80, 4_000, b"two")
    lab.patience = 40 * SECOND
    lab.end()


def test_a_client_of_another_engine_stays() -> None:
    """What lies between two engines cannot go along."""
    lab = MovingHttp(configuration(engines=2, distribution=FUNCTIONAL), connections=64, frames=512)
    client = lab.client().connect()
    client.send(get(1))
    lab.settle()
    roles = {engine: {tcb.role for tcb in lab.live(engine)} for engine in range(2)}
    assert Role.RELAYED in roles[0] | roles[1]
    for engine in range(2):
        assert Refusal.VIRTUAL in lab.move_all(engine)
    lab.end()


def test_a_probe_of_a_monitor_stays() -> None:
    lab = moving(monitor="{type: tcp, interval: 1s}")
    lab.servers[0].silent = True
    lab.wait(SECOND)
    refused = [lab.move_all(engine) for engine in range(2)]
    assert Refusal.MONITOR in refused[0] + refused[1]
    lab.servers[0].silent = False
    lab.patience = 20 * SECOND
    lab.wait(5 * SECOND)
    lab.move_all(0)
