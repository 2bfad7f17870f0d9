"""Small answers over kept connections: wrk → peer → nginx, a body of 46 bytes, 1 to 1,000 connections."""

from __future__ import annotations

from benchmarks.goals import Goal
from benchmarks.load import Case
from benchmarks.peers import EVERY_PLACEMENT
from benchmarks.wrk_scenario import WrkScenario

_CPU = Goal("cpu_us", at_most=0.75)

SCENARIO = WrkScenario(
    name="http_keepalive",
    title="HTTP keep-alive, 46-byte body",
    unit="request",
    peers=EVERY_PLACEMENT,
    cases=(
        Case("1 connection", 1, goals=(Goal("p50_us", at_most=1.0),)),
        Case("32 connections", 32, goals=(Goal("rate", 1.15), _CPU, Goal("rate", 0.9, placement="core"))),
        Case("256 connections", 256, goals=(Goal("rate", 1.3), _CPU, Goal("rate", 1.1, placement="core"))),
        Case("1,000 connections", 1000, goals=(Goal("rate", 1.3), _CPU)),
    ),
)
