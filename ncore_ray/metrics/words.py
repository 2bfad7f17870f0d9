"""Which words of the arena feed which metric: planned once, so that a look at all of them is one gather.

A value is the sum of some words (a vServer's requests: a word of each engine), less some others (what waits in a ring:
its tail less its head). Words are 64-bit and aligned, so none is seen half-written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from ncore_ray.arena.core import Core
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.counters import EngineCounters, ServiceStats, VserverStats
from ncore_ray.engine.latency.bounds import exported_bounds
from ncore_ray.engine.latency.histogram import Latency
from ncore_ray.engine.pacing import BUCKETS, Pace
from ncore_ray.engine.partition import Engine
from ncore_ray.flow.distributor import DistributorCounters, distributor_view
from ncore_ray.flow.records import ENGINE_SLOT_SIZE, EngineSlot
from ncore_ray.machine.record import dtype_of, offset_of, size_of, view
from ncore_ray.metrics.catalogue import metric_of
from ncore_ray.metrics.metric import Kind, Metric
from ncore_ray.metrics.ring_words import ring_words
from ncore_ray.nic.partition import COUNTERS
from ncore_ray.tables.service import Watch

_PARTS: Final = ("reader", "faults", "writer", "sends", "faults")
"""What the catalogue calls the records of `COUNTERS`."""
_SECOND: Final = 1e6
_WORD: Final = 8


@dataclass(frozen=True)
class Names:
    """What the configuration calls the rows of the arena's tables."""

    appliance: str
    nics: Sequence[str]
    vservers: Mapping[int, str]
    """By the numbers of their rows, likewise the services."""
    services: Mapping[int, str]
    actors: Mapping[str, int]
    """Those with a loop: name → row of `Arena.cores`."""


class Word(NamedTuple):
    """A word of the arena that feeds a metric."""

    source: str
    """RECORD.FIELD, as the catalogue has it."""
    labels: tuple[tuple[str, str], ...]
    place: int
    """Offset in the arena, bytes."""
    owner: str
    """Tells words of the same source and labels apart; with them, the same word after a restart is known again."""
    sign: int = 1


@dataclass
class Series:
    """One metric with one set of labels."""

    metric: Metric
    tags: dict[str, str]
    words: list[Word] = field(default_factory=list)


