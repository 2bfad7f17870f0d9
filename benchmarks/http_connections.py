"""A new connection for every request: wrk with ``Connection: close`` → peer → nginx, a body of 46 bytes.

wrk's latency counts from the request on: the handshake is not in it.
"""

from __future__ import annotations

from benchmarks.goals import Goal
from benchmarks.load import Case
from benchmarks.wrk_scenario import WrkScenario

SCENARIO = WrkScenario(
    name="http_connections",
    title="HTTP, a new connection per request",
    unit="connection",
    headers=("Connection: close",),
    cases=(Case("32 at a time", 32, goals=(Goal("rate", 1.3),)),),
)
