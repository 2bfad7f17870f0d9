"""The pool of server connections: reuse, order, limits, and what happens when the server closes one of them."""

from __future__ import annotations

import pytest

from tests.engine.http.http_talk import (
    GET,
    OK,
    begin,
    exchange,
    get,
    passed_request,
    passed_response,
    pool_one,
    status_of,
)
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


def _many(lab: HttpLab, count: int) -> tuple[list[Peer], list[Peer]]:
    """Return as many clients, and the server connections that their requests were at when all were busy."""
    clients = [lab.client().connect() for _ in range(count)]
    servers = []
    for client in clients:
        client.send(GET)
        servers.append(lab.servers[0].accept())
        servers[-1].expect(passed_request(GET))
    return clients, servers


def test_other_clients_use_the_same_connection() -> None:
    with running() as lab:
        _, server = pool_one(lab)
        for _ in range(3):
            exchange(lab.client().connect(), server)
        assert lab.servers[0].syns == 1


def test_connection_survives_its_client() -> None:
    with running() as lab:
        client, server = pool_one(lab)
        client.close()
        lab.settle()
        exchange(lab.client().connect(), server)


def test_last_in_is_first_out() -> None:
    with running() as lab:
        clients, servers = _many(lab, 3)
        for client, server in zip(clients, servers, strict=True):
            server.send(OK)
            client.expect(passed_response(OK))
        for server in reversed(servers):
            clients[0].send(GET)
            server.expect(passed_request(GET))
            server.send(OK)
            client = lab.client().connect()
            client.send(get(7))
            server.expect(passed_request(get(7)))
            clients.append(client)
            clients[0].expect(passed_response(OK))


def test_idle_limit() -> None:
    with running(limits="idle_server_connections: 2") as lab:
        clients, servers = _many(lab, 4)
        for client, server in zip(clients, servers, strict=True):
            server.send(OK)
            client.expect(passed_response(OK))
        assert lab.service_stats().idle_connections == 2
        assert [server.eof for server in servers] == [False, False, True, True]


def test_idle_connection_is_closed_in_time() -> None:
    with running() as lab:
        _, server = pool_one(lab)
        lab.wait(29 * SECOND)
        server.expect_nothing()
        lab.wait(2 * SECOND)
        server.expect_eof()
        assert lab.service_stats().idle_connections == 0


@pytest.mark.parametrize("how", ["close", "reset"])
def test_idle_connection_that_the_server_ends_is_forgotten(how: str) -> None:
    with running() as lab:
        client, server = pool_one(lab)
        getattr(server, how)()
        lab.settle()
        stats = lab.service_stats()
        assert (stats.idle_connections, stats.idle_first, stats.connections) == (0, 0, 0)
        client.send(GET)
        lab.servers[0].accept().expect(passed_request(GET))
        assert lab.counters().http_retried_requests == 0


def test_connection_in_the_middle_of_the_pool_can_end() -> None:
    with running() as lab:
        clients, servers = _many(lab, 3)
        for client, server in zip(clients, servers, strict=True):
            server.send(OK)
            client.expect(passed_response(OK))
        servers[1].reset()
        lab.settle()
        assert lab.service_stats().idle_connections == 2
        clients[0].send(GET)
        servers[2].expect(passed_request(GET))
        clients[1].send(GET)
        servers[0].expect(passed_request(GET))
        assert lab.service_stats().idle_first == 0


def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    with running() as lab:
        client, server = pool_one(lab)
        server.send(OK)
        server.expect_reset()
        assert lab.service_stats().idle_connections == 0
        client.send(GET)
        lab.servers[0].accept().expect(passed_request(GET))
        client.expect_nothing()


@pytest.mark.parametrize("cut", [False, True])
def test_bytes_behind_a_response_are_nobodys(cut: bool) -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK + OK[:7])
        if cut:
            server.send(OK[7:])
        client.expect(passed_response(OK))
        server.expect_reset()
        client.send(GET)
        lab.servers[0].accept().expect(passed_request(GET))
        client.expect_nothing()


def test_bytes_behind_a_response_held_for_a_slow_client() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + bytes(20_000)
    with running(tcp="receive_window: 64KiB, send_buffer: 8KiB") as lab:
        client, server = begin(lab, paused=True, limit=1_024)
        server.send(body + OK)
        received = b""
        for _ in range(60):
            lab.wait(20_000, 10_000)
            received += client.read()
        assert received == passed_response(body)
        server.expect_reset()
        exchange(client, _next_server(lab, client))


def _next_server(lab: HttpLab, client: Peer) -> Peer:
    client.send(GET)
    server = lab.servers[0].accept()
    server.expect(passed_request(GET))
    server.send(OK)
    client.paused = False
    client.expect(passed_response(OK))
    return server


# The server closes a connection of the pool at the moment when a request is sent on it.


