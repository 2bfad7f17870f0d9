"""Plain data that the demo's displays show. Whoever runs the appliance fills it in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ncore_ray.lab.measure import Latency

_HISTORY = 400


@dataclass(frozen=True)
class EngineRow:
    """One packet engine. ``busy`` is the share of time it worked, 0 to 1."""

    name: str
    core: int | None
    connections: int
    requests: int
    packets_in: int
    packets_out: int
    busy: float = 0.0


@dataclass(frozen=True)
class ServerRow:
    """One service, or the server behind it."""

    name: str
    address: str
    connections: int
    requests: int
    up: bool = True


@dataclass(frozen=True)
class ActorRow:
    """One Ray actor of the data plane or beside it."""

    name: str
    kind: str
    pid: int
    core: int | None
    packets_in: int
    packets_out: int
    dropped_packets: int = 0


@dataclass(frozen=True)
class Check:
    """One thing that had to be so, whether it was, and the figures that show it."""

    name: str
    passed: bool
    detail: str = ""


@dataclass
class LiveState:
    """What the live display shows; :meth:`take_progress` feeds it with the load client's lines."""

    title: str
    requests_total: int
    seconds_total: float
    stage: str = "sending"
    elapsed_s: float = 0.0
    requests: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    failures: int = 0
    open_connections: int = 0
    connections: int = 0
    p50_us: int = 0
    p99_us: int = 0
    rate: float = 0.0
    bit_rate: float = 0.0
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    engines: list[EngineRow] = field(default_factory=list)
    servers: list[ServerRow] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """What is done to the appliance meanwhile, a line each."""

    def take_progress(self, line: Mapping[str, Any]) -> None:
        """Take one ``progress`` line of ``ncore_ray.lab.client``."""
        span_s = line["elapsed_s"] - self.elapsed_s
        if span_s > 0:
            moved = line["received_bytes"] + line["sent_bytes"] - self.received_bytes - self.sent_bytes
            self.rate = (line["requests"] - self.requests) / span_s
            self.bit_rate = 8 * moved / span_s
            self.rates.append(self.rate)
        for name in ("elapsed_s", "requests", "received_bytes", "sent_bytes", "failures"):
            setattr(self, name, line[name])
        self.open_connections, self.connections = line["open_connections"], line["connections"]
        self.p50_us, self.p99_us = line["p50_us"] or self.p50_us, line["p99_us"] or self.p99_us

    @property
    def done(self) -> float:
        """Share of the load that is behind us, 0 to 1: by requests or by time, whichever is further."""
        by_requests = self.requests / self.requests_total if self.requests_total else 0.0
        by_time = self.elapsed_s / self.seconds_total if self.seconds_total else 0.0
        return min(1.0, max(by_requests, by_time))


@dataclass(frozen=True)
class DemoResult:
    """What the final report shows."""

    engines: list[EngineRow]
    servers: list[ServerRow]
    actors: list[ActorRow]
    latencies: list[Latency]
    checks: list[Check]
    requests: int
    connections: int
    received_bytes: int
    sent_bytes: int
    elapsed_s: float
    dashboard: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def latency_rows(report: Mapping[str, Any]) -> list[Latency]:
    """Return the latency table of the load client's final report."""
    return [Latency(**row) for row in report["latency_us"]]
