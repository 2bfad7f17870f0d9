"""From counters to the rows that the displays show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ncore_ray.config.model import Configuration
from ncore_ray.demo.accounts import Accounts, Numbers
from ncore_ray.demo.site import Site
from ncore_ray.lab.rows import ActorRow, Check, DemoResult, EngineRow, ServerRow, latency_rows
from ncore_ray.management.counters import total_dropped


def engine_rows(accounts: Accounts) -> list[EngineRow]:
    """Return a row per packet engine."""
    return [_engine_row(accounts, name, numbers) for name, numbers in accounts.actors("engine-").items()]


def _engine_row(accounts: Accounts, name: str, numbers: Numbers) -> EngineRow:
    return EngineRow(
        name=name,
        core=accounts.actor_status(name)["cpu"],
        connections=numbers["connections_accepted"],
        requests=numbers["http_requests"],
        packets_in=numbers["received_packets"],
        packets_out=numbers["sent_packets"],
        busy=accounts.busy(name),
    )


def server_rows(configuration: Configuration, accounts: Accounts) -> list[ServerRow]:
    """Return a row per service; to a plain TCP service each connection is one request."""
    rows = []
    for service in configuration.services:
        numbers = accounts.service(service.name)
        connections, requests = numbers["total_connections"], numbers["requests"]
        up = numbers["health"] == "up"
        rows.append(ServerRow(service.name, str(service.address), connections, requests or connections, up))
    return rows


def actor_rows(accounts: Accounts, management: int) -> list[ActorRow]:
    """Return a row per actor; the last ones have no part in moving packets."""
    rows = []
    for status in accounts.after.status["actors"]:
        numbers = accounts.actor(status["name"]) if status["name"] in accounts.after.stat["actors"] else {}
        rows.append(_actor_row(status, numbers))
    return [*rows, ActorRow("management", "Management", management, None, 0, 0)]


def _actor_row(status: Mapping[str, Any], numbers: Numbers) -> ActorRow:
    received = numbers.get("received_packets", 0)
    sent = numbers.get("sent_packets", numbers.get("forwarded_packets", received))
    if status["kind"] == "NicReader":
        sent = received
    head = (status["name"], status["kind"], status["process"], status["cpu"])
    return ActorRow(*head, received, sent, total_dropped(numbers))


def make_result(site: Site, report: Mapping[str, Any], accounts: Accounts, checks: Sequence[Check]) -> DemoResult:
    """Return what the final report shows."""
    management = next(iter(site.appliance.ask("processes")), os.getpid())
    return DemoResult(
        engines=engine_rows(accounts),
        servers=server_rows(site.configuration, accounts),
        actors=actor_rows(accounts, management),
        latencies=latency_rows(report),
        checks=list(checks),
        requests=report["requests"],
        connections=len(report["connections"]),
        received_bytes=report["received_bytes"],
        sent_bytes=report["sent_bytes"],
        elapsed_s=report["elapsed_s"],
        dashboard=site.dashboard,
    )
