"""What the management at work leaves to its successor, in two slots of the arena and a word that says which holds.

A new state is written to the slot that does not hold, then the word is stored: whoever dies on the way leaves the state
before. Only the holder of the lease writes, and only who has taken the lease from it reads.
"""

from __future__ import annotations

import threading
import zlib
from typing import Any, Final

import msgpack
import numpy as np

from ncore_ray.arena.layout import Bytes
from ncore_ray.errors import NcoreError
from ncore_ray.office.place import lease_of, slot_of

_FAST: Final = 1


class NotebookFullError(NcoreError):
    """What is to be noted does not fit; the notebook holds what it held."""


class Notebook:
    """Named values of what msgpack knows. One process writes, from any thread."""

    def __init__(self, array: Bytes) -> None:
        self._array = array
        self._lock = threading.Lock()
        self._known: dict[str, Any] = read_notes(array)

    def note(self, **values: Any) -> None:
        """Note values beside, or instead of, those that are there. Raises `NotebookFullError`."""
        with self._lock:
            known = {**self._known, **values}
            if known == self._known:
                return
            _write(self._array, zlib.compress(msgpack.packb(known), _FAST))
            self._known = known

    def values(self) -> dict[str, Any]:
        """Return everything that is noted."""
        with self._lock:
            return dict(self._known)


def _write(array: Bytes, raw: bytes) -> None:
    lease = lease_of(array)
    if len(raw) > lease.slot_size:
        raise NotebookFullError(f"the management's notes take {len(raw)} bytes, expected {lease.slot_size} at the most")
    slot = 1 - (lease.notes & 1)
    slot_of(array, slot)[: len(raw)] = np.frombuffer(raw, np.uint8)
    lease.notes = len(raw) << 1 | slot  # one aligned store, behind all others of this process


def read_notes(array: Bytes) -> dict[str, Any]:
    """Return what a notebook holds; nothing in a new arena."""
    word = lease_of(array).notes
    if word == 0:
        return {}
    raw = slot_of(array, word & 1)[: word >> 1].tobytes()
    found: dict[str, Any] = msgpack.unpackb(zlib.decompress(raw), strict_map_key=False)
    return found
