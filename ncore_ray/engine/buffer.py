"""Byte streams in frames: the engine's pool of frames, and chains of them as first-in first-out buffers."""

from __future__ import annotations

from ncore_ray.arena.frame import FRAME_SIZE, frame_address, frame_meta
from ncore_ray.arena.frame import NO_FRAME as NO_FRAME
from ncore_ray.engine.offer import LEAST_KEPT, exchange_frame, is_offered
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.remote.link import is_foreign, send_home
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load32, store32
from ncore_ray.machine.record import I32, I64, Record, pointer_to


class Chain(Record):
    """A byte stream: frames linked by `FrameMeta.next`, each with its bytes in start … end."""

    first: I32
    last: I32
    length: I64
    """Bytes in all frames."""


chain_at = pointer_to(Chain)


@kernel
def take_frame(engine: Engine) -> int:
    """Return the number of a frame that the caller owns now (empty, not chained), or NO_FRAME."""
    if engine.free_frame_count == 0:
        return NO_FRAME
    engine.free_frame_count -= 1
    frame = load32(base_of(engine) + engine.free_frames + 4 * engine.free_frame_count)
    meta = frame_meta(base_of(engine), frame)
    meta.owner = engine.actor
    meta.next = NO_FRAME
    meta.start = 0
    meta.end = 0
    return frame


@kernel
def free_frame(engine: Engine, frame: int) -> int:
    """Give a frame back to the engine's pool; return the number of the frame that followed it in its chain.

    While packets wait for the flush, one of them may name bytes of the frame: then it is free only after the flush.
    """
    meta = frame_meta(base_of(engine), frame)
    following = meta.next
    if engine.slots_used:
        meta.next = engine.freed_late - 1
        engine.freed_late = frame + 1
    else:
        put_frame(engine, frame)
    return following


@kernel
def put_frame(engine: Engine, frame: int) -> int:
    """Put a frame that nobody names on the stack of free frames, or on its way to the engine that has lent it."""
    if engine.links and is_foreign(engine, frame):
        return send_home(engine, frame)
    store32(base_of(engine) + engine.free_frames + 4 * engine.free_frame_count, frame)
    engine.free_frame_count += 1
    return 0


@kernel
def free_late(engine: Engine) -> int:
    """After a flush: the frames that were freed before it are free now."""
    while engine.freed_late:
        frame = engine.freed_late - 1
        engine.freed_late = frame_meta(base_of(engine), frame).next + 1
        put_frame(engine, frame)
    return 0


