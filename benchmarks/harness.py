"""Runs a scenario: several rounds, in each all peers in turn, and the medians of what was measured.

In each round every peer gets a fresh network and a fresh origin server, and nothing else of the benchmark runs beside
it. The order of the peers is rotated from round to round. Each case is warmed up before it is measured. While other
programs keep the machine busy the harness waits, within limits; a measurement that was disturbed nevertheless is
repeated, and the least disturbed one counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from benchmarks.peers import Peer
from benchmarks.quiet import Patience
from ncore_ray.lab.cpu import machine_cpu_seconds
from ncore_ray.lab.network import Layout, Network
from ncore_ray.lab.process import Process

_PREFIX = "ncore-bench"


@dataclass(frozen=True)
class Case:
    """One setting of a scenario."""

    name: str
    connections: int
    target: str = "/"


@dataclass(frozen=True)
class Load:
    """What the load generator found in one run. ``units`` are what the scenario counts: requests, bytes, packets …"""

    units: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    errors: int
    cpu_seconds: float


class Scenario(Protocol):
    """One file of this folder."""

    name: str
    title: str
    unit: str
    cases: Sequence[Case]

    def serve(self, network: Network) -> tuple[Process, list[str]]:
        """Start the origin server; return it and the services (``10.2.0.2:80``) to be balanced."""

    def load(self, network: Network, endpoint: str, case: Case, seconds: float) -> Load:
        """Send traffic to ``ADDRESS:PORT`` for so long."""


@dataclass(frozen=True)
class Measurement:
    """One case with one peer in one round."""

    case: str
    peer: str
    round: int
    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    errors: int
    cpu_us: float
    """CPU time per unit of all the proxy's processes, and of nothing else."""
    cpu_all_us: float
    """CPU time per unit of client, proxy and server together: protocol work that a proxy does in someone else's time
    is in here."""
    others_busy: float
    """Cores that somebody else kept busy meanwhile, on average: neither client nor proxy nor server."""
    calibration_us: float
    """Time of a fixed piece of work just before: how fast the machine's core was at that moment."""
    memory_bytes: int


FIGURES = tuple(each.name for each in fields(Measurement) if each.name not in ("case", "peer", "round"))


@dataclass(frozen=True)
class Summary:
    """One case with one peer: medians over the rounds, and the medians of the rounds' ratios to the base peer.

    A ratio is taken within a round, so that a machine that changes its speed from round to round does not change it.
    """

    case: str
    peer: str
    rounds: int
    median: dict[str, float]
    ratio: dict[str, float]


