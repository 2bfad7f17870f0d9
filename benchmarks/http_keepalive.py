"""Small answers over kept connections: wrk → peer → nginx, a body of 46 bytes, 1, 32 and 256 connections."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import Case, Load
from benchmarks.origin import start_nginx_origin
from benchmarks.wrk import run_wrk
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process


class HttpKeepAlive:
    """The scenario."""

    name = "http_keepalive"
    title = "HTTP keep-alive, 46-byte body"
    unit = "request"
    cases: Sequence[Case] = (
        Case("1 connection", 1),
        Case("32 connections", 32),
        Case("256 connections", 256),
    )

    def serve(self, network: Network) -> tuple[Process, list[str]]:
        """One nginx."""
        return start_nginx_origin(network), [f"{network.servers[0].address}:80"]

    def load(self, network: Network, endpoint: str, case: Case, seconds: float) -> Load:
        """One thread of wrk."""
        url = f"http://{endpoint}{case.target}"
        found = run_wrk(network, url, connections=case.connections, seconds=seconds)
        return Load(
            units=found.requests,
            seconds=found.seconds,
            p50_us=found.p50_us,
            p99_us=found.p99_us,
            p999_us=found.p999_us,
            errors=found.errors,
            cpu_seconds=found.cpu_seconds,
        )


SCENARIO = HttpKeepAlive()
