"""While an appliance drains, HTTP clients that wait between two requests are sent home."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, mark, tcb_of
from ncore_ray.engine.http.exchange import Phase, begin_exchange, exchange_of
from ncore_ray.engine.http.respond import close_client
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transaction.client import is_quiet, serves_leg
from ncore_ray.engine.transaction.leg import leave_split
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import VserverProtocol, vserver_of

_ROWS: Final = 256
"""Connections looked at in one breath at the most."""
_PAUSE_US: Final = 100_000
"""Between two looks at the whole table: a client may become idle after a response that was begun before the drain."""


@kernel
def close_idle_clients(engine: Engine) -> int:
    """Close the connections of idle HTTP clients (RFC 9112 §9.5), a part of the table; return 0 after the last part."""
    if engine.now < engine.drain_at:
        return 0
    end = min(engine.drain_next + _ROWS, engine.connection_count)
    for number in range(engine.drain_next, end):
        tcb = tcb_of(engine, number)
        if _is_idle_client(engine, tcb):
            begin_change(engine, number + 1)
            counters_of(engine).connections_drained += 1
            if tcb.role == Role.ARRIVING:
                tcb.role = Role.CLIENT
                begin_exchange(engine, tcb)
            elif tcb.role == Role.SPLIT:
                leave_split(engine, tcb)
            close_client(engine, tcb)
            mark(engine, tcb, Work.OUTPUT)
            end_change(engine)
    engine.drain_next = end
    if end < engine.connection_count:
        return 1
    engine.drain_next = 0
    engine.drain_at = engine.now + _PAUSE_US
    return 0


@kernel
def _is_idle_client(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if nothing of a request has come since the last response went out whole."""
    if tcb.state != TcpState.ESTABLISHED and tcb.state != TcpState.VIRTUAL:
        return 0
    if tcb.role == Role.ARRIVING:
        return 1 if hold_chain(tcb).length == 0 else 0
    if tcb.role == Role.SPLIT:
        return is_quiet(engine, tcb)
    if tcb.role != Role.CLIENT or tcb.peer or hold_chain(tcb).length or serves_leg(engine, tcb):
        return 0
    if vserver_of(base_of(engine), tcb.vserver).protocol != VserverProtocol.HTTP:
        return 0
    return 1 if exchange_of(engine, tcb).phase == Phase.READ_HEAD else 0
