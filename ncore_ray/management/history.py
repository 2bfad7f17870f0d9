"""The history of the main counters, in memory: a sample each second, each ten seconds and each minute, in rings.

Samples are totals, so nothing is lost between two of them, and rates come out of any two neighbours. A management that
waits takes samples, too: after it has taken over, there is no gap.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ncore_ray.errors import NcoreError

RINGS: Final = ((1, 300), (10, 360), (60, 1440))
"""Seconds from one sample to the next, and how many are kept: five minutes, an hour, a day."""
Sample = Mapping[str, int]
"""Totals by name; what holds for this moment (no counter) begins with `NOW`."""
NOW: Final = "now."
Plain = dict[str, Any]


@dataclass(frozen=True)
class _Kept:
    at: float
    """Seconds since 1970."""
    clock: float
    """Seconds of the monotonic clock."""
    names: tuple[str, ...]
    values: npt.NDArray[np.int64]

    def growth(self, before: _Kept) -> dict[str, float]:
        """Return what grew per second since another sample, and what is now."""
        spent = max(self.clock - before.clock, 1e-6)
        known = before.values if before.names == self.names else _aligned(before, self.names)
        rates = np.maximum(self.values - known, 0) / spent
        return {
            name.removeprefix(NOW): float(now) if name.startswith(NOW) else round(float(rate), 3)
            for name, now, rate in zip(self.names, self.values, rates, strict=True)
        }


def _aligned(sample: _Kept, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return a sample's values in the order of other names; 0 for what was not there."""
    values = dict(zip(sample.names, sample.values.tolist(), strict=True))
    return np.array([values.get(name, 0) for name in names], np.int64)


class History:
    """Any thread may add and ask."""

    def __init__(self) -> None:
        self._rings: dict[int, deque[_Kept]] = {period: deque(maxlen=count + 1) for period, count in RINGS}
        self._lock = threading.Lock()

    def add(self, sample: Sample, at: float | None = None, clock: float | None = None) -> None:
        """Keep a sample of now, in every ring whose latest is old enough."""
        at, clock = time.time() if at is None else at, time.monotonic() if clock is None else clock
        values = np.fromiter(sample.values(), np.int64, len(sample))
        with self._lock:
            for period, ring in self._rings.items():
                if not ring or clock - ring[-1].clock >= period - 0.5:
                    names = ring[-1].names if ring and ring[-1].names == tuple(sample) else tuple(sample)
                    ring.append(_Kept(at, clock, names, values))

    def since(self, span_s: float, period_s: int | None = None) -> Plain:
        """Return the samples of the last ``span_s`` seconds, oldest first, as rates per second.

        Args:
            span_s: how far back.
            period_s: from which ring: 1, 10 or 60; None: the finest that goes back so far.

        Raises:
            NcoreError: there is no such ring.
        """
        period = period_s or next((period for period, count in RINGS if period * count >= span_s), RINGS[-1][0])
        if period not in self._rings:
            raise NcoreError(f"found a period of {period_s} s, expected {', '.join(str(one) for one, _ in RINGS)}")
        with self._lock:
            kept = list(self._rings[period])
        first = (kept[-1].clock if kept else 0.0) - span_s
        pairs = [(before, one) for before, one in pairwise(kept) if one.clock > first + 1e-9]
        return {"period_s": period, "samples": [{"at": one.at, **one.growth(before)} for before, one in pairs]}

    def leave(self) -> list[Plain]:
        """Return everything as plain data, for one that begins to wait."""
        with self._lock:
            return [
                {"period": period, "at": one.at, "clock": one.clock, "names": one.names, "values": one.values.tolist()}
                for period, ring in self._rings.items()
                for one in ring
            ]

    def take(self, left: Sequence[Plain]) -> None:
        """Take what another one left, before what is here."""
        with self._lock:
            for period, ring in self._rings.items():
                first = ring[0].clock if ring else float("inf")
                older = [
                    _Kept(one["at"], one["clock"], tuple(one["names"]), np.array(one["values"], np.int64))
                    for one in left
                    if one["period"] == period and one["clock"] < first
                ]
                self._rings[period] = deque([*older, *ring], ring.maxlen)
