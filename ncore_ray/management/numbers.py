"""Counters as plain numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

Numbers = dict[str, int]


def summed(rows: Iterable[Numbers]) -> Numbers:
    """Return the sums of counters of the same names."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row)
    return dict(total)
