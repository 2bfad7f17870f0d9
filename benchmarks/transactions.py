"""What it costs to serve each request by another engine: the unit `transaction` beside the unit `flow`, in memory.

    python -m benchmarks.transactions [--engines 2] [--flows 256] [--requests 100000] [--rounds 5]

Engines over NICs in memory take turns in one thread, so that nothing but their own work is in the figures: ns per
request of all engines, without the clients' and servers' part. Each client sends its next request when it has its
answer. With `transaction` a request goes by reference to the engine whose turn it is (which may be the same one), and
its answer back.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.rig import RigArena

_UNITS = ("flow", "transaction")
_WARM_UP = 20_000


def run(engines: int, flows: int, requests: int, unit: str) -> float:
    """Return the ns that a request costs all engines together."""
    arena = RigArena(engines, flows, unit=unit)
    arena.run_together(_WARM_UP)
    for thread in arena.threads:
        thread.clear()
    arena.run_together(requests)
    rigs = [thread.rig for thread in arena.threads]
    spent = sum(rig.reader_ns + rig.distributor_ns + rig.input_ns + rig.output_ns + rig.send_ns for rig in rigs)
    return spent / sum(rig.answered for rig in rigs)


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Run the units in alternation; return the ns per request of each round."""
    found: dict[str, list[float]] = {unit: [] for unit in _UNITS}
    for _ in range(options.rounds):
        for unit, values in found.items():
            values.append(run(options.engines, options.flows, options.requests, unit))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--flows", type=int, default=256)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = measure(options)
    print(
        f"{options.engines} engines, {options.flows} connections, {options.requests} requests,"
        f" medians of {options.rounds} rounds"
    )
    for unit, values in found.items():
        print(f"{unit:<12} {statistics.median(values):8,.0f} ns/request   ({min(values):,.0f} to {max(values):,.0f})")
    ratios = [b / a for a, b in zip(*found.values(), strict=True)]
    print(f"transaction / flow: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
