"""The end of a connection: everything that names it is told, everything that it held is freed."""

from __future__ import annotations

from ncore_ray.engine.change import touch
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    index_connection,
    index_of,
    local_port,
    protocol_of,
    release_connection,
    remote_port,
    tcb_of,
)
from ncore_ray.engine.datagrams import NO_SESSION, count_datagrams, enter_datagrams, leave_datagrams, quietest_session
from ncore_ray.engine.half_open import enter_half_open, leave_half_open
from ncore_ray.engine.orphans import enter_orphans, is_orphan, leave_orphans
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats, vserver_stats
from ncore_ray.engine.remote.closing import part
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.patience import time_wait_of
from ncore_ray.engine.tcp.reassembly import clear_early
from ncore_ray.engine.tcp.spans import clear_spans
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.timer import disarm
from ncore_ray.flow.records import distributor_at
from ncore_ray.flow.repair import close_flow, close_own_flow
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet


@kernel
def unpair(engine: Engine, tcb: Tcb) -> int:
    """Part the two sides of a pair."""
    if tcb.peer:
        touch(engine, tcb.peer - 1)
        tcb_of(engine, tcb.peer - 1).peer = 0
        tcb.peer = 0
    return 0


@kernel
def enter_time_wait(engine: Engine, tcb: Tcb) -> int:
    """Enter TIME-WAIT, or begin it anew (RFC 9293 §3.6.1); the queue is in the order of the beginnings."""
    if tcb.state == TcpState.TIME_WAIT:
        _leave_queue(engine, tcb)
    else:
        if tcb.pooled:
            leave_pool(engine, tcb)  # all lists go by the same links
        elif is_orphan(tcb):
            leave_orphans(engine, tcb)
        tcb.state = TcpState.TIME_WAIT
        congestion.end(engine, tcb)
        tcb.retransmit_at = 0
        tcb.keepalive_at = 0
        tcb.application_at = 0
    tcb.close_at = engine.now + time_wait_of(engine, tcb)
    return queue_time_wait(engine, tcb)


@kernel
def queue_time_wait(engine: Engine, tcb: Tcb) -> int:
    """Put a connection at the end of the queue of those in TIME-WAIT."""
    own = index_of(engine, tcb) + 1
    tcb.list_next = 0
    tcb.list_previous = engine.time_wait_last
    if engine.time_wait_last:
        tcb_of(engine, engine.time_wait_last - 1).list_next = own
    else:
        engine.time_wait_first = own
    engine.time_wait_last = own
    return 0


@kernel
def _leave_queue(engine: Engine, tcb: Tcb) -> int:
    if tcb.list_previous:
        tcb_of(engine, tcb.list_previous - 1).list_next = tcb.list_next
    else:
        engine.time_wait_first = tcb.list_next
    if tcb.list_next:
        tcb_of(engine, tcb.list_next - 1).list_previous = tcb.list_previous
    else:
        engine.time_wait_last = tcb.list_previous
    return 0


@kernel
def enter_pool(engine: Engine, tcb: Tcb) -> int:
    """Put a server connection into its service's pool of idle connections (last in, first out)."""
    stats = service_stats(engine, tcb.service)
    own = index_of(engine, tcb) + 1
    tcb.list_previous = 0
    tcb.list_next = stats.idle_first
    if stats.idle_first:
        tcb_of(engine, stats.idle_first - 1).list_previous = own
    stats.idle_first = own
    stats.idle_connections += 1
    tcb.pooled = 1
    return 0


@kernel
def leave_pool(engine: Engine, tcb: Tcb) -> int:
    """Take a server connection out of the pool."""
    touch(engine, index_of(engine, tcb))
    stats = service_stats(engine, tcb.service)
    if tcb.list_previous:
        tcb_of(engine, tcb.list_previous - 1).list_next = tcb.list_next
    else:
        stats.idle_first = tcb.list_next
    if tcb.list_next:
        tcb_of(engine, tcb.list_next - 1).list_previous = tcb.list_previous
    stats.idle_connections -= 1
    tcb.pooled = 0
    return 0


@kernel
def count_live(engine: Engine, tcb: Tcb, change: int) -> int:
    """Let the counts of what lives follow a connection that comes (1) or goes (−1)."""
    is_client = tcb.role == Role.CLIENT or tcb.role == Role.ARRIVING or tcb.role == Role.SPLIT
    if is_client or tcb.role == Role.UDP_CLIENT:
        vserver_stats(engine, tcb.vserver).connections += change
    elif tcb.role == Role.SERVER or tcb.role == Role.UDP_SERVER:
        service_stats(engine, tcb.service).connections += change
    if tcb.busy:
        service_stats(engine, tcb.service).busy += change
    count_datagrams(engine, tcb, change)
    return 0


