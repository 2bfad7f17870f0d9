"""The ECN field of IP headers: two bits that say whether a packet may be marked, and was (RFC 3168 §5)."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, store8, store16be

MARKED: Final = 3
"""Congestion experienced (CE)."""
_CAPABLE: Final = 2
"""ECT(0)."""
_MASK: Final = 3
_V6_SHIFT: Final = 4


@kernel
def ecn_field(header: int) -> int:
    """Return the field of an IP header of either family."""
    second = load8(header + 1)
    return (second if load8(header) >> 4 == 4 else second >> _V6_SHIFT) & _MASK


@kernel
def make_capable(header: int) -> int:
    """Let a header that we wrote, with a field of 0, say that the packet may be marked; a checksum follows."""
    if load8(header) >> 4 != 4:
        return store8(header + 1, load8(header + 1) | _CAPABLE << _V6_SHIFT)
    store8(header + 1, load8(header + 1) | _CAPABLE)
    total = load16be(header + 10) - _CAPABLE  # RFC 1624: what is added to a word leaves the checksum
    return store16be(header + 10, total if total >= 0 else total + 0xFFFF)
