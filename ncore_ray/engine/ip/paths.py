"""What ways to other hosts let through: a table of path MTUs in an engine's partition (RFC 1191 §6.2, RFC 8201 §5.2).

An entry is of a peer's address, and of TCP or of datagrams: what is said of a connection has to quote a sequence number
in flight, what is said of a session only its ports, so nobody who can merely forge the latter makes segments small. It
counts for ten minutes. An address may stand in one of eight places; where all are taken the oldest gives way.

A process that dies between two stores leaves an entry without a time, which is a free one.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.machine.atomic import compiler_fence
from ncore_ray.machine.hash import hash_tuple
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.ipv4 import PROTOCOL_UDP

PATHS: Final = 512
_PLACES: Final = 8
LIFETIME_US: Final = 600_000_000
"""After that a larger packet is tried again (RFC 1191 §6.3, RFC 8201 §4)."""
NO_PATH: Final = 0


class PathMtu(Record):
    """The largest packet that was found to reach a host."""

    high: I64
    low: I64
    protocol: I64
    """IP protocol number: TCP or UDP."""
    mtu: I64
    """Bytes, from the IP header on."""
    noted_at: I64
    """When, µs; 0: the entry is free."""


path_at = pointer_to(PathMtu)
_SIZE: Final = size_of(PathMtu)
PATHS_SIZE: Final = _SIZE * PATHS


@kernel
def _first_place(engine: Engine, high: int, low: int, protocol: int) -> int:
    """Return the address of the first of the places that an entry may have."""
    arena = arena_at(base_of(engine))
    group = hash_tuple(arena.secret_0, arena.secret_1, high, low, protocol, 0, 0) % (PATHS // _PLACES)
    return base_of(engine) + engine.paths + group * _PLACES * _SIZE


@kernel
def find_path(engine: Engine, high: int, low: int, protocol: int) -> int:
    """Return the address of the entry of a host that is not too old, or NO_PATH."""
    if engine.paths_until <= engine.now:
        return NO_PATH
    place = _first_place(engine, high, low, protocol)
    for _ in range(_PLACES):
        path = path_at(place)
        if path.low == low and path.high == high and path.protocol == protocol and path.noted_at:
            return place if engine.now - path.noted_at < LIFETIME_US else NO_PATH
        place += _SIZE
    return NO_PATH


@kernel
def _place_for(engine: Engine, high: int, low: int, protocol: int) -> int:
    """Return the address of the place for a host: its own, else a free or the oldest one."""
    place = _first_place(engine, high, low, protocol)
    oldest = place
    for _ in range(_PLACES):
        path = path_at(place)
        if path.noted_at and path.low == low and path.high == high and path.protocol == protocol:
            return place
        if path.noted_at < path_at(oldest).noted_at:
            oldest = place
        place += _SIZE
    if engine.now - path_at(oldest).noted_at < LIFETIME_US and path_at(oldest).noted_at:
        counters_of(engine).path_mtu_evicted += 1
    return oldest


@kernel
def note_path(engine: Engine, high: int, low: int, protocol: int, mtu: int) -> int:
    """Note what the way to a host lets through from now on."""
    path = path_at(_place_for(engine, high, low, protocol))
    path.noted_at = 0
    compiler_fence()
    path.high, path.low, path.protocol, path.mtu = high, low, protocol, mtu
    compiler_fence()
    path.noted_at = engine.now
    engine.paths_until = engine.now + LIFETIME_US
    return 0


@kernel
def lower_path(engine: Engine, high: int, low: int, protocol: int, mtu: int) -> int:
    """Note what a router says of the way to a host, unless less is known: errors never make an entry larger."""
    place = find_path(engine, high, low, protocol)
    if place != NO_PATH and path_at(place).mtu < mtu:
        return 0
    return note_path(engine, high, low, protocol, mtu)


@kernel
def forget_path(engine: Engine, high: int, low: int, protocol: int) -> int:
    """Forget a host: the way to it takes all that leaves here."""
    place = find_path(engine, high, low, protocol)
    if place != NO_PATH:
        path_at(place).noted_at = 0
    return 0


@kernel
def datagram_mtu(engine: Engine, nic: int, high: int, low: int) -> int:
    """Return the longest packet that may go to a host as it is: what the NIC takes, or less where that is known."""
    own = nic_of(base_of(engine), nic).mtu
    place = find_path(engine, high, low, PROTOCOL_UDP)
    return min(own, path_at(place).mtu) if place != NO_PATH else own
