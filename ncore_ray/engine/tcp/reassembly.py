"""Segments that came too early: kept, each in a frame of its own, sorted by sequence number and bounded in number.

The first 8 bytes of such a frame hold the sequence number of its first byte.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, frame_address, frame_meta
from ncore_ray.engine.buffer import NO_FRAME, free_frame, has_memory, take_frame
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.pieces import take_payload
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.wire.packet import Packet

FEWEST_SEGMENTS: Final = 96
_MOST_SEGMENTS: Final = 1_024
_BYTES_PER_SEGMENT: Final = 1_024
_SMALL: Final = 128
"""Payload bytes of a segment below which a connection keeps the fewest only: each costs a walk along all others."""
_HEAD: Final = 8


class Kept(IntEnum):
    """What became of a segment that came too early."""

    NOT = 0
    NOW = 1
    BEFORE = 2
    """All its bytes are there already."""


@kernel
def early_limit(engine: Engine) -> int:
    """Return how many segments a connection may keep: a window of full ones and more, yet soon searched."""
    return max(FEWEST_SEGMENTS, min(engine.receive_limit // _BYTES_PER_SEGMENT, _MOST_SEGMENTS))


@kernel
def early_sequence(engine: Engine, frame: int) -> int:
    """Return the sequence number of the first byte in a frame of the queue."""
    meta = frame_meta(base_of(engine), frame)
    return seq_add(load64(frame_address(base_of(engine), frame)), meta.start - _HEAD)


@kernel
def early_length(engine: Engine, frame: int) -> int:
    """Return the payload bytes in a frame of the queue."""
    meta = frame_meta(base_of(engine), frame)
    return meta.end - meta.start


@kernel
def _position(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Return the last frame of the queue that begins at or before ``sequence``, or NO_FRAME."""
    before = NO_FRAME
    frame = tcb.out_of_order
    if frame != NO_FRAME and seq_le(early_sequence(engine, tcb.out_of_order_last), sequence):
        return tcb.out_of_order_last  # nearly always: behind a gap all comes in order
    while frame != NO_FRAME and seq_le(early_sequence(engine, frame), sequence):
        before = frame
        frame = frame_meta(base_of(engine), frame).next
    return before


@kernel
def _covered(engine: Engine, frame: int, sequence: int, length: int) -> int:
    if frame == NO_FRAME:
        return 0
    end = seq_add(early_sequence(engine, frame), early_length(engine, frame))
    return seq_le(seq_add(sequence, length), end)


@kernel
def _may_keep(engine: Engine, tcb: Tcb, length: int, whole: int) -> int:
    """Return 1 if ``length`` bytes of a segment may wait.

    A quarter of the pool is left to bytes in order, without which none can go on.
    """
    if whole < _SMALL and tcb.out_of_order_count >= FEWEST_SEGMENTS:
        return 0
    if tcb.out_of_order_count >= early_limit(engine) or engine.free_frame_count <= engine.frame_count >> 2:
        return 0
    return has_memory(engine, length)


@kernel
def keep_early(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Keep the payload of a segment beyond `rcv_nxt`, a large one in several frames, and go on behind it in the packet.

    Returns a `Kept`.

    What is there already is not kept twice; what overlaps in part is, and is cut when it is delivered. A segment for
    none of whose bytes there is memory counts as dropped.
    """
    whole = packet.payload_length
    kept = Kept.BEFORE if whole else Kept.NOT
    while packet.payload_length > 0:
        length = min(packet.payload_length, FRAME_SIZE - _HEAD)
        before = _position(engine, tcb, packet.sequence)
        if _covered(engine, before, packet.sequence, length):
            counters_of(engine).duplicate_segments += 1
            packet.payload += length
            packet.payload_length -= length
        elif _may_keep(engine, tcb, length, whole):
            _insert(engine, tcb, packet, before, length)
            counters_of(engine).out_of_order_segments += 1
            kept = Kept.NOW
        else:
            refused_whole = packet.payload_length == whole
            _count_refused(engine, refused_whole)
            return Kept.NOT if refused_whole else kept
        packet.sequence = seq_add(packet.sequence, length)
    return kept


@kernel
def _count_refused(engine: Engine, refused_whole: int) -> int:
    if refused_whole:
        counters_of(engine).drop_tcp_no_memory_packets += 1
        counters_of(engine).used_tcp_packets -= 1
    return 0


@kernel
def _insert(engine: Engine, tcb: Tcb, packet: Packet, before: int, length: int) -> int:
    frame = take_frame(engine)
    address = frame_address(base_of(engine), frame)
    meta = frame_meta(base_of(engine), frame)
    store64(address, packet.sequence)
    meta.start = _HEAD
    meta.end = _HEAD + take_payload(base_of(engine), packet, address + _HEAD, length)
    if before == NO_FRAME:
        meta.next = tcb.out_of_order
        tcb.out_of_order = frame
    else:
        previous = frame_meta(base_of(engine), before)
        meta.next = previous.next
        previous.next = frame
    if meta.next == NO_FRAME:
        tcb.out_of_order_last = frame
    tcb.out_of_order_count += 1
    return 0


@kernel
def next_early(engine: Engine, tcb: Tcb) -> int:
    """Return the first kept frame if it continues the stream at `rcv_nxt`, cut to begin there, or NO_FRAME.

    Frames that lie wholly before `rcv_nxt` are freed on the way.
    """
    frame = tcb.out_of_order
    while frame != NO_FRAME:
        sequence = early_sequence(engine, frame)
        if seq_lt(tcb.rcv_nxt, sequence):
            return NO_FRAME
        known = seq_diff(tcb.rcv_nxt, sequence)
        if known < early_length(engine, frame):
            frame_meta(base_of(engine), frame).start += known
            return frame
        frame = drop_early(engine, tcb)
    return NO_FRAME


@kernel
def drop_early(engine: Engine, tcb: Tcb) -> int:
    """Free the first kept frame; return the one after it, or NO_FRAME."""
    free_frame(engine, detach_early(engine, tcb))
    return tcb.out_of_order


@kernel
def detach_early(engine: Engine, tcb: Tcb) -> int:
    """Take the first kept frame out of the queue; it is the caller's to free."""
    frame = tcb.out_of_order
    tcb.out_of_order = frame_meta(base_of(engine), frame).next
    tcb.out_of_order_count -= 1
    return frame


@kernel
def clear_early(engine: Engine, tcb: Tcb) -> int:
    """Free all kept frames."""
    while tcb.out_of_order != NO_FRAME:
        drop_early(engine, tcb)
    return 0