def _race(lab: HttpLab, client: Peer, server: Peer, request: bytes, how: str) -> None:
    """Let the server end its connection while a request is on its way to it."""
    client.send(request)
    lab.step_engines()  # the request has left the engine; the server's word about its end is on the wire
    if how == "reset":
        server.read()
        server.reset()
    else:
        server.close()
    lab.settle()


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("request_bytes", [GET, PUT])
def test_idempotent_request_is_sent_again(how: str, request_bytes: bytes) -> None:
    with running() as lab:
        client, server = pool_one(lab)
        _race(lab, client, server, request_bytes, how)
        client.expect_nothing()
        again = lab.servers[0].accept()
        again.expect(passed_request(request_bytes))
        again.send(OK)
        client.expect(passed_response(OK))
        exchange(client, again)
        assert lab.counters().http_retried_requests == 1
        assert lab.vserver().requests == 3


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"BREW"])
def test_other_request_is_not_sent_again(how: str, method: bytes) -> None:
    with running() as lab:
        client, server = pool_one(lab)
        _race(lab, client, server, POST.replace(b"POST", method), how)
        assert status_of(client.take()) == 502
        lab.servers[0].expect_no_connection()


def test_request_that_was_answered_in_part_is_not_sent_again() -> None:
    with running() as lab:
        client, server = pool_one(lab)
        client.send(GET)
        server.expect(passed_request(GET))
        server.send(b"HTTP/1.1 2")
        lab.settle()
        server.reset()
        assert status_of(client.take()) == 502
        lab.servers[0].expect_no_connection()


def test_request_with_an_interim_response_is_not_sent_again() -> None:
    with running() as lab:
        client, server = pool_one(lab)
        client.send(GET)
        server.expect(passed_request(GET))
        server.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        lab.settle()
        assert client.read().startswith(b"HTTP/1.1 103 ")
        server.reset()
        assert status_of(client.take()) == 502


def test_request_on_a_fresh_connection_is_not_sent_again() -> None:
    for how in ("reset", "close"):
        with running() as lab:
            client, server = begin(lab)
            getattr(server, how)()
            assert status_of(client.take()) == 502
            lab.servers[0].expect_no_connection()


def test_request_that_is_only_partly_sent_goes_whole_to_the_next_connection() -> None:
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n"
    with running() as lab:
        client, server = pool_one(lab)
        client.send(head + b"x" * 2_000)
        server.expect(passed_request(head) + b"x" * 2_000)
        server.reset()
        again = lab.servers[0].accept()
        again.expect(passed_request(head) + b"x" * 2_000)
        client.send(b"y" * 4_000)
        again.expect(b"y" * 4_000)
        again.send(OK)
        client.expect(passed_response(OK))


def test_request_larger_than_what_is_kept_is_not_sent_again() -> None:
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n"
    with running() as lab:
        client, server = pool_one(lab)
        client.send(head + b"x" * 20_000)
        lab.settle()
        server.reset()
        assert status_of(client.take()) == 502


def test_request_sent_again_finds_no_service() -> None:
    with running() as lab:
        client, server = pool_one(lab)
        lab.servers[0].refuse = True
        _race(lab, client, server, GET, "reset")
        assert status_of(client.take()) == 503


def test_connection_with_request_bytes_that_were_never_acknowledged_is_not_reused() -> None:
    """The server answers before it has taken all of the request: what is left must not run into the next one."""
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n"
    with running() as lab:
        client, server = pool_one(lab)
        server.paused, server.limit = True, 1_500
        server.acknowledge()
        client.send(head + b"x" * 3_000)
        lab.settle()
        assert 0 < len(server.received) < 2_000
        server.send(OK)
        assert client.take().endswith(b"ok")
        assert lab.service_stats().idle_connections == 0


# What a server says on a connection of the pool before it can have seen the request.

TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate"


@pytest.mark.parametrize("request_bytes", [GET, PUT])
@pytest.mark.parametrize("unasked", [TIMEOUT, OK, OK[:9]])
def test_response_that_was_on_its_way_before_the_request_is_not_its_response(
    request_bytes: bytes, unasked: bytes
) -> None:
    with running() as lab:
        client, server = pool_one(lab)
        client.send(request_bytes)
        server.send(unasked).close()
        client.expect_nothing()
        assert server.was_reset
        again = lab.servers[0].accept()
        again.expect(passed_request(request_bytes))
        again.send(OK)
        client.expect(passed_response(OK))
        assert lab.counters().http_retried_requests == 1


def test_response_that_was_on_its_way_before_a_post_fails_it() -> None:
    with running() as lab:
        client, server = pool_one(lab)
        client.send(POST)
        server.send(OK)
        assert status_of(client.take()) == 502
        assert server.was_reset
        lab.servers[0].expect_no_connection()


def test_server_that_speaks_first_on_a_fresh_connection_is_heard() -> None:
    """A server that is too busy to read may say so at once; nobody else was to hear that."""
    busy = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with running() as lab:
        lab.servers[0].options = {"hold_acks": True}
        client = lab.client().connect().send(GET)
        server = lab.servers[0].accept()
        server.send(busy).close()
        assert client.take().startswith(b"HTTP/1.1 503 Busy\r\n")


def test_connection_with_a_gap_behind_the_response_is_not_reused() -> None:
    """Bytes that nobody asked for have come, and those before them would look like the next request's response."""
    with running() as lab:
        client, server = begin(lab)
        server.send(OK)
        server.send(OK[:9])
        late = lab.wire.pop()
        server.send(OK[9:])
        client.expect(passed_response(OK))
        client.send(GET)
        again = lab.servers[0].accept()
        assert server.was_reset
        again.expect(passed_request(GET))
        lab.wire.append(late)
        client.expect_nothing()
        again.send(OK)
        client.expect(passed_response(OK))