def plan_series(array: Bytes, names: Names) -> list[Series]:
    """Return all series that words of the arena feed, counters before gauges."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Series] = {}
    for word in _words(array, names):
        fed = metric_of(word.source)
        if fed is None:
            continue
        metric, label = fed
        labels = (("appliance", names.appliance), *word.labels, *label)
        series = found.setdefault((metric.name, labels), Series(metric, dict(labels)))
        series.words.append(word)
    return sorted(found.values(), key=lambda series: series.metric.kind is Kind.GAUGE)


def _words(array: Bytes, names: Names) -> Iterator[Word]:
    """Yield a word for every field of every record that counts something."""
    arena = view(Arena, array)
    for name, number in names.actors.items():
        yield from _fields("core", Core, arena.cores + number * size_of(Core), (("actor", name),), name)
    for engine in range(arena.engine_count):
        yield from _engine_words(array, engine, names)
    for decider in range(arena.decider_count):
        yield from _decider_words(array, decider)
    for queue in range(arena.queue_count):
        if not names.nics[queue % arena.nic_count]:
            continue  # nobody has had that place
        start = arena.readers + queue * arena.reader_stride
        label = (("nic", names.nics[queue % arena.nic_count]),)
        for part, (who, record, offset) in zip(_PARTS, COUNTERS, strict=True):
            yield from _fields(part, record, start + offset, label, f"queue-{queue}.{who}")
    for index, service in names.services.items():
        place = arena.watches + index * size_of(Watch)
        yield from _fields("monitor", Watch, place, (("service", service),), f"service-{index}")
    for ring, tail, head, capacity in ring_words(array, names.nics):
        label = (("ring", ring),)
        yield Word("ring.tail", label, tail, ring)
        yield from (Word("ring.waiting", label, tail, ring), Word("ring.waiting", label, head, ring, -1))
        yield Word("ring.capacity", label, capacity, ring)


def _fields(kind: str, record: Any, start: int, labels: tuple[tuple[str, str], ...], owner: str) -> Iterator[Word]:
    for name in dtype_of(record).names or ():
        if not name.startswith("pad") and dtype_of(record)[name] == np.int64:
            yield Word(f"{kind}.{name}", labels, start + offset_of(record, name), owner)


def _engine_words(array: Bytes, index: int, names: Names) -> Iterator[Word]:
    arena = view(Arena, array)
    start = arena.engines + index * arena.engine_stride
    engine = view(Engine, array, start)
    owner = f"engine-{index}"
    label = (("actor", owner),)
    yield from _fields("engine", EngineCounters, engine.counters, label, owner)
    yield from _fields("partition", Engine, start, label, owner)
    yield from _stats("vserver", VserverStats, engine.vserver_stats, names.vservers, owner)
    yield from _stats("service", ServiceStats, engine.service_stats, names.services, owner)
    yield from _latencies("vserver", "head", engine.latencies, names.vservers, owner)
    yield from _latencies("vserver", "whole", engine.whole_latencies, names.vservers, owner)
    yield from _latencies("service", "service_head", engine.service_latencies, names.services, owner)
    if view(Pace, array, engine.pace).period_us:
        yield from _fields("timer", Pace, engine.pace, label, owner)
        yield from _timer_buckets(engine.pace + offset_of(Pace, "errors"), label, owner)


def _stats(kind: str, record: Any, start: int, rows: Mapping[int, str], owner: str) -> Iterator[Word]:
    for index, name in rows.items():
        yield from _fields(kind, record, start + index * size_of(record), ((kind, name),), f"{owner}.{index}")


def _timer_buckets(start: int, labels: tuple[tuple[str, str], ...], owner: str) -> Iterator[Word]:
    """Yield the words of the cumulative buckets: each has all instants of the buckets before it, too."""
    for bucket in range(BUCKETS):
        bound = "+Inf" if bucket == BUCKETS - 1 else f"{((1 << bucket) - 1) / _SECOND:g}"
        for part in range(bucket + 1):
            yield Word(f"timer.errors.{bound}", labels, start + part * _WORD, f"{owner}.{part}")


def _latencies(subject: str, kind: str, start: int, rows: Mapping[int, str], owner: str) -> Iterator[Word]:
    for row, name in rows.items():
        labels = ((subject, name), ("actor", owner))
        yield from _latency_words(kind, start + row * size_of(Latency), labels, f"{owner}.{row}")


def _latency_words(kind: str, start: int, labels: tuple[tuple[str, str], ...], owner: str) -> Iterator[Word]:
    """Yield the words of the cumulative buckets of responses' times, one for each power of two."""
    yield Word(f"{kind}.total_us", labels, start + offset_of(Latency, "total_us"), owner)
    times = start + offset_of(Latency, "times")
    for bound_us, count in exported_bounds():
        bound = "+Inf" if bound_us is None else f"{bound_us / _SECOND:g}"
        for part in range(count):
            yield Word(f"{kind}.times.{bound}", labels, times + part * _WORD, f"{owner}.{part}")


def _decider_words(array: Bytes, number: int) -> Iterator[Word]:
    distributor = distributor_view(array, number)
    owner = f"engine-{number}" if view(Arena, array).decides_itself else "distributor"
    label = (("actor", owner),)
    yield from _fields("distributor", DistributorCounters, distributor.counters, label, owner)
    for engine in range(distributor.engine_count):
        yield Word(f"handed.engine-{engine}", label, distributor.forwarded + engine * _WORD, owner)
        slot = distributor.engine_slots + engine * ENGINE_SLOT_SIZE
        if number == 0:
            yield Word("flows.live", (("engine", f"engine-{engine}"),), slot + offset_of(EngineSlot, "flows"), owner)
            yield Word("slot.load", (("actor", f"engine-{engine}"),), slot + offset_of(EngineSlot, "load"), owner)
