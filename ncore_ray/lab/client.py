"""The load client: ``python -m ncore_ray.lab.client --http 10.1.0.100:80 --connections 300``.

Several hundred connections at once, each following a seeded plan; every byte of every answer is checked. On
standard output it writes JSON lines: ``{"type": "progress", …}`` every quarter of a second, and at the end
``{"type": "report", …}``. The exit status is 1 when a request failed. Bounded by ``--requests`` and ``--seconds``,
whichever comes first; SIGTERM ends it earlier, as if the time was over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import signal
import sys
import time
from dataclasses import dataclass

from ncore_ray.lab import raw
from ncore_ray.lab.http1 import AnswerError, ClosedBeforeAnswerError, Connection, Endpoint
from ncore_ray.lab.measure import Recorder, UsedConnection
from ncore_ray.lab.plan import AnswerCheck, Kind, Planner, Request, Role
from ncore_ray.lab.ports import LocalPorts

_PROGRESS_S = 0.25
_BROKEN = (OSError, asyncio.IncompleteReadError, AnswerError, ClosedBeforeAnswerError, ValueError)


@dataclass(frozen=True)
class Load:
    """How much, to where, and for how long."""

    http: Endpoint
    tcp: Endpoint | None = None
    connections: int = 300
    requests: int = 20_000
    seconds: float = 30.0
    seed: int = 1
    largest_bytes: int = 1_000_000
    single_share: float = 0.15
    tcp_share: float = 0.1
    sources: tuple[str, ...] = ()
    request_timeout_s: float = 15.0
    rate: float = 0.0
    """Requests per second of all connections together, about; 0 = as fast as answers come. Paced, latencies are the
    network's and not those of the client's own queue."""

    def role(self, index: int) -> Role:
        """Return the role of connection number ``index``; roles are spread evenly."""
        place = (index + 0.5) / self.connections
        if place < self.single_share:
            return Role.SINGLE
        return Role.TCP if self.tcp and place < self.single_share + self.tcp_share else Role.KEEP_ALIVE


class Client:
    """Runs a load and records what happened."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.record = Recorder()
        self._left = load.requests
        self._ended = False
        self._ports = LocalPorts(load.sources)
        self._started_at = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started_at

    async def run(self) -> None:
        """Run all connections to the end of the load."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.end)
        printer = asyncio.create_task(self._print_progress())
        await asyncio.gather(*(self._worker(index) for index in range(self.load.connections)))
        printer.cancel()

    def end(self) -> None:
        """Begin no more requests."""
        self._ended = True

    def _take(self) -> bool:
        """Take one request from the common budget; False when the load is over."""
        if self._ended or self._left <= 0 or self.elapsed_s >= self.load.seconds:
            return False
        self._left -= 1
        return True

    async def _print_progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            print(json.dumps(self.record.progress(self.elapsed_s)), flush=True)

    async def _pause(self, planner: Planner) -> None:
        """Wait as long as the rate asks for before the next request of a connection."""
        if self.load.rate:
            await asyncio.sleep(self.load.connections / self.load.rate * planner.jitter())

    async def _worker(self, index: int) -> None:
        role = self.load.role(index)
        planner = Planner(f"{self.load.seed}/{index}", self.load.largest_bytes)
        await self._pause(planner)
        while self._take():
            if role is Role.TCP:
                await self._tcp_connection(planner, index)
            else:
                await self._http_connection(role, planner, index)
            await self._pause(planner)

    async def _http_connection(self, role: Role, planner: Planner, index: int) -> None:
        """Use one connection for as many requests as the plan says; one request is taken already."""
        most = 1 if role is Role.SINGLE else planner.requests_on_connection()
        started_at = time.monotonic()
        try:
            async with asyncio.timeout(self.load.request_timeout_s):
                connection = Connection(*await self._ports.connect(self.load.http, index))
        except OSError as error:  # TimeoutError is one
            self.record.failure(f"cannot connect: {type(error).__name__}", str(error))
            return
        self.record.open_connections += 1
        request = planner.next(role)
        try:
            while await self._exchange(connection, request, started_at) and connection.requests < most:
                await self._pause(planner)
                if not self._take():
                    break
                request, started_at = planner.next(role), time.monotonic()
            if not request.close:
                await self._finish(connection)
        finally:
            connection.close()
            self.record.open_connections -= 1
            ends = connection.local, connection.remote
            self.record.connections.append(
                UsedConnection("http", *ends, connection.requests, frozenset(connection.upstreams))
            )

    async def _exchange(self, connection: Connection, request: Request, started_at: float) -> bool:
        """Make one request and judge the answer; True when the connection can be used again."""
        check = AnswerCheck(request)
        try:
            async with asyncio.timeout(self.load.request_timeout_s):
                answer = await connection.request(
                    request.method,
                    request.target,
                    sink=check.feed,
                    headers=request.headers(),
                    body=request.body(),
                    body_bytes=request.body_bytes,
                )
        except _BROKEN as error:
            self._broken(connection, request, error)
            return False
        self.record.received_bytes += answer.body_bytes
        self.record.sent_bytes += request.body_bytes
        if reason := check.verdict(answer):
            self.record.failure(reason, f"{request.method} {request.target} on {connection.local}")
        else:
            latency_us = int((time.monotonic() - started_at) * 1e6)
            self.record.success(request.kind, latency_us, answer.headers.get("server-name", "?"))
        return answer.keeps_alive and not request.close

    def _broken(self, connection: Connection, request: Request, error: Exception) -> None:
        """Count a broken exchange, unless the peer has closed an idle connection: that request is given back."""
        if isinstance(error, ClosedBeforeAnswerError | ConnectionError) and connection.requests > 1:
            self.record.reopened += 1
            self._left += 1
            return
        where = f"{request.method} {request.target} on {connection.local}"
        self.record.failure(f"{request.kind}: {type(error).__name__}", f"{error} {where}")

    async def _finish(self, connection: Connection) -> None:
        """Half-close and expect nothing but the end; a connection that is broken already was counted before."""
        try:
            await connection.finish()
        except (AnswerError, TimeoutError) as error:
            self.record.failure(f"at the end: {type(error).__name__}", f"{error} on {connection.local}")
        except OSError:
            pass

    async def _tcp_connection(self, planner: Planner, index: int) -> None:
        """Send the plan's frames over one raw connection and check the echo and the summary."""
        started_at = time.monotonic()
        frames = planner.frames()
        try:
            async with asyncio.timeout(self.load.request_timeout_s):
                summary = await self._tcp_exchange(frames, index)
        except _BROKEN as error:
            self.record.failure(f"{Kind.TCP}: {type(error).__name__}", str(error))
            return
        total = sum(map(len, frames))
        self.record.received_bytes += total
        self.record.sent_bytes += total
        self.record.success(Kind.TCP, int((time.monotonic() - started_at) * 1e6), summary.name)

    async def _tcp_exchange(self, frames: list[bytes], index: int) -> raw.Summary:
        assert self.load.tcp is not None
        reader, writer = await self._ports.connect(self.load.tcp, index)
        self.record.open_connections += 1
        names = writer.get_extra_info("sockname")[:2], writer.get_extra_info("peername")[:2]
        sending = asyncio.ensure_future(raw.send_frames(writer, frames))
        upstreams: set[str] = set()
        try:
            back, summary = await raw.receive_echo(reader)
            upstreams.add(summary.peer)
            await sending
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending
            writer.close()
            self.record.open_connections -= 1
            self.record.connections.append(UsedConnection("tcp", *names, 1, frozenset(upstreams)))
        if back != frames or summary.sha256 != hashlib.sha256(b"".join(frames)).hexdigest():
            raise AnswerError("the echo differs")
        return summary


