"""The TCP vServer: whatever the client sends goes to one service, and back, until both have ended their streams."""

from __future__ import annotations

from ncore_ray.engine.balance.choose import NO_SERVICE
from ncore_ray.engine.connection import Role, Tcb, hold_chain, peer_of
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.proxy.relay import (
    count_received,
    count_waiting,
    hold,
    open_server,
    pump_held,
    reconnect,
    relay,
    relay_end,
    wake_peer,
)
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import abort
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of


@kernel
def stream_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    """Take what happened on one side of a proxied pair."""
    if events & Event.RESET:
        return stream_lost(engine, tcb)
    if events & Event.ESTABLISHED and not _established(engine, tcb):
        return abort(engine, tcb)
    if events & Event.DATA and not _data(engine, tcb, address, length):
        return _abort_pair(engine, tcb)
    if events & Event.FREED:
        wake_peer(engine, tcb)
    if events & Event.FIN:
        pump_stream(engine, tcb)
    return 0


@kernel
def _established(engine: Engine, tcb: Tcb) -> int:
    """Return 0 if the connection is to be given up, because there is no service for it."""
    idle_us = vserver_of(base_of(engine), tcb.vserver).client_idle_us
    tcb.application_at = engine.now + idle_us
    if tcb.role == Role.SERVER:
        count_waiting(engine, tcb)
        return 1
    if open_server(engine, tcb, NO_SERVICE):
        return 1
    vserver_stats(engine, tcb.vserver).errors += 1
    return 0


@kernel
def _data(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    if not tcb.peer:
        return 0
    count_received(engine, tcb, length)
    taken = 0
    if hold_chain(tcb).length == 0:
        taken = relay(engine, peer_of(engine, tcb), address, length)
    return hold(engine, tcb, address + taken, length - taken)


@kernel
def pump_stream(engine: Engine, tcb: Tcb) -> int:
    """Move on what is held, and the end of the stream behind it."""
    pump_held(engine, tcb)
    return relay_end(engine, tcb) if tcb.fin_received and tcb.peer else 0


@kernel
def stream_lost(engine: Engine, tcb: Tcb) -> int:
    """One side was reset or does not answer: a service that never answered is replaced, else both sides end."""
    if tcb.role == Role.SERVER and tcb.state == TcpState.SYN_SENT and tcb.peer:
        client = peer_of(engine, tcb)
        number = reconnect(engine, client, tcb)
        destroy(engine, tcb)
        if number == 0:
            vserver_stats(engine, client.vserver).errors += 1
            abort(engine, client)
        return 0
    counters_of(engine).connections_reset += 1
    if tcb.peer:
        abort(engine, peer_of(engine, tcb))
    return destroy(engine, tcb)


@kernel
def _abort_pair(engine: Engine, tcb: Tcb) -> int:
    if tcb.peer:
        abort(engine, peer_of(engine, tcb))
    return abort(engine, tcb)


@kernel
def stream_timeout(engine: Engine, tcb: Tcb) -> int:
    """Take the deadline of one side: a service that did not answer, or a pair that was idle too long."""
    if tcb.state == TcpState.SYN_SENT:
        return stream_lost(engine, tcb)
    idle_us = vserver_of(base_of(engine), tcb.vserver).client_idle_us
    active_at = tcb.last_received_at
    if tcb.peer:
        active_at = max(active_at, peer_of(engine, tcb).last_received_at)
    if engine.now - active_at < idle_us:
        tcb.application_at = active_at + idle_us
        return 0
    counters_of(engine).connections_timed_out += 1
    return _abort_pair(engine, tcb)