@kernel
def has_memory(engine: Engine, length: int) -> int:
    """Return 1 if ``length`` more bytes can be taken in and the reserve stays untouched."""
    return 1 if engine.free_frame_count - (length // FRAME_SIZE + 1) >= engine.frame_reserve else 0


@kernel
def chain_init(chain: Chain) -> int:
    """Make a chain empty without freeing anything."""
    chain.first = NO_FRAME
    chain.last = NO_FRAME
    chain.length = 0
    return 0


@kernel
def _room_in_last(engine: Engine, chain: Chain) -> int:
    return FRAME_SIZE - frame_meta(base_of(engine), chain.last).end if chain.last != NO_FRAME else 0


@kernel
def chain_append(engine: Engine, chain: Chain, address: int, length: int) -> int:
    """Copy bytes to a chain's end; return 1, or 0 if the pool has too few frames: then nothing was copied.

    Many bytes that fill a frame which is on offer are linked as they are.
    """
    if length >= LEAST_KEPT and is_offered(engine, address + length) and engine.free_frame_count:
        return _keep(engine, chain, address, length)
    room = _room_in_last(engine, chain)
    if engine.free_frame_count * FRAME_SIZE < length - room:
        return 0
    chain.length += length
    if room > 0 and length > 0:
        meta = frame_meta(base_of(engine), chain.last)
        part = min(room, length)
        copy(frame_address(base_of(engine), chain.last) + meta.end, address, part)
        meta.end += part
        address += part
        length -= part
    while length > 0:
        part = min(FRAME_SIZE, length)
        frame = take_frame(engine)
        copy(frame_address(base_of(engine), frame), address, part)
        frame_meta(base_of(engine), frame).end = part
        _link(engine, chain, frame)
        address += part
        length -= part
    return 1


@kernel
def _keep(engine: Engine, chain: Chain, address: int, length: int) -> int:
    """Link the frame on offer, in which the bytes lie; return 1."""
    frame = exchange_frame(engine, take_frame(engine))
    meta = frame_meta(base_of(engine), frame)
    meta.start = address - frame_address(base_of(engine), frame)
    meta.end = meta.start + length
    chain.length += length
    _link(engine, chain, frame)
    return 1


@kernel
def _link(engine: Engine, chain: Chain, frame: int) -> int:
    if chain.last == NO_FRAME:
        chain.first = frame
    else:
        frame_meta(base_of(engine), chain.last).next = frame
    chain.last = frame
    return 0


@kernel
def chain_link(engine: Engine, chain: Chain, frame: int) -> int:
    """Append a frame that the caller owns with the bytes in it.

    If these fit behind the chain's last they are copied there, so that many small frames never hold much memory.
    """
    meta = frame_meta(base_of(engine), frame)
    length = meta.end - meta.start
    if length <= _room_in_last(engine, chain):
        chain_append(engine, chain, frame_address(base_of(engine), frame) + meta.start, length)
        return free_frame(engine, frame)
    meta.next = NO_FRAME
    chain.length += length
    return _link(engine, chain, frame)


@kernel
def chain_shift(engine: Engine, source: Chain, target: Chain) -> int:
    """Move the first frame of a chain that is not empty to the end of another."""
    frame = source.first
    meta = frame_meta(base_of(engine), frame)
    source.first = meta.next
    source.last = source.last if meta.next != NO_FRAME else NO_FRAME
    source.length -= meta.end - meta.start
    return chain_link(engine, target, frame)


@kernel
def chain_drop(engine: Engine, chain: Chain, length: int) -> int:
    """Cut ``length`` bytes (at most the chain's) off its start and free what becomes empty."""
    chain.length -= length
    while length > 0:
        meta = frame_meta(base_of(engine), chain.first)
        held = meta.end - meta.start
        if held > length:
            meta.start += length
            return 0
        length -= held
        chain.first = free_frame(engine, chain.first)
    if chain.first == NO_FRAME:
        chain.last = NO_FRAME
    return 0


@kernel
def chain_clear(engine: Engine, chain: Chain) -> int:
    """Free every frame of a chain."""
    frame = chain.first
    while frame != NO_FRAME:
        frame = free_frame(engine, frame)
    return chain_init(chain)


@kernel
def chain_gather(engine: Engine, chain: Chain, target: int, length: int) -> int:
    """Copy the first ``length`` bytes of a chain to one place; return how many there were."""
    done = 0
    frame = chain.first
    while frame != NO_FRAME and done < length:
        meta = frame_meta(base_of(engine), frame)
        part = min(meta.end - meta.start, length - done)
        copy(target + done, frame_address(base_of(engine), frame) + meta.start, part)
        done += part
        frame = meta.next
    return done


@kernel
def chain_move(engine: Engine, source: Chain, target: Chain) -> int:
    """Append all frames of one chain to another without a copy; the first is empty afterwards."""
    if source.first == NO_FRAME:
        return 0
    if target.last == NO_FRAME:
        target.first = source.first
    else:
        frame_meta(base_of(engine), target.last).next = source.first
    target.last = source.last
    target.length += source.length
    return chain_init(source)


@kernel
def first_piece(engine: Engine, chain: Chain) -> int:
    """Return the address of a chain's first byte (the chain is not empty)."""
    return frame_address(base_of(engine), chain.first) + frame_meta(base_of(engine), chain.first).start


@kernel
def first_piece_length(engine: Engine, chain: Chain) -> int:
    """Return how many bytes lie in one piece at a chain's start (the chain is not empty)."""
    meta = frame_meta(base_of(engine), chain.first)
    return meta.end - meta.start
