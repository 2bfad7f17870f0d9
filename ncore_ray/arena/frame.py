"""Frames: places for packets and for the bytes of streams, each with one owner, and the words that hand them over."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.record import I16, I32, Record, pointer_to, size_of

FRAME_SIZE: Final = 2048
"""Bytes of a frame: the largest packet of an MTU up to 2,034, or a piece of a byte stream."""
NO_FRAME: Final = -1
IN_TRANSIT: Final = -3
"""Instead of an owner: the frame lies in a ring on its way home, or to another engine, and is theirs who take it."""
CHAINED: Final = -2
"""Instead of an owner: the frame goes where the first one of its packet goes."""
RECEIVED: Final = 1 << 16
"""Added to the number of an owner: the frame holds a received packet, and goes home to the NIC's reader from there. A
frame of an engine's own pool never has it, so a successor can tell the two apart."""


class FrameMeta(Record):
    """What is known of one frame. A received packet uses the owner and the link; a piece of a stream all fields.

    A received packet longer than a frame lies in a chain of them, all full but the last. Its descriptor names the
    first, which alone has an owner.
    """

    owner: I32
    """Number of the actor that must send, hand on or free it (`Actor`), with RECEIVED if it holds a packet."""
    next: I32
    """Next frame of a chain, or −1."""
    start: I16
    """First byte in use."""
    end: I16
    """After the last byte in use."""
    home: I32
    """Number of the engine whose pool it is of, if it is not a NIC's."""


frame_meta_at = pointer_to(FrameMeta)
_META_SIZE: Final = size_of(FrameMeta)


class Checksum(IntEnum):
    """What the NIC says of a packet's transport checksum."""

    UNKNOWN = 0
    """Not looked at: the engine verifies it."""
    VALID = 1
    PARTIAL = 2
    """Not computed, because the packet never left this machine (veth): to be trusted."""


@kernel
def frame_address(base: int, index: int) -> int:
    """Return the address of a frame's bytes."""
    if CHECKED:
        check_index(index, arena_at(base).frame_count)
    return base + arena_at(base).frames + index * FRAME_SIZE


@kernel
def frame_meta(base: int, index: int) -> FrameMeta:
    """Return a frame's meta record."""
    if CHECKED:
        check_index(index, arena_at(base).frame_count)
    return frame_meta_at(base + arena_at(base).frame_metas + index * _META_SIZE)


MAX_QUEUES: Final = 255
"""Receive queues that a descriptor can name."""

# A descriptor is one word of a ring: frame index (32 bits), length (20), receive queue or NIC (8), checksum state (3).


@kernel
def make_descriptor(frame: int, length: int, nic: int, checksum: int) -> int:
    """Return the word that hands a packet to another actor."""
    return frame | length << 32 | nic << 52 | checksum << 60


@kernel
def descriptor_frame(word: int) -> int:
    """Return the frame index of a descriptor."""
    return word & 0xFFFF_FFFF


@kernel
def descriptor_length(word: int) -> int:
    """Return the packet's bytes."""
    return (word >> 32) & 0xF_FFFF


@kernel
def descriptor_nic(word: int) -> int:
    """Return the number of the NIC that shall send the packet."""
    return (word >> 52) & 0xFF


@kernel
def descriptor_queue(word: int) -> int:
    """Return the number of the queue that the packet was received by."""
    return (word >> 52) & 0xFF


@kernel
def descriptor_checksum(word: int) -> int:
    """Return the packet's `Checksum` state."""
    return (word >> 60) & 0x7
