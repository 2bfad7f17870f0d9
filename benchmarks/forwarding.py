"""How fast a distributor hands packets on in each forwarding style: to the engine it runs in, and to the others.

One decider of four engines that distribute by themselves (placement `per-core`), over a NIC in memory; existing flows,
batches of 64. A packet that belongs to the decider's own engine is kept, any other is redirected to the ring of its
owner. In a batch, packets of 64 flows come one of each, packets of 8 flows eight of each in random order.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.memory_scenario import MemoryResult
from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import FRAME_SIZE, Checksum, make_descriptor
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import Ring, ring_give_back, ring_publish, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import engine_ring, inbound_ring, return_ring
from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.dimensions import Dimensions
from ncore_ray.config.load import parse
from ncore_ray.config.model import Forwarding
from ncore_ray.flow.breath import distributor_breath
from ncore_ray.flow.distributor import forwarded_packets, make_local
from ncore_ray.flow.explain import explain
from ncore_ray.flow.records import BATCH, distributor_of
from ncore_ray.lab.dry.arena import mapped_bytes
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.wire.packet import packet_at

VIP: Final = "10.1.0.100"
ENGINES: Final = 4
FRAMES: Final = 4096
MIXES: Final = (64, 8)
"""Flows in a batch."""
_FLOWS: Final = 1024
_PACKETS: Final = 1 << 20
_NOW: Final = 1_000_000
_SYN, _ACK = 2, 16
_FLAGS: Final = 14 + 20 + 13
_TEXT: Final = """
appliance: {{name: forwarding, engines: {engines}}}
distribution: {{placement: per-core, forwarding: {style}}}
nics: [{{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}]
services: [{{name: web, address: "10.1.0.2:80", monitor: none}}]
vservers: [{{name: www, address: "{vip}:80", protocol: HTTP, services: [web]}}]
"""
Flow = tuple[str, int]
"""Client's address and port."""


@kernel
def _empty(ring: Ring) -> int:
    """Take all that waits, as the consumer would; return how much it was."""
    count = ring_waiting(ring)
    for _ in range(count):
        ring_take(ring)
    ring_give_back(ring)
    return count


@entry_kernel
def forward_many(base: int, packet_address: int, length: int, packets: int, now: int) -> int:
    """Send packets through decider 0 in batches, from each frame in turn; return how many came to engines."""
    distributor, packet = distributor_of(base, 0), packet_at(packet_address)
    inbound, home = inbound_ring(base, 0), return_ring(base, Actor.ENGINE, 0)
    came = 0
    for first in range(0, packets, BATCH):
        for place in range(first, first + BATCH):
            ring_write(inbound, make_descriptor(place & (FRAMES - 1), length, 0, Checksum.VALID))
        ring_publish(inbound)
        distributor_breath(base, distributor, packet, now)
        for engine in range(arena_at(base).engine_count):
            came += _empty(engine_ring(base, 0, engine))
        _empty(home)
    return came


class Decider:
    """Decider 0 of an arena with a forwarding style, and a NIC's frames full of packets."""

    def __init__(self, style: Forwarding) -> None:
        configuration = parse(_TEXT.format(engines=ENGINES, style=style.value, vip=VIP))
        blueprint = draw(configuration, dimensions=Dimensions(FRAMES, engine_frames=64, connections=16))
        self.array = mapped_bytes(blueprint.size)
        self.header = build(self.array, blueprint)
        self.base = int(self.array.ctypes.data)
        self._local = make_local()
        self._length = 0

    def owner(self, flow: Flow) -> int:
        """Return the engine that a flow gets."""
        engine = explain(self.array, *flow, VIP, 80).engine
        if engine is None:
            raise ValueError(f"no engine for {flow}")
        return engine

    def load(self, flows: list[Flow], mix: int) -> None:
        """Begin the flows, and fill the frames with packets of them, so many flows in a batch."""
        start = self.header.frames
        frames = self.array[start : start + FRAMES * FRAME_SIZE].reshape(FRAMES, FRAME_SIZE)
        for number, flow in enumerate(_order(flows, mix)):
            data = tcp_packet(*flow, VIP, 80, _SYN)
            frames[number, : len(data)] = np.frombuffer(data, np.uint8)
            self._length = len(data)
        self.send(FRAMES)
        frames[:, _FLAGS] = _ACK

    def send(self, packets: int) -> int:
        """Send a multiple of BATCH packets through; return how many came to engines."""
        return forward_many(self.base, self._local.packet_address, self._length, packets, _NOW)

    def redirected(self) -> int:
        """Return how many packets went to other engines since the arena was made."""
        return int(forwarded_packets(self.array)[1:].sum())

    def rate(self) -> float:
        """Return packets/s. Raises RuntimeError if one got lost."""
        started_at = time.perf_counter()
        came = self.send(_PACKETS)
        if came != _PACKETS:
            raise RuntimeError(f"{came} of {_PACKETS} packets came to an engine")
        return _PACKETS / (time.perf_counter() - started_at)


def _order(flows: list[Flow], mix: int) -> list[Flow]:
    """Return a flow for each frame: every batch has ``mix`` flows, each as often, in random order."""
    chance, order = random.Random(1), list[Flow]()
    while len(order) < FRAMES:
        batch = chance.sample(flows, mix) * (BATCH // mix)
        chance.shuffle(batch)
        order += batch
    return order


def flows_by_owner(decider: Decider, count: int) -> tuple[list[Flow], list[Flow]]:
    """Return so many flows that decider 0 keeps, and so many that it redirects."""
    kept, others = list[Flow](), list[Flow]()
    port = 1024
    while min(len(kept), len(others)) < count:
        flow = ("10.1.0.2", port)
        (kept if decider.owner(flow) == 0 else others).append(flow)
        port += 1
    return kept[:count], others[:count]


@dataclass(frozen=True)
class Case:
    """One column."""

    redirected: bool
    mix: int

    def __str__(self) -> str:
        return f"{'redirected' if self.redirected else 'kept'}, {self.mix} flows"


CASES: Final = tuple(Case(redirected, mix) for mix in MIXES for redirected in (False, True))


def _row(style: Forwarding, rates: dict[Case, float]) -> list[str]:
    return [style.value, *(f"{rates[case] / 1e6:.1f}" for case in CASES)]


class ForwardingStyles:
    """The scenario."""

    name = "forwarding"
    title = "In-memory NIC: forwarding styles, million packets/s"

    def run(self, rounds: int) -> MemoryResult:
        """Measure: in each round and for each case all styles in turn."""
        deciders = {style: Decider(style) for style in Forwarding}
        kept, others = flows_by_owner(next(iter(deciders.values())), _FLOWS)
        found: dict[Forwarding, dict[Case, list[float]]] = {style: {case: [] for case in CASES} for style in deciders}
        for case in CASES:
            for decider in deciders.values():
                decider.load(others if case.redirected else kept, case.mix)
            for _ in range(rounds):
                for style, decider in deciders.items():
                    found[style][case].append(decider.rate())
        middle = {
            style: {case: statistics.median(rates) for case, rates in row.items()} for style, row in found.items()
        }
        return self._result(middle)

    def _result(self, middle: dict[Forwarding, dict[Case, float]]) -> MemoryResult:
        note = (
            f"One thread, {ENGINES} engines that distribute by themselves, {_FLOWS:,} existing flows, batches of "
            f"{BATCH} packets of so many flows; medians. Kept: packets for the decider's own engine; redirected: "
            f"for the three others. No engine sleeps: wake-ups, of which a style with batches needs fewer, come on top."
        )
        figures = {style.value: {str(case): rate for case, rate in row.items()} for style, row in middle.items()}
        rows = [_row(style, row) for style, row in middle.items()]
        return MemoryResult(self.name, self.title, ["style", *map(str, CASES)], rows, [], note, figures)


SCENARIO = ForwardingStyles()
