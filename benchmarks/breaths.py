"""What it costs to be repaired: the marks around each change of a connection, and the breaths of an idle engine.

``python -m benchmarks.breaths``. Both ways of the first are measured in alternation, within the same minute.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import Final

import numpy as np
from rich.console import Console

from ncore_ray.arena.core import Core
from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import tcb_of
from ncore_ray.engine.partition import engine_at
from ncore_ray.engine.run import EngineLocal, engine_run
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new, size_of, view
from ncore_ray.wire.packet import Packet

CHANGES: Final = 2_000_000
ROUNDS: Final = 15
SPAN_S: Final = 1.0
SLEEP_US: Final = 20_000
_TEXT: Final = """\
appliance: {name: bench, engines: 1}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
services: [{name: s, address: "10.1.0.2:80"}]
vservers: [{name: v, address: "10.1.0.100:80", protocol: HTTP, services: [s]}]
"""


@entry_kernel
def change(engine_address: int, count: int, marked: int) -> int:
    """Change some words of one connection after another, with or without marks."""
    engine = engine_at(engine_address)
    for round_number in range(count):
        number = round_number & 63
        if marked:
            begin_change(engine, number + 1)
        tcb = tcb_of(engine, number)
        tcb.rcv_nxt = (tcb.rcv_nxt + 1460) & 0xFFFF_FFFF
        tcb.received_bytes += 1460
        tcb.last_received_at = round_number
        if marked:
            end_change(engine)
    return 0


def marks(lab: EngineLab) -> tuple[float, float]:
    """Return the nanoseconds of a change without marks and with them: medians."""
    address = lab.base + lab.arena.engines
    change(address, 1, 1)
    spans: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for marked in (0, 1):
            began_at = time.perf_counter_ns()
            change(address, CHANGES, marked)
            spans[marked].append((time.perf_counter_ns() - began_at) / CHANGES)
    return statistics.median(spans[0]), statistics.median(spans[1])


def empty_breath(lab: EngineLab) -> float:
    """Return the nanoseconds of a breath with nothing to do, of an engine that never sleeps."""
    memory, local, address = new(EngineLocal)
    packet_memory, _, local.packet = new(Packet)
    scratch = np.zeros(64, np.uint8)
    own = np.zeros(64, np.uint8)
    local.sender, local.scratch, local.own_queues = lab._sender.address, scratch.ctypes.data, own.ctypes.data
    local.spin_us = 1 << 40
    core = view(Core, lab.array, lab.arena.cores + size_of(Core))
    thread = threading.Thread(target=lambda: engine_run(lab.base + lab.arena.engines, address))
    thread.start()
    time.sleep(SPAN_S)
    before, began_at = core.breaths, time.perf_counter_ns()
    time.sleep(SPAN_S)
    breaths, span = core.breaths - before, time.perf_counter_ns() - began_at
    core.stop = 1
    thread.join()
    del memory, packet_memory
    return span / breaths


def main() -> None:
    """Print both."""
    lab = EngineLab(_TEXT)
    console = Console(highlight=False)
    without, with_marks = marks(lab)
    console.print(f"a change of a connection: {without:.2f} ns, with marks {with_marks:.2f} ns")
    breath = empty_breath(lab)
    share = breath / (SLEEP_US * 1000)
    console.print(f"an empty breath: {breath:.0f} ns; one every {SLEEP_US // 1000} ms: {share:.5%} of a core")


if __name__ == "__main__":
    main()
