"""Large bodies through the HTTP proxy: nothing is lost, and a slow reader holds up the sender, not the memory."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from ncore_ray.arena.frame import FRAME_SIZE
from tests.engine.http.http_talk import (
    CHUNKED,
    GET,
    OK,
    VIA,
    begin,
    chunked,
    exchange,
    get,
    passed_request,
    passed_response,
)
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

BUFFERS = "receive_window: 16KiB, send_buffer: 16KiB"
HELD = "receive_window: 16KiB, send_buffer: 4KiB"
"""More comes in than the other side's buffer takes: it is held."""
PAIR_FRAMES = 2 * (16 << 10) // FRAME_SIZE
"""What one direction of a pair may hold: a full send buffer and a full receive window."""
SLACK_FRAMES = 8
"""Frames that are not full: heads, and the ends of chains."""


def pattern(size: int) -> bytes:
    """Return bytes that are nowhere the same as a bit further on."""
    blocks = (hashlib.sha256(b"%d" % number).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def _read_slowly(lab: HttpLab, reader: Peer, most: int, piece: int = 3_000) -> tuple[bytes, int]:
    """Read a piece at a time until nothing more comes; return the bytes and the most frames that were in use."""
    data, frames = b"", 0
    idle = 0
    while idle < 3:
        lab.settle()
        frames = max(frames, lab.frames_in_use())
        part = reader.read(piece)
        idle = 0 if part else idle + 1
        data += part
        lab.wait(50_000, 10_000)
        assert len(data) <= most
    return data, frames


@pytest.mark.parametrize("buffers", [BUFFERS, HELD])
def test_slow_client_holds_up_the_server(buffers: str) -> None:
    content = pattern(200_000)
    with running(tcp=buffers) as lab:
        client, server = begin(lab, GET, paused=True, limit=8_192)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(content)
        server.send(head + b"\r\n" + content)
        lab.settle()
        assert server.unacknowledged > 100_000
        data, frames = _read_slowly(lab, client, 300_000)
        assert data == head + VIA + b"\r\n" + content
        assert frames <= PAIR_FRAMES + SLACK_FRAMES
        exchange(client, server)


@pytest.mark.parametrize("buffers", [BUFFERS, HELD])
def test_slow_server_holds_up_the_client(buffers: str) -> None:
    content = pattern(200_000)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)
    with running(tcp=buffers) as lab:
        lab.servers[0].options = {"paused": True, "limit": 8_192}
        client = lab.client().connect().send(head + content)
        server = lab.servers[0].accept()
        lab.settle()
        assert client.unacknowledged > 100_000
        data, frames = _read_slowly(lab, server, 300_000)
        assert data == passed_request(head) + content
        assert frames <= PAIR_FRAMES + SLACK_FRAMES
        server.send(OK)
        assert client.take().endswith(b"ok")


@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("buffers", [BUFFERS, HELD])
def test_slow_client_and_a_server_that_closes_behind_its_response(fin: bool, buffers: str) -> None:
    """The end of the server's stream comes long before the client has read what lies before it."""
    content = pattern(60_000)
    with running(tcp=buffers) as lab:
        client, server = begin(lab, GET, paused=True, limit=4_096)
        length = b"" if fin else b"Content-Length: %d\r\n" % len(content)
        server.send(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + content).close()
        data, _ = _read_slowly(lab, client, 100_000)
        connection = b"Connection: close\r\n" if fin else b""
        assert data == b"HTTP/1.1 200 OK\r\n" + length + VIA + connection + b"\r\n" + content
        assert client.eof == fin
        assert not client.was_reset
        assert lab.service_stats().idle_connections == 0


@pytest.mark.parametrize("buffers", [BUFFERS, HELD])
def test_slow_chunked_response_to_http_1_0(buffers: str) -> None:
    content = pattern(60_000)
    with running(tcp=buffers) as lab:
        client = lab.client(paused=True, limit=4_096).connect().send(b"GET / HTTP/1.0\r\n\r\n")
        server = lab.servers[0].accept()
        body = chunked(*(content[at : at + 999] for at in range(0, len(content), 999)))
        server.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + body)
        data, _ = _read_slowly(lab, client, 100_000)
        assert data.endswith(b"\r\n\r\n" + content)
        client.expect_eof()


def test_client_that_reads_its_last_response_slowly_is_given_time() -> None:
    """The response is queued whole and the stream ended; the client needs far longer than the lingering time."""
    content = pattern(30_000)
    with running() as lab:
        client = lab.client(paused=True, limit=4_096).connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        server = lab.servers[0].accept()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + content)
        data = b""
        while not client.eof:
            lab.wait(1_500_000)
            data += client.read(2_000)
        assert (data + client.read()).endswith(content)
        assert not client.was_reset


