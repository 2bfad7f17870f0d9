"""One look at all words that feed metrics."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

from ncore_ray.arena.layout import Bytes
from ncore_ray.metrics.ledger import Words
from ncore_ray.metrics.words import Series

_WORD: Final = 8


class Gather:
    """The words of some series, taken from the arena at once and added up."""

    def __init__(self, array: Bytes, series: Sequence[Series]) -> None:
        self.series = list(series)
        words = [word for one in self.series for word in one.words]
        self.keys: list[Hashable] = [(word.owner, word.source, word.labels) for word in words]
        """Of each word: the same after a restart."""
        self._memory = array[: array.size // _WORD * _WORD].view(np.int64)
        self._places = np.array([word.place // _WORD for word in words], np.int64)
        self._signs = np.array([word.sign for word in words], np.int64)
        sizes = [len(one.words) for one in self.series]
        self._starts = np.cumsum([0, *sizes[:-1]], dtype=np.int64) if sizes else np.zeros(0, np.int64)

    def take(self) -> Words:
        """Return the words as they are now."""
        return self._memory[self._places]

    def sums(self, words: Words) -> list[int]:
        """Return a number for each series: its words with their signs, added up."""
        if not self.series:
            return []
        added: list[int] = np.add.reduceat(words * self._signs, self._starts).tolist()
        return added
