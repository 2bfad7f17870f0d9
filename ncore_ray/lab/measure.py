"""What a load client records, and the summary of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

_MOST_EXAMPLES = 20


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the nearest-rank percentile of ordered values, 0 when there are none; ``share`` is 0.5 for the median."""
    if not ordered:
        return 0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Latency:
    """Latencies of one class of requests in µs."""

    name: str
    count: int
    p50: int
    p90: int
    p99: int
    max: int

    @classmethod
    def of(cls, name: str, values_us: Sequence[int]) -> Latency:
        """Summarise measured values."""
        ordered = sorted(values_us)
        shares = (percentile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0))
        return cls(name, len(ordered), *shares)


@dataclass(frozen=True)
class UsedConnection:
    """One connection the client had: its protocol, four-tuple, how many requests it carried, and from where the servers
    saw them come (``10.2.0.10:16387``)."""

    protocol: str
    source: tuple[str, int]
    destination: tuple[str, int]
    requests: int
    upstreams: frozenset[str] = frozenset()


@dataclass
class Recorder:
    """Everything measured so far."""

    requests: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    open_connections: int = 0
    reopened: int = 0
    """Keep-alive connections that the other side had closed between two requests, as HTTP allows."""
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    servers: Counter[str] = field(default_factory=Counter)
    latencies_us: dict[str, list[int]] = field(default_factory=dict)
    connections: list[UsedConnection] = field(default_factory=list)
    _recent_us: list[int] = field(default_factory=list)

    def success(self, kind: str, latency_us: int, server: str) -> None:
        """Count one request that was answered with every byte right."""
        self.requests += 1
        self.latencies_us.setdefault(kind, []).append(latency_us)
        self._recent_us.append(latency_us)
        self.servers[server] += 1

    def failure(self, reason: str, detail: str) -> None:
        """Count one request that failed, under a short reason; a few details are kept as examples."""
        self.requests += 1
        self.failures[reason] += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{reason}: {detail}")

    def progress(self, elapsed_s: float) -> dict[str, Any]:
        """Return one progress line: totals, and the latencies since the last such line."""
        recent = Latency.of("recent", self._recent_us)
        self._recent_us.clear()
        return {
            "type": "progress",
            "elapsed_s": round(elapsed_s, 3),
            "requests": self.requests,
            "received_bytes": self.received_bytes,
            "sent_bytes": self.sent_bytes,
            "failures": self.failures.total(),
            "open_connections": self.open_connections,
            "connections": len(self.connections) + self.open_connections,
            "p50_us": recent.p50,
            "p99_us": recent.p99,
            "servers": dict(self.servers),
        }

    def report(self, elapsed_s: float) -> dict[str, Any]:
        """Return the final report, as JSON values."""
        everything = [value for values in self.latencies_us.values() for value in values]
        classes = [Latency.of(kind, values) for kind, values in sorted(self.latencies_us.items())]
        return {
            "type": "report",
            "elapsed_s": round(elapsed_s, 3),
            "requests": self.requests,
            "requests_per_s": round(self.requests / max(elapsed_s, 1e-9), 1),
            "received_bytes": self.received_bytes,
            "sent_bytes": self.sent_bytes,
            "reopened": self.reopened,
            "failures": dict(self.failures),
            "examples": self.examples,
            "servers": dict(sorted(self.servers.items())),
            "latency_us": [asdict(row) for row in (Latency.of("all", everything), *classes)],
            "connections": [
                [c.protocol, *c.source, *c.destination, c.requests, sorted(c.upstreams)] for c in self.connections
            ],
        }
