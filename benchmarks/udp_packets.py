"""A UDP vServer: datagrams of 64 bytes to an echo server and back, 16 sessions with 16 datagrams under way each.

Counted are the packets that the peer forwards: two for each datagram that came back.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.goals import Goal
from benchmarks.harness import Bed
from benchmarks.load import Case, Load
from benchmarks.peers import USUAL, Protocol, Service
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process, python_function

_PORT: Final = 5300
_WINDOW: Final = 16
_BATCH: Final = 256
_BUFFER: Final = 4 << 20


def serve_echo(address: str, port: int) -> None:
    """Send every datagram back until this process ends; a TCP port of the same number tells that it is up."""
    from benchmarks.udp_kernels import Messages, echo_run  # the harness's process does not need them compiled

    with socket.socket(type=socket.SOCK_DGRAM) as echo, socket.socket() as sign:
        echo.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        echo.bind((address, port))
        messages = Messages(_BATCH, named=True)
        echo_run(os.open(os.devnull, os.O_RDONLY), messages.address, _BATCH)  # compiles it: no socket, returns at once
        sign.bind((address, port))
        sign.listen()
        echo_run(echo.fileno(), messages.address, _BATCH)


def percentiles(histogram: npt.NDArray[np.int64], shares: Sequence[float]) -> list[float]:
    """Return the µs below or at which so large shares of all round trips were; 0 when there were none."""
    total = np.cumsum(histogram)
    if total[-1] == 0:
        return [0.0 for _ in shares]
    return [float(np.searchsorted(total, share * total[-1])) for share in shares]


def _connect(endpoint: str, count: int) -> list[socket.socket]:
    address, _, port = endpoint.partition(":")
    made = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(count)]
    for each in made:
        each.connect((address, int(port)))
    return made


class UdpPackets:
    """The scenario."""

    name = "udp_packets"
    title = "UDP vServer, datagrams of 64 bytes there and back"
    unit = "packet"
    cases: Sequence[Case] = (Case("16 sessions", 16, goals=(Goal("rate", 2.0),)),)
    protocol = Protocol.UDP
    base = "nginx"
    peers: Sequence[str] = USUAL
    programs: Sequence[str] = ()

    def serve(self, network: Network) -> tuple[Process, Service]:
        """An echo server of our own."""
        server = network.servers[0]
        process = server.start(python_function(serve_echo, server.address, _PORT), name="echo")
        process.wait_port(server.address, _PORT, timeout_s=60)
        return process, Service(self.protocol, (f"{server.address}:{_PORT}",))

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """Keep all windows full. The kernel runs in this process, its sockets belong to the client host."""
        from benchmarks.udp_kernels import RunMemory, client_run

        sockets = bed.network.client.namespace.call(lambda: _connect(bed.endpoint, case.connections))
        try:
            memory = RunMemory([each.fileno() for each in sockets], _WINDOW)
            client_run(memory.address, 0)  # compiles it
            before = time.thread_time()
            client_run(memory.address, int(1e6 * seconds))
            cpu_seconds = time.thread_time() - before
        finally:
            for each in sockets:
                each.close()
        p50, p99, p999 = percentiles(memory.histogram, (0.5, 0.99, 0.999))
        return Load(
            units=2 * memory.run.received,
            seconds=memory.run.span_us / 1e6,
            p50_us=p50,
            p99_us=p99,
            p999_us=p999,
            errors=memory.run.lost,
            cpu_seconds=cpu_seconds,
        )


SCENARIO = UdpPackets()
