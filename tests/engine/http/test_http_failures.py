"""Servers and clients that fail: what the other side is told, and that the appliance goes on."""

from __future__ import annotations

import pytest

from ncore_ray.tables.service import Health
from tests.engine.http.http_talk import (
    GET,
    OK,
    answer,
    begin,
    exchange,
    get,
    passed_request,
    passed_response,
    pool_one,
    refused,
    status_of,
)
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

BAD_RESPONSES = {
    "no-http": b"hello\r\n\r\n",
    "http-2": b"HTTP/2.0 200 OK\r\n\r\n",
    "status": b"HTTP/1.1 999 OK\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "both-framings": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "space": b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
    "fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "control": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "empty-line-first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "204-with-body": b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nbody",
}


@pytest.mark.parametrize("name", BAD_RESPONSES)
@pytest.mark.parametrize("pooled", [False, True])
def test_bad_response(name: str, pooled: bool) -> None:
    with running() as lab:
        if pooled:
            client, server = pool_one(lab)
            client.send(GET)
            server.expect(passed_request(GET))
        else:
            client, server = begin(lab)
        server.send(BAD_RESPONSES[name])
        refused(lab, client, 502)
        server.expect_reset()
        assert lab.counters().http_failed_requests == 1
        assert lab.vserver().errors == 1


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r"])
def test_server_closes_instead_of_answering(part: bytes) -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(part).close()
        refused(lab, client, 502)


