"""Timers: one hashed wheel per engine (Varghese, Lauck 1987) over the deadlines that stand in the connections.

A connection stands in at most one slot, that of its next deadline or an earlier one. Deadlines move with nearly every
packet, mostly to later; the wheel is touched only when one moves to before the slot. A slot that comes up too early
is found out when it fires, and the connection is put where its next deadline is.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb, Work, index_of, mark, tcb_of
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32, store32

WHEEL_SLOTS: Final = 4096
TICK_BITS: Final = 10
"""A tick is 1,024 µs; the wheel turns once in 4.2 s. Later deadlines are put into the last slot and moved on."""
MAX_SLEEP_US: Final = 20_000


@kernel
def _earlier(a: int, b: int) -> int:
    """Return the earlier of two instants, where 0 means never."""
    if a == 0:
        return b
    return a if b == 0 else min(a, b)


@kernel
def next_deadline(tcb: Tcb) -> int:
    """Return the connection's next deadline, µs, or 0."""
    deadline = _earlier(_earlier(tcb.retransmit_at, tcb.recheck_at), tcb.ack_at)
    deadline = _earlier(deadline, tcb.keepalive_at)
    if tcb.pace_waits > 0:
        deadline = _earlier(deadline, tcb.pace_at)
    return _earlier(_earlier(deadline, tcb.application_at), tcb.close_at)


@kernel
def _slot(engine: Engine, tick: int) -> int:
    return base_of(engine) + engine.wheel + 4 * (tick & (WHEEL_SLOTS - 1))


@kernel
def arm(engine: Engine, tcb: Tcb) -> int:
    """Make sure that the connection comes up at its next deadline, or before."""
    deadline = next_deadline(tcb)
    if deadline == 0:
        return 0
    tick = (deadline >> TICK_BITS) + 1
    tick = min(max(tick, engine.wheel_at + 1), engine.wheel_at + WHEEL_SLOTS - 1)
    if tcb.wheel_armed:
        if tcb.wheel_at <= tick:
            return 0
        disarm(engine, tcb)
    return _insert(engine, tcb, tick)


@kernel
def _insert(engine: Engine, tcb: Tcb, tick: int) -> int:
    slot = _slot(engine, tick)
    own = index_of(engine, tcb) + 1
    first = load32(slot)
    tcb.wheel_next = first
    tcb.wheel_previous = 0
    if first:
        tcb_of(engine, first - 1).wheel_previous = own
    store32(slot, own)
    tcb.wheel_at = tick
    tcb.wheel_armed = 1
    return 0


@kernel
def disarm(engine: Engine, tcb: Tcb) -> int:
    """Take the connection out of the wheel."""
    if not tcb.wheel_armed:
        return 0
    if tcb.wheel_next:
        tcb_of(engine, tcb.wheel_next - 1).wheel_previous = tcb.wheel_previous
    if tcb.wheel_previous:
        tcb_of(engine, tcb.wheel_previous - 1).wheel_next = tcb.wheel_next
    else:
        store32(_slot(engine, tcb.wheel_at), tcb.wheel_next)
    tcb.wheel_armed = 0
    return 0


@kernel
def advance(engine: Engine) -> int:
    """Put every connection whose slot has come on the work list; return how many."""
    count = 0
    now_tick = engine.now >> TICK_BITS
    if now_tick - engine.wheel_at >= WHEEL_SLOTS:  # after a long stop: every slot once
        engine.wheel_at = now_tick - WHEEL_SLOTS + 1
    while engine.wheel_at < now_tick:
        engine.wheel_at += 1
        number = load32(_slot(engine, engine.wheel_at))
        while number:
            tcb = tcb_of(engine, number - 1)
            disarm(engine, tcb)
            mark(engine, tcb, Work.TIMER)
            count += 1
            number = load32(_slot(engine, engine.wheel_at))
    return count


@kernel
def time_to_next(engine: Engine) -> int:
    """Return the µs until the next slot that is not empty comes up, at most MAX_SLEEP_US."""
    ticks = MAX_SLEEP_US >> TICK_BITS
    for ahead in range(1, ticks + 1):
        if load32(_slot(engine, engine.wheel_at + ahead)):
            return max(((engine.wheel_at + ahead) << TICK_BITS) - engine.now, 0)
    return MAX_SLEEP_US
