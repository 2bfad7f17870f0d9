"""Sessions of datagrams: how many records they have, and which of them gives way.

A datagram proves nothing: its sender may be made up, and the session that it begins keeps two records until it times
out. So sessions have half of the connection table at the most, and a new one takes the place of one that is silent,
sooner if its service has never said anything. The queue goes by the links of idle and TIME-WAIT connections: clients'
sides stand in it in the order of their beginnings, but for those that were looked at and found at work.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Role, Tcb, index_of, tcb_of
from ncore_ray.engine.partition import Engine
from ncore_ray.machine.jit import kernel

NO_SESSION: Final = 0
_SIDES: Final = 2
_LOOKED_AT: Final = 16
_QUIET_US: Final = 1_000_000
_QUIET_UNANSWERED_US: Final = 50_000
"""Services answer sooner, if they do."""


@kernel
def count_datagrams(engine: Engine, tcb: Tcb, change: int) -> int:
    """Let the number of records follow one that comes (1) or goes (−1)."""
    if tcb.role == Role.UDP_CLIENT or tcb.role == Role.UDP_SERVER:
        engine.datagrams += change
    return 0


@kernel
def has_share(engine: Engine) -> int:
    """Return 1 if there may be another session: of the table, half is for TCP, if there are vServers of TCP or HTTP."""
    most = engine.connection_count - (engine.connection_count >> 1) if engine.has_streams else engine.connection_count
    return 1 if engine.datagrams + _SIDES <= most else 0


@kernel
def enter_datagrams(engine: Engine, tcb: Tcb) -> int:
    """Put a client's side at the end of the queue."""
    own = index_of(engine, tcb) + 1
    tcb.list_next = 0
    tcb.list_previous = engine.datagram_last
    if engine.datagram_last:
        tcb_of(engine, engine.datagram_last - 1).list_next = own
    else:
        engine.datagram_first = own
    engine.datagram_last = own
    return 0


@kernel
def leave_datagrams(engine: Engine, tcb: Tcb) -> int:
    """Take a client's side out of the queue."""
    if tcb.list_previous:
        tcb_of(engine, tcb.list_previous - 1).list_next = tcb.list_next
    else:
        engine.datagram_first = tcb.list_next
    if tcb.list_next:
        tcb_of(engine, tcb.list_next - 1).list_previous = tcb.list_previous
    else:
        engine.datagram_last = tcb.list_previous
    return 0


@kernel
def quietest_session(engine: Engine) -> int:
    """Return the number plus 1 of the first, of the next few, on which nothing goes on; or NO_SESSION.

    Those at work go to the end of the queue (as with a clock: nothing has to be done for each datagram).
    """
    for _ in range(_LOOKED_AT):
        number = engine.datagram_first
        if number == 0:
            return NO_SESSION
        tcb = tcb_of(engine, number - 1)
        if _is_quiet(engine, tcb):
            return number
        leave_datagrams(engine, tcb)
        enter_datagrams(engine, tcb)
    return NO_SESSION


@kernel
def _is_quiet(engine: Engine, tcb: Tcb) -> int:
    if not tcb.peer:
        return 1
    service = tcb_of(engine, tcb.peer - 1)
    if service.received_bytes == 0:
        return 1 if engine.now - tcb.last_received_at >= _QUIET_UNANSWERED_US else 0
    latest = max(tcb.last_received_at, service.last_received_at)
    return 1 if engine.now - latest >= _QUIET_US else 0
