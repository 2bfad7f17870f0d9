"""Where the aggregator has the counters of the cores from: shared memory, their answers, or what they sent unasked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.lease import Telling
from ncore_ray.config.model import Configuration, Replication, Source, Statistics
from ncore_ray.machine.record import view
from ncore_ray.management.desk import Desk
from ncore_ray.management.reports import Report, read_report, report_of_words
from ncore_ray.office.place import lease_of

ANSWER_S: Final = 0.25
"""How long cores may take to answer; of those that do not, the arena tells."""
_TELLING: Final = {Source.MEMORY: Telling.NOT, Source.MESSAGES: Telling.ASKED, Source.QUEUE: Telling.UNASKED}
Living = Callable[[], Iterable[int]]
"""Returns the numbers of the cores that live."""


class CounterSource(Protocol):
    """Reports of all cores."""

    late: int
    """Cores whose report did not come, all times together: they were read from the arena."""

    def reports(self) -> dict[int, Report]:
        """Return the report of each core, by its number."""


def _cores(array: Bytes) -> list[int]:
    arena = view(Arena, array)
    own = [] if arena.decides_itself else [int(Actor.DISTRIBUTOR)]
    return [*own, *range(Actor.ENGINE, Actor.ENGINE + arena.engine_count)]


class MemorySource:
    """Reads everything from shared memory."""

    late = 0

    def __init__(self, array: Bytes) -> None:
        self._array = array

    def reports(self) -> dict[int, Report]:
        """Return the report of each core."""
        return {core: read_report(self._array, core) for core in _cores(self._array)}


class _Names:
    """The names of all counters of each core."""

    def __init__(self, array: Bytes) -> None:
        self._array = array
        self._known: dict[int, dict[str, int]] = {}

    def report(self, core: int, answer: Any) -> Report | None:
        """Return the report that a core's answer stands for; None if it is none."""
        if not isinstance(answer, dict) or "words" not in answer:
            return None
        if core not in self._known:
            self._known[core] = read_report(self._array, core).counters
        return report_of_words(answer["words"], self._known[core])


class MessageSource:
    """Asks each core that lives, and waits for the answers."""

    def __init__(self, array: Bytes, living: Living, desk: Desk) -> None:
        self._array, self._living, self._desk, self._names = array, living, desk, _Names(array)
        self.late = 0

    def reports(self) -> dict[int, Report]:
        """Ask, and return the report of each core."""
        cores = _cores(self._array)
        asked = set(self._living()) & set(cores)
        answers = self._desk.ask({core: {"ask": "counters"} for core in asked}, ANSWER_S)
        found = {core: self._names.report(core, answer) for core, answer in answers.items()}
        self.late += sum(found.get(core) is None for core in asked)
        return {core: found.get(core) or read_report(self._array, core) for core in cores}


class QueueSource:
    """Keeps the latest report that each core has sent by itself."""

    def __init__(self, array: Bytes, period_us: int, desk: Desk) -> None:
        self._array, self._longest_s, self._names = array, 3 * period_us / 1e6 + 1.0, _Names(array)
        self._latest: dict[int, tuple[float, Report]] = {}
        self._lock = threading.Lock()
        self.late = 0
        desk.on_told = self._take

    def _take(self, core: int, value: Any) -> None:
        report = self._names.report(core, value)
        if report is not None:
            with self._lock:
                self._latest[core] = time.monotonic(), report

    def reports(self) -> dict[int, Report]:
        """Return the latest report of each core; of one that has gone silent, the arena's."""
        with self._lock:
            return {core: self._report(core, time.monotonic()) for core in _cores(self._array)}

    def _report(self, core: int, now: float) -> Report:
        at, report = self._latest.get(core, (float("-inf"), None))
        if report is None or now - at > self._longest_s:
            self.late += 1
            return read_report(self._array, core)
        return report


def source_of(statistics: Statistics, array: Bytes, living: Living, desk: Desk | None) -> CounterSource:
    """Return the source that the configuration asks for; without a desk it is shared memory."""
    if desk is None or statistics.source is Source.MEMORY:
        return MemorySource(array)
    if statistics.source is Source.MESSAGES:
        return MessageSource(array, living, desk)
    return QueueSource(array, statistics.period, desk)


def tell_by(array: Bytes, configuration: Configuration) -> bool:
    """Let the cores know how they tell; they look when they begin to work. Return whether a desk is needed."""
    statistics, lease = configuration.statistics, lease_of(array)
    telling = _TELLING[statistics.source]
    if telling is Telling.NOT and configuration.appliance.replication is Replication.MESSAGES:
        telling = Telling.ASKED
    lease.telling, lease.telling_us = telling, statistics.period
    return telling is not Telling.NOT
