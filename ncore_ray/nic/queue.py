"""A queue of packets between one kernel and one control thread of the same process.

The pcap and the memory driver take their packets from one and put what they send into another; traces leave through one
too. It lies in memory private to the process: one producer, one consumer, whole packets behind each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from ncore_ray.machine.atomic import load_acquire, store_release
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import copy
from ncore_ray.machine.record import I32, I64, Pad6, Pad7, Record, address_of, new, pointer_to, size_of


class PacketQueue(Record):
    """Head of a queue. Indices count bytes and only grow; a byte's place is its index modulo the capacity."""

    tail: I64
    """Published by the producer."""
    pad_0: Pad7
    head: I64
    """Published by the consumer."""
    pad_1: Pad7
    bytes: I64
    """Address of the memory."""
    capacity: I64
    pad_2: Pad6


class PacketEntry(Record):
    """What stands before the bytes of one packet."""

    at: I64
    """When it was sent or received, µs."""
    length: I32
    """Bytes; −1 says that the memory's end was too short and the next entry lies at its start."""
    mark: I32
    """Of a received packet: its `Checksum` state, and `CUT`."""


packet_queue_at = pointer_to(PacketQueue)
packet_entry_at = pointer_to(PacketEntry)
_TAIL: Final = 0
_HEAD: Final = 64
ENTRY_HEAD: Final = size_of(PacketEntry)
CUT: Final = 8
"""Mark of a packet of which a part is missing."""
_SKIP: Final = -1


@kernel
def entry_size(length: int) -> int:
    """Return the bytes that a packet takes in a queue."""
    return ENTRY_HEAD + ((length + 15) & ~15)


@kernel
def queue_room(queue: PacketQueue) -> int:
    """Producer: return how many bytes are free."""
    return queue.capacity - (queue.tail - load_acquire(address_of(queue) + _HEAD))


@kernel
def queue_put(queue: PacketQueue, at: int, source: int, length: int, mark: int) -> int:
    """Producer: append a packet; return 1, or 0 if there is no room for it."""
    wanted = entry_size(length)
    tail = queue.tail
    to_end = queue.capacity - tail % queue.capacity
    gap = to_end if to_end < wanted else 0
    if queue_room(queue) < gap + wanted:
        return 0
    if gap:
        packet_entry_at(queue.bytes + tail % queue.capacity).length = _SKIP
        tail += gap
    entry = packet_entry_at(queue.bytes + tail % queue.capacity)
    entry.at = at
    entry.length = length
    entry.mark = mark
    copy(address_of(entry) + ENTRY_HEAD, source, length)
    store_release(address_of(queue) + _TAIL, tail + wanted)
    return 1


@kernel
def queue_first(queue: PacketQueue) -> int:
    """Consumer: return the address of the first `PacketEntry` (its bytes follow), or 0 if there is none."""
    tail = load_acquire(address_of(queue) + _TAIL)
    if queue.head == tail:
        return 0
    at = queue.bytes + queue.head % queue.capacity
    if packet_entry_at(at).length != _SKIP:
        return at
    store_release(address_of(queue) + _HEAD, queue.head + queue.capacity - queue.head % queue.capacity)
    return queue.bytes


@kernel
def queue_drop_first(queue: PacketQueue) -> int:
    """Consumer: give the place of the first packet back, after `queue_first` returned it."""
    first = packet_entry_at(queue.bytes + queue.head % queue.capacity)
    store_release(address_of(queue) + _HEAD, queue.head + entry_size(first.length))
    return 0


@entry_kernel
def queue_push(queue: int, at: int, source: int, length: int, mark: int) -> int:
    """Append a packet to the queue at an address, for control code; return 1, or 0 if there is no room."""
    return queue_put(packet_queue_at(queue), at, source, length, mark)


@entry_kernel
def queue_drain(queue: int, target: int, capacity: int) -> int:
    """Move packets to ``target``, entries one behind the other, while they fit; return the bytes written."""
    source = packet_queue_at(queue)
    written = 0
    first = queue_first(source)
    while first != 0:
        size = entry_size(packet_entry_at(first).length)
        if written + size > capacity:
            break
        copy(target + written, first, size)
        queue_drop_first(source)
        written += size
        first = queue_first(source)
    return written


class Taken(NamedTuple):
    """A packet taken from a queue: its time (µs), its bytes, its mark."""

    at: int
    data: bytes
    mark: int


_DRAIN_BYTES: Final = 1 << 20


class PrivateQueue:
    """A queue and its memory, as control code holds it."""

    def __init__(self, capacity: int = 8 << 20) -> None:
        """Make an empty queue of ``capacity`` bytes (rounded up to a multiple of 16)."""
        self._head_memory, self.head, self.address = new(PacketQueue)
        self._memory = np.zeros(max(-(-capacity // 16) * 16, 64), np.uint8)
        self._drained = np.zeros(_DRAIN_BYTES, np.uint8)
        self.head.bytes = self._memory.ctypes.data
        self.head.capacity = self._memory.size

    @staticmethod
    def capacity_for(lengths: list[int]) -> int:
        """Return the bytes of a queue that holds packets of these lengths at once."""
        return sum(ENTRY_HEAD + -(-length // 16) * 16 for length in lengths)

    def __len__(self) -> int:
        """Return the bytes that wait, entry heads included."""
        return self.head.tail - self.head.head

    def put(self, data: bytes, at: int = 0, mark: int = 0) -> bool:
        """Append a packet; return False if there is no room."""
        source = np.frombuffer(data or b"\0", np.uint8)
        return bool(queue_push(self.address, at, source.ctypes.data, len(data), mark))

    def drain(self) -> Iterator[Taken]:
        """Take all packets that wait, in order."""
        while size := queue_drain(self.address, self._drained.ctypes.data, self._drained.size):
            yield from _parse(self._drained[:size].tobytes())


def _parse(entries: bytes) -> Iterator[Taken]:
    place = 0
    while place < len(entries):
        at = int.from_bytes(entries[place : place + 8], "little", signed=True)
        length = int.from_bytes(entries[place + 8 : place + 12], "little")
        mark = int.from_bytes(entries[place + 12 : place + 16], "little")
        start = place + ENTRY_HEAD
        yield Taken(at, entries[start : start + length], mark)
        place = start + (length + 15) // 16 * 16
