"""An engine that leaves: its flows go on, but nothing of it is kept for later."""

from __future__ import annotations

from ncore_ray.arena.core import Drain
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Tcb, Work, hold_chain, mark, tcb_of
from ncore_ray.engine.partition import Engine, base_of, service_stats
from ncore_ray.engine.tcp.user import close_unread
from ncore_ray.machine.jit import kernel


@kernel
def is_leaving(engine: Engine, client: Tcb) -> int:
    """Return 1 if a client is to be told with this response that it is the last on its connection.

    Where only this engine leaves there is time: one that has asked for more already gets that answer here, too.
    """
    if engine.draining == Drain.LEAVE:
        return 1 if hold_chain(client).length == 0 else 0
    return 1 if engine.draining else 0


@kernel
def empty_pools(engine: Engine) -> int:
    """Close the idle connections to services; return how many they were."""
    closed = 0
    for index in range(arena_at(base_of(engine)).service_count):
        while service_stats(engine, index).idle_first:
            number = service_stats(engine, index).idle_first
            begin_change(engine, number)
            close_unread(engine, tcb_of(engine, number - 1))
            mark(engine, tcb_of(engine, number - 1), Work.OUTPUT)
            end_change(engine)
            closed += 1
    return closed
