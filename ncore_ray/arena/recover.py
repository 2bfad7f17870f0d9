"""What the successor of an actor that died does with the rings that the actor wrote to.

A word is written, then its frame changes its owner, then many words are published together (`ring_write` and who calls
it). So a frame that was handed on lies in a ring, whether the death came before or after the change of the owner.
"""

from __future__ import annotations

from ncore_ray.arena.frame import IN_TRANSIT, descriptor_frame, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import Ring, ring_place, ring_publish
from ncore_ray.arena.rings import return_ring
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64


@kernel
def ring_word(ring: Ring, index: int) -> int:
    """Return the word with an index."""
    return load64(ring_place(ring, index))


@kernel
def is_unpublished(ring: Ring, frame: int) -> int:
    """Return 1 if a word that names a frame was written and not published yet."""
    found = 0
    for index in range(ring.tail, ring.written):
        found |= descriptor_frame(ring_word(ring, index)) == frame
    return found


@kernel
def finish_ring(base: int, ring: Ring, owner: int) -> int:
    """Publish what was written; the frames are those of an owner. Return how many words that was."""
    for index in range(ring.tail, ring.written):
        frame_meta(base, descriptor_frame(ring_word(ring, index))).owner = owner
    return ring_publish(ring)


@kernel
def finish_homes(base: int, actor: int) -> int:
    """Publish the received frames that an actor had put on their way home."""
    for queue in range(arena_at(base).queue_count):
        finish_ring(base, return_ring(base, actor, queue), IN_TRANSIT)
    return 0
