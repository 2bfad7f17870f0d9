"""Requests that are refused: the client can read why, and not one byte of them reaches a server."""

from __future__ import annotations

import pytest

from tests.engine.http.http_talk import CHUNKED, GET, OK, passed_request, passed_response, pool_one, refused, status_of
from tests.support.http_lab import running

START = b"POST / HTTP/1.1\r\nHost: a\r\n"
CLEAN_END = b"0\r\n\r\n"

HEADS: dict[str, tuple[int, bytes]] = {
    "length-and-chunked": (400, START + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n" + CLEAN_END),
    "chunked-and-length": (400, START + CHUNKED + b"Content-Length: 4\r\n\r\n" + CLEAN_END),
    "two-lengths": (400, START + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    "same-length-twice": (400, START + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"),
    "length-list": (400, START + b"Content-Length: 4, 4\r\n\r\nabcd"),
    "length-plus": (400, START + b"Content-Length: +4\r\n\r\nabcd"),
    "length-minus": (400, START + b"Content-Length: -4\r\n\r\nabcd"),
    "length-hex": (400, START + b"Content-Length: 0x4\r\n\r\nabcd"),
    "length-space": (400, START + b"Content-Length: 4 4\r\n\r\nabcd"),
    "length-empty": (400, START + b"Content-Length:\r\n\r\nabcd"),
    "length-huge": (400, START + b"Content-Length: 99999999999999999999\r\n\r\nabcd"),
    "space-before-colon": (400, START + b"Content-Length : 4\r\n\r\nabcd"),
    "tab-before-colon": (400, START + b"Transfer-Encoding\t: chunked\r\n\r\n" + CLEAN_END),
    "fold": (400, START + b"X: a\r\n b\r\n\r\n"),
    "folded-coding": (400, START + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CLEAN_END),
    "bare-lf": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare-lf-in-fields": (400, START + b"X: a\nContent-Length: 4\r\n\r\nabcd"),
    "bare-cr-in-value": (400, START + b"X: a\rb\r\n\r\n"),
    "bare-cr-in-line": (400, b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    "nul-in-value": (400, START + b"X: a\0b\r\n\r\n"),
    "nul-in-name": (400, START + b"X\0: a\r\n\r\n"),
    "no-colon": (400, START + b"nonsense\r\n\r\n"),
    "empty-name": (400, START + b": a\r\n\r\n"),
    "field-before-host": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "chunked-twice": (400, START + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CLEAN_END),
    "chunked-not-last": (400, START + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CLEAN_END),
    "chunked-in-two-fields": (400, START + CHUNKED + CHUNKED + b"\r\n" + CLEAN_END),
    "identity": (400, START + b"Transfer-Encoding: identity\r\n\r\n"),
    "gzip": (400, START + b"Transfer-Encoding: gzip\r\n\r\n"),
    "xchunked": (400, START + b"Transfer-Encoding: xchunked\r\n\r\n" + CLEAN_END),
    "gzip-chunked": (501, START + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CLEAN_END),
    "quoted-chunked": (400, START + b'Transfer-Encoding: "chunked"\r\n\r\n' + CLEAN_END),
    "vertical-tab-chunked": (400, START + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CLEAN_END),
    "chunked-in-1.0": (400, b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n" + CLEAN_END),
    "no-host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two-hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "bad-host": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "user-in-host": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "two-spaces": (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tab-in-line": (400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space-in-target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment": (400, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no-version": (400, b"GET /\r\n\r\n"),
    "version-2": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "version-1.2": (505, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "small-http": (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    "https-target": (400, b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "asterisk-get": (400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "connect": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "expectation": (417, START + b"Expect: 200-ok\r\n\r\n"),
    "tls": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"),
    "http-2-preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "long-target": (414, b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "endless-target": (414, b"GET /" + b"a" * 9_000),
    "long-fields": (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9_000 + b"\r\n\r\n"),
    "many-fields": (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n"),
    "body-too-large": (413, START + b"Content-Length: 1001\r\n\r\n" + b"a" * 1_001),
}
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("name", HEADS)
def test_refused_request_never_reaches_a_server(name: str) -> None:
    status, request = HEADS[name]
    with running(http="max_body: 1000") as lab:
        client = lab.client().connect().send(request + (SMUGGLED if name[:7] != "endless" else b""))
        refused(lab, client, status)
        assert lab.servers[0].syns == 0
        assert lab.counters().http_refused_requests == 1
        assert lab.vserver().errors == 1


@pytest.mark.parametrize("name", HEADS)
def test_refused_request_never_reaches_a_server_behind_a_good_one(name: str) -> None:
    """The same with a server connection at hand, byte after byte where that is quick enough."""
    status, request = HEADS[name]
    with running(http="max_body: 1000") as lab:
        client, server = pool_one(lab)
        pieces = [request] if len(request) > 200 else [request[at : at + 1] for at in range(len(request))]
        for piece in pieces:
            client.send(piece)
            lab.settle()
        client.send(SMUGGLED)
        refused(lab, client, status)
        server.expect_nothing()
        assert lab.service_stats().idle_connections == 1


BODIES: dict[str, bytes] = {
    "no-size": b"\r\nabc\r\n0\r\n\r\n",
    "size-minus": b"-1\r\nabc\r\n0\r\n\r\n",
    "size-plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size-0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size-huge": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "size-space": b" 3\r\nabc\r\n0\r\n\r\n",
    "size-underscore": b"1_0\r\nabc\r\n0\r\n\r\n",
    "bare-lf": b"3\nabc\n0\n\n",
    "bare-lf-after-size": b"3\nabc\r\n0\r\n\r\n",
    "bare-cr": b"3\rabc\r\n0\r\n\r\n",
    "bare-lf-in-extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "too-long": b"3\r\nabcd\r\n0\r\n\r\n",
    "no-crlf": b"3\r\nabc0\r\n\r\n",
    "trailer-length": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "trailer-coding": b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer-fold": b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
    "trailer-space": b"3\r\nabc\r\n0\r\nX : a\r\n\r\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_chunk_in_the_first_segment(name: str) -> None:
    with running() as lab:
        client = lab.client().connect().send(START + CHUNKED + b"\r\n" + BODIES[name] + SMUGGLED)
        refused(lab, client, 400)
        assert not any(peer.total_received for peer in lab.servers[0].peers.values())


@pytest.mark.parametrize("name", BODIES)
def test_bad_chunk_breaks_a_request_that_is_on_its_way(name: str) -> None:
    """What was passed on is a beginning of a request, without its end, and then a reset."""
    head = START + CHUNKED + b"\r\n"
    with running() as lab:
        client = lab.client().connect().send(head)
        server = lab.servers[0].accept()
        server.expect(passed_request(head))
        for byte in BODIES[name] + SMUGGLED:
            client.send(bytes([byte]))
            lab.settle()
        refused(lab, client, 400)
        assert server.was_reset
        body = server.read()
        assert BODIES[name].startswith(body)
        assert not body.endswith(b"0\r\n\r\n")


def test_chunked_body_larger_than_the_limit() -> None:
    with running(http="max_body: 1000") as lab:
        client = lab.client().connect().send(START + CHUNKED + b"\r\n3e8\r\n" + b"a" * 1_000 + b"\r\n")
        server = lab.servers[0].accept()
        lab.settle()
        client.send(b"1\r\na\r\n0\r\n\r\n")
        refused(lab, client, 413)
        assert server.was_reset


def test_body_as_large_as_the_limit() -> None:
    with running(http="max_body: 1000") as lab:
        for body in (
            b"Content-Length: 1000\r\n\r\n" + b"a" * 1_000,
            CHUNKED + b"\r\n3e8\r\n" + b"a" * 1_000 + b"\r\n0\r\n\r\n",
        ):
            client = lab.client().connect().send(START + body)
            server = lab.servers[0].accept() if lab.servers[0].syns == 0 else next(iter(lab.servers[0].peers.values()))
            server.expect(passed_request(START + body))
            server.send(OK)
            client.expect(passed_response(OK))


def test_bad_request_behind_good_ones_is_answered_last() -> None:
    with running() as lab:
        client = lab.client().connect().send(GET + GET + b"BAD\r\n\r\n" + SMUGGLED)
        server = lab.servers[0].accept()
        for _ in range(2):
            server.expect(passed_request(GET))
            server.send(OK)
        received = client.take()
        assert received.startswith(passed_response(OK) * 2)
        assert status_of(received[2 * len(passed_response(OK)) :]) == 400
        client.expect_eof()


def test_empty_lines_before_a_request_are_harmless() -> None:
    with running() as lab:
        client = lab.client().connect().send(b"\r\n\r\n" + GET)
        lab.servers[0].accept().expect(passed_request(GET))
        client.expect_nothing()


def test_head_as_large_as_what_a_small_window_is_sure_to_let_in() -> None:
    """The window's edge moves in steps: behind a short request it may stay short of the whole window."""
    with running(tcp="receive_window: 4KiB, send_buffer: 4KiB") as lab:
        client, server = pool_one(lab)
        largest = GET[:-2] + b"X: " + b"x" * (4_096 - 1_460 - len(GET) - 5) + b"\r\n\r\n"
        client.send(largest)
        server.expect(passed_request(largest))
        server.send(OK)
        client.expect(passed_response(OK))
        client.send(largest.replace(b"X:", b"XX:"))
        refused(lab, client, 431)


def test_head_larger_than_the_receive_window() -> None:
    """It could never come in whole, so it is refused at once."""
    with running(tcp="receive_window: 4KiB, send_buffer: 4KiB") as lab:
        client = lab.client().connect().send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5_000 + b"\r\n\r\n")
        lab.wait(100_000)
        refused(lab, client, 431)
