"""HalfSipHash-2-4 (Aumasson, Bernstein: "SipHash", the 32-bit variant of the reference code).

A keyed pseudo-random function for table look-ups that a sender cannot steer into one bucket, and for initial sequence
numbers (RFC 6528). Words are 32-bit values in 64-bit integers, so that kernels and plain Python agree.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel

MASK32: Final = 0xFFFF_FFFF


@kernel
def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & MASK32


@kernel
def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & MASK32
    v1 = _rotate(v1, 5) ^ v0
    v0 = _rotate(v0, 16)
    v2 = (v2 + v3) & MASK32
    v3 = _rotate(v3, 8) ^ v2
    v0 = (v0 + v3) & MASK32
    v3 = _rotate(v3, 7) ^ v0
    v2 = (v2 + v1) & MASK32
    v1 = _rotate(v1, 13) ^ v2
    return v0, v1, _rotate(v2, 16), v3


@kernel
def sip_begin(key0: int, key1: int) -> tuple[int, int, int, int]:
    """Return the state for a 64-bit key given as two 32-bit words."""
    return key0, key1, 0x6C79_6765 ^ key0, 0x7465_6462 ^ key1


@kernel
def sip_word(v0: int, v1: int, v2: int, v3: int, word: int) -> tuple[int, int, int, int]:
    """Take one 32-bit word of the message."""
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ word, v1, v2, v3


@kernel
def sip_end(v0: int, v1: int, v2: int, v3: int, length: int) -> int:
    """Return the 32-bit hash of a message of ``length`` bytes, a multiple of 4."""
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, (length & 0xFF) << 24)
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v1 ^ v3


@kernel
def hash_tuple(key0: int, key1: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """Return the hash of five 64-bit words under a 64-bit key: the shape of a flow's addresses and ports."""
    v0, v1, v2, v3 = sip_begin(key0, key1)
    for word in (a, b, c, d, e):
        v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, word & MASK32)
        v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, (word >> 32) & MASK32)
    return sip_end(v0, v1, v2, v3, 40)
