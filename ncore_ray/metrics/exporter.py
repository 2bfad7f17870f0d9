"""Reads the metrics of one appliance, and tells instruments such as Ray's what they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple, Protocol

from ncore_ray.arena.layout import Bytes
from ncore_ray.metrics.catalogue import metric_of
from ncore_ray.metrics.gather import Gather
from ncore_ray.metrics.ledger import Ledger
from ncore_ray.metrics.metric import APPLIANCE, Kind, Metric
from ncore_ray.metrics.words import Names, plan_series


class Vital(NamedTuple):
    """A value that is no word of the arena."""

    source: str
    labels: dict[str, str]
    value: float


class Instruments(Protocol):
    """Where the values go."""

    def is_open(self) -> bool:
        """Return whether what counters are told arrives: they cannot say it again."""

    def count(self, metric: Metric, tags: Mapping[str, str], grown: float) -> None:
        """Add to a counter; 0 makes it known."""

    def set(self, metric: Metric, tags: Mapping[str, str], value: float) -> None:
        """Set a gauge."""


class Exporter:
    """Reads all metrics and tells the instruments what has changed. Counters only ever grow (`Ledger`)."""

    def __init__(
        self,
        array: Bytes,
        names: Names,
        vitals: Callable[[], Iterable[Vital]],
        archived: Mapping[Hashable, int] | None = None,
    ) -> None:
        self._vitals = vitals
        self._name = names.appliance
        self._plan(array, names)
        self.ledger = Ledger(self._counters.keys, archived)
        self._known = False

    def _plan(self, array: Bytes, names: Names) -> None:
        series = plan_series(array, names)
        self._counters = Gather(array, [one for one in series if one.metric.kind is not Kind.GAUGE])
        self._gauges = Gather(array, [one for one in series if one.metric.kind is Kind.GAUGE])

    def follow(self, array: Bytes, names: Names) -> None:
        """Export the appliance as it is now: other engines, vServers or services, or another arena."""
        self._plan(array, names)
        self.ledger.follow(self._counters.keys)
        self._known = False

    def export(self, instruments: Instruments) -> None:
        """Tell the instruments everything once."""
        began_at = time.thread_time()
        self._export_gauges(instruments)
        if instruments.is_open():
            self._export_counters(instruments)
            self._export_own_cost(instruments, time.thread_time() - began_at)

    def _export_gauges(self, instruments: Instruments) -> None:
        sums = self._gauges.sums(self._gauges.take())
        for one, value in zip(self._gauges.series, sums, strict=True):
            instruments.set(one.metric, one.tags, value * one.metric.scale)
        for vital in self._vitals():
            self._tell(instruments.set, vital)

    def _export_counters(self, instruments: Instruments) -> None:
        grown = self._counters.sums(self.ledger.advance(self._counters.take()))
        for one, number in zip(self._counters.series, grown, strict=True):
            if number or not self._known:
                instruments.count(one.metric, one.tags, number * one.metric.scale)
        self._known = True

    def _export_own_cost(self, instruments: Instruments, cpu_s: float) -> None:
        self._tell(instruments.count, Vital("vitals.exports", {}, 1))
        self._tell(instruments.count, Vital("vitals.export_cpu", {}, cpu_s))

    def _tell(self, told: Callable[[Metric, Mapping[str, str], float], None], vital: Vital) -> None:
        fed = metric_of(vital.source)
        assert fed is not None, vital.source
        told(fed[0], {APPLIANCE: self._name, **vital.labels, **dict(fed[1])}, vital.value)
