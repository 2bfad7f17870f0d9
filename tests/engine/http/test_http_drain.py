"""A drain: HTTP clients that wait between two requests are sent home, all others finish what they are doing."""

from __future__ import annotations

from ncore_ray.management.connections import Clients, count_clients
from tests.engine.http.http_talk import GET, OK, answer, begin, exchange, get, passed_request, passed_response
from tests.support.http_lab import SECOND, HttpLab, running


def test_idle_client_is_closed_by_a_drain() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        lab.drain()
        lab.settle()
        client.expect_eof()
        client.close()
        assert lab.counters().connections_drained == 1


def test_client_that_has_not_asked_yet_is_closed_by_a_drain() -> None:
    with running() as lab:
        client = lab.client().connect()
        lab.drain()
        lab.settle()
        client.expect_eof()


def test_every_idle_client_is_closed_at_once() -> None:
    with running(connections=600, frames=4096) as lab:  # more than are looked at in one breath
        clients = [lab.client().connect() for _ in range(lab.engine().connection_count)]
        lab.drain()
        lab.settle()
        for client in clients:
            client.expect_eof()
        assert lab.counters().connections_drained == len(clients)


def test_half_a_head_and_a_request_under_way_are_no_idleness() -> None:
    with running() as lab:
        client, server = begin(lab)
        slow = lab.client().connect()
        slow.send(GET[:10])
        lab.drain()
        lab.wait(SECOND)
        slow.send(GET[10:])
        other = lab.servers[0].accept()
        other.expect(passed_request(GET))
        for one, its_client in ((server, client), (other, slow)):
            one.send(OK)
            its_client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()
        assert lab.counters().connections_drained == 0


def test_response_begun_before_the_drain_is_the_last() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK[:-1])
        lab.settle()
        lab.drain()
        lab.wait(SECOND)
        server.send(OK[-1:])
        client.expect(passed_response(OK))
        lab.wait(SECOND)
        client.expect_eof()
        assert lab.counters().connections_drained == 1


def test_pipelined_requests_that_came_before_are_answered() -> None:
    with running() as lab:
        client, server = begin(lab, GET)
        client.send(get(1))
        server.send(OK[:-1])
        lab.settle()
        lab.drain()
        server.send(OK[-1:])
        client.expect(passed_response(OK))
        server.expect(passed_request(get(1)))
        server.send(answer(b"1"))
        client.expect(passed_response(answer(b"1"), b"Connection: close\r\n")).expect_eof()


def test_streams_go_on() -> None:
    with running(protocol="TCP") as lab:
        client = lab.client().connect()
        server = lab.servers[0].accept()
        lab.drain()
        lab.wait(SECOND)
        client.send(b"ping")
        server.expect(b"ping")
        assert lab.counters().connections_drained == 0


def test_idle_connections_to_servers_stay() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        exchange(client, server)
        lab.drain()
        lab.wait(SECOND)
        assert lab.service_stats().idle_connections == 1


def counted(lab: HttpLab) -> Clients:
    """Return what the management counts while it waits for the end of a drain."""
    return count_clients(lab.array, lab.engine_indexes)


def test_what_a_drain_waits_for() -> None:
    with running() as lab:
        client, server = begin(lab)
        assert counted(lab) == Clients(busy=1, idle=0)
        server.send(OK)
        client.expect(passed_response(OK))
        assert counted(lab) == Clients(busy=0, idle=1)
        lab.drain()
        lab.settle()
        assert lab.live()  # the client's own end stays open
        assert counted(lab) == Clients(busy=0, idle=0)


def test_a_drain_waits_for_what_a_client_has_not_got_yet() -> None:
    with running() as lab:
        client, server = begin(lab)
        client.hold_acks = True
        lab.drain()
        server.send(OK)
        lab.settle()
        assert counted(lab) == Clients(busy=1, idle=0)
        assert count_clients(lab.array, []) == Clients(0, 0)  # of engines that live
        client.expect(passed_response(OK, b"Connection: close\r\n")).acknowledge().expect_eof()
        assert counted(lab) == Clients(busy=0, idle=0)
