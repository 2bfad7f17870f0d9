"""The tables: which simulations there are, and what of them is noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.simulation.path import Path
from benchmarks.simulation.world import Plan, World, run

_MEGABYTE: Final = 1_000_000
_SEEDS: Final = (1, 2)
_FAST: Final = 12_500_000
"""100 Mbit/s."""
_CONTROLS: Final = {
    "cubic": Plan(Path(), 0, "congestion: cubic"),
    "newreno": Plan(Path(), 0, "congestion: newreno"),
    "vegas": Plan(Path(), 0, "congestion: vegas"),
    "bbr": Plan(Path(), 0, "congestion: bbr"),
    "cubic, timestamps": Plan(Path(), 0, "congestion: cubic, timestamps: true"),
    "newreno, no SACK": Plan(Path(), 0, "congestion: newreno", sack=False),
}
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """One figure of a table: the mean of several runs that differ in their seeds."""

    row: str
    column: str
    plan: Plan
    figure: Callable[[World], float]
    seeds: tuple[int, ...] = _SEEDS

    def value(self) -> float:
        """Simulate; three digits are enough."""
        figures = [self.figure(run(replace(self.plan, seed=seed))) for seed in self.seeds]
        return float(f"{sum(figures) / len(figures):.3g}")


@dataclass(frozen=True)
class Table:
    """A table, and what stands above it."""

    name: str
    title: str
    unit: str
    cells: tuple[Cell, ...]


def jain(shares: Sequence[float]) -> float:
    """Return Jain's fairness index: 1 where all get the same, 1/n where one gets all."""
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 0.0


def _megabytes(world: World) -> float:
    return world.rate() / _MEGABYTE


def _fairness(world: World) -> float:
    return jain([float(sink.position) for sink in world.sinks])


def _per_control(
    row: str,
    plan: Plan,
    figure: Callable[[World], float],
    columns: Sequence[str] = ("cubic", "newreno", "vegas", "bbr", "newreno, no SACK"),
    *,
    seeds: tuple[int, ...] = _SEEDS,
) -> list[Cell]:
    return [
        Cell(row, name, replace(plan, tcp=_CONTROLS[name].tcp, sack=_CONTROLS[name].sack), figure, seeds)
        for name in columns
    ]


def _goodput() -> Table:
    cells = []
    for delay_ms in (1, 10, 50):
        for loss in (0.0, 0.001, 0.01, 0.03):
            path = Path(1000 * delay_ms, _FAST, 256_000, loss)
            cells += _per_control(
                f"{2 * delay_ms} ms, {loss:.1%} lost", Plan(path, 2 * _MEGABYTE), _megabytes, tuple(_CONTROLS)
            )
    title = "Goodput of one stream of 2 MB at 100 Mbit/s, by round-trip time and loss in both directions"
    return Table("goodput", title, "MB/s", tuple(cells))


def _reordered() -> Table:
    cells = []
    for share in (0.01, 0.1):
        for late_ms in (2, 10):
            path = Path(10_000, _FAST, 256_000, reordering=share, late_us=1000 * late_ms)
            cells += _per_control(f"{share:.0%} late by {late_ms} ms", Plan(path, 2 * _MEGABYTE), _megabytes)
    title = "Goodput of one stream of 2 MB at 100 Mbit/s and 20 ms, where packets overtake others and none is lost"
    return Table("reordering", title, "MB/s", tuple(cells))


def _bursts() -> Table:
    cells = []
    packets = -(-_MEGABYTE // 1460)
    for count in (1, 4, 16, 64):
        for where, first in (("in the middle", 350), ("at the end", packets + 1 - count)):
            path = Path(10_000, _FAST, _MEGABYTE, losses=((first, count),))
            row = f"{count} lost {where}"
            cells += _per_control(row, Plan(path, _MEGABYTE), World.seconds, seeds=(1,))
    title = "Time of 1 MB at 100 Mbit/s and 20 ms, where a run of packets is lost"
    return Table("bursts", title, "s", tuple(cells))


def _sharing() -> Table:
    cells = []
    for flows in (2, 8, 32):
        path = Path(10_000, 2_500_000, 64_000, jitter_us=606)
        plan = Plan(path, 100 * _MEGABYTE, flows=flows, apart_us=20_000, limit_us=10_000_000, buffer_mib=1)
        cells += _per_control(f"{flows} streams", plan, _fairness, ("cubic", "newreno", "vegas", "bbr"), seeds=(1,))
    title = "Jain's index of what streams got that shared 20 Mbit/s at 20 ms for 10 s"
    return Table("fairness", title, "", tuple(cells))


def all_tables() -> dict[str, Table]:
    """Return all tables by their names."""
    return {table.name: table for table in (_goodput(), _reordered(), _bursts(), _sharing())}


def measure(table: Table, tell: Progress) -> dict[str, dict[str, float]]:
    """Simulate all of a table; return its figures by row and column."""
    found: dict[str, dict[str, float]] = {}
    for cell in table.cells:
        tell(f"{table.name}: {cell.row}, {cell.column}")
        found.setdefault(cell.row, {})[cell.column] = cell.value()
    return found
