"""A heap of the packets that a fault injector holds: the first due comes out first, equals in the order they came."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy
from ncore_ray.machine.record import I64, Record, pointer_to, size_of


class HeldPacket(Record):
    """One packet that waits for its time."""

    due_at: I64
    sequence: I64
    """Number of the packet among all that were held: breaks ties."""
    slot: I64
    """Where its bytes lie."""
    length: I64
    checksum: I64


held_packet_at = pointer_to(HeldPacket)
HELD_SIZE: Final = size_of(HeldPacket)


@kernel
def held_at(heap: int, index: int) -> HeldPacket:
    """Return an entry of the heap at an address."""
    return held_packet_at(heap + index * HELD_SIZE)


@kernel
def _before(heap: int, left: int, right: int) -> bool:
    a = held_at(heap, left)
    b = held_at(heap, right)
    if a.due_at != b.due_at:
        return a.due_at < b.due_at
    return a.sequence < b.sequence


@kernel
def _swap(heap: int, left: int, right: int, spare: int) -> int:
    """Exchange two entries; ``spare`` is the index of a place that holds none."""
    copy(heap + spare * HELD_SIZE, heap + left * HELD_SIZE, HELD_SIZE)
    copy(heap + left * HELD_SIZE, heap + right * HELD_SIZE, HELD_SIZE)
    copy(heap + right * HELD_SIZE, heap + spare * HELD_SIZE, HELD_SIZE)
    return 0


@kernel
def held_push(heap: int, count: int) -> int:
    """Take the entry that was written at index ``count`` into the heap; there is room for one entry more behind it."""
    index = count
    while index > 0:
        parent = (index - 1) >> 1
        if not _before(heap, index, parent):
            break
        _swap(heap, index, parent, count + 1)
        index = parent
    return 0


@kernel
def held_pop(heap: int, count: int) -> int:
    """Move the first of ``count`` entries behind the others, to index ``count`` − 1, and return that index."""
    last = count - 1
    _swap(heap, 0, last, count)
    index = 0
    while 2 * index + 1 < last:
        child = 2 * index + 1
        if child + 1 < last and _before(heap, child + 1, child):
            child += 1
        if not _before(heap, child, index):
            break
        _swap(heap, index, child, count)
        index = child
    return last