def test_client_that_never_reads_its_last_response_is_reset() -> None:
    with running(timeouts="client_idle: 5s") as lab:
        client = lab.client(paused=True, limit=4_096).connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        server = lab.servers[0].accept()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + bytes(30_000))
        lab.wait(4 * SECOND)
        assert not client.was_reset
        lab.wait(4 * SECOND)
        assert client.was_reset


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 304 Not Modified\r\nX: %s\r\n\r\n" % (b"x" * 400),
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"y" * 200,
    ],
)
def test_pipelining_client_that_reads_nothing_takes_no_more_memory(response: bytes) -> None:
    count = 300
    with running(tcp=BUFFERS, limits="idle_server_connections: 4") as lab:
        client = lab.client(paused=True, limit=1_024).connect()
        client.send(b"".join(get(number) for number in range(count)))
        server = lab.servers[0].accept()
        frames = answered = 0
        for _ in range(count):
            lab.settle()
            if not server.read():
                break
            server.send(response)
            answered += 1
            frames = max(frames, lab.frames_in_use())
        assert 0 < answered < count
        assert frames <= PAIR_FRAMES + SLACK_FRAMES
        client.paused = False
        received = client.read()
        client.acknowledge()
        for _ in range(count - answered):
            lab.settle()
            received += client.read()
            assert server.read()
            server.send(response)
        lab.wait(SECOND)
        received += client.read()
        assert received.count(b"HTTP/1.1 ") == count
        assert lab.vserver().requests == count


def test_pipelining_client_that_reads_nothing_and_closes_is_answered_when_it_reads() -> None:
    response = b"HTTP/1.1 304 Not Modified\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"
    with running(tcp=BUFFERS) as lab:
        client = lab.client(paused=True, limit=1_024).connect().send(get(0) + get(1) + get(2)).close()
        server = lab.servers[0].accept()
        for _ in range(2):
            lab.settle()
            server.read()
            server.send(response)
        received = b""
        for _ in range(100):
            lab.settle()
            received += client.read()
            lab.wait(20_000, 10_000)
        server.send(response)
        for _ in range(60):
            lab.settle()
            received += client.read()
            lab.wait(20_000, 10_000)
        assert received.count(b"x" * 10_000) == 3
        client.expect_eof()


@pytest.mark.parametrize("buffers", [BUFFERS, HELD])
def test_request_body_behind_a_fin_is_passed_on_whole(buffers: str) -> None:
    content = pattern(50_000)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)
    with running(tcp=buffers) as lab:
        lab.servers[0].options = {"paused": True, "limit": 2_048}
        client = lab.client().connect().send(head + content).close()
        server = lab.servers[0].accept()
        data, _ = _read_slowly(lab, server, 100_000)
        assert data == passed_request(head) + content
        server.send(OK)
        assert client.take().endswith(b"ok")
        client.expect_eof()


@pytest.mark.parametrize("window", ["4KiB", "16KiB", "64KiB"])
@pytest.mark.parametrize("method", [b"PUT", b"POST"])
def test_upload_larger_than_all_buffers(window: str, method: bytes) -> None:
    """An idempotent request is kept for a retry; that must not stop it when it does not fit any more."""
    content = pattern(80_000)
    head = b"%s / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (method, len(content))
    with running(tcp=f"receive_window: {window}, send_buffer: {window}") as lab:
        client = lab.client().connect().send(head + content)
        server = lab.servers[0].accept()
        for _ in range(60):
            lab.wait(50_000, 10_000)
        server.expect(passed_request(head) + content)
        server.send(OK)
        assert client.take().endswith(b"ok")


def test_upload_of_many_small_chunks() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n"
    body = chunked(*(b"%d" % number for number in range(5_000)))
    with running(tcp=BUFFERS) as lab:
        client = lab.client().connect().send(head + body)
        server = lab.servers[0].accept()
        lab.wait(2 * SECOND)
        server.expect(passed_request(head) + body)
        server.send(OK)
        assert client.take().endswith(b"ok")


def test_early_response_is_passed_on_while_the_request_still_comes() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    with running() as lab:
        client, server = begin(lab, head)
        client.send(b"12345")
        server.expect(b"12345")
        server.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop")
        client.expect(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n" + VIA + b"\r\nstop").expect_eof()
        server.expect_eof()
        client.send(b"67890" + GET)  # thrown away: it is no request
        lab.settle()
        assert not client.was_reset
        assert lab.vserver().requests == 1
        assert lab.service_stats().idle_connections == 0


def test_early_response_whose_request_ends_before_it_keeps_both_connections() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    with running() as lab:
        client, server = begin(lab, head)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nec")
        client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + VIA + b"\r\nec")
        client.send(b"1234567890")
        server.expect(b"1234567890")
        server.send(b"ho")
        client.expect(b"ho")
        exchange(client, server)


