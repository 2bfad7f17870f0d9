"""Single-producer single-consumer rings of 64-bit words.

The producer writes words behind the published tail and publishes many at once with one release store; the consumer
takes words and gives the places back with one release store. Each side keeps what the other wrote last in its own
cache line, so that the shared lines move between cores once per batch, not once per word (Lamport 1983; the cached
indices are those of FastForward and of DPDK's rte_ring).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.atomic import compiler_fence, load_acquire, store_release
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import CACHE_LINE, I64, Pad6, Pad7, Record, address_of, pointer_to, size_of


class Ring(Record):
    """Head of a ring; ``capacity`` words (a power of two) follow it.

    Indices only grow; a word's place is its index modulo the capacity.
    """

    tail: I64
    """Published by the producer: the index after the last word that the consumer may take."""
    pad_0: Pad7
    written: I64
    """The producer's own: the index after the last word written, published or not."""
    seen_head: I64
    """The producer's own: `head` when it last looked."""
    pad_1: Pad6
    head: I64
    """Published by the consumer: the index of the first word whose place is still taken."""
    pad_2: Pad7
    taken: I64
    """The consumer's own: the index after the last word taken, given back or not."""
    seen_tail: I64
    """The consumer's own: `tail` when it last looked."""
    pad_3: Pad6
    capacity: I64
    pad_4: Pad7


ring_at = pointer_to(Ring)
RING_HEAD_SIZE: Final = size_of(Ring)
assert RING_HEAD_SIZE % CACHE_LINE == 0
_TAIL: Final = 0
_HEAD: Final = 2 * CACHE_LINE


def ring_size(capacity: int) -> int:
    """Return the bytes of a ring of ``capacity`` words (a power of two)."""
    if capacity < 2 or capacity & (capacity - 1):
        raise ValueError(f"the capacity of a ring is a power of two, not {capacity}")
    return RING_HEAD_SIZE + 8 * capacity


@kernel
def ring_room(ring: Ring, wanted: int) -> int:
    """Producer: return how many words can be written; looks at the consumer's index only if fewer than wanted."""
    room = ring.capacity - (ring.written - ring.seen_head)
    if room < wanted:
        ring.seen_head = load_acquire(address_of(ring) + _HEAD)
        room = ring.capacity - (ring.written - ring.seen_head)
    return room


@kernel
def ring_write(ring: Ring, word: int) -> int:
    """Producer: write one word behind the published ones; the caller has made sure that there is room.

    What the caller stores next is stored after it: a successor finds the word and then knows of the rest.
    """
    place = ring.written & (ring.capacity - 1)
    store64(address_of(ring) + RING_HEAD_SIZE + 8 * place, word)
    compiler_fence()
    ring.written += 1
    return compiler_fence()


@kernel
def ring_publish(ring: Ring) -> int:
    """Producer: let the consumer see all words written; return how many that were."""
    count = ring.written - ring.tail
    if count:
        store_release(address_of(ring) + _TAIL, ring.written)
    return count


@kernel
def ring_waiting(ring: Ring) -> int:
    """Consumer: return how many words can be taken; looks at the producer's index only if none is known."""
    count = ring.seen_tail - ring.taken
    if count == 0:
        ring.seen_tail = load_acquire(address_of(ring) + _TAIL)
        count = ring.seen_tail - ring.taken
    return count


@kernel
def ring_take(ring: Ring) -> int:
    """Consumer: take one word; the caller has made sure that one is waiting."""
    place = ring.taken & (ring.capacity - 1)
    word = load64(address_of(ring) + RING_HEAD_SIZE + 8 * place)
    ring.taken += 1
    compiler_fence()  # whatever becomes of the word, a successor knows that it was taken
    return word


@kernel
def ring_peek(ring: Ring, ahead: int) -> int:
    """Consumer: return a word that waits without taking it, ``ahead`` places behind the next one."""
    place = (ring.taken + ahead) & (ring.capacity - 1)
    return load64(address_of(ring) + RING_HEAD_SIZE + 8 * place)


@kernel
def ring_place(ring: Ring, index: int) -> int:
    """Return the address of the word with an index."""
    return address_of(ring) + RING_HEAD_SIZE + 8 * (index & (ring.capacity - 1))


@kernel
def ring_give_back(ring: Ring) -> int:
    """Consumer: let the producer write again to the places of all words taken."""
    if ring.head != ring.taken:
        store_release(address_of(ring) + _HEAD, ring.taken)
    return 0
