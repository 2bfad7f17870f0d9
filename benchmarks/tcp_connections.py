"""A TCP vServer: a connection, a small request and answer, its end. wrk with ``Connection: close`` → peer → nginx.

The peer opens a connection to the server for each of the client's. wrk's latency counts from the request on.
"""

from __future__ import annotations

from benchmarks.goals import Goal
from benchmarks.load import Case
from benchmarks.peers import Protocol
from benchmarks.wrk_scenario import WrkScenario

SCENARIO = WrkScenario(
    name="tcp_connections",
    title="TCP vServer, new connections",
    unit="connection",
    protocol=Protocol.TCP,
    headers=("Connection: close",),
    cases=(Case("32 at a time", 32, goals=(Goal("rate", 1.2),)),),
)
