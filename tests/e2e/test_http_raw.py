"""HTTP on bare sockets: pipelining, refusals, upgrades; a service that dies; a reader that does not read."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import aiohttp
import pytest

from ncore_ray.lab.network import VIP
from ncore_ray.lab.pattern import PatternCheck, patterned
from ncore_ray.lab.process import python_module
from tests.e2e.bed import Bed


def read_all(connection: socket.socket) -> bytes:
    """Read to the end."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def talk(bed: Bed, request: bytes) -> bytes:
    """Send bytes, return everything up to the peer's end."""
    with bed.connect(80) as connection:
        connection.sendall(request)
        return read_all(connection)


def test_pipelined_requests_are_answered_in_order(bed: Bed) -> None:
    requests = [f"GET /bytes/{n}?seed={n} HTTP/1.1\r\nHost: a\r\n" for n in (10, 2000, 1)]
    answer = talk(bed, "\r\n".join([*requests[:2], requests[2] + "Connection: close\r\n\r\n"]).encode())
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [patterned(n, n) for n in (10, 2000, 1)]


def test_request_in_single_bytes(bed: Bed) -> None:
    with bed.connect(80) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in b"GET /bytes/5?seed=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
            connection.send(bytes([octet]))
        assert read_all(connection).endswith(patterned(1, 5))


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "nonsense\r\n\r\n",
    ],
)
def test_ambiguous_requests_are_refused_and_the_connection_closed(bed: Bed, request_text: str) -> None:
    answer = talk(bed, request_text.encode())
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]


def test_too_long_a_header_is_refused(bed: Bed) -> None:
    answer = talk(bed, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_half_closed_client_gets_its_answer(bed: Bed) -> None:
    with bed.connect(80) as connection:
        connection.sendall(b"GET /slow?ms=100 HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).endswith(b"slow\n")


def test_websocket_passes_through(bed: Bed) -> None:
    server = bed.network.servers[0].start(python_module("tests.e2e.websocket", "10.2.0.2", "8080"), name="websocket")
    server.wait_port("10.2.0.2", 8080)

    def make(_address: Any) -> socket.socket:
        made = bed.socket()
        made.setblocking(False)
        return made

    async def exchange() -> list[bytes]:
        connector = aiohttp.TCPConnector(socket_factory=make)
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.ws_connect(f"http://{VIP}:8080/") as socket_,
        ):
            back = []
            for length in (0, 1, 1500, 300_000):
                await socket_.send_bytes(patterned(length, length))
                back.append(await socket_.receive_bytes(timeout=10))
            return back

    assert asyncio.run(exchange()) == [patterned(n, n) for n in (0, 1, 1500, 300_000)]


MOST_HELD: Final = 4 << 20
"""The default of `tcp.receive_window`: as large may the window of a server's connection be that was fast before."""


def frames_held(bed: Bed) -> int:
    engines = [numbers for name, numbers in bed.site.stat()["actors"].items() if name.startswith("engine-")]
    return sum(numbers["frame_capacity"] - numbers["free_frames"] for numbers in engines)


def test_slow_reader_does_not_grow_memory(bed: Bed) -> None:
    bed.wait(lambda: frames_held(bed) == 0, "nobody else holds a frame")
    length = 40_000_000
    with bed.connect(80, receive_buffer=16_384) as connection:
        connection.sendall(f"GET /bytes/{length}?seed=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        progress: list[int] = []

        def stands_still() -> bool:
            services = bed.site.stat()["services"]
            progress.append(services["web1"]["received_bytes"] + services["web2"]["received_bytes"])
            return len(progress) > 20 and progress[-1] - progress[-15] < 2_000

        bed.wait(stands_still, "the server's stream stands still")
        held = frames_held(bed)
        assert progress[-1] - progress[0] < MOST_HELD + 1_000_000
        assert 0 < held < MOST_HELD // 1_280, "frames held for one connection that does not read"
        check = PatternCheck(2)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        while piece := connection.recv(65536):
            check.feed(piece)
    assert (check.position, check.wrong_at) == (length, None)


def test_service_that_dies_is_left_out_and_comes_back(bed: Bed) -> None:
    bed.origins[0].stop()
    bed.wait(lambda: bed.site.services()["web1"] == "down", "web1 is down")
    answers = [talk(bed, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for _ in range(6)]
    assert all(b"200 OK" in answer and b"web2" in answer for answer in answers)
    server = bed.network.servers[0]
    line = python_module("ncore_ray.lab.origin", "--address", server.address, "--name", server.role)
    bed.origins[0] = server.start(line, name="origin")
    bed.wait(lambda: bed.site.services()["web1"] == "up", "web1 is up again")
    answers = [talk(bed, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for _ in range(6)]
    assert any(b"web1" in answer for answer in answers)
