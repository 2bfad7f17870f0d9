"""How evenly the engines are loaded by flow, by VIP and by NIC, with one hot VIP.

    python -m benchmarks.parallelism [--engines 8] [--vips 8] [--flows 10000] [--hot 0.7] [--seed 1]

Packets go through the real distributor over rings in memory: the first of each flow, then as many as the flow is long.
The load of an engine is the packets it was given. NICs: one for each two VIPs; a VIP's clients come in on one of them.
"""

from __future__ import annotations

import argparse
import random
from typing import Final

from ncore_ray.blueprint.parallelism import shared_out
from ncore_ray.flow.distributor import Algorithm, DistributorPlan, Parallelism, live_flows
from ncore_ray.flow.records import ALGORITHM_WORDS
from ncore_ray.lab.dry.arena import VIP, make_arena
from ncore_ray.lab.dry.distributor import Appliance
from ncore_ray.lab.dry.packets import tcp_packet

SYN: Final = 2
ACK: Final = 16
_ALGORITHMS: Final = (Algorithm.HASH, Algorithm.LEAST_FLOWS, Algorithm.TWO_CHOICES)
_FIRST_PORT: Final = 80


def unevenness(counts: list[int]) -> float:
    """Return max/mean."""
    return max(counts) * len(counts) / max(sum(counts), 1)


def _sets(parallelism: Parallelism, vips: int, nics: int, engines: int) -> tuple[int, ...]:
    if parallelism == Parallelism.FLOW:
        return ()
    things = vips if parallelism == Parallelism.VIP else nics
    return tuple(sum(1 << engine for engine in share) for share in shared_out(things, engines))


def _appliance(parallelism: Parallelism, algorithm: Algorithm, options: argparse.Namespace) -> Appliance:
    nics = _nics(options)
    sets = _sets(parallelism, options.vips, nics, options.engines)
    plan = DistributorPlan(
        options.engines, flows=options.flows, algorithm=algorithm, parallelism=parallelism, engine_sets=sets
    )
    arena = make_arena(options.engines, nics, plan=plan)
    for vip in range(options.vips):
        arena.add_vserver(VIP, _FIRST_PORT + vip)
    return Appliance(arena)


def _nics(options: argparse.Namespace) -> int:
    return max(int(options.vips) // 2, 1)


def loads(parallelism: Parallelism, algorithm: Algorithm, options: argparse.Namespace) -> tuple[list[int], list[int]]:
    """Return the flows and the packets of each engine; the same traffic for the same seed."""
    appliance = _appliance(parallelism, algorithm, options)
    chance = random.Random(options.seed)
    packets = [0] * options.engines
    for number in range(options.flows):
        vip = 0 if chance.random() < options.hot else chance.randrange(1, options.vips)
        client = (f"10.{chance.randrange(3, 200)}.{number >> 8 & 255}.{number & 255}", chance.randrange(1024, 65536))
        nic = vip % _nics(options)
        engine = appliance.send(tcp_packet(*client, VIP, _FIRST_PORT + vip, SYN), nic)
        assert isinstance(engine, int), engine
        assert appliance.send(tcp_packet(*client, VIP, _FIRST_PORT + vip, ACK), (nic + 1) % _nics(options)) == engine
        packets[engine] += 2 + int(chance.expovariate(0.1))
    return live_flows(appliance.arena.array), packets


def measure(options: argparse.Namespace) -> None:
    """Print a row for each parallelism and algorithm."""
    print(
        f"{options.flows} flows to {options.vips} VIPs on {options.engines} engines, {_nics(options)} NICs,"
        f" {options.hot:.0%} of the flows to one VIP, seed {options.seed}"
    )
    print(f"{'parallelism':<12} {'algorithm':<12} {'flows max/mean':>15} {'packets max/mean':>17}")
    for parallelism in Parallelism:
        for algorithm in _ALGORITHMS:
            flows, packets = loads(parallelism, algorithm, options)
            row = f"{parallelism.name.lower():<12} {ALGORITHM_WORDS[algorithm]:<12}"
            print(f"{row} {unevenness(flows):>15.3f} {unevenness(packets):>17.3f}", flush=True)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, default=8)
    parser.add_argument("--vips", type=int, default=8, choices=range(2, 33), metavar="2…32")
    parser.add_argument("--flows", type=int, default=10_000)
    parser.add_argument("--hot", type=float, default=0.7, help="share of the flows that one VIP gets")
    parser.add_argument("--seed", type=int, default=1)
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
