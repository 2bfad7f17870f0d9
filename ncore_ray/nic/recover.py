"""What the successor of a NIC's actor that died does before its first breath, so that no frame is lost or freed twice.

`reader_breath` and `writer_breath` store in an order that leaves, at any instant, one of two traces of each frame: its
owner, or a word that one side has written or taken and not published yet.
"""

from __future__ import annotations

from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import descriptor_frame, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.recover import ring_word
from ncore_ray.arena.ring import Ring, ring_give_back, ring_publish, ring_room, ring_write
from ncore_ray.arena.rings import return_ring, transmit_return_ring, transmit_ring
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.nic.partition import Reader, Writer, push_free, reader_of, take_back, writer_of
from ncore_ray.nic.spread import fed_ring, fed_rings


@kernel
def _take_back_unpublished(base: int, reader: Reader) -> int:
    """Frames whose descriptors no distributor ever saw are the reader's again."""
    for decider in range(fed_rings(base, reader)):
        ring = fed_ring(base, reader, decider)
        for index in range(ring.tail, ring.written):
            take_back(base, reader, descriptor_frame(ring_word(ring, index)))
        ring.written = ring.tail
    return 0


@kernel
def _finish_collecting(base: int, reader: Reader, ring: Ring) -> int:
    """Frames of words taken and not given back are home; to say so once more does no harm."""
    for index in range(ring.head, ring.taken):
        take_back(base, reader, descriptor_frame(ring_word(ring, index)))
    return ring_give_back(ring)


@entry_kernel
def rebuild_free(base: int, queue: int) -> int:
    """Make a queue's reader whole again: its stack of free frames from the owners; return how many are free.

    The former reader has ended. What lies published in rings stays there and comes home in time.
    """
    reader = reader_of(base, queue)
    _take_back_unpublished(base, reader)
    for actor in range(Actor.ENGINE + arena_at(base).engine_count):
        _finish_collecting(base, reader, return_ring(base, actor, queue))
    reader.free_count = 0
    for frame in range(arena_at(base).frame_count):
        if frame_meta(base, frame).owner == reader.actor:
            push_free(base, reader, frame)
    return reader.free_count


@kernel
def _is_on_its_way(home: Ring, frame: int) -> bool:
    found = 0
    for index in range(home.tail, home.written):
        found += descriptor_frame(ring_word(home, index)) == frame
    return found > 0


@kernel
def _send_rest_home(base: int, writer: Writer, engine: int) -> int:
    """Return the frames of words taken and not given back; their packets count as lost on the wire."""
    taken = transmit_ring(base, engine, writer.nic)
    home = transmit_return_ring(base, engine, writer.nic)
    count = 0
    for index in range(taken.head, taken.taken):
        frame = descriptor_frame(ring_word(taken, index))
        if not _is_on_its_way(home, frame) and ring_room(home, 1):
            ring_write(home, frame)
            count += 1
    ring_give_back(taken)
    ring_publish(home)
    return count


@entry_kernel
def recover_writer(base: int, nic: int) -> int:
    """Make a NIC's writer whole again; return how many frames it had taken and not sent home."""
    writer = writer_of(base, nic)
    count = 0
    for engine in range(arena_at(base).engine_count):
        count += _send_rest_home(base, writer, engine)
    return count
