"""How long a change of the configuration takes until all engines work by it.

    python -m benchmarks.live_change [--engines 8] [--changes 50] [--services 16] [--replication memory messages calls]

An appliance without a network, on a Ray of its own: its engines sleep between the changes, and have to be woken.
Prints, of all changes, the time from the commit to the last acknowledgment, and from the call of the management to its
answer: with the check of the whole configuration, the writing of the tables, and a new version in a store on disk. With
`messages` and `calls` also with the consent of every engine: each is asked by which configuration it works, and whether
the commands lead from that to what is written.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration
from ncore_ray.demo.ray_node import own_ray

_ARENA_MIB: Final = 128
_WANTED_MS: Final = 100


def configuration(engines: int, services: int, replication: str = "memory") -> Configuration:
    """Return an appliance with some engines and services."""
    names = [f"s{number}" for number in range(services)]
    entries = "\n".join(
        f'  - {{name: {name}, address: "10.1.0.2:{8000 + number}", monitor: none}}' for number, name in enumerate(names)
    )
    return parse(
        f"""
appliance: {{name: bench, engines: {engines}, arena: {_ARENA_MIB}MiB, replication: {replication}}}
nics: [{{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}]
services:
{entries}
vservers: [{{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [{", ".join(names)}]}}]
limits: {{connections: 1000}}
"""
    )


def measure(one: session.Appliance, changes: int) -> tuple[list[float], list[float]]:
    """Make changes; return for each the ms until the last acknowledgment, and until the answer was here."""
    acknowledged, answered = [], []
    for number in range(changes):
        command = f"set service s0 weight={2 + number % 200}"
        began_at = time.perf_counter()
        done = one.ask("configure", "change", [command], "benchmark")
        answered.append((time.perf_counter() - began_at) * 1000)
        acknowledged.append(done["acknowledged_ms"])
        assert not done["late"], done
        time.sleep(0.05)  # the engines fall asleep
    return acknowledged, answered


def row(what: str, values: Sequence[float]) -> str:
    """Return a line with the median and the largest of some times."""
    return f"{what:<42} median {statistics.median(values):7.2f} ms   largest {max(values):7.2f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time of a live change of the configuration.")
    parser.add_argument("--engines", type=int, default=8)
    parser.add_argument("--services", type=int, default=16)
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--replication", nargs="+", default=["memory", "messages", "calls"])
    options = parser.parse_args()
    print(f"{options.engines} engines, {options.services} services, {options.changes} changes")
    for replication in options.replication:
        tell(replication, *run(options, replication))


def run(options: argparse.Namespace, replication: str) -> tuple[list[float], list[float]]:
    """Build an appliance, change it, take it down."""
    wanted = configuration(options.engines, options.services, replication)
    with own_ray(_ARENA_MIB << 20), tempfile.TemporaryDirectory() as folder:
        one = session.create(wanted, "bench", detached=False, store=Path(folder) / "bench.sqlite")
        try:
            return measure(one, options.changes)
        finally:
            one.take_down()


def tell(replication: str, acknowledged: list[float], answered: list[float]) -> None:
    """Print what was measured."""
    print(row(f"{replication}: commit → last acknowledgment", acknowledged))
    print(row(f"{replication}: call → answer", answered))
    reached = "reached" if statistics.median(answered) < _WANTED_MS else "missed"
    print(f"wanted: a median below {_WANTED_MS} ms, {reached}", flush=True)


if __name__ == "__main__":
    main()
