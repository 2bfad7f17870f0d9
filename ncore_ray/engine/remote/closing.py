"""The end of a virtual connection: both ends say CLOSE, each when it can, and then its halves are free again."""

from __future__ import annotations

from ncore_ray.arena.ring import ring_room, ring_write
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.partition import Engine, counters_of, vserver_stats
from ncore_ray.engine.remote.link import (
    Message,
    engine_of_half,
    free_half,
    half_of,
    is_shared,
    link_of,
    make_message,
    outbound_ring,
    place_there,
)
from ncore_ray.machine.jit import kernel


@kernel
def await_room(engine: Engine, number: int) -> int:
    """Let a half wait until the other engine has taken something out of the full ring."""
    half = half_of(engine, number)
    if half.waiting:
        return 0
    counters_of(engine).virtual_ring_full_waits += 1
    link = link_of(engine, engine_of_half(engine, number))
    half.waiting = 1
    half.next = 0
    if link.waiting_last:
        half_of(engine, link.waiting_last - 1).next = number + 1
    else:
        link.waiting_first = number + 1
    link.waiting_last = number + 1
    link.waiting = 1
    return 0


@kernel
def say(engine: Engine, number: int, kind: int, value: int) -> int:
    """Write a message of a half; return 0 if the ring is full: then the half waits, and it is to be said again."""
    link = link_of(engine, engine_of_half(engine, number))
    ring = outbound_ring(engine, link)
    if half_of(engine, number).waiting or ring_room(ring, 1) < 1:
        await_room(engine, number)
        return 0
    ring_write(ring, make_message(kind, place_there(engine, number), value))
    if kind != Message.CREDIT:
        link.urgent = 1
    return 1


@kernel
def say_close(engine: Engine, number: int) -> int:
    """Write the CLOSE that is due, now or when there is room."""
    half = half_of(engine, number)
    if not say(engine, number, Message.CLOSE, half.close_due - 1):
        return 0
    half.close_due = 0
    half.closed = 1
    return free_half(engine, number) if half.heard_close else 0


@kernel
def part(engine: Engine, tcb: Tcb) -> int:
    """The connection of a half is about to be freed: the other end is told."""
    number = tcb.virtual - 1
    half = half_of(engine, number)
    tcb.virtual = 0
    half.connection = 0
    if tcb.role == Role.CLIENT and is_shared(engine, half.vserver):
        vserver_stats(engine, half.vserver).connections += 1  # its end counts it out, and nobody has counted it in
    if not half.opened and not half.waiting:
        return free_half(engine, number)
    half.close_due = 1 if half.ended and tcb.fin_received else 2
    return say_close(engine, number) if half.opened else 0
