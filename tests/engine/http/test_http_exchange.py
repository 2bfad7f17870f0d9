"""Exchanges through the HTTP proxy: keep-alive, pipelining, framing both ways, versions of HTTP."""

from __future__ import annotations

import pytest

from tests.engine.http.http_talk import (
    CHUNKED,
    FORWARDED,
    GET,
    OK,
    VIA,
    answer,
    begin,
    chunked,
    exchange,
    get,
    passed_request,
    passed_response,
)
from tests.support.http_lab import SECOND, running


def test_keep_alive_serves_many_requests_on_one_pair() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        for number in range(5):
            exchange(client, server, number)
        assert lab.servers[0].syns == 1
        assert (lab.vserver().requests, lab.vserver().total_connections) == (6, 1)
        assert (lab.service_stats().requests, lab.service_stats().total_connections) == (6, 1)
        assert lab.vserver().received_bytes == client.total_sent
        assert lab.vserver().sent_bytes == client.total_received
        assert lab.service_stats().sent_bytes == server.total_received
        assert lab.service_stats().received_bytes == server.total_sent
        assert lab.counters().http_reused_connections == 5


def test_connection_close_of_client_ends_after_the_response() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        server = lab.servers[0].accept()
        server.expect(passed_request(GET))
        server.send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()
        assert lab.service_stats().idle_connections == 1


def test_connection_close_of_server_ends_the_server_only() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").close()
        client.expect(passed_response(OK))
        server.expect_eof()
        client.send(GET)
        again = lab.servers[0].accept()
        again.expect(passed_request(GET))
        again.send(OK)
        client.expect(passed_response(OK))


def test_server_that_says_close_but_does_not_is_closed() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        client.expect(passed_response(OK))
        server.expect_eof()
        lab.wait(3 * SECOND)
        assert server.was_reset


def test_many_requests_in_one_segment_are_answered_in_order() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(b"".join(get(number) for number in range(20)))
        server = lab.servers[0].accept()
        for number in range(20):
            server.expect(passed_request(get(number)))
            client.expect_nothing()
            server.send(answer(b"n%d" % number))
            client.expect(passed_response(answer(b"n%d" % number)))
        assert lab.servers[0].syns == 1


def test_pipelined_requests_with_bodies() -> None:
    post = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    chunks = b"PUT /q HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n" + chunked(b"abc", b"defg")
    with running() as lab:
        client = lab.client().connect()
        client.send(post + chunks + GET)
        server = lab.servers[0].accept()
        for request in (post, chunks, GET):
            server.expect(passed_request(request))
            server.send(OK)
            client.expect(passed_response(OK))


def test_pipelined_requests_before_a_fin_are_all_answered() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(get(0) + get(1) + get(2)).close()
        server = lab.servers[0].accept()
        for number in range(3):
            server.expect(passed_request(get(number)))
            server.send(OK)
            client.expect(passed_response(OK, b"Connection: close\r\n" if number == 2 else b""))
        client.expect_eof()


def test_fin_behind_a_request_is_no_reason_to_leave_it() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(GET).close()
        server = lab.servers[0].accept()
        server.expect(passed_request(GET))
        server.send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()


def test_fin_of_an_idle_client_is_answered() -> None:
    with running() as lab:
        client = lab.client().connect().close()
        client.expect_eof()
        assert lab.live() == []


@pytest.mark.parametrize("places", [(40,), (40, 41), (39, 60, 61, 62, 63, 64)])
def test_request_with_length_cut_anywhere(places: tuple[int, ...]) -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + b"0123456789" * 2
    with running() as lab:
        client = lab.client().connect()
        for start, end in zip((0, *places), (*places, len(request)), strict=True):
            client.send(request[start:end])
            lab.settle()
        lab.servers[0].accept().expect(passed_request(request))


def test_head_split_at_every_byte() -> None:
    request = b"GET /x HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n"
    with running() as lab:
        client = lab.client().connect()
        for byte in request:
            client.send(bytes([byte]))
            lab.settle()
        server = lab.servers[0].accept()
        server.expect(passed_request(request))
        response = b"HTTP/1.1 200 Fine\r\nX: y\r\nContent-Length: 3\r\n\r\nabc"
        for byte in response:
            server.send(bytes([byte]))
            lab.settle()
        client.expect(passed_response(response))
        exchange(client, server)


