"""Cookies of TCP Fast Open (RFC 7413 §4.1.2): a client that was here shows by one that its address is its own.

A keyed hash of the address and the time, so nothing is kept of anybody. It is good for one to two periods, at every
engine, as its secret is the arena's.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.hash import hash_tuple
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import write_fast_open

_PERIOD_BITS: Final = 36
"""19 hours."""
_COOKIE: Final = 8
_KEY: Final = 0x4661_7374


@kernel
def _half(engine: Engine, high: int, low: int, period: int, half: int) -> int:
    arena = arena_at(base_of(engine))
    return hash_tuple(arena.secret_0 ^ _KEY, arena.secret_1, high, low, period, half, 0)


@kernel
def write_fast_open_cookie(engine: Engine, target: int, high: int, low: int) -> int:
    """Write the option with the cookie of a client's address; return its bytes."""
    period = engine.now >> _PERIOD_BITS
    return write_fast_open(target, _half(engine, high, low, period, 0), _half(engine, high, low, period, 1))


@kernel
def has_valid_cookie(engine: Engine, packet: Packet) -> int:
    """Return 1 if a SYN brings a cookie that its sender's address was told."""
    if packet.fast_open != _COOKIE:
        return 0
    high, low = packet.source_high, packet.source_low
    for age in range(2):
        period = (engine.now >> _PERIOD_BITS) - age
        if packet.fast_open_high == _half(engine, high, low, period, 0):
            return 1 if packet.fast_open_low == _half(engine, high, low, period, 1) else 0
    return 0
