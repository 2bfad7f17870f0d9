"""Large packets that go on as they came: read from the socket's queue straight into a chain of frames, uncut."""

from __future__ import annotations

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME, frame_address, frame_meta
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32
from ncore_ray.machine.system import readv
from ncore_ray.nic.burst import VECTOR_SIZE, vector_at
from ncore_ray.nic.local import ReaderLocal
from ncore_ray.nic.partition import Reader, counters_of_reader
from ncore_ray.nic.receive import next_slot


@kernel
def frames_of(length: int) -> int:
    """Return how many frames a packet of ``length`` bytes takes."""
    return (length + FRAME_SIZE - 1) // FRAME_SIZE


@kernel
def _link_free(base: int, reader: Reader, local: ReaderLocal, count: int) -> int:
    """Make a chain of the top ``count`` free frames, which stay on the stack, and name their places to the kernel."""
    following = NO_FRAME
    for index in range(count - 1, -1, -1):
        frame = load32(base + reader.free_frames + 4 * (reader.free_count - 1 - index))
        frame_meta(base, frame).next = following
        following = frame
        vector = vector_at(local.vectors + index * VECTOR_SIZE)
        vector.base = frame_address(base, frame)
        vector.length = FRAME_SIZE
    return following


@kernel
def receive_chain(base: int, reader: Reader, local: ReaderLocal) -> int:
    """Read the large packet that waits into a chain of the top free frames; return how many, 0: it was dropped.

    The frames stay on the stack, the first one at its top.
    """
    count = frames_of(local.length)
    _link_free(base, reader, local, count)
    length = readv(local.fd, local.vectors, count)
    next_slot(local)
    counters = counters_of_reader(reader)
    if length != local.length:
        counters.drop_nic_truncated_packets += 1
        return 0
    counters.received_large_packets += 1
    counters.received_parts += 1
    counters.chained_frames += count - 1
    return count
