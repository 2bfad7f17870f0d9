"""Rates out of two looks at the counters: pure arithmetic on answers to `stat`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rates:
    """What happened per second between two answers to `stat`."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """The time between both, at least 1 µs."""
        return max(int(self.after["at_us"]) - int(self.before["at_us"]), 1) / 1e6

    def now(self, group: str, name: str, key: str) -> int:
        """Return a number as it is now; 0 if there is none."""
        return int(self.after[group].get(name, {}).get(key, 0))

    def per_second(self, group: str, name: str, *keys: str) -> float:
        """Return how much the sum of counters grew per second; 0 for one that has begun anew meanwhile."""
        grown = sum(self.now(group, name, key) - int(self.before[group].get(name, {}).get(key, 0)) for key in keys)
        return max(grown, 0) / self.seconds

    def drops(self, actor: str) -> float:
        """Return the dropped packets per second of an actor, whatever the cause."""
        keys = [key for key in self.after["actors"].get(actor, {}) if key.startswith("drop_")]
        return self.per_second("actors", actor, *keys)

    def busy(self, actor: str) -> float:
        """Return the share (0 … 1) of the time in which an actor had work."""
        return min(self.per_second("cores", actor, "busy_us") / 1e6, 1.0)

    def total(self, group: str, key: str, prefix: str = "") -> float:
        """Return the sum over all things of a group whose names begin so, per second."""
        return sum(self.per_second(group, name, key) for name in self.after[group] if name.startswith(prefix))

    def total_now(self, group: str, key: str) -> int:
        """Return the sum over all things of a group as it is now."""
        return sum(self.now(group, name, key) for name in self.after[group])
