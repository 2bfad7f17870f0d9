"""Handshakes under way: how many there are, at the engine and of each vServer, and which is the oldest.

The queue goes by the links that idle and TIME-WAIT connections use: none is in two of these states.
"""

from __future__ import annotations

from ncore_ray.engine.connection import Role, Tcb, index_of, tcb_of
from ncore_ray.engine.partition import Engine, vserver_stats
from ncore_ray.engine.tcp.state import FastOpen
from ncore_ray.machine.jit import kernel


@kernel
def _count(engine: Engine, tcb: Tcb, change: int) -> int:
    engine.half_open += change
    if tcb.fast_open == FastOpen.TAKEN:
        engine.fast_open_pending += change
    if tcb.role != Role.SERVER and tcb.role != Role.MONITOR:  # of these, both ends may open at once
        vserver_stats(engine, tcb.vserver).half_open += change
    return 0


@kernel
def enter_half_open(engine: Engine, tcb: Tcb) -> int:
    """Put a connection that is in SYN-RECEIVED now at the end of the queue."""
    own = index_of(engine, tcb) + 1
    tcb.list_next = 0
    tcb.list_previous = engine.half_open_last
    if engine.half_open_last:
        tcb_of(engine, engine.half_open_last - 1).list_next = own
    else:
        engine.half_open_first = own
    engine.half_open_last = own
    return _count(engine, tcb, 1)


@kernel
def leave_half_open(engine: Engine, tcb: Tcb) -> int:
    """Take a connection out of the queue: its handshake is over."""
    if tcb.list_previous:
        tcb_of(engine, tcb.list_previous - 1).list_next = tcb.list_next
    else:
        engine.half_open_first = tcb.list_next
    if tcb.list_next:
        tcb_of(engine, tcb.list_next - 1).list_previous = tcb.list_previous
    else:
        engine.half_open_last = tcb.list_previous
    return _count(engine, tcb, -1)
