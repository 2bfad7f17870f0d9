"""An engine that leaves while others go on: whatever comes is served, and clients are told to come again elsewhere."""

from __future__ import annotations

from ncore_ray.arena.core import Drain
from tests.engine.http.http_talk import GET, OK, begin, exchange, get, passed_request, passed_response
from tests.support.http_lab import SECOND, HttpLab, running

CLOSE = b"Connection: close\r\n"


def leave(lab: HttpLab, *, drain: int = Drain.LEAVE) -> None:
    lab.heart(0).drain = drain
    lab.settle()


def test_a_response_tells_the_client_to_connect_anew() -> None:
    with running() as lab:
        client, server = begin(lab)
        leave(lab)
        server.send(OK)
        client.expect(passed_response(OK, CLOSE)).expect_eof()


def test_who_waits_between_two_requests_is_not_closed() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        leave(lab)
        lab.wait(SECOND)
        client.send(GET)
        other = lab.servers[0].accept()
        other.expect(passed_request(GET))
        other.send(OK)
        client.expect(passed_response(OK, CLOSE)).expect_eof()


def test_a_connection_that_was_under_way_is_accepted_and_served() -> None:
    with running() as lab:
        leave(lab)
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK, CLOSE)).expect_eof()
        assert lab.counters().drop_tcp_draining_packets == 0


def test_what_a_client_has_asked_for_already_is_answered_here() -> None:
    with running() as lab:
        client, server = begin(lab, GET)
        client.send(get(1))
        server.send(OK[:-1])
        leave(lab)
        server.send(OK[-1:])
        client.expect(passed_response(OK))
        other = lab.servers[0].accept()
        other.expect(passed_request(get(1)))
        other.send(OK)
        client.expect(passed_response(OK, CLOSE)).expect_eof()


def test_idle_connections_to_services_are_closed_and_none_is_kept() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        leave(lab)
        server.expect_eof()
        assert lab.service_stats().idle_connections == 0
        client.send(GET)
        other = lab.servers[0].accept()
        other.expect(passed_request(GET))
        other.send(OK)
        client.expect(passed_response(OK, CLOSE))
        other.expect_eof()


def test_one_that_stays_after_all_works_on() -> None:
    with running() as lab:
        leave(lab)
        leave(lab, drain=Drain.NO)
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        exchange(client, server)
