"""Totals that never go back: what the living have counted, and what was counted by those that began anew."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.int64]


class Ledger:
    """Total = live + archived, word by word. A word that is less than it was belongs to somebody who began anew."""

    def __init__(self, keys: Sequence[Hashable], archived: Mapping[Hashable, int] | None = None) -> None:
        """Keep the totals of ``keys``.

        ``archived`` is what a former ledger knows: its `archived`, if the words are the same that it looked at; its
        `totals`, if they begin at 0.
        """
        self._keys = list(keys)
        self._archived = _words(self._keys, archived or {})
        self._live = np.zeros(len(self._keys), np.int64)
        self._told = np.zeros(len(self._keys), np.int64)
        self.changes = 0
        """How often what is archived has changed: who keeps it elsewhere need not look at all of it."""
        known = set(keys)
        self._retired = {key: total for key, total in (archived or {}).items() if total and key not in known}

    def advance(self, words: Words) -> Words:
        """Take the words as they are now; return by how much each total has grown since the last call."""
        fell = words < self._live
        if fell.any():
            self._archived += np.where(fell, self._live, 0)
            self.changes += 1
        self._live = words
        total = self._live + self._archived
        grown = total - self._told
        self._told = total
        return grown

    def archived(self) -> dict[Hashable, int]:
        """Return the part of each total that the words do not contain."""
        return {**self._retired, **dict(zip(self._keys, self._archived.tolist(), strict=True))}

    def totals(self) -> dict[Hashable, int]:
        """Return the totals as they were at the last call of `advance`, those of former keys too."""
        return {**self._retired, **dict(zip(self._keys, self._told.tolist(), strict=True))}

    def follow(self, keys: Sequence[Hashable]) -> None:
        """Keep the totals of other keys from now on: with words that begin at 0 for those that are new.

        Words of keys that stay go on; a key that comes back after it was gone goes on where it was.
        """
        self.changes += 1
        before = self.totals()
        live = dict(zip(self._keys, self._live.tolist(), strict=True))
        known = set(keys)
        self._retired = {key: total for key, total in before.items() if key not in known}
        self._keys = list(keys)
        self._told = _words(self._keys, before)
        self._live = _words(self._keys, live)
        self._archived = self._told - self._live


def to_plain(archived: Mapping[Hashable, int]) -> list[Any]:
    """Return what `Ledger.archived` says as lists, without what is 0."""
    return [[*key, total] for key, total in archived.items() if total and isinstance(key, tuple)]


def from_plain(rows: Sequence[Any]) -> dict[Hashable, int]:
    """Return what `to_plain` was given."""
    return {(owner, source, tuple(map(tuple, labels))): total for owner, source, labels, total in rows}


def _words(keys: Sequence[Hashable], values: Mapping[Hashable, int]) -> Words:
    return np.array([values.get(key, 0) for key in keys], np.int64)
