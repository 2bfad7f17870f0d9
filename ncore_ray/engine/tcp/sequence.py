"""Arithmetic on sequence numbers, modulo 2³² (RFC 9293 §3.4). The only place where it is done."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel

_HALF: Final = 1 << 31


@kernel
def seq_add(a: int, count: int) -> int:
    """Return the sequence number ``count`` (which may be negative) after ``a``."""
    return (a + count) & MASK32


@kernel
def seq_diff(a: int, b: int) -> int:
    """Return how far ``a`` is after ``b``: −2³¹ … 2³¹−1."""
    return ((a - b + _HALF) & MASK32) - _HALF


@kernel
def seq_lt(a: int, b: int) -> int:
    """Return 1 if ``a`` is before ``b``."""
    return 1 if seq_diff(a, b) < 0 else 0


@kernel
def seq_le(a: int, b: int) -> int:
    """Return 1 if ``a`` is before ``b`` or the same."""
    return 1 if seq_diff(a, b) <= 0 else 0


@kernel
def seq_max(a: int, b: int) -> int:
    """Return the later of two."""
    return a if seq_diff(a, b) >= 0 else b


@kernel
def seq_min(a: int, b: int) -> int:
    """Return the earlier of two."""
    return a if seq_diff(a, b) <= 0 else b