@kernel
def _is_over(tcb: Tcb) -> int:
    """Return 1 for a connection that stands in the queue of those in TIME-WAIT."""
    return 1 if tcb.state == TcpState.TIME_WAIT or tcb.state == TcpState.SPLICE_ENDED else 0


@kernel
def _is_half_open(tcb: Tcb) -> int:
    """Return 1 for a connection that stands in the queue of handshakes under way; of a spliced pair the client's."""
    if tcb.state == TcpState.SPLICE_OPENING or tcb.state == TcpState.SPLICE_ANSWERED:
        return 1 if tcb.role == Role.CLIENT else 0
    return 1 if tcb.state == TcpState.SYN_RECEIVED else 0


@kernel
def enter_lists(engine: Engine, tcb: Tcb) -> int:
    """Enter a connection that comes as a whole, from a former engine, into the index, the lists and the counts."""
    if tcb.state != TcpState.VIRTUAL:
        index_connection(engine, tcb)
    if _is_over(tcb):
        queue_time_wait(engine, tcb)
    elif tcb.pooled:
        enter_pool(engine, tcb)
    elif _is_half_open(tcb):
        enter_half_open(engine, tcb)
    elif is_orphan(tcb):
        enter_orphans(engine, tcb)
    elif tcb.role == Role.UDP_CLIENT:
        enter_datagrams(engine, tcb)
    return count_live(engine, tcb, 1)


@kernel
def _leave_lists(engine: Engine, tcb: Tcb) -> int:
    """Free a connection and all that it holds, wherever it stands."""
    if _is_over(tcb):
        _leave_queue(engine, tcb)
    elif _is_half_open(tcb):
        leave_half_open(engine, tcb)
    elif is_orphan(tcb):
        leave_orphans(engine, tcb)
    elif tcb.role == Role.UDP_CLIENT:
        leave_datagrams(engine, tcb)
    if tcb.pooled:
        leave_pool(engine, tcb)
    count_live(engine, tcb, -1)
    clear_early(engine, tcb)
    clear_spans(engine, tcb)
    congestion.end(engine, tcb)
    return release_connection(engine, tcb)


@kernel
def forget_flow(engine: Engine, tcb: Tcb) -> int:
    """Tell the flow table that a client's connection is over; the distributor never sees what engines send."""
    base = base_of(engine)
    return close_flow(
        base,
        distributor_at(base + engine.flow_key),
        tcb.remote_high,
        tcb.remote_low,
        remote_port(tcb),
        tcb.local_high,
        tcb.local_low,
        local_port(tcb),
        protocol_of(tcb),
        engine.now,
    )


@kernel
def forget_stray(engine: Engine, packet: Packet) -> int:
    """Tell the flow table that a client's segment belongs to no connection here, if it is this engine's flow.

    Else whoever sends a SYN and an acknowledgment for each of many made-up addresses would fill it for minutes.
    """
    base = base_of(engine)
    return close_own_flow(base, distributor_at(base + engine.flow_key), packet, engine.index, engine.now)


@kernel
def destroy(engine: Engine, tcb: Tcb) -> int:
    """Free a connection and everything that it holds; its peer, if any, is left alone."""
    if tcb.role == Role.FREE:
        return 0
    touch(engine, index_of(engine, tcb))
    unpair(engine, tcb)
    disarm(engine, tcb)
    if tcb.virtual:
        part(engine, tcb)
    elif tcb.role != Role.SERVER and tcb.role != Role.MONITOR and tcb.role != Role.UDP_SERVER:
        forget_flow(engine, tcb)
    counters_of(engine).connections_closed += 1
    return _leave_lists(engine, tcb)


@kernel
def withdraw(engine: Engine, tcb: Tcb) -> int:
    """Free a connection that goes on at another engine: no host and no flow table hears of it."""
    touch(engine, index_of(engine, tcb))
    unpair(engine, tcb)
    disarm(engine, tcb)
    counters_of(engine).connections_withdrawn += 1
    return _leave_lists(engine, tcb)


@kernel
def recycle_time_wait(engine: Engine) -> int:
    """Free the connection that is in TIME-WAIT for the longest time, if there is one; return 1 if there was.

    A departure from RFC 9293 §3.6.1 that takes place only when the table is full: a new connection is worth more than
    the last moments of a closed one.
    """
    if engine.time_wait_first == 0:
        return 0
    destroy(engine, tcb_of(engine, engine.time_wait_first - 1))
    counters_of(engine).time_wait_recycled += 1
    return 1


@kernel
def evict_datagrams(engine: Engine) -> int:
    """End a session of datagrams for the sake of something new; return 0 if all of them are at work."""
    number = quietest_session(engine)
    if number == NO_SESSION:
        return 0
    tcb = tcb_of(engine, number - 1)
    if tcb.peer:
        destroy(engine, tcb_of(engine, tcb.peer - 1))
    destroy(engine, tcb)
    counters_of(engine).datagram_sessions_evicted += 1
    return 1
