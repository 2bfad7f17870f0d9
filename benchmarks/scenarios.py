"""All scenarios, in the order of the tables."""

from __future__ import annotations

from typing import Final

from benchmarks import (
    engines,
    forwarding,
    http_bodies,
    http_connections,
    http_download,
    http_idle,
    http_keepalive,
    http_upload,
    stages,
    tcp_connections,
    tcp_stream,
    udp_packets,
)
from benchmarks.harness import Scenario
from benchmarks.memory_scenario import MemoryScenario

_WIRE: Final[tuple[Scenario, ...]] = (
    http_keepalive.SCENARIO,
    http_connections.SCENARIO,
    http_bodies.SCENARIO,
    http_download.SCENARIO,
    http_upload.SCENARIO,
    tcp_connections.SCENARIO,
    tcp_stream.SCENARIO,
    udp_packets.SCENARIO,
    http_idle.SCENARIO,
)
_MEMORY: Final[tuple[MemoryScenario, ...]] = (stages.SCENARIO, forwarding.SCENARIO, engines.SCENARIO)
ON_THE_WIRE: Final[dict[str, Scenario]] = {scenario.name: scenario for scenario in _WIRE}
"""Client, peer and server in namespaces, joined by veth pairs."""
IN_MEMORY: Final[dict[str, MemoryScenario]] = {scenario.name: scenario for scenario in _MEMORY}
"""Parts of the appliance by themselves."""
