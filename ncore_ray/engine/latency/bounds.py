"""What the buckets of the latency histograms stand for, for those who show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ncore_ray.engine.latency.histogram import BUCKETS, FIRST_BITS, OCTAVES

_FIRST_EXPORTED: Final = 3
"""Octaves that are exported as one: all below 128 µs."""


def bound_us(bucket: int) -> int:
    """Return the span, µs, that those of a bucket stay below; of the last one, where it begins."""
    if bucket == 0:
        return 1 << FIRST_BITS
    octave, upper = divmod(min(bucket, BUCKETS - 2) - 1, 2)
    return (4 if upper else 3) << (octave + FIRST_BITS - 1)


def exported_bounds() -> Iterator[tuple[int | None, int]]:
    """Yield the bound, µs (None: no bound), of each exported bucket, and how many of the arena's are below it."""
    for octave in range(_FIRST_EXPORTED, OCTAVES + 1):
        yield 1 << (octave + FIRST_BITS), 2 * octave + 1
    yield None, BUCKETS


def quantile_us(times: Sequence[int], share: float) -> float:
    """Return the span, µs, that a share of the responses stayed below: within its bucket by proportion."""
    wanted, seen = share * sum(times), 0.0
    for bucket, count in enumerate(times):
        if count and seen + count >= wanted:
            low = bound_us(bucket - 1) if bucket else 0
            return low + (bound_us(bucket) - low) * max(wanted - seen, 0.0) / count
        seen += count
    return 0.0
