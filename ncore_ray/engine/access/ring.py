"""A ring of notes of any length, from one engine to the management: bytes behind each other in a circle in the arena.

One producer, one consumer. A note never wraps: what is left at the end of the circle is filled with one of kind 0.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.atomic import load_acquire, store_release
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import copy, store64
from ncore_ray.machine.record import I64, Pad6, Pad7, Record, address_of, offset_of, pointer_to, size_of


class NoteRing(Record):
    """Head of a ring; its bytes follow. Indices count bytes and only grow."""

    tail: I64
    """Published by the engine."""
    pad_0: Pad7
    head: I64
    """Published by the management."""
    pad_1: Pad7
    capacity: I64
    """A power of two."""
    written: I64
    """The engine's own: `tail` once the note that it writes is published."""
    pad_2: Pad6


note_ring_at = pointer_to(NoteRing)
RING_HEAD: Final = size_of(NoteRing)
_HEAD: Final = offset_of(NoteRing, "head")


@kernel
def begin_note(ring: NoteRing, length: int) -> int:
    """Return the address of room for a note of ``length`` bytes (a multiple of 8), or 0 if there is none."""
    data = address_of(ring) + RING_HEAD
    place = ring.tail & (ring.capacity - 1)
    filler = ring.capacity - place if place + length > ring.capacity else 0
    if ring.tail + filler + length - load_acquire(address_of(ring) + _HEAD) > ring.capacity:
        return 0
    if filler:
        store64(data + place, filler)
        store64(data + place + 8, 0)
        place = 0
    ring.written = ring.tail + filler + length
    return data + place


@kernel
def publish_note(ring: NoteRing) -> int:
    """Let the management see the note that was begun last, whole."""
    return store_release(address_of(ring), ring.written)


@entry_kernel
def drain_notes(ring_address: int, target: int) -> int:
    """Move the notes up to the circle's end, as many as there are, to ``target``; return their bytes.

    ``target`` has room for the ring's capacity. The management calls this again until it returns 0.
    """
    ring = note_ring_at(ring_address)
    place = ring.head & (ring.capacity - 1)
    length = min(load_acquire(ring_address) - ring.head, ring.capacity - place)
    copy(target, ring_address + RING_HEAD + place, length)
    store_release(ring_address + _HEAD, ring.head + length)
    return length
