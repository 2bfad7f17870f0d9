"""What is to be done, each at its time: one thread works it off, others add to it."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Agenda(Generic[Item]):
    """Items by the time at which they are due, those of the same time in the order in which they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    def add(self, item: Item, due_s: float) -> None:
        """Add something that is due at an instant of the monotonic clock."""
        with self._changed:
            heapq.heappush(self._heap, (due_s, next(self._numbers), item))
            self._changed.notify()

    def take(self, timeout_s: float) -> Item | None:
        """Return what is due first, as soon as it is; None if nothing is within a time."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while True:
                now = time.monotonic()
                if self._heap and self._heap[0][0] <= now:
                    return heapq.heappop(self._heap)[2]
                if now >= end:
                    return None
                self._changed.wait(min(end, self._heap[0][0] if self._heap else end) - now)
