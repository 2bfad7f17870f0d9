"""The checking load client and the demo's checks, as a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ncore_ray.demo.checks import bytes_check, one_engine_check
from ncore_ray.demo.show import Load, Show
from ncore_ray.demo.sightings import Sightings
from ncore_ray.lab.network import VIP
from ncore_ray.lab.process import python_module
from tests.e2e.bed import Bed

DROPS = "no packet was dropped without need"


def assert_all_checks(bed: Bed, but: str = "", **amount: float) -> None:
    """Send a load; every check of the demo has to pass, ``but`` the one of that name."""
    load = Load(**{"seconds": 10, "requests": 1500, "connections": 60, "rate": 0, **amount})  # type: ignore[arg-type]
    result = Show(bed.site, load).run(None)
    assert [check for check in result.checks if not check.passed and check.name != but] == []
    working = {row["name"] for row in bed.appliance.ask("scaling")["engines"]}
    assert {row.name for row in result.engines if row.requests} == working


def assert_bytes(bed: Bed, *options: str, vip: str = VIP, shared: bool = False) -> Mapping[str, Any]:
    """Send a load; every answer has to be right, and every flow on one engine, or (``shared``) on several.

    Returns the client's report.
    """
    line = python_module("ncore_ray.lab.client", "--http", f"{vip}:80", "--tcp", f"{VIP}:9000", *options)
    client = bed.client.start(line, name="load", lifetime_s=100, read_output=True)
    report: dict[str, Any] = [json.loads(text) for text in client.lines()][-1]
    client.wait(10)
    exact, on_one = bytes_check(report), one_engine_check(report, Sightings(), bed.site.configuration.appliance.engines)
    assert exact.passed, exact.detail
    assert on_one.passed != shared, on_one.detail
    return report
