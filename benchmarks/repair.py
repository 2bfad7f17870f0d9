"""Engines that are killed while many clients load files: how many come whole, and how long their flows stand still.

    python -m benchmarks.repair [--seconds 60] [--every 5] [--clients 200] [--engines 2] [--placement core]
                                [--algorithm hash] [--standbys auto] [--bytes 1000000] [--rate 0] [--seed 1]
                                [--report repair.md]

Every few seconds one of the packet engines, chosen by chance, gets SIGKILL. The clients load the file through an HTTP
and a TCP vServer in turn; every byte is compared. It is `ncore chaos` on a test bed of its own: a client and two
servers in network namespaces. Exit status 1 if a check failed. Needs root or user namespaces, and a quiet machine for
the stall.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from ncore_ray.appliance import session
from ncore_ray.chaos.faults import What
from ncore_ray.chaos.report import table, write
from ncore_ray.chaos.run import Outcome, Plan, Run
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration
from ncore_ray.demo.ray_node import own_ray
from ncore_ray.demo.site import Site
from ncore_ray.lab.__main__ import start_origins
from ncore_ray.lab.capability import enter_or_explain
from ncore_ray.lab.network import VIP, Layout, Network
from ncore_ray.lab.process import python_module

_ARENA_MIB: Final = 512
_TEMPLATE: Final = """
appliance: {{name: repair, engines: {engines}, max_engines: {room}, standbys: {standbys}, arena: {arena}MiB}}
distribution: {{placement: {placement}, algorithm: {algorithm}}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: [10.2.0.10/24]}}
services:
  - {{name: web1, address: "10.2.0.2:80"}}
  - {{name: web2, address: "10.2.0.3:80"}}
vservers:
  - {{name: http, address: "{vip}:80", protocol: HTTP, services: [web1, web2]}}
  - {{name: tcp, address: "{vip}:81", protocol: TCP, services: [web1, web2]}}
"""


def configuration(
    netns: str, engines: int, placement: str, algorithm: str = "hash", standbys: str = "auto"
) -> Configuration:
    """Return the appliance."""
    fields = {"netns": netns, "engines": engines, "placement": placement, "arena": _ARENA_MIB, "vip": VIP}
    fields |= {"algorithm": algorithm, "standbys": standbys}
    return parse(_TEMPLATE.format(room=engines, **fields))


def measure(options: argparse.Namespace) -> Outcome:
    """Build everything, let it happen, take everything down."""
    layout = Layout(prefix="ncore-repair", servers=2)
    with Network(layout) as network, own_ray(2 * _ARENA_MIB << 20):
        start_origins(network)
        netns = network.appliance.namespace.name
        wanted = configuration(netns, options.engines, options.placement, options.algorithm, options.standbys)
        appliance = session.create(wanted, "benchmark", detached=False)
        try:
            Site(network, appliance, wanted).wait_until_up()
            plan = Plan(
                duration_s=options.seconds,
                every_s=options.every,
                seed=options.seed,
                whats=(What.KILL,),
                only=("engine",),
                urls=tuple(f"http://{VIP}:{port}/bytes/{options.bytes}?seed=7" for port in (80, 81)),
                clients=options.clients,
                rate=options.rate,
                netns=network.client.namespace.name,
            )
            return Run(appliance, plan, lambda text: print(f"  {text}", flush=True)).run()
        finally:
            appliance.take_down()


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Engines that are killed while clients load files.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds from one kill to the next")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--placement", choices=["core", "per-core", "rss"], default="core")
    parser.add_argument("--algorithm", default="hash", help="distribution.algorithm")
    parser.add_argument("--standbys", default="auto", help="processes that wait to take a place: a number, or auto")
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=0.0, help="downloads/s of all clients; 0: as fast as they can")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="a .json or .md file")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, tell, judge."""
    options = read_options()
    if why := enter_or_explain(python_module("benchmarks.repair", *sys.argv[1:])):
        print(why, file=sys.stderr)
        return 2
    outcome = measure(options)
    Console(width=118).print(table(outcome))
    if options.report is not None:
        write(outcome, options.report)
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
