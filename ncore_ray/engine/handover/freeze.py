"""A flow into bytes. Nothing of the engine is changed, so the flow goes on unless it is withdrawn."""

from __future__ import annotations

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME, frame_address, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.buffer import Chain
from ncore_ray.engine.connection import TCB_SIZE, Role, Tcb, hold_chain, peer_of, send_chain, tcb_of
from ncore_ray.engine.handover.frozen import (
    BODY_AT,
    BODY_SIZE,
    EARLY_SIZE,
    EXCHANGE_AT,
    EXCHANGE_SIZE,
    FLOW_SIZE,
    LAYOUT,
    MAGIC,
    MOST_EARLY,
    SPANS_AT,
    TCB_AT,
    VERSION,
    FrozenSide,
    Refusal,
    early_at,
    early_segment_at,
    frozen_flow_at,
    frozen_side_at,
    hold_at,
    padded,
    send_at,
    side_size,
)
from ncore_ray.engine.http.exchange import body_of, exchange_of
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.tcp.reassembly import early_length, early_sequence
from ncore_ray.engine.tcp.spans import BLOCK_SPANS, SPAN_SIZE, spans_address
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import clear, copy
from ncore_ray.machine.record import address_of


@kernel
def may_move(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if a flow can be handed to another engine as seen from this side of it, or a `Refusal`."""
    if tcb.role == Role.FREE:
        return Refusal.NOT_FOUND
    if tcb.role == Role.MONITOR:
        return Refusal.MONITOR
    if tcb.peer < 0 or tcb.peer > engine.connection_count:
        return Refusal.TORN
    if tcb.virtual or tcb.state == TcpState.VIRTUAL or tcb.role == Role.RELAYED or tcb.role == Role.SPLIT:
        return Refusal.VIRTUAL
    return 1


@kernel
def freeze_flow(engine: Engine, number: int, target: int, room: int) -> int:
    """Write the flow of a connection, by its number, to ``room`` bytes; return how many it takes, or a `Refusal`.

    A flow that is written while its engine is at work may come out torn: it is bounded all the same.
    """
    if number < 0 or number >= engine.connection_count:
        return Refusal.NOT_FOUND
    tcb = tcb_of(engine, number)
    verdict = may_move(engine, tcb)
    if verdict == 1 and tcb.peer:
        verdict = may_move(engine, peer_of(engine, tcb))
        if peer_of(engine, tcb).peer != number + 1:
            verdict = Refusal.TORN
    if verdict != 1:
        return verdict
    if room < FLOW_SIZE:
        return Refusal.TOO_LONG
    size = _freeze_sides(engine, tcb, target, room)
    if size > 0:
        _write_head(engine, tcb, target, size)
    return size


@kernel
def _freeze_sides(engine: Engine, tcb: Tcb, target: int, room: int) -> int:
    own = _freeze_side(engine, tcb, target + FLOW_SIZE, room - FLOW_SIZE)
    if own < 0 or not tcb.peer:
        return own if own < 0 else FLOW_SIZE + own
    other = _freeze_side(engine, peer_of(engine, tcb), target + FLOW_SIZE + own, room - FLOW_SIZE - own)
    return other if other < 0 else FLOW_SIZE + own + other


@kernel
def _write_head(engine: Engine, tcb: Tcb, target: int, size: int) -> int:
    flow = frozen_flow_at(target)
    flow.magic, flow.version, flow.layout = MAGIC, VERSION, LAYOUT
    flow.size = size
    flow.sides = 2 if tcb.peer else 1
    flow.frozen_at = engine.now
    flow.engine = engine.index
    return 0


@kernel
def _freeze_side(engine: Engine, tcb: Tcb, target: int, room: int) -> int:
    """Write one side; return the bytes that it takes, or a `Refusal`."""
    if room < SPANS_AT:
        return Refusal.TOO_LONG
    side = frozen_side_at(target)
    side.spans, side.send_bytes, side.hold_bytes = tcb.span_count, send_chain(tcb).length, hold_chain(tcb).length
    side.early_count = side.early_bytes = 0
    if side.spans < 0 or side.spans > BLOCK_SPANS or side.send_bytes < 0 or side.hold_bytes < 0:
        return Refusal.TORN
    if early_at(side) > room:
        return Refusal.TOO_LONG
    copy(target + TCB_AT, address_of(tcb), TCB_SIZE)
    copy(target + EXCHANGE_AT, address_of(exchange_of(engine, tcb)), EXCHANGE_SIZE)
    copy(target + BODY_AT, address_of(body_of(engine, tcb)), BODY_SIZE)
    copy(target + SPANS_AT, spans_address(engine, tcb), side.spans * SPAN_SIZE)
    if not _copy_chain(engine, send_chain(tcb), target + send_at(side), side.send_bytes):
        return Refusal.TORN
    if not _copy_chain(engine, hold_chain(tcb), target + hold_at(side), side.hold_bytes):
        return Refusal.TORN
    return _freeze_early(engine, tcb, side, target, room)


@kernel
def _copy_chain(engine: Engine, chain: Chain, target: int, length: int) -> int:
    """Copy all bytes of a chain, and zeros up to the end of its part; return 0 if it has another length."""
    base = base_of(engine)
    frame, done = chain.first, 0
    clear(target + (length & -8), padded(length) - (length & -8))
    while frame != NO_FRAME:
        if not _is_whole(base, frame):
            return 0
        meta = frame_meta(base, frame)
        part = meta.end - meta.start
        if part > length - done or (part == 0 and done == length):
            return 0
        copy(target + done, frame_address(base, frame) + meta.start, part)
        done += part
        frame = meta.next
    return 1 if done == length else 0


@kernel
def _is_whole(base: int, frame: int) -> int:
    """Return 1 if there is such a frame, and its bytes lie in it."""
    if frame < 0 or frame >= arena_at(base).frame_count:
        return 0
    meta = frame_meta(base, frame)
    return 1 if 0 <= meta.start <= meta.end <= FRAME_SIZE else 0


@kernel
def _freeze_early(engine: Engine, tcb: Tcb, side: FrozenSide, target: int, room: int) -> int:
    """Write the segments that came too early; return the bytes of the whole side, or a `Refusal`."""
    frame = tcb.out_of_order
    while frame != NO_FRAME:
        if not _is_whole(base_of(engine), frame) or side.early_count >= tcb.out_of_order_count:
            return Refusal.TORN
        length = early_length(engine, frame)
        if length > MOST_EARLY:
            return Refusal.TORN
        at = target + side_size(side)
        if at + EARLY_SIZE + padded(length) > target + room:
            return Refusal.TOO_LONG
        _write_early(engine, frame, at, length)
        side.early_count += 1
        side.early_bytes += EARLY_SIZE + padded(length)
        frame = frame_meta(base_of(engine), frame).next
    return side_size(side) if side.early_count == tcb.out_of_order_count else Refusal.TORN


@kernel
def _write_early(engine: Engine, frame: int, at: int, length: int) -> int:
    base = base_of(engine)
    early = early_segment_at(at)
    early.sequence, early.length = early_sequence(engine, frame), length
    clear(at + EARLY_SIZE + (length & -8), padded(length) - (length & -8))
    return copy(at + EARLY_SIZE, frame_address(base, frame) + frame_meta(base, frame).start, length)
