"""Connections without an owner: the appliance has closed them, and waits only for their peers to let go.

One that gets all that is queued for it and an acknowledgment of our FIN goes by itself. Others keep their place until a
deadline, or until somebody needs it: the queue, oldest first, is where `make_room` looks. It goes by the links of idle
and TIME-WAIT connections: none is in two of these states. Who stands in it follows from state and `discard` alone.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Role, Tcb, index_of, tcb_of, undelivered
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

NO_ORPHAN: Final = 0
_LOOKED_AT: Final = 16
_QUIET_US: Final = 1_000_000
"""A peer that has taken nothing for so long is not about to."""


@kernel
def is_orphan(tcb: Tcb) -> int:
    """Return 1 if nobody reads a connection any more and its stream has ended, or both streams have."""
    if tcb.state == TcpState.CLOSING or tcb.state == TcpState.LAST_ACK:
        return 1
    return 1 if tcb.discard and tcb.state >= TcpState.ESTABLISHED and tcb.state < TcpState.CLOSING else 0


@kernel
def enter_orphans(engine: Engine, tcb: Tcb) -> int:
    """Put a connection that has become one at the end of the queue."""
    own = index_of(engine, tcb) + 1
    tcb.list_next = 0
    tcb.list_previous = engine.orphan_last
    if engine.orphan_last:
        tcb_of(engine, engine.orphan_last - 1).list_next = own
    else:
        engine.orphan_first = own
    engine.orphan_last = own
    return 0


@kernel
def leave_orphans(engine: Engine, tcb: Tcb) -> int:
    """Take a connection out of the queue."""
    if tcb.list_previous:
        tcb_of(engine, tcb.list_previous - 1).list_next = tcb.list_next
    else:
        engine.orphan_first = tcb.list_next
    if tcb.list_next:
        tcb_of(engine, tcb.list_next - 1).list_previous = tcb.list_previous
    else:
        engine.orphan_last = tcb.list_previous
    return 0


@kernel
def oldest_idle_orphan(engine: Engine) -> int:
    """Return the number plus 1 of the first, of the oldest few, that takes nothing any more; or NO_ORPHAN.

    A client that still reads the end of its last answer is worth more than one that does not let go.
    """
    number = engine.orphan_first
    for _ in range(_LOOKED_AT):
        if number == 0:
            return NO_ORPHAN
        tcb = tcb_of(engine, number - 1)
        if _is_idle(engine, tcb):
            return number
        number = tcb.list_next
    return NO_ORPHAN


@kernel
def _is_idle(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if all was delivered, or nothing goes on: time-outs, a window that stays closed, or silence."""
    if undelivered(tcb) == 0 or tcb.retransmissions:
        return 1
    moved_at = tcb.last_received_at
    if tcb.discard and tcb.role == Role.CLIENT:  # its deadline is put off with each byte, not with each answer
        moved_at = tcb.close_at - vserver_of(base_of(engine), tcb.vserver).client_idle_us
    return 1 if engine.now - moved_at >= _QUIET_US else 0
