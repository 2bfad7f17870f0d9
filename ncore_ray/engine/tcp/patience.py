"""How long a connection waits for its peer: keep-alive, user time-out, TIME-WAIT, each by its vServer.

A connection to a service counts as the vServer's for which it was opened or used last; monitors go by the appliance's
own values.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

_TICK_BITS: Final = 10
_TICKS: Final = (1 << 31) - 1


@kernel
def keepalive_of(engine: Engine, tcb: Tcb) -> int:
    """Return the silence after which the peer is asked whether it is there, µs, or 0 (RFC 9293 §3.8.4)."""
    if tcb.role == Role.MONITOR:
        return engine.keepalive_us
    return vserver_of(base_of(engine), tcb.vserver).keepalive_us


@kernel
def time_wait_of(engine: Engine, tcb: Tcb) -> int:
    """Return the length of TIME-WAIT, µs."""
    if tcb.role == Role.MONITOR:
        return engine.time_wait_us
    return vserver_of(base_of(engine), tcb.vserver).time_wait_us


@kernel
def fin_wait_of(engine: Engine, tcb: Tcb) -> int:
    """Return how long a peer that has all our bytes may take to end its stream when nobody reads it any more, µs."""
    return vserver_of(base_of(engine), tcb.vserver).fin_wait_us


@kernel
def user_timeout_of(engine: Engine, tcb: Tcb) -> int:
    """Return how long what was sent may stay unacknowledged, µs, or 0 (RFC 9293 §3.8.3, RFC 5482)."""
    if tcb.role == Role.MONITOR:
        return engine.user_us
    return vserver_of(base_of(engine), tcb.vserver).user_us


@kernel
def begin_silence(tcb: Tcb, since: int) -> int:
    """Note, at the first time-out in a row, since when (µs) the peer owes an answer."""
    tcb.silent_since = since >> _TICK_BITS & _TICKS
    return 0


@kernel
def _silence(engine: Engine, tcb: Tcb) -> int:
    return ((engine.now >> _TICK_BITS) - tcb.silent_since & _TICKS) << _TICK_BITS


@kernel
def is_patience_over(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if the peer has owed an answer for as long as the user time-out."""
    limit = user_timeout_of(engine, tcb)
    return 1 if limit and _silence(engine, tcb) >= limit else 0


@kernel
def cut_to_patience(engine: Engine, tcb: Tcb) -> int:
    """Let the next retransmission time-out come no later than the user time-out."""
    limit = user_timeout_of(engine, tcb)
    if limit:
        tcb.rto = min(tcb.rto, max(limit - _silence(engine, tcb), 0) + (1 << _TICK_BITS))
    return 0
