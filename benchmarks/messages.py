"""How long a core-to-core message takes: there and back between two processes, half of that, and how many in a row.

    python -m benchmarks.messages [--trips 20000] [--count 200000]

The other process answers each message at once. Both sleep on their doorbells between two messages, as cores do.
"""

from __future__ import annotations

import argparse
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from ncore_ray.arena.layout import Bytes, Layout, format_arena
from ncore_ray.messages.arena import ArenaPort, init_messages, plan_messages
from ncore_ray.messages.port import Sending, monotonic_us

_ENGINES: Final = 1
_HERE: Final = 1
_THERE: Final = 2
_PATIENCE_US: Final = 10_000_000
_VALUE: Final = {"verb": "set", "name": "www", "number": 7}


def _map(path: Path) -> Bytes:
    descriptor = os.open(path, os.O_RDWR)
    try:
        return np.frombuffer(mmap.mmap(descriptor, 0), np.uint8)
    finally:
        os.close(descriptor)


def _make(path: Path) -> Bytes:
    layout = Layout()
    plan_messages(layout, _ENGINES)
    path.write_bytes(bytes(layout.size))
    array = _map(path)
    format_arena(array, layout, 1, 1)
    init_messages(array, _ENGINES)
    return array


def answer(path: Path) -> None:
    """Send back what comes, until it is None; numbers are counted only."""
    port = ArenaPort(_map(path), _ENGINES, _THERE)
    while (message := port.receive(monotonic_us() + _PATIENCE_US)) is not None and message.value is not None:
        if not isinstance(message.value, int):
            port.send(_HERE, message.value)
        elif message.value == 0:
            port.send(_HERE, "all")


def round_trips(port: ArenaPort, trips: int) -> list[float]:
    """Return the µs of each there and back."""
    found = []
    for _ in range(trips):
        begun_at = time.perf_counter_ns()
        port.send(_THERE, _VALUE)
        if port.receive(monotonic_us() + _PATIENCE_US) is None:
            raise RuntimeError("no answer has come")
        found.append((time.perf_counter_ns() - begun_at) / 1000)
    return found


def in_a_row(port: ArenaPort, count: int) -> float:
    """Return how many messages a second go one way."""
    begun_at = time.perf_counter_ns()
    for number in reversed(range(count)):
        while port.send(_THERE, number) is Sending.FULL:
            os.sched_yield()
    if port.receive(monotonic_us() + _PATIENCE_US) is None:
        raise RuntimeError("not all have come")
    return count * 1e9 / (time.perf_counter_ns() - begun_at)


def main() -> None:
    """Measure and print; with ``--answer FILE`` be the other process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trips", type=int, default=20_000)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer(options.answer)
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "arena"
        port = ArenaPort(_make(path), _ENGINES, _HERE)
        other = subprocess.Popen([sys.executable, "-m", "benchmarks.messages", "--answer", str(path)])
        try:
            round_trips(port, min(options.trips, 1_000))
            trips = sorted(round_trips(port, options.trips))
            rate = in_a_row(port, options.count)
        finally:
            port.send(_THERE, None)
            other.wait(30)
    p50, p99 = statistics.median(trips) / 2, trips[len(trips) * 99 // 100] / 2
    print(f"one way, {len(trips):,} round trips halved: p50 {p50:.1f} µs, p99 {p99:.1f} µs")
    print(f"in a row: {rate:,.0f} messages/s")


if __name__ == "__main__":
    main()
