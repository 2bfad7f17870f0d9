"""Larger answers over kept connections: wrk → peer → nginx that sends files from the page cache."""

from __future__ import annotations

from benchmarks.goals import Goal
from benchmarks.load import Case
from benchmarks.wrk_scenario import WrkScenario

SCENARIO = WrkScenario(
    name="http_bodies",
    title="HTTP keep-alive, larger bodies",
    unit="request",
    bodies={"/10k": 10_000, "/1m": 1_000_000},
    cases=(
        Case("10 KB, 32 connections", 32, "/10k", (Goal("rate", 1.2),)),
        Case("1 MB, 8 connections", 8, "/1m", (Goal("rate", 1.0),)),
    ),
)
