"""How late an engine's breaths begin under the packet processing timer, period by period.

    python -m benchmarks.timer [--seconds 3] [--periods 1 5 10] [--busy]

The real loop of an engine, in a thread of its own without any NIC; ``--busy`` keeps every CPU busy meanwhile. Prints
the error of the instants and the share of a CPU that the loop takes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import threading
import time
from contextlib import ExitStack
from typing import Any, Final

from ncore_ray.arena.core import Core
from ncore_ray.config.appliance import TIMER_PERIODS
from ncore_ray.engine.queues import OwnQueues
from ncore_ray.engine.run import EngineLocal, engine_run
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.record import new, size_of, view
from ncore_ray.management.timers import timer_of
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory
from ncore_ray.wire.packet import Packet

_TEXT: Final = """
appliance: {name: lab, arena: 64MiB, timer: %dms}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
"""
_WANTED: Final = 20
"""Per cent of the period that the error of 95 % of the instants has to be below, from 5 ms on."""


def _local(kept: list[Any]) -> int:
    """Make the private memory of an engine's loop; return its address."""
    packet, counters, scratch, own = new(Packet), new(SendCounters), new(Packet), new(OwnQueues)
    memory, local, address = new(EngineLocal)
    sender = SenderMemory([-1], counters[2])
    local.packet, local.sender, local.scratch, local.own_queues = packet[2], sender.address, scratch[2], own[2]
    kept.extend((packet, counters, scratch, own, memory, sender))
    return address


def paced(period_ms: int, seconds: float) -> tuple[dict[str, Any], float]:
    """Run an engine for some seconds; return its timer's figures and the CPU that its thread took, as a share."""
    lab, kept = EngineLab(_TEXT % period_ms), list[Any]()
    core = view(Core, lab.array, lab.arena.cores + size_of(Core))
    taken: list[float] = []

    def work() -> None:
        before = time.thread_time()
        engine_run(lab.base + lab.arena.engines, local)
        taken.append(time.thread_time() - before)

    local = _local(kept)
    thread = threading.Thread(target=work, daemon=True)
    start = time.monotonic()
    thread.start()
    time.sleep(seconds)
    core.stop = 1
    thread.join()
    return timer_of(lab.array, 0), taken[0] / (time.monotonic() - start)


def _spin() -> None:
    while True:
        pass


def measure(periods: list[int], seconds: float) -> None:
    """Print a row for each period."""
    paced(1, 0.1)  # loads or compiles the kernels
    head = f"{'period':>8} {'instants':>9} {'missed':>7} {'mean µs':>8}"
    print(f"{head} {'p95 µs ≤':>9} {'max µs':>8} {'p95 %':>6} {'CPU':>7}")
    for period in periods:
        found, cpu = paced(period, seconds)
        share = found["error_p95_us"] / period / 10
        verdict = "" if period < 5 else "  as wanted" if share < _WANTED else f"  not below {_WANTED} %"
        figures = f"{found['instants']:>9,} {found['missed_instants']:>7,} {found['error_mean_us']:>8.1f}"
        figures += f" {found['error_p95_us']:>9,} {found['error_max_us']:>8,} {share:>5.1f}% {cpu:>7.2%}"
        print(f"{period:>5} ms {figures}{verdict}", flush=True)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="for each period")
    parser.add_argument("--periods", type=int, nargs="+", default=[period // 1000 for period in TIMER_PERIODS])
    parser.add_argument("--busy", action="store_true", help="keep every CPU busy meanwhile")
    options = parser.parse_args()
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1 if options.busy else 0):
            process = multiprocessing.Process(target=_spin, daemon=True)
            process.start()
            stack.callback(process.kill)
        measure(options.periods, options.seconds)


if __name__ == "__main__":
    main()
