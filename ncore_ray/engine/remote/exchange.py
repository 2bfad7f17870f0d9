"""The part of a breath in which an engine takes what others say, and lets them see what it has said."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Actor, core_of, wake_from
from ncore_ray.arena.frame import FRAME_SIZE, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import Ring, ring_at, ring_give_back, ring_publish, ring_room, ring_take, ring_waiting
from ncore_ray.engine.application import on_events
from ncore_ray.engine.buffer import chain_link, free_frame, has_memory, put_frame
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, index_of, mark, tcb_of
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.proxy.relay import count_received
from ncore_ray.engine.remote.closing import say_close
from ncore_ray.engine.remote.link import (
    LINK_SIZE,
    WAITING_OFFSET,
    Half,
    Link,
    Message,
    free_half,
    half_of,
    link_of,
    message_kind,
    message_place,
    message_value,
    other_engine,
    outbound_ring,
)
from ncore_ray.engine.remote.opening import take_virtual
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.transaction.turn import leg_answered
from ncore_ray.machine.atomic import fence, load_acquire
from ncore_ray.machine.jit import kernel

_BATCH: Final = 128
"""Messages taken from one engine in one breath at the most."""


@kernel
def exchange_in(engine: Engine) -> int:
    """Take frames home and messages in; return how many messages there were."""
    count = 0
    for other in range(arena_at(base_of(engine)).engine_count):
        link = link_of(engine, other)
        if link.outbound:
            _collect(engine, link)
            if link.waiting and ring_room(outbound_ring(engine, link), 1) > 0:
                _resume(engine, link)
            count += _take_batch(engine, link, other)
    if engine.starved and has_memory(engine, FRAME_SIZE):
        _feed(engine)
    return count


@kernel
def exchange_out(engine: Engine) -> int:
    """After the flush: let the others see messages and frames, and wake those that have something to do."""
    base = base_of(engine)
    for other in range(arena_at(base).engine_count):
        link = link_of(engine, other)
        if link.outbound:
            ring_publish(outbound_ring(engine, link))
            ring_publish(ring_at(base + link.home))
            if link.urgent:
                link.urgent = 0
                wake_from(core_of(base, engine.actor), core_of(base, Actor.ENGINE + other))
    return 0


@kernel
def has_exchange(engine: Engine) -> int:
    """Return 1 if another engine has said something, or made room for what waits."""
    base = base_of(engine)
    for other in range(arena_at(base).engine_count):
        link = link_of(engine, other)
        if link.outbound:
            if ring_waiting(ring_at(base + link.inbound)):
                return 1
            if link.waiting and ring_room(outbound_ring(engine, link), 1) > 0:
                return 1
    return 0


@kernel
def _collect(engine: Engine, link: Link) -> int:
    """Take the engine's own frames back into its pool."""
    ring = ring_at(base_of(engine) + link.returns)
    for _ in range(ring_waiting(ring)):
        frame = ring_take(ring)
        frame_meta(base_of(engine), frame).owner = engine.actor
        put_frame(engine, frame)
    return ring_give_back(ring)


@kernel
def _feed(engine: Engine) -> int:
    """There is memory again: let all go on whose bytes are held. Seldom, so none of them stands in a list."""
    engine.starved = 0
    for number in range(engine.half_count * arena_at(base_of(engine)).engine_count):
        half = half_of(engine, number)
        if half.connection and hold_chain(tcb_of(engine, half.connection - 1)).length:
            mark(engine, tcb_of(engine, half.connection - 1), Work.PUMP)
    return 0


@kernel
def _resume(engine: Engine, link: Link) -> int:
    """Let all halves go on that found the ring full; those that find it full again wait again."""
    number = link.waiting_first
    link.waiting_first = 0
    link.waiting_last = 0
    link.waiting = 0
    while number:
        half = half_of(engine, number - 1)
        following = half.next
        half.waiting = 0
        if half.connection:
            mark(engine, tcb_of(engine, half.connection - 1), Work.OUTPUT)
        elif not half.opened:
            free_half(engine, number - 1)  # its client went before it was told of
        elif half.close_due:
            say_close(engine, number - 1)
        number = following
    return 0


@kernel
def _take_batch(engine: Engine, link: Link, other: int) -> int:
    ring = ring_at(base_of(engine) + link.inbound)
    count = min(ring_waiting(ring), _BATCH)
    for _ in range(count):
        word = ring_take(ring)
        _take(engine, other * engine.half_count + message_place(word), message_kind(word), message_value(word))
    if count:
        _give_back(engine, ring, other)
    end_change(engine)
    return count


@kernel
def _give_back(engine: Engine, ring: Ring, other: int) -> int:
    """Give the places back, and wake the writer if it waits for them (the fence: it looks at them before it sleeps)."""
    base = base_of(engine)
    ring_give_back(ring)
    fence()
    there = base + other_engine(engine, other).links + engine.index * LINK_SIZE
    if load_acquire(there + WAITING_OFFSET):
        wake_from(core_of(base, engine.actor), core_of(base, Actor.ENGINE + other))
    return 0


@kernel
def _take(engine: Engine, number: int, kind: int, value: int) -> int:
    """Take one message for a half."""
    half = half_of(engine, number)
    if kind == Message.OPEN:
        return _open(engine, number)
    if kind == Message.DATA:
        frame_meta(base_of(engine), value).owner = engine.actor
    if half.connection == 0:
        return _take_late(engine, half, number, kind, value)
    tcb = tcb_of(engine, half.connection - 1)
    begin_change(engine, index_of(engine, tcb) + 1)
    tcb.last_received_at = engine.now
    if kind == Message.DATA:
        return _data(engine, tcb, value)
    if kind == Message.CREDIT:
        tcb.snd_una = value
        mark(engine, tcb, Work.OUTPUT)
        return on_events(engine, tcb, Event.FREED, 0, 0)
    if kind == Message.END:
        tcb.fin_received = 1
    elif kind == Message.ANSWERED:
        leg_answered(engine, tcb)
    else:
        half.heard_close = 1
        if value:
            return on_events(engine, tcb, Event.RESET, 0, 0)
    return mark(engine, tcb, Work.PUMP | Work.OUTPUT)


@kernel
def _open(engine: Engine, number: int) -> int:
    begin_change(engine, NEW_ONE)
    taken = take_virtual(engine, number + 1)
    if taken:
        engine.changing = taken
        on_events(engine, tcb_of(engine, taken - 1), Event.ESTABLISHED, 0, 0)
    return 0


@kernel
def _take_late(engine: Engine, half: Half, number: int, kind: int, value: int) -> int:
    """Take what was said before the other end knew that this one is gone."""
    if kind == Message.DATA:
        free_frame(engine, value)
    elif kind == Message.CLOSE:
        half.heard_close = 1
        if half.closed:
            free_half(engine, number)
    return 0


@kernel
def _data(engine: Engine, tcb: Tcb, frame: int) -> int:
    """Take the next bytes of a stream in the frame that they lie in: that needs no memory, so none is ever refused."""
    meta = frame_meta(base_of(engine), frame)
    length = meta.end - meta.start
    tcb.rcv_nxt = seq_add(tcb.rcv_nxt, length)
    tcb.received_bytes += length
    counters = counters_of(engine)
    counters.virtual_received_frames += 1
    counters.virtual_received_bytes += length
    if tcb.discard:
        free_frame(engine, frame)
        return mark(engine, tcb, Work.OUTPUT)
    if tcb.role == Role.CLIENT:
        count_received(engine, tcb, length)
    chain_link(engine, hold_chain(tcb), frame)
    return mark(engine, tcb, Work.PUMP | Work.OUTPUT)
