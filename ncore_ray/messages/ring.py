"""Single-producer single-consumer rings of messages of any length.

A message is its length (a word) and its bytes, padded to whole words, in one piece: where it does not fit before the
ring's end, a word says so and it lies at the start. The producer publishes each with a release store of `tail`, the
consumer gives its place back with one of `head`.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import cancel_sleep, core_at, prepare_sleep, sleep, wake
from ncore_ray.machine.atomic import load_acquire, store_release
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import copy, load64, store64
from ncore_ray.machine.record import CACHE_LINE, I64, Pad7, Record, pointer_to, size_of


class MessageRing(Record):
    """Head of a ring; ``capacity`` bytes (a power of two) follow. Indices count bytes, and only grow."""

    tail: I64
    """Published by the producer."""
    pad_0: Pad7
    head: I64
    """Published by the consumer."""
    pad_1: Pad7
    capacity: I64
    pad_2: Pad7


message_ring_at = pointer_to(MessageRing)
MESSAGE_RING_SIZE: Final = size_of(MessageRing)
NOTHING: Final = -1
"""There is no message."""
SENDER_SHIFT: Final = 32
_HEAD: Final = CACHE_LINE
_WORD: Final = 8
_SKIP: Final = -1
"""In the place of a length: the message lies at the ring's start."""
assert MESSAGE_RING_SIZE % CACHE_LINE == 0


@kernel
def _needed(length: int) -> int:
    """Return the bytes that a message takes."""
    return _WORD + ((length + _WORD - 1) & -_WORD)


@entry_kernel
def put_message(ring_address: int, inbox_address: int, source: int, length: int) -> int:
    """Write a message, and wake who reads it if it sleeps; return 0, and write nothing, if there is no room now."""
    ring = message_ring_at(ring_address)
    needed = _needed(length)
    place = ring.tail & (ring.capacity - 1)
    rest = ring.capacity - place
    skipped = rest if rest < needed else 0
    if ring.tail + skipped + needed - load_acquire(ring_address + _HEAD) > ring.capacity:
        return 0
    data = ring_address + MESSAGE_RING_SIZE
    if skipped:
        store64(data + place, _SKIP)
        place = 0
    store64(data + place, length)
    copy(data + place + _WORD, source, length)
    store_release(ring_address, ring.tail + skipped + needed)
    wake(core_at(inbox_address))
    return 1


@kernel
def _take(ring_address: int, target: int) -> int:
    ring = message_ring_at(ring_address)
    head = ring.head
    if load_acquire(ring_address) == head:
        return NOTHING
    data = ring_address + MESSAGE_RING_SIZE
    place = head & (ring.capacity - 1)
    length = load64(data + place)
    if length == _SKIP:
        head += ring.capacity - place
        place = 0
        length = load64(data)
    copy(target, data + place + _WORD, length)
    store_release(ring_address + _HEAD, head + _needed(length))
    return length


@entry_kernel
def take_message(first_ring: int, stride: int, count: int, start: int, target: int) -> int:
    """Take a message out of one of the rings that lead here, the first looked at being ``start``.

    Returns NOTHING, or the message's length and, from SENDER_SHIFT on, the ring's number. The target has to have room
    for the longest message.
    """
    for step in range(count):
        place = (start + step) % count
        length = _take(first_ring + place * stride, target)
        if length != NOTHING:
            return length | place << SENDER_SHIFT
    return NOTHING


@kernel
def _has_message(first_ring: int, stride: int, count: int) -> int:
    for place in range(count):
        address = first_ring + place * stride
        if load_acquire(address) != message_ring_at(address).head:
            return 1
    return 0


@entry_kernel
def await_message(inbox_address: int, first_ring: int, stride: int, count: int, timeout_us: int, scratch: int) -> int:
    """Sleep until a message comes or the time is over; return 1 if there is one. ``scratch``: 16 private bytes."""
    inbox = core_at(inbox_address)
    word = prepare_sleep(inbox)
    if _has_message(first_ring, stride, count):
        cancel_sleep(inbox)
        return 1
    sleep(inbox, word, timeout_us, scratch)
    return _has_message(first_ring, stride, count)