def test_head_request_is_refused_without_a_body() -> None:
    with running() as lab:
        client, server = begin(lab, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.close()
        response = client.take()
        assert response.startswith(b"HTTP/1.1 502 ")
        assert response.endswith(b"\r\n\r\n")
        assert b"Content-Length: " in response
        client.expect_eof()


def test_head_request_that_is_itself_wrong_is_refused_without_a_body() -> None:
    with running() as lab:
        client = lab.client().connect().send(b"HEAD / HTTP/1.1\r\n\r\n")
        response = client.take()
        assert response.startswith(b"HTTP/1.1 400 ")
        assert response.endswith(b"\r\n\r\n")


# Connecting.


def test_refused_connection_goes_to_the_next_service() -> None:
    with running(services=3) as lab:
        lab.servers[0].refuse = lab.servers[1].refuse = True
        client = lab.client().connect().send(GET)
        server = lab.servers[2].accept()
        server.expect(passed_request(GET))
        server.send(OK)
        client.expect(passed_response(OK))
        assert [lab.service_stats(k).requests for k in range(3)] == [0, 0, 1]
        assert [lab.service_stats(k).failures for k in range(3)] == [1, 1, 0]
        assert [lab.service_stats(k).sent_bytes for k in range(3)] == [0, 0, server.total_received]
        assert lab.counters().connections_refused == 2


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_request_with_body_survives_a_refused_connection(method: bytes) -> None:
    request = b"%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" % method + b"z" * 30_000
    with running(services=2) as lab:
        lab.servers[0].silent = True
        client = lab.client().connect().send(request)
        lab.wait(4 * SECOND)
        server = lab.servers[1].accept()
        server.expect(passed_request(request))
        server.send(OK)
        client.expect(passed_response(OK))


def test_all_services_refuse() -> None:
    with running(services=2) as lab:
        for host in lab.servers:
            host.refuse = True
        client = lab.client().connect().send(GET)
        refused(lab, client, 503)
        assert lab.counters().http_failed_requests == 1


def test_service_that_does_not_answer() -> None:
    with running(timeouts="connect: 2s") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect().send(GET)
        lab.wait(1_900_000)
        client.expect_nothing()
        lab.wait(2_300_000)  # the only service is tried once more
        refused(lab, client, 503)


def test_next_service_when_one_does_not_answer() -> None:
    with running(services=2, timeouts="connect: 2s") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect().send(GET)
        lab.wait(2_200_000)
        server = lab.servers[1].accept()
        server.expect(passed_request(GET))
        server.send(OK)
        client.expect(passed_response(OK))


def test_no_service_is_up() -> None:
    with running(services=2, monitor="{type: tcp, interval: 1h, timeout: 1s}") as lab:
        lab.set_health(Health.DOWN)
        client = lab.client().connect().send(GET)
        refused(lab, client, 503)
        assert lab.service_stats(0).total_connections == lab.service_stats(1).total_connections == 0


def test_table_full_of_connections_gives_503() -> None:
    with running(connections=16) as lab:
        clients = [lab.client().connect() for _ in range(16)]
        assert all(client.established for client in clients)
        clients[0].send(GET)
        refused(lab, clients[0], 503)
        clients[1].close()
        lab.wait(6 * SECOND)
        clients[2].send(GET)
        lab.servers[0].accept().expect(passed_request(GET))


# Time.


def test_server_that_takes_too_long() -> None:
    with running(timeouts="server: 5s") as lab:
        client, server = begin(lab)
        lab.wait(4_900_000)
        client.expect_nothing()
        lab.wait(SECOND)
        refused(lab, client, 504)
        server.expect_reset()
        assert lab.counters().connections_timed_out == 1


def test_server_that_takes_too_long_on_a_pooled_connection() -> None:
    with running(timeouts="server: 5s") as lab:
        client, server = pool_one(lab)
        lab.wait(8 * SECOND)
        client.send(GET)
        server.expect(passed_request(GET))
        lab.wait(4_900_000)
        client.expect_nothing()
        lab.wait(SECOND)
        refused(lab, client, 504)


def test_chatty_client_gives_a_silent_server_no_more_time() -> None:
    with running(timeouts="server: 5s") as lab:
        client, _ = begin(lab)
        for _ in range(6):
            lab.wait(SECOND)
            client.send(b"G")
        assert status_of(client.take()) == 504


def test_server_that_stops_in_the_middle_of_its_response() -> None:
    with running(timeouts="server: 5s") as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        lab.settle()
        client.read()
        lab.wait(6 * SECOND)
        client.expect_reset()
        server.expect_reset()


def test_slow_upload_does_not_count_against_the_server() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"
    with running(timeouts="server: 5s") as lab:
        client, server = begin(lab, head)
        for byte in b"12345678":
            lab.wait(3 * SECOND)
            client.send(bytes([byte]))
            server.expect(bytes([byte]))
        lab.wait(4 * SECOND)
        server.send(OK)
        client.expect(passed_response(OK))


def test_idle_client_is_closed_without_a_word() -> None:
    with running(timeouts="client_idle: 5s") as lab:
        client, _ = pool_one(lab)
        lab.wait(4_900_000)
        client.expect_nothing()
        lab.wait(SECOND)
        client.expect_eof()


def test_client_that_never_sends_anything() -> None:
    with running(timeouts="header: 3s") as lab:
        client = lab.client().connect()
        lab.wait(4 * SECOND)
        client.expect_eof()


def test_slow_head() -> None:
    with running(timeouts="header: 3s") as lab:
        client = lab.client().connect()
        for byte in GET[:7]:
            client.send(bytes([byte]))
            lab.wait(500_000)
        refused(lab, client, 408)
        assert lab.counters().http_refused_requests == 1


def test_slow_head_behind_an_exchange() -> None:
    with running(timeouts="header: 3s, client_idle: 20s") as lab:
        client, server = begin(lab)
        client.send(b"GET / HT")
        lab.settle()
        server.send(OK)
        client.expect(passed_response(OK))
        lab.wait(4 * SECOND)
        refused(lab, client, 408)


def test_empty_lines_begin_no_request() -> None:
    """Old browsers send one behind a body (RFC 9112 §2.2): they are idle as before, and no longer for it."""
    with running(timeouts="header: 3s, client_idle: 10s") as lab:
        client, server = pool_one(lab)
        client.send(b"\r\n")
        lab.wait(5 * SECOND)
        exchange(client, server)
        for _ in range(9):
            client.send(b"\r\n").expect_nothing()
            lab.wait(SECOND)
        lab.wait(2 * SECOND)
        client.expect_eof()


def test_empty_lines_take_no_memory() -> None:
    with running() as lab:
        client = lab.client().connect().send(b"\r\n" * 100_000 + GET)
        server = lab.servers[0].accept()
        server.expect(passed_request(GET))
        client.expect_nothing()


def test_slow_body() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"
    with running(timeouts="client_idle: 5s") as lab:
        client, server = begin(lab, head)
        client.send(b"12")
        server.expect(b"12")
        lab.wait(6 * SECOND)
        refused(lab, client, 408)
        server.expect_reset()


def _answer_probes(lab: HttpLab, peers: list[Peer], seconds: int) -> None:
    """Let time go by while both ends say over and over that they live, as kernels do for programs that hang."""
    for _ in range(2 * seconds):
        lab.wait(SECOND // 2, SECOND // 2)
        for peer in peers:
            if not peer.gone and not peer.eof:
                peer.acknowledge()


def test_server_that_takes_nothing_of_a_body_is_late_however_it_acknowledges() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n"
    with running(timeouts="server: 5s, client_idle: 4s") as lab:
        lab.servers[0].options = {"paused": True, "limit": 8_192}
        client = lab.client().connect().send(head + bytes(600_000))
        server = lab.servers[0].accept()
        _answer_probes(lab, [client, server], 12)
        assert status_of(client.take()) == 504
        assert server.was_reset


def test_server_that_only_acknowledges_is_late() -> None:
    with running(timeouts="server: 5s") as lab:
        client, server = begin(lab)
        _answer_probes(lab, [client, server], 12)
        assert status_of(client.take()) == 504


def test_client_that_only_acknowledges_is_late_with_its_body() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"
    with running(timeouts="client_idle: 5s, server: 60s") as lab:
        client, server = begin(lab, head)
        _answer_probes(lab, [client], 12)
        refused(lab, client, 408)
        server.expect_reset()


def test_client_that_only_acknowledges_gives_its_response_no_more_time() -> None:
    with running(timeouts="server: 5s", tcp="receive_window: 128KiB, send_buffer: 128KiB") as lab:
        client, server = begin(lab, GET, paused=True, limit=1_024)
        server.send(answer(bytes(400_000)))
        _answer_probes(lab, [client], 12)
        assert client.was_reset
        server.take()
        assert server.was_reset


def test_client_that_reads_slowly_keeps_its_request_in_time() -> None:
    """What it sent behind its first request is no late head: it was never looked at."""
    response = b"HTTP/1.1 304 Not Modified\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"
    with running(timeouts="client_idle: 5s", tcp="receive_window: 16KiB, send_buffer: 4KiB") as lab:
        client = lab.client(paused=True, limit=1_024).connect().send(get(0) + get(1))
        lab.servers[0].accept().send(response)
        data = b""
        while not client.eof:
            lab.wait(SECOND // 2)
            data += client.read(500)
        assert data + client.read() == passed_response(response)
        assert not client.was_reset


# Clients that go away.


def test_client_resets_in_the_middle_of_everything() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"
    for request, response in ((GET, b""), (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), (head, b"")):
        with running() as lab:
            client, server = begin(lab, request)
            server.send(response)
            lab.settle()
            client.reset()
            server.expect_reset()
            assert lab.live() == []
            assert lab.counters().resets_sent == 1


def test_client_resets_before_the_server_has_answered_its_syn() -> None:
    with running() as lab:
        lab.servers[0].silent = True
        client = lab.client().connect().send(GET)
        lab.settle()
        client.reset()
        lab.settle()
        assert lab.live() == []


def test_client_ends_in_the_middle_of_a_body() -> None:
    with running() as lab:
        client, server = begin(lab, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        client.send(b"abc")
        server.expect(b"abc")
        client.close()
        server.expect_reset()


def test_client_ends_in_the_middle_of_a_head() -> None:
    with running() as lab:
        client = lab.client().connect().send(GET[:-2]).close()
        client.expect_eof()
        lab.servers[0].expect_no_connection()


def test_server_reset_is_not_answered_with_a_reset() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.reset()
        refused(lab, client, 502)
        assert lab.counters().resets_sent == 0


def test_refused_client_can_read_why_while_it_still_sends() -> None:
    with running(http="max_body: 10") as lab:
        client = lab.client().connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
        assert status_of(client.take()) == 413
        client.send(bytes(50_000))
        client.expect_eof()
        assert client.unacknowledged == 0
        client.close()
        lab.settle()
        assert not client.was_reset


def test_refused_client_that_never_closes_is_reset_in_time() -> None:
    with running() as lab:
        client = lab.client().connect().send(b"nonsense\r\n\r\n")
        assert status_of(client.take()) == 400
        lab.wait(3 * SECOND)
        assert client.was_reset


def test_two_engines_do_not_touch_each_other() -> None:
    with running(engines=2) as lab:
        pairs = []
        for engine in (0, 1):
            client = lab.client(engine=engine).connect().send(GET)
            server = lab.servers[0].accept()
            server.expect(passed_request(GET))
            server.send(OK)
            client.expect(passed_response(OK))
            pairs.append((client, server))
        for client, server in pairs:
            exchange(client, server)
        assert [lab.vserver(0, engine).requests for engine in (0, 1)] == [2, 2]
        assert [lab.service_stats(0, engine).requests for engine in (0, 1)] == [2, 2]


def test_client_that_does_not_answer_any_more() -> None:
    with running(tcp="retries: 2") as lab:
        client, server = begin(lab)
        lab.client_host.silent = True
        server.send(OK)
        lab.wait(5 * SECOND)
        assert lab.counters().connections_timed_out == 1
        assert lab.vserver().connections == 0
        assert not client.received


def test_closing_client_that_does_not_answer_any_more() -> None:
    with running(tcp="retries: 2", timeouts="client_idle: 4min") as lab:
        client = lab.client().connect()
        lab.client_host.silent = True
        client.send(b"BAD\r\n\r\n")
        lab.wait(5 * SECOND)
        assert lab.live() == []


def test_server_that_does_not_answer_any_more() -> None:
    with running(tcp="retries: 2") as lab:
        client, _ = pool_one(lab)
        lab.servers[0].silent = True
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        lab.wait(2_500_000, 20_000)
        refused(lab, client, 502)


def test_syn_that_is_never_answered() -> None:
    with running(services=2, tcp="syn_retries: 0", timeouts="connect: 1h") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect().send(GET)
        lab.wait(1_100_000)
        lab.servers[1].accept().expect(passed_request(GET)).send(OK)
        client.expect(passed_response(OK))


def test_service_without_a_route() -> None:
    with running() as lab:
        lab.service(0).route = -1
        refused(lab, lab.client().connect().send(GET), 503)
