"""10,000 clients that have had one answer and wait: what each takes of the proxy's memory.

Memory of the proxy's processes before the first and after the last client, divided by the clients. The appliance has
set the records of its connections aside from the beginning: their size is added, and never seen to grow. Sockets in the
kernel are no process's memory: a column of its own shows by how much the kernel's memory grew, client's and server's
sockets included (compare it with `direct`).

A few clients come and go before, and some seconds pass: what a program takes once, when the first clients come or when
it first tells its metrics, is no client's memory. It is a megabyte and more, where ten are to be measured.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.goals import Goal
from benchmarks.harness import Bed
from benchmarks.load import Case, Load
from benchmarks.memory import kernel_bytes
from benchmarks.origin import BODY, start_nginx_origin
from benchmarks.peers import USUAL, Protocol, Service
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process

_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
_END: Final = BODY.encode()
_TIMEOUT_S: Final = 5.0
_MOST_ERRORS: Final = 100
_FIRST_CLIENTS: Final = 64
_SETTLE_S: Final = 4.0


def open_clients(endpoint: str, count: int, clients: list[socket.socket]) -> int:
    """Open connections that each get one answer and stay; return how many failed (it gives up after 100)."""
    address, _, port = endpoint.partition(":")
    errors = 0
    while len(clients) + errors < count and errors < _MOST_ERRORS:
        client = socket.socket()
        client.settimeout(_TIMEOUT_S)
        try:
            client.connect((address, int(port)))
            _ask(client)
            clients.append(client)
        except OSError:
            client.close()
            errors += 1
    return errors


def _ask(client: socket.socket) -> None:
    client.sendall(_REQUEST)
    answer = b""
    while not answer.endswith(_END):
        piece = client.recv(4096)
        if not piece:
            raise ConnectionResetError("closed without an answer")
        answer += piece


def _come_and_go(endpoint: str) -> None:
    """Let a few clients in, and let the program settle."""
    clients: list[socket.socket] = []
    open_clients(endpoint, _FIRST_CLIENTS, clients)
    for client in clients:
        client.close()
    time.sleep(_SETTLE_S)


class HttpIdle:
    """The scenario."""

    name = "http_idle"
    title = "HTTP, 10,000 idle keep-alive connections"
    unit = "idle connection"
    cases: Sequence[Case] = (Case("10,000 connections", 10_000, goals=(Goal("memory_each", at_most=1.0),), once=True),)
    protocol = Protocol.HTTP
    base = "haproxy"
    peers: Sequence[str] = USUAL
    programs: Sequence[str] = ("nginx",)

    def serve(self, network: Network) -> tuple[Process, Service]:
        """One nginx."""
        return start_nginx_origin(network), Service(self.protocol, (f"{network.servers[0].address}:80",))

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """Open the connections, look at the memory while they wait, close them."""
        bed.network.client.namespace.call(lambda: _come_and_go(bed.endpoint))
        before, kernel_before = bed.peer.memory_bytes(), kernel_bytes()
        clients: list[socket.socket] = []
        started_at, cpu_at = time.monotonic(), time.process_time()
        try:
            errors = bed.network.client.namespace.call(lambda: open_clients(bed.endpoint, case.connections, clients))
            span_s = time.monotonic() - started_at
            count = len(clients) or 1
            grown, kernel_grown = bed.peer.memory_bytes() - before, kernel_bytes() - kernel_before
        finally:
            with contextlib.ExitStack() as stack:
                for client in clients:
                    stack.callback(client.close)
        return Load(
            units=len(clients),
            seconds=span_s,
            errors=errors,
            cpu_seconds=time.process_time() - cpu_at,
            memory_each=max(0.0, grown / count) + bed.peer.reserved_each(),
            kernel_each=max(0.0, kernel_grown / count),
        )


SCENARIO = HttpIdle()
