"""The rooms in which an engine puts fragmented packets together again: plain data in its partition."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import check_index
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of

HEAD: Final = 256
"""Bytes of Ethernet, IP and extension headers at the most."""
CONTENT: Final = HEAD
"""Where the content begins in a room …"""
MAP: Final = HEAD + 65_536
"""… and where the map, a byte for each 8 bytes of content."""
MAP_SIZE: Final = 8_192
ROOM: Final = MAP + MAP_SIZE


class ReassemblyState(IntEnum):
    """What a room is used for."""

    FREE = 0
    FILLING = 1
    SPOILT = 2
    """Fragments overlapped: what still comes of the packet is thrown away."""
    WHOLE = 3
    """Its packet was delivered; its bytes may be named until the flush of that breath."""


class Reassembly(Record):
    """One packet under way."""

    state: I64
    """`ReassemblyState`"""
    source_high: I64
    source_low: I64
    destination_high: I64
    destination_low: I64
    identification: I64
    protocol: I64
    """−1 in IPv6."""
    total: I64
    """Bytes of content; −1 until the last fragment is there."""
    received: I64
    end: I64
    """Behind the last byte that is there."""
    header_length: I64
    """Of the headers, from the Ethernet header on; 0 until the first fragment is there."""
    first_length: I64
    """Bytes of content that the first fragment brought."""
    nic: I64
    started_at: I64
    """When its first fragment came; when it was delivered."""


reassembly_at = pointer_to(Reassembly)
REASSEMBLY_SIZE: Final = size_of(Reassembly)


@kernel
def reassembly_of(engine: Engine, number: int) -> Reassembly:
    """Return the record of a room."""
    if CHECKED:
        check_index(number, engine.reassembly_count)
    return reassembly_at(base_of(engine) + engine.reassemblies + number * REASSEMBLY_SIZE)


@kernel
def room_of(engine: Engine, number: int) -> int:
    """Return the address of a room."""
    return base_of(engine) + engine.reassembly_rooms + number * ROOM
