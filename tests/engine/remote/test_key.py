"""A field of the first request decides which engine serves a client: the same value meets on one engine."""

from __future__ import annotations

import pytest

from ncore_ray.engine.connection import Role
from ncore_ray.flow.assignment import set_active_engines
from ncore_ray.flow.distributor import distributor_view
from tests.engine.http.http_talk import GET, OK, get, passed_request, passed_response, refused, status_of
from tests.engine.remote.virtual_lab import count
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

REQUESTS = {
    "cookie: session": b"GET / HTTP/1.1\r\nHost: a\r\nCookie: theme=dark; session=%d; x=y\r\n\r\n",
    "parameter: user": b"GET /a?x=1&user=%d&user=other HTTP/1.1\r\nHost: a\r\n\r\n",
    "header: X-User": b"GET / HTTP/1.1\r\nx-user: %d\r\nHost: a\r\n\r\n",
}


def exchange(lab: HttpLab, client: Peer, request: bytes) -> int:
    """Let a server answer a request that was sent; return the engine that the server was asked by."""
    lab.settle()
    (engine,) = [k for k in lab.engine_indexes if any(t.role == Role.SERVER and t.peer for t in lab.connections(k))]
    for peer in list(lab.servers[0].peers.values()):
        if peer.received:
            peer.expect(passed_request(request)).send(OK)
    client.expect(passed_response(OK))
    return engine


def serve(lab: HttpLab, request: bytes, engine: int) -> int:
    """Do one exchange of a new client whose packets come to an engine; return the engine that served it."""
    client = lab.client(engine=engine).connect().send(request)
    found = exchange(lab, client, request)
    client.close()
    client.expect_eof()
    return found


@pytest.mark.parametrize("key", REQUESTS)
def test_same_value_meets_on_one_engine(key: str) -> None:
    with running(engines=3, key=key) as lab:
        places = [{serve(lab, REQUESTS[key] % value, engine) for engine in lab.engine_indexes} for value in range(12)]
        assert all(len(found) == 1 for found in places)
        assert set.union(*places) == {0, 1, 2}
        assert sum(count(lab, "keyed_connections")) == 36
        assert sum(count(lab, "virtual_connections_opened")) == 24
        assert count(lab, "virtual_connections_refused") == [0, 0, 0]


@pytest.mark.parametrize("request_bytes", [GET, b"GET / HTTP/1.1\r\nHost: a\r\nCookie: session=; s=1\r\n\r\n"])
def test_client_without_a_value_stays_where_it_came(request_bytes: bytes) -> None:
    with running(engines=3, key="cookie: session") as lab:
        assert [serve(lab, request_bytes, engine) for engine in lab.engine_indexes] == [0, 1, 2]
        assert count(lab, "keyless_connections") == [1, 1, 1]
        assert count(lab, "virtual_connections_opened") == [0, 0, 0]


def _elsewhere(lab: HttpLab) -> bytes:
    """Return a request that is not served by engine 0, where it comes."""
    requests = (REQUESTS["cookie: session"] % value for value in range(100))
    return next(request for request in requests if serve(lab, request, 0) != 0)


def test_first_request_decides_for_the_whole_connection() -> None:
    with running(engines=2, key="cookie: session") as lab:
        request = _elsewhere(lab)
        client = lab.client().connect().send(request)
        assert exchange(lab, client, request) == 1
        for number in range(3):
            client.send(get(number))
            assert exchange(lab, client, get(number)) == 1


@pytest.mark.parametrize("size", [1, 7, 40])
def test_head_that_comes_in_pieces(size: int) -> None:
    with running(engines=2, key="cookie: session") as lab:
        request = _elsewhere(lab)
        client = lab.client().connect()
        for start in range(0, len(request), size):
            client.send(request[start : start + size])
            lab.settle()
        assert exchange(lab, client, request) == 1


def test_body_and_next_request_that_came_with_the_head() -> None:
    with running(engines=2, key="cookie: session") as lab:
        head = _elsewhere(lab).replace(b"GET", b"POST")[:-2] + b"Content-Length: 5000\r\n\r\n"
        client = lab.client().connect().send(head + bytes(5_000) + GET)
        assert exchange(lab, client, head + bytes(5_000)) == 1
        assert exchange(lab, client, GET) == 1


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ],
)
def test_bad_request_is_refused_where_it_came(request_bytes: bytes, status: int) -> None:
    with running(engines=2, key="cookie: session") as lab:
        refused(lab, lab.client().connect().send(request_bytes), status)
        assert count(lab, "virtual_connections_opened") == [0, 0]
        assert count(lab, "http_refused_requests") == [1, 0]


def test_client_that_is_slow_with_its_first_head() -> None:
    with running(engines=2, key="cookie: session", timeouts="header: 3s") as lab:
        client = lab.client().connect()
        lab.wait(2 * SECOND)
        client.send(GET[:-1])
        lab.wait(2 * SECOND)
        client.expect_nothing()
        lab.wait(2 * SECOND)
        assert status_of(client.take()) == 408


def test_client_that_says_nothing_is_closed() -> None:
    with running(engines=2, key="cookie: session", timeouts="header: 3s") as lab:
        client = lab.client().connect()
        lab.wait(4 * SECOND)
        client.expect_eof()


def test_client_that_ends_before_its_head_does() -> None:
    with running(engines=2, key="cookie: session") as lab:
        lab.client().connect().send(GET[:-2]).close().expect_eof()
        lab.client().connect().close().expect_eof()
        assert lab.vserver().total_connections == 2


def test_client_that_ends_its_stream_behind_its_request() -> None:
    with running(engines=2, key="cookie: session") as lab:
        request = _elsewhere(lab)
        client = lab.client().connect().send(request).close()
        lab.settle()
        server = next(peer for peer in lab.servers[0].peers.values() if peer.received)
        server.expect(passed_request(request)).send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()


def test_client_that_is_reset_before_its_head_is_whole() -> None:
    with running(engines=2, key="cookie: session") as lab:
        lab.client().connect().send(GET[:-2]).reset()
        lab.settle()
        assert lab.connections(0) == []


def test_drain_closes_clients_that_have_said_nothing_and_those_that_wait() -> None:
    with running(engines=2, key="cookie: session") as lab:
        request = _elsewhere(lab)
        quiet, waiting = lab.client().connect(), lab.client().connect().send(request)
        exchange(lab, waiting, request)
        lab.drain()
        lab.wait(SECOND)
        quiet.expect_eof()
        waiting.expect_eof()


def test_engine_that_takes_no_new_flows_gets_no_new_values_and_the_others_keep_theirs() -> None:
    with running(engines=3, key="cookie: session") as lab:
        requests = [REQUESTS["cookie: session"] % value for value in range(12)]
        before = [serve(lab, request, 0) for request in requests]
        set_active_engines(lab.array, distributor_view(lab.array), [0, 2])
        after = [serve(lab, request, 0) for request in requests]
        assert 1 not in after
        assert all(new == old for old, new in zip(before, after, strict=True) if old != 1)


def test_key_with_functions_chooses_among_those_that_serve() -> None:
    functional = "parallelism: functional, functions: [transport, application, application]"
    with running(engines=3, key="cookie: session", distribution=functional) as lab:
        found = [serve(lab, REQUESTS["cookie: session"] % value, 0) for value in range(12)]
        assert set(found) == {1, 2}
        assert serve(lab, GET, 0) == 0


def test_one_engine_has_no_links() -> None:
    with running(key="cookie: session") as lab:
        assert lab.engine().links == 0
        assert serve(lab, REQUESTS["cookie: session"] % 1, 0) == 0
