"""What each stage of the appliance costs a packet and a request: one engine over NICs in memory, minimal packets.

Reader, distributor and the engine's sending are timed where they run. Within the engine's reception, IP is timed by
itself; TCP is what a TCP vServer needs for the same packets beside that, and HTTP is what an HTTP vServer needs more.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks import flow
from benchmarks.memory_scenario import MemoryResult, Target
from benchmarks.rig import LOGGED, RigArena
from benchmarks.rig_kernels import empty_breaths, ip_many
from ncore_ray.machine.record import new
from ncore_ray.wire.packet import Packet

_FLOWS: Final = 256
_WARM_UP: Final = 20_000
_REQUESTS: Final = 200_000
_IP_PACKETS: Final = 2_000_000
_TABLE_FLOWS: Final = 100_000
_WANTED_PACKETS: Final = 3e6
_BREATHS: Final = 500_000
_ENGINES: Final = (1, 4, 8)
_NOTE: Final = (
    "One thread, 256 connections, requests of 36 bytes and responses of 85, valid checksums; medians. "
    "ns/packet is per packet received (TX: sent). The clients' and servers' own time is not in it, nor the kernel's: "
    "on a veth, sending costs 1 to 2 µs per packet more (python -m benchmarks.nic)."
)


@dataclass(frozen=True)
class Round:
    """ns per request of one run, by what could be timed; packets per request."""

    reader: float
    distributor: float
    engine: float
    """Reception, timers, work list."""
    send: float
    received: float
    sent: float


def run_round(protocol: str, access_log: str = "none") -> Round:
    """Run requests through a fresh arena."""
    thread = RigArena(1, _FLOWS, protocol, access_log=access_log).threads[0]
    thread.run(_WARM_UP)
    thread.clear()
    thread.run(_REQUESTS)
    rig = thread.rig
    count = rig.answered
    return Round(
        reader=rig.reader_ns / count,
        distributor=rig.distributor_ns / count,
        engine=(rig.input_ns + rig.output_ns) / count,
        send=rig.send_ns / count,
        received=rig.received / count,
        sent=rig.sent / count,
    )


def ip_ns() -> float:
    """Return the ns that IP needs for one packet."""
    arena = RigArena(1, 4)
    frame = np.frombuffer(arena.request_frame(), np.uint8).copy()
    memory, _, packet = new(Packet)
    arguments = (arena.base, packet, frame.ctypes.data, frame.size)
    ip_many(*arguments, 10)
    started_at = time.perf_counter_ns()
    ip_many(*arguments, _IP_PACKETS)
    del memory
    return (time.perf_counter_ns() - started_at) / _IP_PACKETS


def empty_breath_ns(engines: int, *, with_queues: bool) -> float:
    """Return the ns of a breath without work of one of some engines; with its two receive queues, or without."""
    thread = RigArena(engines, 4).threads[-1]
    thread.drop_clients()
    empty_breaths(thread.address, 100, int(with_queues))
    started_at = time.perf_counter_ns()
    if empty_breaths(thread.address, _BREATHS, int(with_queues)):
        raise RuntimeError("a breath that was to be empty had work to do")
    return (time.perf_counter_ns() - started_at) / _BREATHS


@dataclass(frozen=True)
class EmptyBreath:
    """What it costs to look at all rings in vain, ns."""

    engines: int
    engine_ns: float
    """Of an engine's own part."""
    all_ns: float
    """With its two receive queues, which it reads and distributes by itself."""

    def __str__(self) -> str:
        return f"{self.engine_ns:.0f} ns ({self.all_ns:.0f} ns) with {self.engines}"


def empty_breaths_of(engines: int, rounds: int) -> EmptyBreath:
    """Measure; medians."""
    parts = [
        statistics.median(empty_breath_ns(engines, with_queues=with_queues) for _ in range(rounds))
        for with_queues in (False, True)
    ]
    return EmptyBreath(engines, parts[0], parts[1])


@dataclass(frozen=True)
class Stage:
    """One row: ns per request, and the packets of a request that it handles."""

    name: str
    request_ns: float
    packets: float

    @property
    def packet_ns(self) -> float:
        """Cost of a packet."""
        return self.request_ns / self.packets

    def row(self) -> list[str]:
        """Return the cells of the table."""
        return [self.name, f"{self.packet_ns:,.0f}", f"{self.packets:.1f}", f"{self.request_ns:,.0f}"]


def stages_of(http: Round, tcp: Round, ip: float) -> list[Stage]:
    """Return the stages of a request over HTTP, from rounds with an HTTP and a TCP vServer and the ns of IP."""
    packets = http.received
    ip_request = ip * packets
    return [
        Stage("reader", http.reader, packets),
        Stage("distributor", http.distributor, packets),
        Stage("IP", ip_request, packets),
        Stage("TCP", tcp.engine - ip * tcp.received, packets),
        Stage("HTTP", max(http.engine - tcp.engine + ip * tcp.received - ip_request, 0.0), packets),
        Stage("TX", http.send, http.sent),
    ]


def _median(rounds: list[Round]) -> Round:
    names = Round.__dataclass_fields__
    return Round(**{name: statistics.median(getattr(each, name) for each in rounds) for name in names})


def _distributor_targets(rows: list[flow.FlowCost]) -> list[Target]:
    """Judge by existing flows; the time for the test's own rings stays in, which is more than the distributor's."""
    targets = []
    for row in rows:
        if "existing" in row.name:
            rate = 1e9 / row.total_ns
            wanted = f"≥ {_WANTED_PACKETS / 1e6:g} million packets/s"
            what = f"distributor on one core, {row.name}"
            targets.append(Target(what, wanted, f"{rate / 1e6:.1f} million packets/s", rate >= _WANTED_PACKETS))
    return targets


class Stages:
    """The scenario."""

    name = "stages"
    title = "In-memory NIC: what each stage costs"

    def run(self, rounds: int) -> MemoryResult:
        """Measure."""
        http = _median([run_round("HTTP") for _ in range(rounds)])
        tcp = _median([run_round("TCP") for _ in range(rounds)])
        logged = _median([run_round("HTTP", LOGGED) for _ in range(rounds)]).engine - http.engine
        rows = stages_of(http, tcp, statistics.median(ip_ns() for _ in range(rounds)))
        flows = flow.measure(_TABLE_FLOWS, rounds)
        idle = [empty_breaths_of(engines, rounds) for engines in _ENGINES]
        total = sum(row.request_ns for row in rows)
        cells = [row.row() for row in rows]
        cells.append(["all", "", "", f"{total:,.0f}"])
        serial = http.reader + http.distributor
        note = (
            f"{_NOTE} One core: {1e9 / total / 1e3:,.0f} thousand requests/s. In placement core, reader and "
            f"distributor need {serial:,.0f} ns per request and an engine {total - serial:,.0f} ns. An engine's breath "
            f"without work (in brackets: with two receive queues of its own): {', '.join(map(str, idle))} engines. "
            f"With an access log an engine needs {logged:,.0f} ns more for a request."
        )
        figures = {
            "stages": [{"name": row.name, "packet_ns": row.packet_ns, "request_ns": row.request_ns} for row in rows],
            "requests_per_s": 1e9 / total,
            "distributor": {row.name: 1e9 / row.total_ns for row in flows},
            "access_log_ns": logged,
            "empty_breaths": [vars(row) for row in idle],
        }
        headings = ["stage", "ns/packet", "packets/request", "ns/request"]
        return MemoryResult(self.name, self.title, headings, cells, _distributor_targets(flows), note, figures)


SCENARIO = Stages()
