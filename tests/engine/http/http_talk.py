"""Messages as they come and as they go on, for tests of the whole HTTP proxy."""

from __future__ import annotations

from typing import Any, Final

from tests.support.http_lab import HttpLab
from tests.support.tcp_peer import Peer

VIA: Final = b"Via: 1.1 ncore\r\n"
FORWARDED: Final = b"X-Forwarded-For: 10.1.0.2\r\n"
GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


def passed_request(raw: bytes) -> bytes:
    """Return what a plain request becomes: Via, then its framing, then X-Forwarded-For."""
    head, _, body = raw.partition(b"\r\n\r\n")
    head += b"\r\n"
    framing = CHUNKED if CHUNKED in head else b""
    return head.replace(CHUNKED, b"") + VIA + framing + FORWARDED + b"\r\n" + body


def passed_response(raw: bytes, connection: bytes = b"") -> bytes:
    """Return what a plain response becomes, with the Connection field that it ends with."""
    head, _, body = raw.partition(b"\r\n\r\n")
    head += b"\r\n"
    framing = CHUNKED if CHUNKED in head else b""
    return head.replace(CHUNKED, b"") + VIA + framing + connection + b"\r\n" + body


def get(number: int) -> bytes:
    return b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number


def answer(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b"")[:-1]) + (
        b"0\r\n" + trailers + b"\r\n"
    )


def begin(lab: HttpLab, request: bytes = GET, **fields: Any) -> tuple[Peer, Peer]:
    """Open a client, send a request, and return client and server when the server has it."""
    client = lab.client(**fields).connect()
    client.send(request)
    server = lab.servers[0].accept()
    server.expect(passed_request(request))
    return client, server


def exchange(client: Peer, server: Peer, number: int = 0) -> None:
    """Do one plain exchange on connections that are open already."""
    client.send(get(number))
    server.expect(passed_request(get(number)))
    server.send(answer(b"%d" % number))
    client.expect(passed_response(answer(b"%d" % number)))


def pool_one(lab: HttpLab) -> tuple[Peer, Peer]:
    """Return a client and the server connection that lies in the pool after its first exchange."""
    client, server = begin(lab)
    server.send(OK)
    client.expect(passed_response(OK))
    assert lab.service_stats().idle_connections == 1
    return client, server


def status_of(raw: bytes) -> int:
    """Return the status of the appliance's own response, which has to be whole and to say that it closes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"Connection: close" in lines
    assert b"Content-Length: %d" % len(body) in lines
    return int(lines[0].split(b" ")[1])


def refused(lab: HttpLab, client: Peer, status: int) -> None:
    """Assert that the client is answered with a status, can read it, and then sees the end."""
    assert status_of(client.take()) == status
    client.expect_eof()
    client.close()
    lab.settle()
    assert not client.was_reset
