"""The embedded origin server: ``python -m ncore_ray.lab.origin --address 10.2.0.2 --name web1``.

HTTP on port 80 (every answer carries ``Server-Name``, and in ``Server-Peer`` where its request came from):

| path | answer |
|---|---|
| ``/health`` | 200, ``ok`` |
| ``/bytes/N?seed=S`` | N bytes of the pattern of S, with Content-Length, or chunked with ``&chunked=1`` |
| ``/echo`` (POST) | JSON: SHA-256 and length of the body; with ``?back=1`` the body itself |
| ``/headers`` | JSON: the request line and the header fields as received, in order |
| ``/slow?ms=M`` | 200 after M ms (at most 60 s) |
| ``/status/204``, ``304``, ``404``, ``500`` … | that status |
| ``/close`` | 200, then the connection is closed |
| ``/stats`` | JSON: what was counted so far |

On port 9000 the raw TCP and UDP echo of ``raw.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import signal
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from ncore_ray.lab import pattern, raw

_LONGEST_SLEEP_S = 60.0
_LARGEST_ECHO = 64 << 20


@dataclass
class Counts:
    """What an origin server has seen."""

    name: str
    requests: int = 0
    connections: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    tcp_connections: int = 0
    tcp_bytes: int = 0
    udp_datagrams: int = 0


class Origin:
    """The HTTP side: one handler per path."""

    def __init__(self, name: str, keepalive_s: float) -> None:
        self.counts = Counts(name)
        app = web.Application(middlewares=[self._count])
        app.on_response_prepare.append(self._sign)
        app.add_routes(
            [
                web.get("/health", self.health),
                web.get("/bytes/{length:[0-9]+}", self.bytes),
                web.post("/echo", self.echo),
                web.route("*", "/headers", self.headers),
                web.get("/slow", self.slow),
                web.route("*", "/status/{code:[1-5][0-9][0-9]}", self.status),
                web.get("/close", self.close),
                web.get("/stats", self.stats),
            ]
        )
        self.runner = web.AppRunner(app, access_log=None, keepalive_timeout=keepalive_s)

    def new_connection(self) -> asyncio.Protocol:
        """Return the protocol object of one more connection."""
        self.counts.connections += 1
        assert self.runner.server is not None
        return self.runner.server()

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.counts.requests += 1
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _sign(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server-Name"] = self.counts.name
        if peer := raw.peer_text(request.transport):
            response.headers["Server-Peer"] = peer

    async def health(self, _request: web.Request) -> web.StreamResponse:
        """Answer a monitor."""
        return web.Response(text="ok\n")

    async def bytes(self, request: web.Request) -> web.StreamResponse:
        """Send a body that the client can compute."""
        length = int(request.match_info["length"])
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        if request.query.get("chunked"):
            response.enable_chunked_encoding()
        else:
            response.content_length = length
        await response.prepare(request)
        if request.method != "HEAD":
            self.counts.sent_bytes += length
            for piece in pattern.chunks(int(request.query.get("seed", "0")), length):
                await response.write(piece)
        await response.write_eof()
        return response

    async def echo(self, request: web.Request) -> web.StreamResponse:
        """Tell what arrived, or send it back."""
        digest, kept, length = hashlib.sha256(), bytearray(), 0
        back = bool(request.query.get("back"))
        async for piece in request.content.iter_any():
            digest.update(piece)
            length += len(piece)
            if back and length > _LARGEST_ECHO:
                raise web.HTTPRequestEntityTooLarge(_LARGEST_ECHO, length)
            if back:
                kept += piece
        self.counts.received_bytes += length
        if back:
            return web.Response(body=bytes(kept))
        return web.json_response({"bytes": length, "sha256": digest.hexdigest()})

    async def headers(self, request: web.Request) -> web.StreamResponse:
        """Tell the request line and header fields as they arrived."""
        version = f"HTTP/{request.version.major}.{request.version.minor}"
        fields = [[k.decode("latin-1"), v.decode("latin-1")] for k, v in request.raw_headers]
        peer = request.transport.get_extra_info("peername") if request.transport else None
        line = {"method": request.method, "target": request.raw_path, "version": version}
        return web.json_response({**line, "headers": fields, "peer": peer})

    async def slow(self, request: web.Request) -> web.StreamResponse:
        """Answer late."""
        await asyncio.sleep(min(int(request.query.get("ms", "0")) / 1000, _LONGEST_SLEEP_S))
        return web.Response(text="slow\n")

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Answer with the status asked for."""
        code = int(request.match_info["code"])
        body = None if code in (204, 304) else f"status {code}\n"
        return web.Response(status=code, text=body)

    async def close(self, _request: web.Request) -> web.StreamResponse:
        """Answer, then close the connection."""
        response = web.Response(text="bye\n")
        response.force_close()
        return response

    async def stats(self, _request: web.Request) -> web.StreamResponse:
        """Tell the counts."""
        return web.json_response(asdict(self.counts))


async def serve(address: str, name: str, port: int, raw_port: int, keepalive_s: float) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when an address or port cannot be had."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    origin = Origin(name, keepalive_s)
    await origin.runner.setup()
    http = await loop.create_server(origin.new_connection, address, port, backlog=4096)
    echo = raw.RawService(name, origin.counts)
    tcp = await asyncio.start_server(echo.connection, address, raw_port, backlog=4096)
    udp, _ = await loop.create_datagram_endpoint(lambda: raw.UdpEcho(origin.counts), (address, raw_port))
    await stop.wait()
    http.close()
    tcp.close()
    udp.close()
    await asyncio.wait_for(origin.runner.cleanup(), 2)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Origin server of the ncore_ray test bed.")
    parser.add_argument("--address", required=True, help="IPv4 address to listen on")
    parser.add_argument("--name", required=True, help="value of the Server-Name header")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--raw-port", type=int, default=9000, help="raw TCP and UDP echo")
    parser.add_argument("--keepalive", type=float, default=75.0, help="idle connections are closed after (s)")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.address, arguments.name, arguments.port, arguments.raw_port, arguments.keepalive))


if __name__ == "__main__":
    main()
