"""One large upload: curl → peer → a server that reads the body and throws it away; 1 GB, or what the time allows."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import transfers
from benchmarks.goals import Goal
from benchmarks.harness import Bed
from benchmarks.load import Case, Load
from benchmarks.peers import USUAL, Protocol, Service
from benchmarks.sink import serve
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process, python_function

_PORT = 80


class HttpUpload:
    """The scenario."""

    name = "http_upload"
    title = "HTTP, one upload of 1 GB"
    unit = "MB"
    cases: Sequence[Case] = (Case("1 connection", 1, "/", (Goal("rate", 1.0),)),)
    protocol = Protocol.HTTP
    base = "haproxy"
    peers: Sequence[str] = USUAL
    programs: Sequence[str] = ("curl",)

    def serve(self, network: Network) -> tuple[Process, Service]:
        """A sink of our own: nginx would answer before the body has come."""
        server = network.servers[0]
        process = server.start(python_function(serve, server.address, _PORT), name="sink")
        process.wait_port(server.address, _PORT)
        return process, Service(self.protocol, (f"{server.address}:{_PORT}",))

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """One curl."""
        return transfers.run_curl(bed.network, f"http://{bed.endpoint}{case.target}", seconds, transfers.gigabyte())


SCENARIO = HttpUpload()
