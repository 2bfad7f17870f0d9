"""Random numbers that are the same every time: a generator whose whole state is one number."""

from __future__ import annotations

import hashlib

from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel


@kernel
def random_after(x: int) -> int:
    """Return the number of 1 … 2³²−1 after another (Marsaglia 2003, "Xorshift RNGs", triple 13, 17, 5)."""
    x ^= (x << 13) & MASK32
    x ^= x >> 17
    x ^= (x << 5) & MASK32
    return x


def seed_of(seed: int, sequence: int) -> int:
    """Return the number that a sequence begins with; the sequences of one seed have nothing to do with each other."""
    digest = hashlib.sha256(f"{seed} {sequence}".encode()).digest()
    return int.from_bytes(digest[:4], "big") or 1
