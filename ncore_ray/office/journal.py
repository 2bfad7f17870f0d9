"""The journal of events: a ring of bytes in the arena, so that a new management knows what happened before it.

An event is a length of four bytes and its msgpack. It is written, then the number of bytes ever written is stored; the
oldest events are overwritten. What was overwritten is not remembered: a reader goes back from the end by the lengths
that stand behind each event, too.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack
import numpy as np

from ncore_ray.arena.layout import Bytes
from ncore_ray.office.place import journal_of, lease_of

_LENGTH: Final = 4
_LONGEST: Final = 4096
_MOST: Final = 1000


class Journal:
    """Writes and reads the events of one arena. Only the holder of the lease writes, one thread at a time."""

    def __init__(self, array: Bytes) -> None:
        self._lease = lease_of(array)
        self._ring = journal_of(array)

    def append(self, event: dict[str, Any]) -> None:
        """Write an event; a text that is far too long is cut."""
        raw = msgpack.packb({**event, "text": event["text"][: _LONGEST // 4]})
        length = len(raw).to_bytes(_LENGTH, "little")
        self._put(self._lease.events, length + raw + length)
        self._lease.events += len(raw) + 2 * _LENGTH

    def read(self) -> list[dict[str, Any]]:
        """Return the events that are still there, oldest first."""
        found: list[dict[str, Any]] = []
        end, first = self._lease.events, max(self._lease.events - self._lease.journal_size, 0)
        while end > first and len(found) < _MOST:
            length = int.from_bytes(self._get(end - _LENGTH, _LENGTH), "little")
            start = end - length - 2 * _LENGTH
            if start < first:
                break
            found.append(msgpack.unpackb(self._get(start + _LENGTH, length)))
            end = start
        return found[::-1]

    def _places(self, start: int, length: int) -> Any:
        return np.arange(start, start + length) % self._lease.journal_size

    def _put(self, start: int, raw: bytes) -> None:
        self._ring[self._places(start, len(raw))] = np.frombuffer(raw, np.uint8)

    def _get(self, start: int, length: int) -> bytes:
        return bytes(self._ring[self._places(start, length)])
