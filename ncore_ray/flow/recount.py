"""Puts the number of each engine's live flows right after a decider died.

An entry and the count of entries are two stores. A decider that dies between them leaves the count off by one. One
decider alone is repaired before its successor starts (`repair_table`); beside others that go on, what is off can only
be told from what is being changed by looking twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.flow.distributor import counters_view, distributor_view, live_flows
from ncore_ray.flow.records import BUCKET_SIZE, WAYS, FlowState
from ncore_ray.flow.repair import add_flows
from ncore_ray.machine.record import view


@dataclass(frozen=True)
class Look:
    """The flow table at one moment."""

    changes: int
    """Flows that were entered or forgotten so far."""
    surplus: tuple[int, ...]
    """By engine: how many flows its count is above the entries that there are."""


class Recount:
    """Looks again and again, some time apart; corrects what was off twice while nothing at all had changed."""

    def __init__(self, array: Bytes) -> None:
        self._array = array
        self._last: Look | None = None
        self.is_sure = True
        """Whether the counts are known to be right: say False when somebody may have died between two stores."""

    def look(self) -> int:
        """Look, and correct what is known to be off; return by how many flows that was."""
        look = self._take()
        last, self._last = self._last, look
        if look is None or look != last:
            return 0
        self.is_sure, self._last = True, None
        for engine, surplus in enumerate(look.surplus):
            if surplus:
                add_flows(self._array.ctypes.data, engine, -surplus)
        return sum(map(abs, look.surplus))

    def _take(self) -> Look | None:
        """Return what there is; None if it changed meanwhile."""
        before = self._changes()
        places = self._places()
        state = places >> 56 & 15
        if bool(np.any(state == FlowState.CLAIMED)):
            return None
        counts = np.bincount((places[state != FlowState.FREE] >> 48 & 0xFF).ravel(), minlength=256)
        surplus = tuple(flows - int(counts[engine]) for engine, flows in enumerate(live_flows(self._array)))
        return Look(before, surplus) if self._changes() == before else None

    def _changes(self) -> int:
        deciders = range(view(Arena, self._array).decider_count)
        counters = (counters_view(self._array, number) for number in deciders)
        return sum(one.flows_created + one.flows_expired for one in counters)

    def _places(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        distributor = distributor_view(self._array)
        size = BUCKET_SIZE * distributor.flow_bucket_count
        words = self._array[distributor.flow_buckets :][:size].view(np.int64)
        return words.reshape(-1, BUCKET_SIZE // 8)[:, 1 : 1 + WAYS].copy()