@pytest.mark.parametrize("size", [1_000, 2_047, 2_048, 4_100, 7_900])
def test_heads_that_span_frames(size: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\n\r\n" % (b"x" * size)
    response = b"HTTP/1.1 200 OK\r\nX-Long: %s\r\nContent-Length: 2\r\n\r\nok" % (b"y" * size)
    with running() as lab:
        client = lab.client().connect()
        client.send(request[:700])
        lab.settle()
        client.send(request[700:] + GET)
        server = lab.servers[0].accept()
        server.expect(passed_request(request))
        server.send(response[:700])
        lab.settle()
        server.send(response[700:])
        client.expect(passed_response(response))
        server.expect(passed_request(GET))


def test_largest_response_head_passes_and_a_larger_one_does_not() -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "
    with running() as lab:
        client, server = begin(lab)
        response = start + b"x" * (16_384 - len(start) - 4) + b"\r\n\r\n"
        server.send(response)
        client.expect(passed_response(response))
        client.send(GET)
        server.expect(passed_request(GET))
        server.send(start + b"x" * (16_385 - len(start) - 4) + b"\r\n\r\n")
        assert client.take().startswith(b"HTTP/1.1 502 ")
        server.expect_reset()


def test_chunked_both_ways_with_trailers() -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n" + chunked(b"ab", b"c" * 300, trailers=b"X-A: 1\r\n")
    response = b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + chunked(b"q" * 5_000, b"r", trailers=b"X-B: 2\r\n")
    with running() as lab:
        client, server = begin(lab, request)
        server.send(response)
        client.expect(passed_response(response))
        exchange(client, server)


def test_chunked_byte_by_byte_passes_as_it_comes() -> None:
    body = chunked(b"ab", b"c" * 17, trailers=b"X-A: 1\r\n")
    with running() as lab:
        client, server = begin(lab, b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n")
        for byte in body:
            client.send(bytes([byte]))
            server.expect(bytes([byte]))
        server.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n")
        client.expect(b"HTTP/1.1 200 OK\r\n" + VIA + CHUNKED + b"\r\n")
        for byte in body:
            server.send(bytes([byte]))
            client.expect(bytes([byte]))
        exchange(client, server)


# HTTP/1.0 clients.

OLD_GET = b"GET / HTTP/1.0\r\n\r\n"
OLD_PASSED = b"GET / HTTP/1.1\r\nHost: 10.2.0.2:80\r\nVia: 1.0 ncore\r\n" + FORWARDED + b"\r\n"


def test_http_1_0_is_closed_after_the_response() -> None:
    with running() as lab:
        client = lab.client().connect().send(OLD_GET)
        server = lab.servers[0].accept()
        server.expect(OLD_PASSED)
        server.send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()


def test_http_1_0_with_keep_alive_goes_on() -> None:
    request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with running() as lab:
        client = lab.client().connect().send(request)
        server = lab.servers[0].accept()
        for _ in range(3):
            server.expect(OLD_PASSED)
            server.send(OK)
            client.expect(passed_response(OK, b"Connection: keep-alive\r\n"))
            client.send(request)
        server.expect(OLD_PASSED)


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0_gets_chunks_taken_off(keep: bytes) -> None:
    with running() as lab:
        client = lab.client().connect().send(b"GET / HTTP/1.0\r\n" + keep + b"\r\n")
        server = lab.servers[0].accept()
        server.expect(OLD_PASSED)
        body = chunked(b"hello", b" " * 3_000, b"world", trailers=b"X-T: 1\r\n")
        server.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + body[:9])
        client.expect(b"HTTP/1.1 200 OK\r\n" + VIA + b"Connection: close\r\n\r\n" + b"hello"[: 9 - 3])
        server.send(body[9:])
        client.expect(b" " * 3_000 + b"world").expect_eof()
        assert lab.service_stats().idle_connections == 1


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", b"200 OK"), (b"GET", b"304 Not Modified")])
def test_http_1_0_is_never_told_of_chunks(method: bytes, status: bytes) -> None:
    """RFC 9112 §6.1: not even where there is no body."""
    with running() as lab:
        client = lab.client().connect().send(OLD_GET.replace(b"GET", method))
        server = lab.servers[0].accept()
        server.expect(OLD_PASSED.replace(b"GET", method))
        server.send(b"HTTP/1.1 " + status + b"\r\n" + CHUNKED + b"\r\n")
        client.expect(b"HTTP/1.1 " + status + b"\r\n" + VIA + b"Connection: close\r\n\r\n").expect_eof()
        assert lab.service_stats().idle_connections == 1


def test_http_1_0_with_length_of_request() -> None:
    with running() as lab:
        client = (
            lab.client().connect().send(b"POST /f HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        )
        server = lab.servers[0].accept()
        fields = b"Host: 10.2.0.2:80\r\nContent-Length: 3\r\nVia: 1.0 ncore\r\n"
        server.expect(b"POST /f HTTP/1.1\r\n" + fields + FORWARDED + b"\r\nabc")
        server.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()


def test_http_1_0_server() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").close()
        client.expect(b"HTTP/1.1 200 OK\r\nVia: 1.0 ncore\r\nConnection: close\r\n\r\nuntil the end").expect_eof()


# Responses without bodies.


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_head_request_has_no_body_whatever_the_fields_say(response: bytes) -> None:
    head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    with running() as lab:
        client, server = begin(lab, head)
        client.send(GET)
        server.send(response)
        client.expect(passed_response(response))
        server.expect(passed_request(GET))
        server.send(OK)
        client.expect(passed_response(OK))


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_response_without_body(response: bytes) -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(response)
        client.expect(passed_response(response))
        exchange(client, server)


# Interim responses, Expect, Upgrade.


def test_expect_continue_is_a_matter_of_client_and_server() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    with running() as lab:
        client, server = begin(lab, head)
        server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.expect(b"HTTP/1.1 100 Continue\r\n" + VIA + b"\r\n")
        client.send(b"body")
        server.expect(b"body")
        server.send(OK)
        client.expect(passed_response(OK))
        exchange(client, server)


def test_expect_continue_refused_by_the_server_ends_both() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    with running() as lab:
        client, server = begin(lab, head)
        server.send(refusal)
        client.expect(passed_response(refusal)).expect_eof()
        server.expect_eof()
        assert lab.service_stats().idle_connections == 0


def test_several_interim_responses_in_one_segment() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n"
    with running() as lab:
        client, server = begin(lab)
        server.send(hints + hints + OK)
        client.expect(passed_response(hints) * 2 + passed_response(OK))
        exchange(client, server)


UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UPGRADE_PASSED = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" + VIA + FORWARDED + b"Connection: upgrade\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
SWITCHING_PASSED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" + VIA + b"Connection: upgrade\r\n\r\n"


def test_upgrade_passes_bytes_both_ways_unread() -> None:
    with running() as lab:
        client = lab.client().connect().send(UPGRADE + b"\x81\x05early")
        server = lab.servers[0].accept()
        server.expect(UPGRADE_PASSED)
        server.send(SWITCHING + b"\x81\x02hi")
        client.expect(SWITCHING_PASSED + b"\x81\x02hi")
        server.expect(b"\x81\x05early")
        client.send(b"GET / HTTP/1.1\r\n\r\n\r\n")
        server.expect(b"GET / HTTP/1.1\r\n\r\n\r\n")
        server.send(b"\0" * 10_000)
        client.expect(b"\0" * 10_000)
        assert lab.vserver().requests == 1
        client.reset()
        server.expect_reset()


@pytest.mark.parametrize("first", ["client", "server"])
def test_tunnel_half_closes(first: str) -> None:
    with running() as lab:
        client = lab.client().connect().send(UPGRADE)
        server = lab.servers[0].accept()
        server.expect(UPGRADE_PASSED)
        server.send(SWITCHING)
        client.expect(SWITCHING_PASSED)
        one, other = (client, server) if first == "client" else (server, client)
        one.send(b"last words").close()
        other.expect(b"last words").expect_eof()
        other.send(b"and mine")
        one.expect(b"and mine")
        assert not one.eof
        other.close()
        one.expect_eof()


@pytest.mark.parametrize("first", ["client", "server"])
def test_tunnel_keeps_what_is_held_when_both_have_ended(first: str) -> None:
    content = bytes(range(250)) * 60
    with running(tcp="receive_window: 16KiB, send_buffer: 4KiB") as lab:
        client = lab.client().connect().send(UPGRADE)
        server = lab.servers[0].accept()
        server.expect(UPGRADE_PASSED)
        server.send(SWITCHING)
        client.expect(SWITCHING_PASSED)
        reader, writer = (client, server) if first == "client" else (server, client)
        reader.close()
        writer.expect_eof()
        reader.paused, reader.limit = True, 1_024
        reader.acknowledge()
        writer.send(content).close()
        lab.wait(7 * SECOND)
        data = b""
        while not reader.eof:
            lab.wait(50_000, 10_000)
            data += reader.read(3_000)
        assert data + reader.read() == content


def test_tunnel_ends_when_idle() -> None:
    with running(timeouts="client_idle: 5s") as lab:
        client = lab.client().connect().send(UPGRADE)
        server = lab.servers[0].accept()
        server.expect(UPGRADE_PASSED)
        server.send(SWITCHING)
        client.expect(SWITCHING_PASSED)
        for _ in range(3):
            lab.wait(4 * SECOND)
            server.send(b"x")
            client.expect(b"x")
        lab.wait(6 * SECOND)
        client.expect_reset()
        server.expect_reset()


def test_upgrade_declined_is_a_plain_exchange() -> None:
    with running() as lab:
        client = lab.client().connect().send(UPGRADE)
        server = lab.servers[0].accept()
        server.expect(UPGRADE_PASSED)
        server.send(OK)
        client.expect(passed_response(OK))
        exchange(client, server)


def test_switching_protocols_that_nobody_asked_for() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(SWITCHING)
        assert client.take().startswith(b"HTTP/1.1 502 ")
        server.expect_reset()


@pytest.mark.parametrize("fields", [b"", b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n"])
def test_switching_to_a_protocol_without_a_name(fields: bytes) -> None:
    with running() as lab:
        client = lab.client().connect().send(UPGRADE)
        server = lab.servers[0].accept()
        server.expect(UPGRADE_PASSED)
        server.send(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n")
        assert client.take().startswith(b"HTTP/1.1 502 ")
        server.expect_reset()


def test_switching_protocols_before_the_end_of_the_request() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(UPGRADE[:-2] + b"Content-Length: 5\r\n\r\nab")
        server = lab.servers[0].accept()
        lab.settle()
        server.read()
        server.send(SWITCHING)
        assert client.take().startswith(b"HTTP/1.1 502 ")


# Heads on their way.


def test_absolute_form_becomes_origin_form_and_its_authority_the_host() -> None:
    with running() as lab:
        client = lab.client().connect().send(b"GET http://b.example:8080/p?q HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
        server = lab.servers[0].accept()
        server.expect(b"GET /p?q HTTP/1.1\r\nHost: b.example:8080\r\nX: y\r\n" + VIA + FORWARDED + b"\r\n")
        server.send(OK)
        client.expect(passed_response(OK))


def test_fields_of_one_hop_stay_behind() -> None:
    fields = b"Keep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nX-Secret: 1\r\nX-Open: 2\r\n"
    with running() as lab:
        client = lab.client().connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-secret\r\n" + fields + b"\r\n")
        server = lab.servers[0].accept()
        server.expect(b"GET / HTTP/1.1\r\nHost: a\r\nX-Open: 2\r\n" + VIA + FORWARDED + b"\r\n")
        server.send(b"HTTP/1.1 200 OK\r\nConnection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nContent-Length: 0\r\n\r\n")
        client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + VIA + b"\r\n")


def test_forwarded_for_and_via_grow() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nVia: 1.0 old\r\n\r\n")
        lab.servers[0].accept().expect(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4, 10.1.0.2\r\nVia: 1.0 old, 1.1 ncore\r\n\r\n"
        )


def test_forwarded_for_and_via_can_be_left_out() -> None:
    with running(http="x_forwarded_for: false, via: false") as lab:
        client = lab.client().connect().send(GET)
        server = lab.servers[0].accept()
        server.expect(GET)
        server.send(OK)
        client.expect(OK)


def test_draining_engine_says_close() -> None:
    with running() as lab:
        client, server = begin(lab)
        lab.drain()
        server.send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()
