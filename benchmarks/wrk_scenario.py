"""Scenarios whose load is wrk and whose origin server is nginx: they differ in their cases and headers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.harness import Bed
from benchmarks.load import Case, Load
from benchmarks.origin import start_nginx_origin
from benchmarks.peers import USUAL, Protocol, Service
from benchmarks.wrk import run_wrk
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process

_FEW_IN_TIME_WAIT = {"net/ipv4/tcp_max_tw_buckets": 1024}
_REUSE_TIME_WAIT = {"net/ipv4/tcp_tw_reuse": 1}


@dataclass
class WrkScenario:
    """One thread of wrk → peer → nginx."""

    name: str
    title: str
    unit: str
    cases: Sequence[Case]
    protocol: Protocol = Protocol.HTTP
    base: str = "haproxy"
    peers: Sequence[str] = USUAL
    headers: tuple[str, ...] = ()
    programs: Sequence[str] = ("wrk", "nginx")
    bodies: dict[str, int] = field(default_factory=dict)
    """Paths of the origin server and the bytes of their bodies, besides ``/`` with 46."""

    def serve(self, network: Network) -> tuple[Process, Service]:
        """One nginx. Ports of connections that are over can be used again soon, so that none of a run lacks one."""
        network.client.namespace.sysctl(_FEW_IN_TIME_WAIT)
        network.appliance.namespace.sysctl(_REUSE_TIME_WAIT)
        process = start_nginx_origin(network, self.bodies)
        return process, Service(self.protocol, (f"{network.servers[0].address}:80",))

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """One thread of wrk."""
        url = f"http://{bed.endpoint}{case.target}"
        found = run_wrk(bed.network, url, connections=case.connections, seconds=seconds, headers=self.headers)
        return found.as_load()
