"""Runs a scenario: several rounds, in each all peers in turn, and the medians of what was measured.

In each round every peer gets a fresh network and a fresh origin server, and nothing else of the benchmark runs beside
it. The order of the peers is rotated from round to round. Each case is warmed up before it is measured. While other
programs keep the machine busy the harness waits, within limits; a measurement that was disturbed nevertheless is
repeated, and the least disturbed one counts. A peer that fails is named in the result, and the others go on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from benchmarks.load import Case, Load
from benchmarks.peers import Peer, Service
from benchmarks.peers import Protocol as Balanced
from benchmarks.quiet import Patience
from benchmarks.result import Measurement, Result
from ncore_ray.lab.cpu import machine_cpu_seconds
from ncore_ray.lab.guard import PrefixInUseError
from ncore_ray.lab.network import Layout, Network
from ncore_ray.lab.offload import KERNEL_DEFAULT, NO_LARGE_FRAMES
from ncore_ray.lab.process import Process

_PREFIX = "ncore-bench"


class Scenario(Protocol):
    """One file of this folder."""

    name: str
    title: str
    unit: str
    cases: Sequence[Case]
    protocol: Balanced
    base: str
    """The peer that the others are compared with."""
    peers: Sequence[str]
    """Who is measured unless somebody asks for others."""
    programs: Sequence[str]
    """What has to be installed."""

    def serve(self, network: Network) -> tuple[Process, Service]:
        """Start the origin server; return it and what is to be balanced."""

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """Send traffic to ``bed.endpoint`` for so long."""


Told = Callable[[str, str, int, Measurement | None], None]
"""Called with case, peer and round before each measurement (None) and after it."""


@dataclass(frozen=True)
class Effort:
    """How long and how often to measure."""

    rounds: int = 3
    seconds: float = 2.0
    warm_up_s: float = 1.0
    attempts: int = 3
    """A measurement is repeated at most so often …"""
    quiet_below: float = 0.2
    """… until other programs kept fewer cores busy than this."""
    large_segments: bool = True
    """Hosts leave the cutting of large segments to their devices, as Linux does where nobody says otherwise; else no
    frame is larger than the MTU."""
    until: float = math.inf
    """Instant of the monotonic clock: then nothing is repeated, and no round begins that would end later. The first
    round is always measured."""


@dataclass(frozen=True)
class Bed:
    """Everything that stands while one peer is measured."""

    scenario: Scenario
    peer: Peer
    network: Network
    origin: Process
    endpoint: str


def run_scenario(scenario: Scenario, peers: Sequence[Peer], effort: Effort, patience: Patience, told: Told) -> Result:
    """Run everything and return what was found."""
    result = Result(scenario.name, scenario.title, scenario.unit, scenario.base, effort.seconds, scenario.cases)
    result.large_segments = effort.large_segments
    able = [peer for peer in peers if not peer.missing(scenario.protocol)]
    result.failures += [f"{peer.name}: {why}" for peer in peers if (why := peer.missing(scenario.protocol))]
    for number in range(effort.rounds if able else 0):
        started_at = time.monotonic()
        turn = number % len(able)
        for peer in (*able[turn:], *able[:turn]):
            _run_peer(result, scenario, peer, number, effort, patience, told)
        now = time.monotonic()
        if now + (now - started_at) > effort.until:
            break
    return _in_order(result, scenario, able)


def _run_peer(
    result: Result, scenario: Scenario, peer: Peer, number: int, effort: Effort, patience: Patience, told: Told
) -> None:
    """Measure all cases with a peer once."""
    try:
        with _bed(scenario, peer, effort.large_segments) as bed:
            for case in scenario.cases:
                told(case.name, peer.name, number, None)
                measured = _measure_quietly(bed, case, number, effort, patience)
                result.measurements.append(measured)
                told(case.name, peer.name, number, measured)
    except PrefixInUseError:  # another benchmark runs: nobody can be measured
        raise
    except Exception as error:  # whatever a peer fails with, the others shall be measured
        result.failures.append(f"{peer.name} in round {number + 1}: {error}")


def _in_order(result: Result, scenario: Scenario, peers: Sequence[Peer]) -> Result:
    cases, names = [case.name for case in scenario.cases], [peer.name for peer in peers]
    result.measurements.sort(key=lambda m: (m.round, cases.index(m.case), names.index(m.peer)))
    return result


@contextmanager
def _bed(scenario: Scenario, peer: Peer, large_segments: bool) -> Iterator[Bed]:
    """Build the network with origin server and peer; take all down at the end."""
    offloads = KERNEL_DEFAULT if large_segments else NO_LARGE_FRAMES
    layout = Layout(prefix=_PREFIX, servers=1, forwarding=peer.forwarding, host_offloads=offloads)
    with Network(layout) as network:
        origin, service = scenario.serve(network)
        try:
            yield Bed(scenario, peer, network, origin, peer.start(network, service))
        finally:
            peer.stop()


def _measure_quietly(bed: Bed, case: Case, number: int, effort: Effort, patience: Patience) -> Measurement:
    """Warm up, measure until nobody disturbs, and return the least disturbed measurement."""
    patience.wait(bed.peer.cpu_seconds)
    if not case.once:
        bed.scenario.load(bed, case, effort.warm_up_s)
    best = _measure(bed, case, number, effort.seconds)
    for _ in range(0 if case.once else effort.attempts - 1):
        if best.others_busy < effort.quiet_below or time.monotonic() > effort.until:
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
    load = bed.scenario.load(bed, case, seconds)
    after = bed.peer.cpu_seconds(), bed.origin.cpu_seconds(), machine_cpu_seconds()
    proxy_s, origin_s, machine_s = (late - early for late, early in zip(after, before, strict=True))
    all_s, units = proxy_s + origin_s + load.cpu_seconds, load.units or 1
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
        memory_each=load.memory_each,
        kernel_each=load.kernel_each,
    )
