"""A TCP vServer with one long stream: iperf3 → peer → iperf3, to the server and from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.goals import Goal
from benchmarks.harness import Bed
from benchmarks.load import Case, Load
from benchmarks.peers import USUAL, Protocol, Service
from benchmarks.programs import run_on_client
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process

_PORT = 5201
_FROM_SERVER = "--reverse"


def parse(output: str, cpu_seconds: float = 0.0) -> Load:
    """Read what ``iperf3 --json`` printed; the unit is MB, as received. Raises ValueError when it found nothing."""
    begin = output.find("{")
    raw: dict[str, Any] = json.loads(output[begin:]) if begin >= 0 else {"error": output.strip()[-400:]}
    if "error" in raw:
        raise ValueError(f"iperf3 says: {raw['error']}")
    received = raw["end"]["sum_received"]
    return Load(units=received["bytes"] / 1e6, seconds=received["seconds"], cpu_seconds=cpu_seconds)


class TcpStream:
    """The scenario."""

    name = "tcp_stream"
    title = "TCP vServer, one stream (iperf3)"
    unit = "MB"
    cases: Sequence[Case] = (
        Case("to the server", 1, "", (Goal("rate", 1.0),)),
        Case("from the server", 1, _FROM_SERVER, (Goal("rate", 1.0),)),
    )
    protocol = Protocol.TCP
    base = "haproxy"
    peers: Sequence[str] = USUAL
    programs: Sequence[str] = ("iperf3",)

    def serve(self, network: Network) -> tuple[Process, Service]:
        """One iperf3."""
        server = network.servers[0]
        process = server.start(["iperf3", "--server", "--bind", server.address, "--port", str(_PORT)], name="iperf3")
        process.wait_port(server.address, _PORT)
        return process, Service(self.protocol, (f"{server.address}:{_PORT}",))

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """One iperf3 with one stream (and its control connection)."""
        address, _, port = bed.endpoint.partition(":")
        command = ["iperf3", "--client", address, "--port", port, "--time", str(max(1, round(seconds))), "--json"]
        if case.target:
            command.append(case.target)
        return parse(*run_on_client(bed.network, command, seconds + 1))


SCENARIO = TcpStream()