def endpoint(text: str) -> Endpoint:
    """Read ``10.1.0.100:80``. Raises ValueError."""
    address, _, port = text.rpartition(":")
    if not address:
        raise ValueError(f"ADDRESS:PORT expected, not {text!r}")
    return address, int(port)


def load_from(arguments: list[str] | None = None) -> Load:
    """Read the command line."""
    default = Load(("", 0))
    parser = argparse.ArgumentParser(description="Load client of the ncore_ray test bed; checks every byte.")
    parser.add_argument("--http", type=endpoint, required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--tcp", type=endpoint, metavar="ADDRESS:PORT", help="also load a raw TCP service")
    parser.add_argument("--connections", type=int, default=default.connections)
    parser.add_argument("--requests", type=int, default=default.requests, help="at most so many")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="at most so long")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--largest-bytes", type=int, default=default.largest_bytes)
    parser.add_argument("--single-share", type=float, default=default.single_share)
    parser.add_argument("--tcp-share", type=float, default=default.tcp_share)
    parser.add_argument("--sources", nargs="*", default=[], metavar="ADDRESS", help="addresses to connect from")
    parser.add_argument("--request-timeout-s", type=float, default=default.request_timeout_s)
    parser.add_argument("--rate", type=float, default=default.rate, help="requests/s, 0 = as fast as possible")
    values = vars(parser.parse_args(arguments))
    return Load(**{**values, "sources": tuple(values["sources"])})


def main() -> int:
    """Run the load of the command line; 1 when a request failed."""
    client = Client(load_from())
    asyncio.run(client.run())
    print(json.dumps(client.record.report(client.elapsed_s)), flush=True)
    return 1 if client.record.failures else 0


if __name__ == "__main__":
    sys.exit(main())