@dataclass
class Result:
    """All that a run of a scenario found."""

    scenario: str
    title: str
    unit: str
    base: str
    seconds: float
    measurements: list[Measurement] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def summaries(self) -> list[Summary]:
        """Return the medians in the order of cases and peers."""
        keys = dict.fromkeys((m.case, m.peer) for m in sorted(self.measurements, key=lambda m: m.round))
        cases = dict.fromkeys(case for case, _ in keys)
        peers = dict.fromkeys(peer for _, peer in keys)
        return [self._summary(case, peer) for case in cases for peer in peers if (case, peer) in keys]

    def _rows(self, case: str, peer: str) -> dict[int, Measurement]:
        """Return the measurements of a case with a peer, by round."""
        return {m.round: m for m in self.measurements if (m.case, m.peer) == (case, peer)}

    def _summary(self, case: str, peer: str) -> Summary:
        mine, base = self._rows(case, peer), self._rows(case, self.base)
        median, ratio = {}, {}
        for name in FIGURES:
            median[name] = float(statistics.median(getattr(row, name) for row in mine.values()))
            both = [(getattr(mine[n], name), getattr(base[n], name)) for n in mine.keys() & base.keys()]
            if ratios := [value / other for value, other in both if other]:
                ratio[name] = float(statistics.median(ratios))
        return Summary(case, peer, len(mine), median, ratio)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values, medians first."""
        head = {"scenario": self.scenario, "title": self.title, "unit": self.unit, "base": self.base}
        return {
            **head,
            "seconds": self.seconds,
            "facts": self.facts,
            "medians": [asdict(summary) for summary in self.summaries()],
            "measurements": [asdict(measurement) for measurement in self.measurements],
        }


Told = Callable[[str, str, int, Measurement | None], None]
"""Called with case, peer and round before each measurement (None) and after it."""


@dataclass(frozen=True)
class Effort:
    """How long and how often to measure."""

    rounds: int = 3
    seconds: float = 3.0
    warm_up_s: float = 1.0
    attempts: int = 3
    """A measurement is repeated at most so often …"""
    quiet_below: float = 0.2
    """… until other programs kept fewer cores busy than this."""
    patience_s: float = 120.0
    """Waiting for a quiet machine takes no longer than this, all measurements of a run together."""


@dataclass(frozen=True)
class Bed:
    """Everything that stands while one peer is measured."""

    scenario: Scenario
    peer: Peer
    network: Network
    origin: Process
    endpoint: str


def run_scenario(scenario: Scenario, peers: Sequence[Peer], effort: Effort, told: Told) -> Result:
    """Run everything and return what was found. Raises what a peer or the origin server raises when it cannot start."""
    base = next((peer.name for peer in peers if peer.name == "haproxy"), peers[0].name)
    result = Result(scenario.name, scenario.title, scenario.unit, base, effort.seconds)
    patience = Patience(effort.patience_s, effort.quiet_below)
    for number in range(effort.rounds):
        turn = number % len(peers)
        for peer in (*peers[turn:], *peers[:turn]):
            with _bed(scenario, peer) as bed:
                for case in scenario.cases:
                    told(case.name, peer.name, number, None)
                    measured = _measure_quietly(bed, case, number, effort, patience)
                    result.measurements.append(measured)
                    told(case.name, peer.name, number, measured)
    return _in_order(result, scenario, peers)


def _in_order(result: Result, scenario: Scenario, peers: Sequence[Peer]) -> Result:
    cases, names = [case.name for case in scenario.cases], [peer.name for peer in peers]
    result.measurements.sort(key=lambda m: (m.round, cases.index(m.case), names.index(m.peer)))
    return result


@contextmanager
def _bed(scenario: Scenario, peer: Peer) -> Iterator[Bed]:
    """Build the network with origin server and peer; take all down at the end."""
    with Network(Layout(prefix=_PREFIX, servers=1, forwarding=peer.forwarding)) as network:
        origin, services = scenario.serve(network)
        try:
            yield Bed(scenario, peer, network, origin, peer.start(network, services))
        finally:
            peer.stop()


def _measure_quietly(bed: Bed, case: Case, number: int, effort: Effort, patience: Patience) -> Measurement:
    """Warm up, measure until nobody disturbs, and return the least disturbed measurement."""
    patience.wait(bed.peer.cpu_seconds)
    bed.scenario.load(bed.network, bed.endpoint, case, effort.warm_up_s)
    best = _measure(bed, case, number, effort.seconds)
    for _ in range(effort.attempts - 1):
        if best.others_busy < effort.quiet_below:
            break
        patience.wait(bed.peer.cpu_seconds)
        again = _measure(bed, case, number, effort.seconds)
        best = min(best, again, key=lambda m: m.others_busy)
    return best


def _calibrate() -> float:
    """Return the time in µs of a fixed piece of work, the best of three."""

    def once() -> float:
        started_at = time.perf_counter()
        sum(range(200_000))
        return 1e6 * (time.perf_counter() - started_at)

    return min(once() for _ in range(3))


def _measure(bed: Bed, case: Case, number: int, seconds: float) -> Measurement:
    calibration_us = _calibrate()
    before = bed.peer.cpu_seconds(), bed.origin.cpu_seconds(), machine_cpu_seconds()
    load = bed.scenario.load(bed.network, bed.endpoint, case, seconds)
    after = bed.peer.cpu_seconds(), bed.origin.cpu_seconds(), machine_cpu_seconds()
    proxy_s, origin_s, machine_s = (late - early for late, early in zip(after, before, strict=True))
    all_s, units = proxy_s + origin_s + load.cpu_seconds, max(load.units, 1)
    return Measurement(
        case=case.name,
        peer=bed.peer.name,
        round=number,
        rate=load.units / load.seconds,
        p50_us=load.p50_us,
        p99_us=load.p99_us,
        p999_us=load.p999_us,
        errors=load.errors,
        cpu_us=1e6 * proxy_s / units,
        cpu_all_us=1e6 * all_s / units,
        others_busy=max(0.0, machine_s - all_s) / load.seconds,
        calibration_us=calibration_us,
        memory_bytes=bed.peer.memory_bytes(),
    )