def test_server_that_closes_in_the_middle_of_a_body_leaves_the_client_without_an_end() -> None:
    for broken in (b"Content-Length: 10\r\n\r\nabc", CHUNKED + b"\r\n5\r\nabc"):
        with running() as lab:
            client, server = begin(lab)
            server.send(b"HTTP/1.1 200 OK\r\n" + broken).close()
            lab.settle()
            client.read()
            client.expect_reset()
            assert lab.vserver().errors == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n", CHUNKED, b""])
def test_server_that_resets_in_the_middle_of_a_body(framing: bytes) -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n5\r\nab")
        lab.settle()
        client.read()
        server.reset()
        client.expect_reset()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_server_that_resets_behind_a_response_that_a_slow_client_still_reads(framing: str, keep: bool) -> None:
    """All of the response had come: what the server does then is no matter of the client's."""
    content = pattern(30_000)
    request = GET if keep else b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + content
    if framing == "chunked":
        response = b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + chunked(content[:9_000], content[9_000:])
    with running(tcp="receive_window: 64KiB, send_buffer: 8KiB") as lab:
        client = lab.client(paused=True, limit=1_024).connect().send(request)
        server = lab.servers[0].accept()
        server.send(response)
        lab.settle()
        server.reset()
        data, _ = _read_slowly(lab, client, 40_000)
        assert data == passed_response(response, b"" if keep else b"Connection: close\r\n")
        assert client.eof != keep
        assert not client.was_reset
        assert lab.service_stats().connections == 0


@pytest.mark.parametrize("framing", [b"Content-Length: 30001\r\n", b""])
def test_server_that_resets_before_the_end_of_a_held_response(framing: bytes) -> None:
    with running(tcp="receive_window: 64KiB, send_buffer: 8KiB") as lab:
        client, server = begin(lab, GET, paused=True, limit=1_024)
        server.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + pattern(30_000))
        lab.settle()
        server.reset()
        lab.settle()
        assert client.was_reset
        assert not client.eof


def test_body_until_close() -> None:
    content = pattern(20_000)
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\n\r\n" + content).close()
        lab.wait(SECOND)
        client.expect(b"HTTP/1.1 200 OK\r\n" + VIA + b"Connection: close\r\n\r\n" + content).expect_eof()


def test_bad_chunk_of_a_server_breaks_the_response() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n2\r\nab\r\nxyz\r\n")
        lab.settle()
        client.read()
        client.expect_reset()
        server.expect_reset()


def test_unread_response_bytes_do_not_outlive_their_connections() -> None:
    """Both ends go away while much is held: every frame comes back (seen at the end of the lab)."""
    fields: dict[str, Any] = {"paused": True, "limit": 1_024}
    with running(tcp=BUFFERS) as lab:
        client, server = begin(lab, GET, **fields)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + bytes(90_000))
        lab.settle()
        assert lab.frames_in_use() >= 8
        client.reset()
        server.expect_reset()
        assert lab.frames_in_use() == 0


def test_pool_of_frames_that_runs_dry() -> None:
    """Many slow readers want more memory than there is: what does not fit is not taken, and comes again later."""
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + pattern(20_000)
    with running(frames=64) as lab:
        pairs = [begin(lab, GET, paused=True, limit=1_000) for _ in range(6)]
        for _, server in pairs:
            server.send(response)
            lab.settle()
        assert lab.counters().drop_tcp_no_memory_packets > 0
        received = [b"" for _ in pairs]
        for _ in range(200):
            lab.wait(100_000, 50_000)
            received = [got + client.read() for got, (client, _) in zip(received, pairs, strict=True)]
        assert all(got.endswith(pattern(20_000)) for got in received)


@pytest.mark.parametrize("frames", [8, 10, 12, 16, 24])
def test_hardly_any_memory(frames: int) -> None:
    """Nobody is served well, but nothing breaks, and all is given back."""
    with running(frames=frames) as lab:
        lab.patience = 100 * SECOND
        lab.servers[0].options = {"lossy": True}
        clients = [lab.client(lossy=True).connect() for _ in range(5)]
        for client in clients:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + bytes(5_000) + GET)
            lab.settle()
            for peer in lab.servers[0].peers.values():
                if peer.read():
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + bytes(9_000))
            lab.wait(400_000, 100_000)
        assert lab.frames_in_use() <= frames
