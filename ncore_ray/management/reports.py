"""What one core tells of itself: its counters, and those of the vServers and services that it works for.

Read from the arena, by the management or by the core itself, which sends it as flat words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.counters import ServiceStats, VserverStats
from ncore_ray.machine.record import dtype_of, table, view
from ncore_ray.management.counters import PRIVATE, distributor_counters, engine_counters, engine_view, watch_view
from ncore_ray.management.numbers import Numbers

Words = Mapping[str, int]
"""GROUP.ROW.NAME or NAME → value; what is 0 is left out."""


@dataclass
class Report:
    """Of one core."""

    counters: Numbers
    vservers: dict[int, Numbers] = field(default_factory=dict)
    """By row; rows that are all 0 are left out."""
    services: dict[int, Numbers] = field(default_factory=dict)


def names_of(record: Any) -> list[str]:
    """Return the names of a record's counters."""
    return [name for name in dtype_of(record).names or () if name not in PRIVATE]


def read_report(array: Bytes, core: int) -> Report:
    """Return what the arena says of a core, by its number among the actors."""
    if core == Actor.DISTRIBUTOR:
        return Report(distributor_counters(array))
    arena, index = view(Arena, array), core - Actor.ENGINE
    engine = engine_view(array, index)
    return Report(
        engine_counters(array, index),
        _rows(array, VserverStats, engine.vserver_stats, arena.vserver_count),
        _rows(array, ServiceStats, engine.service_stats, arena.service_count),
    )


def _rows(array: Bytes, record: Any, start: int, count: int) -> dict[int, Numbers]:
    names, rows = names_of(record), table(record, array, start, count)
    values = np.stack([rows[name] for name in names], axis=1)
    return {int(row): dict(zip(names, values[row].tolist(), strict=True)) for row in np.flatnonzero(values.any(axis=1))}


def words_of_report(report: Report) -> dict[str, int]:
    """Return a report as flat words, without what is 0."""
    words = dict(report.counters)
    for group, rows in (("v", report.vservers), ("s", report.services)):
        words |= {f"{group}.{row}.{name}": value for row, values in rows.items() for name, value in values.items()}
    return {name: value for name, value in words.items() if value}


def report_of_words(words: Words, counters: Mapping[str, int]) -> Report:
    """Return the report that words stand for; ``counters`` has all names that there are."""
    report = Report(dict.fromkeys(counters, 0))
    rows = {"v": (report.vservers, names_of(VserverStats)), "s": (report.services, names_of(ServiceStats))}
    for path, value in words.items():
        group, _, rest = path.partition(".")
        if not rest:
            report.counters[path] = value
            continue
        row, _, name = rest.partition(".")
        found, names = rows[group]
        found.setdefault(int(row), dict.fromkeys(names, 0))[name] = value
    return report


def total_vservers(array: Bytes, reports: Iterable[Report]) -> list[Numbers]:
    """Return the counters of each row of vServers, added up over all cores."""
    rows = (report.vservers for report in reports)
    return _totals(rows, names_of(VserverStats), view(Arena, array).vserver_count)


def total_services(array: Bytes, reports: Iterable[Report]) -> list[Numbers]:
    """Return the counters of each row of services, added up over all cores, with its probes."""
    rows = (report.services for report in reports)
    totals = _totals(rows, names_of(ServiceStats), view(Arena, array).service_count)
    for index, total in enumerate(totals):
        watch = watch_view(array, index)
        total["probes"], total["failed_probes"] = watch.probes, watch.failed_probes
    return totals


def _totals(reports: Iterable[Mapping[int, Numbers]], names: Iterable[str], count: int) -> list[Numbers]:
    empty = dict.fromkeys(names, 0)
    totals = [dict(empty) for _ in range(count)]
    for rows in reports:
        for row, values in rows.items():
            total = totals[row]
            for name, value in values.items():
                total[name] += value
    return totals
