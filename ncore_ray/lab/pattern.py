"""Bodies that either end can compute: SHAKE-128 of the seed (as decimal digits), 65,521 bytes, repeated.

The period is a prime, so no loss, repetition or exchange of segments, pages or powers of two goes unseen.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

PERIOD = 65521
CHUNK = 65536 - 15  # one period


@functools.lru_cache(maxsize=128)
def _twice(seed: int) -> memoryview:
    block = hashlib.shake_128(str(seed).encode("ascii")).digest(PERIOD)
    return memoryview(block + block)


def patterned(seed: int, length: int, offset: int = 0) -> bytes:
    """Return ``length`` bytes of the body of ``seed``, from ``offset`` on."""
    start = offset % PERIOD
    if length <= PERIOD:
        return bytes(_twice(seed)[start : start + length])
    block = bytes(_twice(seed)[start : start + PERIOD])
    return block * (length // PERIOD) + block[: length % PERIOD]


def chunks(seed: int, length: int, size: int = CHUNK) -> Iterator[bytes]:
    """Yield the body of ``seed`` in pieces of at most ``size`` bytes."""
    for offset in range(0, length, size):
        yield patterned(seed, min(size, length - offset), offset)


class PatternCheck:
    """Compares a stream, piece by piece, with the body of a seed."""

    def __init__(self, seed: int) -> None:
        self.position = 0
        """Bytes seen so far."""
        self.wrong_at: int | None = None
        """Offset of the first byte that differs."""
        self._seed = seed

    def feed(self, data: bytes) -> None:
        """Compare the next piece."""
        expected = patterned(self._seed, len(data), self.position)
        if self.wrong_at is None and data != expected:
            pairs = zip(data, expected, strict=True)
            self.wrong_at = self.position + next(i for i, (a, b) in enumerate(pairs) if a != b)
        self.position += len(data)
