"""How the work of engines scales: 1, 2, 4 and 8 engines over NICs in memory, the same flows and requests for all.

Each engine runs in a thread pinned to a core, reads its own queues and distributes by itself, as in placement rss; the
distributor's hash says which flows it gets. What counts is CPU time without the clients' and servers', so that engines
may share a core: with a core for each, the busiest engine would be the last to finish.

The model. An engine's CPU time per request grows with those that run at the same time (locks, cache lines, memory): how
much is measured with 2 engines, on 2 cores. Taken as the share s of the work that does not run beside other work
(Karp and Flatt), it predicts for n engines  balance(n) × n ÷ (1 + s × (n − 1)),  where balance is the mean of the
engines' CPU times divided by the largest.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.memory_scenario import MemoryResult, Target
from benchmarks.rig import EngineThread, RigArena
from ncore_ray.machine.thread import settle

_FLOWS: Final = 8192
_REQUESTS: Final = 50
"""Per flow."""
_WARM_UP: Final = 4
_COUNTS: Final = (1, 2, 4, 8)
_WANTED_AT_2: Final = 1.9
_WANTED_AT_8: Final = 7.0


@dataclass(frozen=True)
class Scaling:
    """What one run with some engines took."""

    cpu_s: tuple[float, ...]
    """Of each engine, without clients and servers."""
    wall_s: float
    requests: int

    @property
    def cpu_us(self) -> float:
        """CPU time per request."""
        return 1e6 * sum(self.cpu_s) / self.requests

    @property
    def balance(self) -> float:
        """Mean of the engines' CPU times divided by the largest."""
        return statistics.mean(self.cpu_s) / max(self.cpu_s)


def serial_share(one: Scaling, two: Scaling) -> float:
    """Return the share of the work that does not run beside other work (Karp and Flatt 1990), at least 0.

    The balance is left out of the speed-up: it enters the model by itself.
    """
    speed_up = 2 * one.cpu_us / two.cpu_us
    return max(2 / speed_up - 1, 0.0)


def predicted(engines: int, balance: float, share: float) -> float:
    """Return the speed-up with a core for each engine."""
    return balance * engines / (1 + share * (engines - 1))


def run_engines(count: int) -> Scaling:
    """Run all requests over so many engines at the same time."""
    arena = RigArena(count, _FLOWS)
    for factor in (_WARM_UP, _REQUESTS):
        spent, wall_s = _run_together(arena.threads, factor)
    return Scaling(tuple(spent), wall_s, _FLOWS * _REQUESTS)


def _run_together(threads: Sequence[EngineThread], factor: int) -> tuple[list[float], float]:
    """Let every engine answer ``factor`` requests per flow; return the CPU time in s of each, and the time of all."""
    spent, failures = [0.0] * len(threads), list[BaseException]()
    start = threading.Barrier(len(threads) + 1)
    cores = sorted(os.sched_getaffinity(0))

    def work(place: int) -> None:
        settle([cores[place % len(cores)]])
        threads[place].clear()
        start.wait()
        before = time.thread_time()
        try:
            threads[place].run(factor * threads[place].flows, on_cpu=True)
        except BaseException as error:
            failures.append(error)
        spent[place] = time.thread_time() - before - threads[place].rig.peers_ns / 1e9

    workers = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(len(threads))]
    for worker in workers:
        worker.start()
    start.wait()
    began_at = time.perf_counter()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return spent, time.perf_counter() - began_at


def _middle(runs: Sequence[Scaling]) -> Scaling:
    """Return the run with the median of CPU time per request."""
    return sorted(runs, key=lambda run: run.cpu_us)[(len(runs) - 1) // 2]


def _row(engines: int, run: Scaling, one: Scaling, share: float) -> list[str]:
    last = max(one.cpu_s) / max(run.cpu_s)
    cpu = " ".join(f"{seconds:.2f}" for seconds in run.cpu_s)
    model = f"{predicted(engines, run.balance, share):.2f} ×"
    cells = [f"{run.cpu_us:.2f}", cpu, f"{run.balance:.2f}", f"{one.wall_s / run.wall_s:.2f} ×", f"{last:.2f} ×", model]
    return [str(engines), *cells]


class Engines:
    """The scenario."""

    name = "engines"
    title = "In-memory NIC: 1 to 8 engines"

    def run(self, rounds: int) -> MemoryResult:
        """Measure: in each round all numbers of engines in turn."""
        runs: dict[int, list[Scaling]] = {count: [] for count in _COUNTS}
        for _ in range(rounds):
            for count, found in runs.items():
                found.append(run_engines(count))
        middle = {count: _middle(found) for count, found in runs.items()}
        return self._result(middle)

    def _result(self, middle: dict[int, Scaling]) -> MemoryResult:
        one, two, cores = middle[1], middle[2], len(os.sched_getaffinity(0))
        share = serial_share(one, two)
        at_2 = max(one.cpu_s) / max(two.cpu_s)
        at_8 = predicted(8, middle[8].balance, share)
        targets = [
            Target("2 engines, by the CPU time of the busiest", "≥ 1.9 ×", f"{at_2:.2f} ×", at_2 >= _WANTED_AT_2),
            Target("8 engines, by the model", "≥ 7 ×", f"{at_8:.2f} ×", at_8 >= _WANTED_AT_8),
        ]
        note = (
            f"{_FLOWS:,} connections, {_FLOWS * _REQUESTS:,} requests for every number of engines, on {cores} cores; "
            f"medians. Serial share s = {100 * share:.1f} %, from 2 engines at the same time. "
            f"Model: balance × n ÷ (1 + s × (n − 1)). Speed-up by time counts clients and servers too, and only the "
            f"cores that there are; by the busiest engine: as if each had a core."
        )
        headings = ["engines", "CPU µs/request", "CPU s of each", "balance", "by time", "by busiest", "model"]
        figures = {
            "serial_share": share,
            "engines": [
                {"count": n, "cpu_s": run.cpu_s, "wall_s": run.wall_s, "cpu_us": run.cpu_us, "balance": run.balance}
                | {"speed_up": max(one.cpu_s) / max(run.cpu_s), "model": predicted(n, run.balance, share)}
                for n, run in middle.items()
            ],
        }
        rows = [_row(n, run, one, share) for n, run in middle.items()]
        return MemoryResult(self.name, self.title, headings, rows, targets, note, figures)


SCENARIO = Engines()
