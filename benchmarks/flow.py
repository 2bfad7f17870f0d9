"""ns per packet of the flow distributor over rings in memory, everything it does included but the wait for packets.

    python -m benchmarks.flow [--flows 100000] [--rounds 5]

Existing flows in random order, new flows (SYN), packets of servers (by port), and the hashes alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import ring_give_back, ring_publish, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import engine_ring, inbound_ring, return_ring
from ncore_ray.flow.breath import distributor_breath
from ncore_ray.flow.distributor import (
    Algorithm,
    DistributorPlan,
    counters_view,
    distributor_of,
    distributor_view,
    make_local,
)
from ncore_ray.flow.key import hash_for_engine, hash_for_lookup
from ncore_ray.lab.dry.arena import SNIPS, VIP, SmallArena, make_arena
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.wire.packet import packet_at

FRAMES: Final = 4096
BURST: Final = 64
ACK: Final = 0x10
SYN: Final = 0x02


@kernel
def _drain(base: int) -> int:
    """Do the engines' and the reader's part: take everything."""
    taken = 0
    for engine in range(arena_at(base).engine_count):
        ring = engine_ring(base, 0, engine)
        while ring_waiting(ring):
            ring_take(ring)
            taken += 1
        ring_give_back(ring)
    home = return_ring(base, 0, 0)
    while ring_waiting(home):
        ring_take(home)
    ring_give_back(home)
    return taken


@entry_kernel
def run(base: int, packet_address: int, length: int, packets: int, frames: int, now: int, works: int) -> int:
    """Send packets through the distributor in bursts; without ``works`` only the rings are moved."""
    distributor, packet = distributor_of(base, 0), packet_at(packet_address)
    inbound = inbound_ring(base, 0)
    sent = 0
    while sent < packets:
        for _ in range(BURST):
            ring_write(inbound, (sent % frames) | length << 32)
            sent += 1
        ring_publish(inbound)
        if works:
            distributor_breath(base, distributor, packet, now)
        else:
            while ring_waiting(inbound):
                ring_take(inbound)
            ring_give_back(inbound)
        _drain(base)
    return sent


@entry_kernel
def hashes(base: int, packets: int, which: int) -> int:
    """Hash the latest key over and over, each time with another port."""
    distributor = distributor_of(base, 0)
    total = 0
    for i in range(packets):
        distributor.key_4 = (i & 0xFFFF) << 24 | 80 << 8 | 6
        distributor.key_1 = 0xFFFF_0A01_0001 ^ (total & 1)
        total ^= hash_for_engine(base, distributor) if which else hash_for_lookup(base, distributor)
    return total


def _write(arena: SmallArena, packets: list[bytes]) -> None:
    for frame, data in enumerate(packets):
        arena.write_frame(frame, data)


def _arena(flows: int, algorithm: Algorithm) -> SmallArena:
    plan = DistributorPlan(engines=2, flows=max(flows, 1024), algorithm=algorithm)
    arena = make_arena(engines=2, nics=1, frames=max(flows, FRAMES), plan=plan, ring_capacity=256, guard=False)
    arena.add_vserver(VIP, 80)
    return arena


def _client(number: int, flags: int) -> bytes:
    return tcp_packet(f"10.3.{number >> 8 & 255}.{number & 255}", 1024 + (number >> 16), VIP, 80, flags)


def _patch_flags(arena: SmallArena, count: int, flags: int) -> None:
    frames: npt.NDArray[np.uint8] = arena.array[arena.header.frames :][: count * FRAME_SIZE].reshape(count, FRAME_SIZE)
    frames[:, 14 + 20 + 13] = flags


def _best(rounds: int, work: Callable[[], int], before: Callable[[], None] = lambda: None) -> float:
    best = float("inf")
    for _ in range(rounds):
        before()
        start = time.perf_counter_ns()
        count = work()
        best = min(best, (time.perf_counter_ns() - start) / count)
    return best


def _hash_many(base: int, which: int) -> int:
    hashes(base, 1_000_000, which)
    return 1_000_000


@dataclass(frozen=True)
class FlowCost:
    """What one kind of packet costs."""

    name: str
    total_ns: float
    rings_ns: float
    """Of that, what the test itself spends on rings."""

    @property
    def own_ns(self) -> float:
        """What the distributor needs, its own rings included."""
        return max(self.total_ns - self.rings_ns, 0.1)


def measure(flows: int, rounds: int) -> list[FlowCost]:
    """Return the cost of a packet: the test's rings alone, new flows, existing ones, servers' packets, the hashes."""
    arena = _arena(flows, Algorithm.HASH)
    local, base = make_local(), arena.base
    length = len(_client(0, SYN))
    order = np.random.default_rng(1).permutation(flows)
    _write(arena, [_client(int(number), SYN) for number in order])
    count = flows // BURST * BURST

    def go(works: int = 1, frames: int = flows) -> int:
        return run(base, local.packet_address, length, count, frames, 1_000_000, works)

    def clear() -> None:
        start = distributor_view(arena.array).flow_buckets
        arena.array[start : start + arena.plan.buckets * 512] = 0

    run(base, local.packet_address, length, BURST, flows, 1, 1)
    run(base, local.packet_address, length, BURST, flows, 1, 0)
    rings = _best(rounds, lambda: go(0))
    rows = [FlowCost("the test's own rings", rings, 0.0)]
    rows.append(FlowCost(f"{flows:,} new flows", _best(rounds, go, clear), rings))
    _patch_flags(arena, flows, ACK)
    rows.append(FlowCost(f"{flows:,} existing flows, random order", _best(rounds, go), rings))
    rows.append(FlowCost(f"{FRAMES:,} existing flows", _best(rounds, lambda: go(1, FRAMES)), rings))
    rows.append(FlowCost("64 existing flows", _best(rounds, lambda: go(1, 64)), rings))
    _write(arena, [tcp_packet("10.2.0.2", 80, SNIPS[0], 16384 + i * 7 % 49152, ACK) for i in range(FRAMES)])
    rows.append(FlowCost("packets of servers", _best(rounds, lambda: go(1, FRAMES)), rings))
    for which, name in enumerate(("look-up hash (HalfSipHash-2-4)", "engine hash (Toeplitz)")):
        hashes(base, 10, which)
        rows.append(FlowCost(name, _best(rounds, partial(_hash_many, base, which)), 0.0))
    counters = counters_view(arena.array)
    if counters.drop_flow_table_full_packets:
        raise RuntimeError(f"{counters.drop_flow_table_full_packets} packets found the flow table full")
    return rows


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'':<44} {'ns':>7} {'ns − ring':>9} {'Mpackets/s':>8}")
    for row in measure(arguments.flows, arguments.rounds):
        print(f"{row.name:<44} {row.total_ns:7.1f} {row.own_ns:9.1f} {1000 / row.own_ns:8.1f}")


if __name__ == "__main__":
    main()
